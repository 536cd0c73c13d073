# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2164 # no name has blanks; set -e is on
#
# What the daemon says, to whom, and that nobody waits for who reads it.

case_start_and_end_are_told() {
	mount_log
	seq 1 3 >>"$mnt/current"
	unmount_log
	grep -q "walfs: $store: mounted on $mnt, segment 1, next event 1" "$log"
	grep -q "walfs: $store: ended, all is on stable storage, next event 4" "$log"
	: >"$log"
	mount_log ro
	unmount_log
	grep -q "walfs: $store: mounted on $mnt (ro), segment 1, next event 4" "$log"
	grep -q "walfs: $store: ended, next event 4" "$log"
	# in the background a mount that works says nothing to the terminal
	same terminal "$("$walfs" "$store" "$mnt" 2>&1)" ''
	fusermount3 -u "$mnt"
}

# A pipe on stderr that is full, and that nobody reads until told to; $reader is who does.
stall_stderr() {
	mkfifo "$dir/stderr" "$dir/go"
	python3 - "$dir/stderr" "$dir/go" "$log" "$dir/stalled" <<-'PYTHON' &
		import fcntl, os, sys
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
		fcntl.fcntl(fd, 1031, 4096)  # F_SETPIPE_SZ
		try:
		    while True:
		        os.write(fd, b'x' * 4095 + b'\n')
		except BlockingIOError:
		    open(sys.argv[4], 'w').close()
		read = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
		open(sys.argv[2]).read()
		os.close(fd)
		os.set_blocking(read, True)
		with open(sys.argv[3], 'ab') as log:
		    while data := os.read(read, 65536):
		        log.write(data)
		        log.flush()
	PYTHON
	reader=$!
	remember "$reader"
	wait_until test -e "$dir/stalled"
}

case_a_full_pipe_on_stderr_stops_no_writer() {
	stall_stderr
	"$walfs" -f "$store" "$mnt" -o segment_size=128K,keep_segments=1 2>"$dir/stderr" &
	daemon=$!
	remember "$daemon"
	wait_until test -e "$mnt/current"
	local i
	# each is a message: more than the queue takes
	for ((i = 0; i < 400; i++)); do
		echo "line $i" >>"$mnt/current"
		rotate
	done
	echo last >>"$mnt/current"
	sync -d "$mnt/current"
	same last "$(cat "$mnt/current")" last
	[ "$(metric_of walfs_messages_dropped_total)" -gt 0 ]
	same "both files" "$(metric_of walfs_messages_dropped_total)" "$(jq .counters.messages_dropped "$mnt/.walfs/status")"
	echo go >"$dir/go"
	wait_until grep -qE 'walfs: [0-9]+ messages were dropped' "$log"
	unmount_log
	wait_until grep -q 'ended, all is on stable storage' "$log"
	wait "$reader"
}

# The end is not waited for without a bound either.
case_a_full_pipe_on_stderr_does_not_keep_the_daemon() {
	stall_stderr
	"$walfs" -f "$store" "$mnt" -o segment_size=1M 2>"$dir/stderr" &
	daemon=$!
	remember "$daemon"
	wait_until test -e "$mnt/current"
	echo last >>"$mnt/current"
	fusermount3 -u "$mnt"
	timeout 60 tail --pid="$daemon" -f /dev/null
	wait "$daemon"
	same stored "$("$walctl" cat "$store")" last
	kill "$reader"
	wait "$reader" || true
}

# The log daemon hangs: its socket is there, and nobody reads it.
case_root_a_log_daemon_that_hangs_stops_no_writer() {
	mkdir "$dir/dev"
	export -f wait_until
	# shellcheck disable=SC2016 # expanded by the shell that is started
	unshare --mount bash -ec '
		dir=$0 walfs=$1
		mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
		for node in "fuse 10 229" "null 1 3"; do
			set -- $node
			mknod -m 666 "$dir/dev/$1" c "$2" "$3"
		done
		python3 -c "
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.bind(sys.argv[1])
time.sleep(120) # until it is ended" "$dir/dev/log" &
		socket=$!
		trap "kill $socket" EXIT
		wait_until test -S "$dir/dev/log"
		mount --bind "$dir/dev" /dev
		timeout 60 "$walfs" "$dir/store" "$dir/mnt" -o segment_size=128K,keep_segments=1
		for ((i = 0; i < 400; i++)); do
			echo "line $i" >>"$dir/mnt/current"
			setfattr -n user.wal.rotate "$dir/mnt/current"
		done
		echo last >>"$dir/mnt/current"
		sync -d "$dir/mnt/current"
		grep -q "walfs_messages_dropped_total.* [1-9]" "$dir/mnt/.walfs/metrics"
		umount "$dir/mnt"
		timeout 60 flock "$dir/store" true
	' "$dir" "$walfs"
	same last "$("$walctl" cat "$store" | tail -n 1)" last
}

