#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Copies what a mounted log holds so far, and checks the copy:
#
#   examples/verify.sh MOUNTPOINT DIRECTORY
#
# Exit status: 0 if each segment in DIRECTORY is sound. It can be run again, to copy what is new.
set -eu
mnt=${1:?usage: verify.sh MOUNTPOINT DIRECTORY}
copies=${2:?usage: verify.sh MOUNTPOINT DIRECTORY}

mountpoint -q "$mnt" || {
	echo "verify.sh: no log is mounted on $mnt" >&2
	exit 1
}

# Seals the active segment, so that the copy holds all that was appended.
setfattr -n user.wal.rotate "$mnt/current"

mkdir -p "$copies"
for segment in "$mnt"/*.wal; do
	copy=$copies/${segment##*/}
	[ -e "$copy" ] || cp "$segment" "$copy"
done
walctl verify "$copies"/*.wal
