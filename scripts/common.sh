# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the scripts share. To be sourced; sets $top and moves nowhere.

# shellcheck disable=SC2034 # used by whoever sources this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# Programs of the system that an ordinary user's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# shellcheck source=tests/mount/wait_until.sh
source "$top/tests/mount/wait_until.sh"

say() { printf '%s\n' "$*"; }

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

jobs_count() { nproc 2>/dev/null || echo 2; }

# Runs a command as root. Asks for a password only if someone is there to type it.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# What a sanitizer's run starts with: they want their addresses, which kernels with
# much randomisation give away now and then. Containers may forbid setarch.
# shellcheck disable=SC2034 # used by whoever sources this
fixed_addresses=()
# shellcheck disable=SC2034
if setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi

# Prints why no FUSE file system can be mounted here; fails if one can.
fuse_missing() {
	if [ ! -e /dev/fuse ]; then
		say "there is no /dev/fuse"
	elif ! { : <>/dev/fuse; } 2>/dev/null; then
		say "/dev/fuse cannot be opened by $(id -un)"
	elif [ "$(id -u)" -ne 0 ] && [ ! -u "$(command -v fusermount3)" ]; then
		say "fusermount3 is not there, or not set-user-id root"
	elif [ "$(id -u)" -ne 0 ] && [ ! -e /etc/mtab ]; then
		say "there is no /etc/mtab, which fusermount3 reads to know whose a mount is"
	else
		return 1
	fi
}

fuse_advice() {
	cat <<'ADVICE'
walfs needs the kernel's FUSE device:
  - on a machine of your own:  modprobe fuse
  - if the module is loaded but the device is missing:  mknod -m 666 /dev/fuse c 10 229
  - if only root can open it:  chmod 666 /dev/fuse  (as udev does)
  - in a container: start it with  --device /dev/fuse --cap-add SYS_ADMIN
    (some engines also want  --security-opt apparmor=unconfined)
  - if /etc/mtab is missing:  ln -s ../proc/self/mounts /etc/mtab
ADVICE
}
