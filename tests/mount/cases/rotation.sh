# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What readers and writers see of a rotation.

case_rotation_gives_current_a_new_inode_that_survives_a_restart() {
	mount_log
	local first second
	echo one >>"$mnt/current"
	first=$(stat -c %i "$mnt/current")
	rotate
	second=$(stat -c %i "$mnt/current")
	[ "$first" != "$second" ]
	[ "$first" != "$(stat -c %i "$mnt/0000000001.wal")" ]
	[ "$first" != "$(stat -c %i "$mnt/events/0000000001.log")" ]
	same listed "$(ls -i "$mnt" | awk '$2 == "current" { print $1 }')" "$second"
	echo two >>"$mnt/current"
	kill_log
	mount_log
	same "after a restart" "$(stat -c %i "$mnt/current")" "$second"
	same content "$(cat "$mnt/current")" two
}

case_rotation_of_an_empty_segment_does_nothing() {
	mount_log
	rotate
	rotate
	same names "$(ls "$mnt")" $'current\nevents'
}

case_an_old_reader_reads_on_and_an_old_writer_goes_to_the_new_segment() {
	mount_log
	exec 3<"$mnt/current" 4>>"$mnt/current"
	echo first >&4
	same "read" "$(head -n 1 <&3)" first
	echo more >&4
	rotate
	echo second >&4
	same "the rest of the old" "$(cat <&3)" more
	same "fstat of the old" "$(stat -L -c %s /proc/self/fd/3)" 11
	same "the new" "$(cat "$mnt/current")" second
	same "events/" "$(cat "$mnt/events/0000000001.log")" $'first\nmore'
	exec 3<&- 4>&-
}

case_an_unfinished_line_survives_a_rotation() {
	mount_log
	exec 3>>"$mnt/current"
	echo whole >>"$mnt/current"
	printf 'begun before, ' >&3
	rotate
	echo 'ended after' >&3
	exec 3>&-
	same "the old" "$(cat "$mnt/events/0000000001.log")" whole
	same "the new" "$(cat "$mnt/current")" 'begun before, ended after'
}

case_segments_follow_each_other_and_every_line_is_in_one() {
	mount_log segment_size=256K
	seq 1 60000 >"$dir/in"
	cat "$dir/in" >>"$mnt/current"
	rotate
	cat "$mnt"/events/*.log | cmp - "$dir/in"
	[ "$(ls "$mnt"/*.wal | wc -l)" -ge 4 ]
	same listed "$(ls "$mnt"/*.wal | wc -l)" "$(ls "$mnt/events" | wc -l)"
	unmount_log
	"$walctl" verify "$store"
}

case_only_the_owner_and_root_may_rotate() {
	mount_log
	echo x >>"$mnt/current"
	gives ok setxattr "$mnt/current" user.wal.rotate
	same rotated "$(ls "$mnt")" $'0000000001.wal\ncurrent\nevents'
}

# in_background COMMAND...: with nothing of it on the case's output.
in_background() {
	"$@" >/dev/null 2>&1 &
	remember $!
}

# answers COMMAND...: it succeeds within a few seconds; what it printed is in $dir/answer. A
# request that hangs keeps timeout(1) from ending it.
answers() {
	rm -f "$dir/answered"
	("$@" >"$dir/answer" && touch "$dir/answered") 2>/dev/null &
	remember $!
	wait_until test -e "$dir/answered"
}

# A disk that is slow to seal, as exactly as it can be had: the thread that seals stands still.
# Only root may stop another process's thread everywhere.
case_root_who_waits_for_a_segment_to_be_sealed_holds_up_nobody_else() {
	local i fd readers=() old=()
	mount_log
	seq 1 30000 >>"$mnt/current"
	rotate
	seq 1 30000 | tee -a "$mnt/current" >"$dir/second"
	for ((i = 0; i < 5; i++)); do
		exec {fd}<"$mnt/current"
		old+=("$fd")
	done
	"$poke" stop-thread "$daemon" walfs-maintain >"$dir/stopped" &
	local stopper=$!
	remember "$stopper"
	wait_until grep -q ok "$dir/stopped"
	in_background rotate
	wait_until test -e "$mnt/0000000002.wal"
	echo third >>"$mnt/current"
	for ((i = 0; i < 5; i++)); do
		in_background rotate
		in_background attribute verify "$mnt/0000000002.wal"
		cat "$mnt/events/0000000002.log" >"$dir/got$i" &
		readers+=($!)
		remember $!
		cat <&"${old[i]}" >"$dir/old$i" &
		readers+=($!)
		remember $!
	done
	sleep 0.2 # nothing is to happen meanwhile: no reader gets its answer
	same state "$(attribute state "$mnt/0000000002.wal")" sealing
	answers cat "$mnt/0000000001.wal"
	answers attribute verify "$mnt/0000000001.wal"
	grep -q ^ok "$dir/answer"
	answers cat "$mnt/.walfs/status"
	kill -0 "${readers[@]}"
	kill "$stopper"
	wait "${readers[@]}"
	for ((i = 0; i < 5; i++)); do
		cmp "$dir/got$i" "$dir/second"
		cmp "$dir/old$i" "$dir/second"
	done
	for fd in "${old[@]}"; do
		exec {fd}<&-
	done
	same state "$(attribute state "$mnt/0000000002.wal")" sealed
	same third "$(cat "$mnt/events/0000000003.log")" third
}

case_walctl_rotates_a_mount() {
	mount_log
	seq 1 100 >>"$mnt/current"
	same said "$("$walctl" rotate "$mnt")" \
		"$mnt: sealed segment 1 (events 1 to 100); segment 2 begins with event 101"
	same state "$(attribute state "$mnt/0000000001.wal")" sealed
	"$walctl" rotate --json "$mnt" | jq -e '.kind == "mount" and .sealed == null and
		.current == {"segment": 2, "first_event": 101}' >/dev/null
	echo more >>"$mnt/current"
	refuses "held by walfs \(pid $daemon\) and mounted on $mnt; 'walctl rotate $mnt'" \
		"$walctl" rotate "$store"
	same 'the active segment' "$(attribute segment "$mnt/current")" 2
	unmount_log
	mount_log ro
	refuses 'the log is read-only' "$walctl" rotate "$mnt"
}
