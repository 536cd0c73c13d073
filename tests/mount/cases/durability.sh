# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What is promised, and kept when the daemon dies.

# Counted, not timed: how quick either is depends on the disk and on who else uses it.
case_fsyncs_of_several_writers_share_a_commit() {
	mount_log sync=none
	local syncs requests
	"$poke" durable "$mnt/current" 1 50
	requests=$(status_of .counters.sync_requests)
	syncs=$(status_of '.counters.syncs')
	same "of one writer: answers" "$requests" 50
	[ "$syncs" -ge 50 ]
	"$poke" durable "$mnt/current" 8 100
	requests=$(($(status_of .counters.sync_requests) - requests))
	syncs=$(($(status_of '.counters.syncs') - syncs))
	echo "of eight writers: $syncs syncs for $requests answers"
	same "of eight writers: answers" "$requests" 800
	[ "$syncs" -lt "$requests" ]
	same refused "$(status_of .counters.sync_refusals)" 0
}

case_sync_always_answers_each_write_durably() {
	mount_log sync=always
	for i in 1 2 3; do
		echo "line $i" >>"$mnt/current"
		same durable "$(attribute durable_event "$mnt/current")" "$i"
	done
	exec 3>>"$mnt/current"
	printf 'unfinished' >&3
	same "at once" "$(tail -c 10 "$mnt/current")" unfinished
	exec 3>&-
}

case_sync_interval_makes_durable_by_itself() {
	mount_log sync=interval:50
	echo x >>"$mnt/current"
	durable() { [ "$(attribute durable_event "$mnt/current")" -eq 1 ]; }
	wait_until durable
}

# all_answered_in FILE WRITERS: each writer's lines in order, once each, whole, and none
# of those that were answered missing.
all_answered_in() {
	local w n
	for ((w = 1; w <= $2; w++)); do
		n=$("$poke" acked "$dir/acked.$w")
		echo "writer $w: $n lines answered"
		[ "$n" -gt 0 ]
		awk -v w="w$w" -v n="$n" '$1 == w {
				if ($2 != ++seen || length($3) != $2 % 97) { print "bad: " $0; exit 1 }
			}
			END { if (seen < n) { print seen " of " n; exit 1 } }' "$1"
	done
}

case_what_was_written_outlives_kill_9() {
	mount_log segment_size=2M
	local w
	for w in 1 2 3 4 5 6 7 8; do
		"$poke" storm "$mnt/current" "w$w" "$dir/acked.$w" &
		remember $!
	done
	sleep "${storm_seconds:-2}" # so long they write
	kill_log
	wait $(remembered 8) 2>/dev/null || true
	mount_log segment_size=2M
	rotate
	cat "$mnt"/events/*.log >"$dir/all"
	all_answered_in "$dir/all" 8
	unmount_log
	"$walctl" verify "$store"
}

case_a_restart_goes_on_where_the_log_ended() {
	mount_log
	local i
	for i in 1 2 3; do
		echo "run $i" >>"$mnt/current"
		unmount_log
		mount_log
	done
	kill_log
	mount_log
	echo 'run 4' >>"$mnt/current"
	rotate
	same content "$(cat "$mnt"/events/*.log)" $'run 1\nrun 2\nrun 3\nrun 4'
	same last "$(attribute last_event "$(ls "$mnt"/*.wal | tail -n 1)")" 4
}