# with_syslog COMMANDS: in a shell of their own with $dir and $walfs, and with a log daemon that
# writes to $dir/syslog until the daemon of walfs has ended.
with_syslog() {
	mkdir "$dir/dev"
	export -f wait_until
	# shellcheck disable=SC2016 # expanded by the shell that is started
	unshare --mount bash -ec '
		dir=$0 walfs=$1
		mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
		mknod -m 666 "$dir/dev/fuse" c 10 229
		mknod -m 666 "$dir/dev/null" c 1 3
		mknod -m 666 "$dir/dev/zero" c 1 5
		python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    line = s.recv(65536)
    print(line.decode(), flush=True)
    if b\"ended\" in line:
        break" "$dir/dev/log" >"$dir/syslog" &
		socket=$!
		trap "kill $socket 2>/dev/null || true" EXIT
		wait_until test -S "$dir/dev/log"
		mount --bind "$dir/dev" /dev
		eval "$2"
		timeout 60 tail --pid="$socket" -f /dev/null
	' "$dir" "$walfs" "$1"
}

# What it says in the background, and said on the terminal before: the start, what recovery
# cut, the end.
case_root_syslog_gets_start_recovery_and_end() {
	mount_log
	echo x >>"$mnt/current"
	kill_log
	fusermount3 -u "$mnt"
	leave_torn_tail
	# shellcheck disable=SC2016 # expanded by the shell that is started
	with_syslog '
		"$walfs" "$dir/store" "$dir/mnt" -o segment_size=1M 2>"$dir/terminal"
		umount "$dir/mnt"'
	grep 'torn tail of' "$dir/terminal"
	grep 'torn tail of' "$dir/syslog"
	grep "$store: mounted on $mnt" "$dir/syslog"
	grep "$store: ended, all is on stable storage" "$dir/syslog"
}

# --- what it may do ---------------------------------------------------------------------------

# Each thread's effective, permitted and bounding set, and whether it may get more.
capabilities_are() {
	local what
	for what in CapEff CapPrm CapBnd; do
		same "$what" "$(sed -n "s/^$what:\t//p" "/proc/$daemon"/task/*/status | sort -u)" "$1"
	done
	same NoNewPrivs "$(sed -n "s/^NoNewPrivs:\t//p" "/proc/$daemon"/task/*/status | sort -u)" 1
}

# sys_admin and dac_override
case_root_the_daemon_keeps_two_capabilities_and_works() {
	mount_log segment_size=128K,keep_segments=2
	local i
	for i in {1..6}; do
		seq 1 1000 >>"$mnt/current"
		rotate
	done
	capabilities_are 0000000000200002
	same status "$(jq -r .capabilities "$mnt/.walfs/status")" dac_override,sys_admin
	same "retention" "$(ls "$mnt"/*.wal | wc -l)" 2
	kill_log
	# recovery, over the dead mount; and the end by a signal, which unmounts
	leave_torn_tail "$(ls "$store"/*.wal | tail -n 1)"
	mount_log segment_size=128K,keep_segments=2
	capabilities_are 0000000000200002
	kill "$daemon"
	wait "$daemon"
	is_gone "$mnt"
	"$walctl" verify -q "$store"
}

