# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What should not be in a store, whose it should not be, and too little of what it needs.

# Three segments: two finished, one active.
three_segments() {
	mount_log
	echo one >>"$mnt/current" && rotate
	echo two >>"$mnt/current" && rotate
	echo three >>"$mnt/current"
	unmount_log
}

# odd KIND PATH: something that is no segment there.
odd() {
	rm -f "$2"
	case $1 in
	fifo) mkfifo "$2" ;;
	symlink) ln -s /etc/passwd "$2" ;;
	loop) ln -s "${2##*/}" "$2" ;;
	directory) mkdir "$2" && echo inside >"$2/file" ;;
	huge) truncate -s 1T "$2" ;;
	empty) : >"$2" ;;
	esac
}

listed() { find "$store" -printf '%P %y %s %l\n' | sort; }

case_odd_files_with_other_names_are_left_alone() {
	three_segments
	odd fifo "$store/fifo"
	odd symlink "$store/0000000009.wal~"
	odd directory "$store/events"
	odd huge "$store/00000000010.wal"
	odd empty "$store/0000000000.wal"
	odd empty "$store/with"$'\n'"newline"
	odd empty "$store/0000000001.wal"$'\n'
	odd fifo "$store"/$'\n'"0000000004.wal"
	odd directory "$store/0000000005.wal.new"
	odd loop "$store/0000000006.wal.new"
	listed | grep -v '^000000000[1-4].wal\|^wal\.' >"$dir/before"
	mount_log
	same names "$(ls "$mnt" | tr '\n' ' ')" '0000000001.wal 0000000002.wal current events '
	same content "$(cat "$mnt"/events/*.log "$mnt/current" | tr '\n' ' ')" 'one two three '
	echo four >>"$mnt/current"
	unmount_log
	listed | grep -v '^000000000[1-4].wal\|^wal\.' | cmp - "$dir/before"
	"$walctl" verify "$store"
	same all "$("$walctl" cat "$store" | tr '\n' ' ')" 'one two three four '
}

case_odd_files_with_the_name_of_a_finished_segment_are_damage() {
	local kind
	for kind in fifo symlink loop directory huge empty; do
		rm -rf "$store"
		three_segments
		odd "$kind" "$store/0000000001.wal"
		refuses '0000000001\.wal' "$walctl" verify "$store"
		mount_log
		same "$kind" "$(attribute state "$mnt/0000000002.wal")" sealed
		same "$kind: two" "$(cat "$mnt/events/0000000002.log")" two
		same "$kind: of it" "$(attribute state "$mnt/0000000001.wal")" damaged
		same "$kind: its bytes" "$(timeout 10 head -c 100 "$mnt/0000000001.wal" 2>/dev/null)" ""
		refuses 'Input/output error' timeout 10 cat "$mnt/events/0000000001.log"
		echo four >>"$mnt/current"
		same "$kind: current" "$(tail -n 1 "$mnt/current")" four
		unmount_log
		mount_log ro
		same "$kind: read-only" "$(cat "$mnt/events/0000000002.log")" two
		unmount_log
		refuses '0000000001\.wal' "$walctl" verify "$store"
	done
}

# What is no regular file stays, and the log goes on behind it; what never was a segment is set aside.
case_odd_files_where_the_next_segment_goes() {
	local kind
	for kind in fifo symlink loop directory huge empty; do
		rm -rf "$store"
		three_segments
		odd "$kind" "$store/0000000004.wal"
		mount_log
		same "$kind" "$(cat "$mnt/current" "$mnt"/events/*.log 2>/dev/null | sort | tr '\n' ' ')" \
			'one three two '
		echo four >>"$mnt/current"
		unmount_log
		same "$kind: all" "$("$walctl" cat "$store" 2>/dev/null | tr '\n' ' ')" 'one two three four '
		case $kind in
		huge | empty)
			"$walctl" verify "$store"
			;;
		*)
			[ ! -f "$store/0000000004.wal" ] || [ -L "$store/0000000004.wal" ]
			refuses '0000000004\.wal' "$walctl" verify "$store"
			;;
		esac
	done
}

