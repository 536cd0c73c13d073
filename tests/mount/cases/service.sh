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