# and chown and fowner, for what it makes and removes there
case_root_the_daemon_keeps_two_more_in_the_store_of_another_user() {
	mkdir "$store"
	chown 65534:65534 "$store"
	# what is in a sticky directory can be removed by its owner only, and by who has fowner
	chmod 1700 "$store"
	mount_log segment_size=128K,keep_segments=2
	capabilities_are 000000000020000b
	same status "$(jq -r .capabilities "$mnt/.walfs/status")" chown,dac_override,fowner,sys_admin
	local i
	for i in {1..6}; do
		echo "$i" >>"$mnt/current"
		rotate
	done
	wait_until bash -c "[ \$(ls '$mnt'/*.wal | wc -l) -eq 2 ]" # retention has a thread of its own
	kill "$daemon"
	wait "$daemon"
	is_gone "$mnt"
	same "of others" "$(find "$store" ! -uid 65534 -o ! -gid 65534)" ''
}

case_root_auto_unmount_works_with_few_capabilities() {
	mount_log auto_unmount
	echo x >>"$mnt/current"
	kill_log
	wait_until is_gone "$mnt"
	mount_log
	same content "$(cat "$mnt/current")" x
}

# A start may wait for a holder that is ending; what is written meanwhile must not be hidden.
case_lines_written_while_it_starts_are_not_hidden() {
	local holder starting
	export -f wait_until
	mount_log
	unmount_log
	# shellcheck disable=SC2016 # expanded by the shell that is started
	flock "$store" bash -c 'wait_until test -e "$0"' "$dir/go" &
	holder=$!
	remember "$holder"
	wait_until fails flock -n "$store" true
	"$walfs" "$store" "$mnt" 2>"$dir/said" &
	starting=$!
	sleep 0.4 # so that it waits for the holder: nothing outside shows it
	echo precious >"$mnt/current"
	touch "$dir/go"
	if wait "$starting"; then echo 'it hides a line' && return 1; fi
	grep -q 'was written while' "$dir/said"
	same content "$(cat "$mnt/current")" precious
	rm "$mnt/current"
	wait "$holder"
}

