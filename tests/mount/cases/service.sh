# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# Under a service manager, and from /etc/fstab.

# with_manager NAME: Python's program is stdin. It has start(), which starts the daemon with
# NOTIFY_SOCKET=NAME, and heard(), the next message as a dictionary.
with_manager() {
	python3 -c '
import os, signal, socket, subprocess, sys
name, walfs, store, mnt = sys.argv[1:]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("\0" + name[1:] if name[0] == "@" else name)
manager.settimeout(60)
daemon = None
def start(*arguments):
    global daemon
    daemon = subprocess.Popen([walfs, "-f", *arguments, store, mnt],
                              env={**os.environ, "NOTIFY_SOCKET": name})
def heard():
    return dict(line.split("=", 1) for line in manager.recv(65536).decode().split("\n"))
try:
    exec(sys.stdin.read())
finally:
    if daemon and daemon.poll() is None:
        daemon.kill()
        daemon.wait()' "$1" "$walfs" "$store" "$mnt"
}

case_a_service_manager_hears_when_it_is_ready_and_when_it_ends() {
	local name
	for name in "$dir/notify" "@walfs-test-$$-$(id -u)-$RANDOM"; do
		with_manager "$name" <<-'PYTHON'
			start("-o", "segment_size=1M")
			said = heard()
			assert said["READY"] == "1" and said["MAINPID"] == str(daemon.pid), said
			assert said["STATUS"].startswith("mounted, segment 1, next event "), said
			with open(mnt + "/current", "a") as file: # it answers
			    file.write("line\n")
			daemon.send_signal(signal.SIGTERM)
			said = heard()
			assert said["STOPPING"] == "1" and said["STATUS"], said
			assert daemon.wait(60) == 0
		PYTHON
	done
	same events "$("$walctl" cat "$store" | xargs)" 'line line'
}

case_a_service_manager_is_told_why_it_does_not_start() {
	mkdir "$store"
	echo mine >"$store/letter.txt"
	with_manager "$dir/notify" <<-'PYTHON'
		start()
		assert daemon.wait(60) == 1
		said = heard()
		assert "READY" not in said and "STATUS" in said, said
		assert "give an empty directory" in said["STATUS"], said
	PYTHON
}

# Its socket is full, as it hangs itself; or is not there.
case_a_service_manager_that_does_not_listen_holds_up_nothing() {
	with_manager "$dir/notify" <<-'PYTHON'
		other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		other.setblocking(False)
		try:
		    while True:
		        other.sendto(b"X=1", name)
		except BlockingIOError:
		    pass
		start("-o", "segment_size=1M")
		while not os.path.exists(mnt + "/current"):
		    assert daemon.poll() is None
		with open(mnt + "/current", "a") as file:
		    file.write("line\n")
		daemon.send_signal(signal.SIGTERM)
		assert daemon.wait(60) == 0
	PYTHON
	NOTIFY_SOCKET=$dir/nobody mount_log
	same log "$(cat "$mnt/current")" line
}

case_messages_to_the_journal_have_a_level() {
	JOURNAL_STREAM=$(stat -c %d:%i "$log") mount_log
	grep '^<6>walfs: .*: mounted on' "$log"
	unmount_log
	grep '^<6>walfs: .*: ended, all is on stable storage' "$log"
	: >"$log"
	fails env JOURNAL_STREAM="$(stat -c %d:%i "$log")" "$walfs" -f "$store" "$dir/none" 2>>"$log"
	grep '^<3>walfs: .*none' "$log"
	: >"$log"
	# another file than stderr: nothing that would be in the way there
	JOURNAL_STREAM=$(stat -c %d:%i "$store") mount_log
	grep '^walfs: .*: mounted on' "$log"
}

# --- /etc/fstab ---------------------------------------------------------------------------------

# with_fstab COMMANDS: where mount(8) finds walfs, with $dir, $mnt, and fstab OPTIONS, which
# writes $dir/fstab.
with_fstab() {
	export -f refuses same fails
	# shellcheck disable=SC2016 # expanded by the shell that is started
	unshare --mount bash -ec '
		dir=$0 mnt=$0/mnt
		mount -t tmpfs tmpfs /usr/local/bin
		cp "$1" /usr/local/bin/walfs
		fstab() { echo "$dir/store $mnt fuse.walfs segment_size=1M${1:+,$1} 0 0" >"$dir/fstab"; }
		options_are() { same options "$(awk -v at="$mnt" "\$2 == at { print \$4 }" /proc/self/mounts)" \
			"$1,relatime,user_id=0,group_id=0,default_permissions${2:-}"; }
		trap "umount $dir/mnt 2>/dev/null || true" EXIT
		eval "$2"
		umount "$mnt"
		timeout 60 flock "$dir/store" true
		trap - EXIT' "$dir" "$walfs" "$1"
}

case_root_fstab_with_the_options_that_any_file_system_has() {
	# shellcheck disable=SC2016 # expanded by the shell that is started
	with_fstab '
		for options in "" defaults nofail,_netdev,comment=text,loud,silent \
			auto,x-systemd.automount,x-systemd.requires=a.target,x-systemd.device-timeout=9 \
			nosymfollow,x-mount.mkdir,X-any.thing=1,iversion,lazytime,rw; do
			fstab "$options"
			mount -T "$dir/fstab" -a
			options_are rw
			mount -T "$dir/fstab" -a # is mounted
			echo "$options" >>"$mnt/current"
			umount "$mnt"
		done
		for options in user users owner group user=root; do
			fstab "$options,noauto"
			mount -T "$dir/fstab" -a
			fails mountpoint -q "$mnt"
			mount -T "$dir/fstab" "$mnt"
			umount "$mnt"
		done
		fstab ro,allow_other
		mount -T "$dir/fstab" "$mnt"
		options_are ro ,allow_other'
	same events "$("$walctl" cat "$store" | wc -l)" 5
}

case_root_remount_changes_what_can_be_changed() {
	# shellcheck disable=SC2016 # expanded by the shell that is started
	with_fstab '
		fstab sync=always
		mount -T "$dir/fstab" "$mnt"
		mount -T "$dir/fstab" -o remount,ro "$mnt"
		options_are ro
		refuses "Read-only file system" bash -c "echo x >>$mnt/current"
		mount -o remount,rw "$mnt"
		options_are rw
		echo x >>"$mnt/current"
		mount -o remount,noexec "$mnt"
		options_are rw,noexec
		mount -T "$dir/fstab" -o remount,exec "$mnt"
		options_are rw
		refuses "remount: .sync. holds until" mount -o remount,sync=none "$mnt"
		refuses "remount: .keep_bytes. holds until" mount -o remount,keep_bytes=1G "$mnt"
		mount -o remount,sync=always "$mnt"
		exec 3>>"$mnt/current"
		refuses "remount: .*a file is open for writing" mount -o remount,ro "$mnt"
		exec 3>&-
		options_are rw
		umount "$mnt"
		refuses "remount: .* is no mounted log" walfs "$dir/store" "$mnt" -o remount
		fstab ro
		mount -T "$dir/fstab" "$mnt"
		refuses "remount: it was mounted with ro" mount -o remount,rw "$mnt"'
}