# The descriptor of the active segment and of the next one are open already.
case_a_daemon_without_descriptors_goes_on_writing() {
	mount_log
	echo one >>"$mnt/current" && rotate
	echo two >>"$mnt/current"
	wait_until test -e "$store/0000000003.wal.new"
	prlimit --pid "$daemon" --nofile=1:1024
	refuses 'Too many open files' cat "$mnt/0000000001.wal"
	refuses 'Too many open files' cat "$mnt/events/0000000001.log"
	echo three >>"$mnt/current"
	"$poke" fsync "$mnt/current"
	same durable "$(attribute durable_event "$mnt/current")" "$(attribute last_event "$mnt/current")"
	prlimit --pid "$daemon" --nofile=1024:1024
	same one "$(cat "$mnt/events/0000000001.log")" one
	same state "$(attribute state "$mnt/0000000001.wal")" sealed
	rotate
	echo four >>"$mnt/current"
	unmount_log
	"$walctl" verify "$store"
	same all "$("$walctl" cat "$store" | tr '\n' ' ')" 'one two three four '
}

# walfs with so many descriptors and no more.
limit_descriptors() {
	printf '#!/bin/sh\nulimit -n %d && exec %q "$@"\n' "$1" "$walfs" >"$dir/walfs"
	chmod 755 "$dir/walfs"
	walfs=$dir/walfs
}

case_readers_of_many_segments_get_emfile_at_open_and_writers_go_on() {
	local i
	limit_descriptors 96
	mount_log block_size=4K,segment_size=64K,prepare=8
	for ((i = 0; i < 60; i++)); do
		echo "$i" >>"$mnt/current" && rotate
	done
	cat >"$dir/open.py" <<-'PYTHON'
		import errno, os, sys, time
		def segment(n): return "%s/%010d.wal" % (sys.argv[1], n)
		def open_some():
		    files = []
		    for n in range(1, 61):
		        try: files.append(os.open(segment(n), os.O_RDONLY))
		        except OSError as error: return files, errno.errorcode[error.errno]
		files, why = open_some()
		print(why, 20 <= len(files) < 60)
		files += [os.open(segment(1), os.O_RDONLY) for n in range(300)]
		print(all(os.pread(file, 4, 0) == b"WALS" for file in files))
		current = os.open(sys.argv[1] + "/current", os.O_RDONLY)
		os.fsync(current)
		try: os.read(current, 1)
		except OSError as error: print(errno.errorcode[error.errno])
		current = os.open(sys.argv[1] + "/current", os.O_WRONLY | os.O_APPEND)
		for n in range(10000): os.write(current, b"%099d\n" % n)
		os.fsync(current)
		for file in files: os.close(file)
		for n in range(3000): # a last close is told to the daemon a little later
		    files, why = open_some()
		    if len(files) >= 20: break
		    for file in files: os.close(file)
		    time.sleep(0.02)  # the poll interval
		print(why)
	PYTHON
	same opens "$(python3 "$dir/open.py" "$mnt" | tr '\n' ' ')" 'EMFILE True True EMFILE EMFILE '
	same lines "$(cat "$mnt"/events/*.log "$mnt/current" | grep -cE '^[0-9]{99}$')" 10000
	unmount_log
	"$walctl" verify "$store"
}

anonymous_kib() { awk '/^RssAnon/ { print $2 }' "/proc/$daemon/status"; }

# 4 MiB each, if every reader kept a block.
case_memory_of_many_readers_is_bounded() {
	# a sanitizer keeps what was freed, to find who uses it
	export ASAN_OPTIONS="${ASAN_OPTIONS:-}:quarantine_size_mb=8"
	mount_log block_size=4M,segment_size=16M
	seq -f '%0999.0f' 1 9000 >>"$mnt/current"
	rotate
	seq -f '%0999.0f' 1 9000 >>"$mnt/current"
	cat >"$dir/open.py" <<-'PYTHON'
		import os, sys
		mnt = sys.argv[1]
		files = [os.open(mnt + name, os.O_RDONLY)
		         for name in ("/0000000001.wal", "/events/0000000001.log", "/current")
		         for n in range(30)]
		for offset in (0, 4000000, 8000000):
		    for n, file in enumerate(files):
		        assert len(os.pread(file, 4096, offset + 8192 * (n % 30))) == 4096
		print("open", flush=True)
		sys.stdin.read()
	PYTHON
	mkfifo "$dir/end"
	python3 "$dir/open.py" "$mnt" <"$dir/end" >"$dir/said" &
	remember $!
	exec 5>"$dir/end"
	wait_until test -s "$dir/said"
	echo "RssAnon: $(anonymous_kib) KiB"
	[ "$(anonymous_kib)" -lt 120000 ]
	exec 5>&-
	wait $!
}

