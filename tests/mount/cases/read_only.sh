# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# -o ro

case_ro_shows_a_store_and_changes_no_byte() {
	local time
	mount_log
	echo one >>"$mnt/current"
	rotate
	printf 'two\nthree\n' >>"$mnt/current"
	kill_log
	fusermount3 -uz "$mnt"
	store_sums >"$dir/before"
	mount_log ro
	time=$(stat -c %.9Y "$mnt") # before anything was looked at
	same "the directory's time" "$time" "$(date -u -d "$(attribute created "$mnt/current")" +%s.%N)"
	same events "$(cat "$mnt/events/0000000001.log")" one
	same current "$(cat "$mnt/current")" $'two\nthree'
	same size "$(stat -c %s "$mnt/current")" 10
	gives EROFS open "$mnt/current" wronly,append
	gives EROFS setxattr "$mnt/current" user.wal.rotate
	gives EROFS utimes "$mnt/current" now
	gives ok fsync "$mnt/current"
	attribute verify "$mnt/0000000001.wal" | grep -q ok
	same last "$(attribute last_event "$mnt/current")" 3
	grep -q ' ro,' < <(grep -F " $mnt " /proc/self/mounts)
	unmount_log
	store_sums | cmp - "$dir/before"
}

case_ro_shows_a_damaged_store() {
	mount_log
	seq 1 30000 >>"$mnt/current"
	rotate
	echo later >>"$mnt/current"
	unmount_log
	"$poke" flip "$store/0000000001.wal" 600
	rm "$store/wal.meta"
	store_sums >"$dir/before"
	mount_log ro
	ls -l "$mnt" "$mnt/events"
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
	same current "$(cat "$mnt/current")" later
	unmount_log
	store_sums | cmp - "$dir/before"
}
