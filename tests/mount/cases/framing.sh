# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What an event is, and when an unfinished one becomes one.

case_unfinished_bytes_appear_at_fsync_and_at_durable_writes() {
	mount_log
	mkfifo "$dir/end"
	"$poke" step "$mnt/current" one @fsync two @wait >"$dir/said" <"$dir/end" &
	remember $!
	exec 5>"$dir/end"
	wait_until test -s "$dir/said"
	same "after fsync" "$(cat "$mnt/current")" one
	exec 5>&-
	wait $!
	same "after close" "$(cat "$mnt/current")" onetwo
	gives 5 write "$mnt/current" 5 dsync
	gives 5 write "$mnt/current" 5 sync
	gives 3 rwf-dsync "$mnt/current" abc
	same content "$(cat "$mnt/current")" onetwoxxxxxxxxxxabc
	same events "$(events_of)" 5
}

case_framing_write_makes_each_write_an_event() {
	mount_log framing=write
	exec 3>>"$mnt/current"
	printf one >&3
	/usr/bin/printf 'two\nthree\n' >&3
	exec 3>&-
	same events "$(events_of)" 2
	gives 6400 writev "$mnt/current" 128 50
	same events "$(events_of)" 3
}

case_framing_write_refuses_what_is_too_large() {
	mount_log framing=write
	gives EMSGSIZE write "$mnt/current" 65536 append
	gives EMSGSIZE write "$mnt/current" 5000000 append
	gives 60000 write "$mnt/current" 60000 append
	same events "$(events_of)" 1
	unmount_log
	rm -rf "$store"
	mount_log framing=write,block_size=4M,segment_size=16M
	gives 1044480 write "$mnt/current" 1044480 append
	gives EMSGSIZE write "$mnt/current" 1044481 append
	gives EMSGSIZE write "$mnt/current" 1048576 append
	same events "$(events_of)" 1
}

case_framing_fixed_makes_every_n_bytes_an_event() {
	mount_log framing=fixed:8
	exec 3>>"$mnt/current"
	printf '12345' >&3
	same "while unfinished" "$(events_of)" 0
	printf '67812345678123' >&3
	same "two whole ones" "$(events_of)" 2
	exec 3>&-
	same "and the rest" "$(events_of)" 3
	same content "$(cat "$mnt/current")" 1234567812345678123
}

case_a_line_longer_than_a_block_is_whole() {
	mount_log block_size=4K
	head -c 30000 /dev/zero | tr '\0' L >"$dir/long"
	echo >>"$dir/long"
	cat "$dir/long" >>"$mnt/current"
	cmp "$dir/long" "$mnt/current"
	rotate
	cmp "$dir/long" "$mnt/events/0000000001.log"
}

case_a_line_longer_than_the_limit_is_cut_and_loses_nothing() {
	mount_log segment_size=8M,max_line=1M
	head -c 2500000 /dev/zero | tr '\0' L >"$dir/long"
	echo >>"$dir/long"
	cat "$dir/long" >>"$mnt/current"
	cmp "$dir/long" "$mnt/current"
	same parts "$("$walctl" cat --json "$store" | grep -c '"part"')" 2
}

# The kernel makes requests of 1 MiB of them, and another writer's come in between.
case_long_lines_of_one_write_are_whole_beside_another_writer() {
	mount_log segment_size=64M
	cat >"$dir/write.py" <<-'PYTHON'
		import os, sys
		if os.fork() == 0:
		    other = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
		    for n in range(20000):
		        os.write(other, b"short %06d\n" % n)
		    os._exit(0)
		mine = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
		for n in range(8):
		    line = b"long %d " % n + b"L" * 3000000 + b"\n"
		    assert os.write(mine, line) == len(line)
		os.wait()
	PYTHON
	python3 "$dir/write.py" "$mnt/current"
	same short "$(grep -cE '^short [0-9]{6}$' "$mnt/current")" 20000
	same long "$(grep -cE '^long [0-7] L+$' "$mnt/current")" 8
	same lines "$(wc -l <"$mnt/current")" 20008
	"$walctl" verify "$store"
}

case_more_unfinished_lines_than_there_is_room_for_lose_nothing() {
	mount_log segment_size=4M
	"$poke" hold "$mnt/current" 100 200000
	rotate
	same bytes "$(cat "$mnt"/events/*.log "$mnt/current" | wc -c)" 20000000
	same "but for h" "$(cat "$mnt"/events/*.log "$mnt/current" | tr -d h | wc -c)" 0
	unmount_log
	"$walctl" verify "$store"
}