case_too_low_a_limit_of_descriptors_is_refused_and_the_lowest_is_enough() {
	local n
	three_segments
	store_sums >"$dir/before"
	for n in 8 10 11 16 32 63; do
		# shellcheck disable=SC2016 # expanded by the shell that is started
		refuses 'open files' bash -c 'ulimit -n "$0" && exec "$@"' "$n" "$walfs" "$store" "$mnt"
		is_gone "$mnt"
	done
	store_sums | cmp - "$dir/before"
	(ulimit -n 64 && exec "$walfs" "$store" "$mnt" -o segment_size=1M)
	seq 1 40000 >>"$mnt/current"
	rotate
	"$poke" fsync "$mnt/current"
	same lines "$(cat "$mnt"/events/*.log "$mnt/current" | wc -l)" 40003
	fusermount3 -u "$mnt"
	wait_until "$walctl" verify "$store"
}

case_root_a_store_of_another_user() {
	local stranger=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	three_segments
	chmod 755 "$dir"
	mkdir "$dir/theirs"
	cp "$walfs" "$walctl" "$dir/"
	chown 65534:65534 "$dir/theirs" "$mnt"
	chmod 666 /dev/fuse
	store_sums >"$dir/before"
	refuses 'ermission denied|not permitted' "${stranger[@]}" "$dir/walfs" "$store" "$mnt"
	refuses 'ermission denied|not permitted' "${stranger[@]}" "$dir/walfs" -o ro "$store" "$mnt"
	refuses 'ermission denied' "${stranger[@]}" "$dir/walctl" verify "$store"
	is_gone "$mnt"
	# may be read by all, but not written to
	chmod 755 "$store"
	chmod 644 "$store"/*
	refuses 'ermission denied|not permitted' "${stranger[@]}" "$dir/walfs" "$store" "$mnt"
	is_gone "$mnt"
	"${stranger[@]}" "$dir/walfs" -o ro "$store" "$mnt"
	same "read by a stranger" "$("${stranger[@]}" cat "$mnt/current")" three
	"${stranger[@]}" fusermount3 -u "$mnt"
	store_sums | cmp - "$dir/before"
	# root may, is told, and the owner goes on
	chown -R 65534:65534 "$store"
	mount_log
	echo 'of root' >>"$mnt/current"
	unmount_log
	grep -q 'belongs to user 65534' "$log"
	same "what root added" "$("$walctl" cat "$store" | tail -n 1)" 'of root'
}

full_tmpfs() {
	mkdir "$dir/full"
	mount -t tmpfs -o size=12M tmpfs "$dir/full"
	store=$dir/full/store
}

case_root_a_full_tmpfs_is_enospc_without_loss_and_writing_goes_on() {
	full_tmpfs
	mount_log segment_size=2M
	head -c 3M /dev/zero >"$dir/full/ballast"
	fills_up_and_goes_on 400000 2000000
	umount "$dir/full"
}

case_root_a_full_tmpfs_still_mounts_and_serves_reads() {
	full_tmpfs
	mount_log
	echo first >>"$mnt/current" && rotate
	unmount_log
	head -c 100M /dev/zero >"$dir/full/ballast" 2>/dev/null || true
	mount_log
	same events "$(cat "$mnt/events/0000000001.log")" first
	seq 1 1000000 >>"$mnt/current" 2>/dev/null && return 1
	rm "$dir/full/ballast"
	echo again >>"$mnt/current"
	same last "$(tail -n 1 "$mnt/current")" again
	unmount_log
	"$walctl" verify "$store"
	umount "$dir/full"
}