# A umask that takes the owner's own bits away.
case_files_can_be_read_whatever_the_umask() {
	umask 0777
	"$walfs" "$store" "$mnt" -o segment_size=128K
	umask 022
	echo x >>"$mnt/current"
	rotate
	cat "$mnt/current" "$mnt"/events/*.log >/dev/null
	fusermount3 -u "$mnt"
	flock -w 20 "$store" true
	same modes "$(find "$store" -printf '%m\n' | sort -u | xargs)" '600 700'
	mount_log
	same content "$(cat "$mnt/events/0000000001.log")" x
}

# --- refusals ------------------------------------------------------------------------------

case_lines_in_the_bare_mount_point_are_told_with_the_way_to_take_them_in() {
	mount_log
	echo 'in the log' >>"$mnt/current"
	unmount_log
	echo stray >>"$mnt/current"
	refuses "$mnt/current FILE.*cat FILE >> $mnt/current" "$walfs" "$store" "$mnt"
	same "left alone" "$(cat "$mnt/current")" stray
	mv "$mnt/current" "$dir/stray"
	mount_log
	cat "$dir/stray" >>"$mnt/current"
	same log "$(xargs <"$mnt/current")" 'in the log stray'
}

# Nobody reads the terminal that it was started from, which had no room for what recovery cut.
case_root_syslog_gets_what_a_stalled_terminal_did_not() {
	mount_log
	echo x >>"$mnt/current"
	kill_log
	fusermount3 -u "$mnt"
	leave_torn_tail
	# shellcheck disable=SC2016 # expanded by the shell that is started
	with_syslog '
		mkfifo "$dir/stderr"
		exec 3<>"$dir/stderr"
		dd if=/dev/zero of="$dir/stderr" bs=4096 oflag=nonblock status=none 2>/dev/null || true
		"$walfs" "$dir/store" "$dir/mnt" -o segment_size=1M 2>"$dir/stderr"
		umount "$dir/mnt"'
	grep 'torn tail of' "$dir/syslog"
	grep "mounted on" "$dir/syslog"
}

case_options_that_mount_knows_for_any_file_system_are_accepted() {
	local option
	for option in silent loud nosymfollow mand noiversion; do
		"$walfs" "$store" "$mnt" -o "segment_size=1M,$option"
		fusermount3 -u "$mnt"
	done
	mount_log
	refuses "remount: 'sync' holds .*unmount it and mount it again" "$walfs" "$store" "$mnt" \
		-o remount,sync=none
	echo 'goes on' >>"$mnt/current"
}

case_root_owner_and_group_may_be_names() {
	mount_log uid=root,gid=root
	same owner "$(stat -c '%U %G' "$mnt/current" 2>/dev/null)" 'root root'
	unmount_log
	refuses 'expected an existing user' "$walfs" "$store" "$mnt" -o uid=nobody-of-this-name
	refuses 'expected an existing group' "$walfs" "$store" "$mnt" -o gid=nobody-of-this-name
}

# A service with a mount namespace of its own keeps the mount, and so the daemon.
case_root_a_mount_in_another_namespace_is_named_with_the_way_out() {
	"$walfs" "$store" "$mnt" -o segment_size=1M
	echo x >>"$mnt/current"
	local pid
	pid=$(jq .pid "$mnt/.walfs/status")
	unshare --mount --propagation private sleep 60 & # until it is ended
	remember $!
	wait_until other_namespace
	fusermount3 -u "$mnt"
	refuses "mount namespace of sleep \(pid $(remembered 1)\).*\`kill $pid\`" "$walfs" "$store" "$mnt"
	kill "$pid"
	"$walfs" "$store" "$mnt"
	same content "$(cat "$mnt/current")" x
	fusermount3 -u "$mnt"
}
other_namespace() { [ "$(readlink "/proc/$(remembered 1)/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; }

# A dead mount there has the store's name, too, but it is not the holder's.
case_root_a_dead_mount_in_another_namespace_says_nothing_of_the_holder() {
	mount_log
	echo x >>"$mnt/current"
	unshare --mount --propagation private sleep 60 & # until it is ended
	remember $!
	wait_until other_namespace
	kill_log
	fusermount3 -u "$mnt"
	export -f wait_until
	# shellcheck disable=SC2016 # expanded by the shell that is started
	flock "$store" bash -c 'wait_until test -e "$0"' "$dir/go" &
	remember $!
	wait_until fails flock -n "$store" true
	"$walfs" "$store" "$mnt" -o segment_size=1M 2>>"$log" &
	local starting=$!
	sleep 1 # it is not to give up meanwhile
	touch "$dir/go"
	wait "$starting"
	same content "$(cat "$mnt/current")" x
	fusermount3 -u "$mnt"
}

# --- a daemon that was killed ----------------------------------------------------------------

# What is asked of a mount as its daemon dies is aborted, and not "not connected".
case_a_mount_follows_a_kill_at_once_every_time() {
	local i pid
	"$walfs" "$store" "$mnt" -o segment_size=1M
	for ((i = 0; i < 40; i++)); do
		echo "$i" >>"$mnt/current"
		pid=$(jq .pid "$mnt/.walfs/status")
		kill -9 "$pid"
		"$walfs" "$store" "$mnt" 2>>"$log"
	done
	same lines "$(cat "$mnt"/events/*.log "$mnt/current" 2>/dev/null | wc -l)" 40
	fusermount3 -u "$mnt"
}

# Its program ended before the mount was ready, and something still holds the device: what is
# asked there is refused.
case_root_a_mount_whose_start_failed_is_cleared() {
	python3 - "$mnt" "$dir/ready" <<-'PYTHON' &
		import ctypes, os, struct, sys, time
		fd = os.open('/dev/fuse', os.O_RDWR)
		libc = ctypes.CDLL(None, use_errno=True)
		options = f'fd={fd},rootmode=40000,user_id=0,group_id=0'
		assert libc.mount(b'store', sys.argv[1].encode(), b'fuse.walfs', 0, options.encode()) == 0
		unique = struct.unpack_from('<IIQ', os.read(fd, 1 << 17))[2]  # INIT
		os.write(fd, struct.pack('<IiQ', 16, -5, unique))
		open(sys.argv[2], 'w').close()
		time.sleep(60)  # until it is ended
	PYTHON
	remember $!
	wait_until test -e "$dir/ready"
	refuses 'refused' stat -f "$mnt"
	mount_log
	grep -q 'cleared' "$log"
	echo x >>"$mnt/current"
	unmount_log
	kill "$(remembered 2 | head -n 1)"
}
