# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
#
# walctl follow beside a daemon: of the store and of the mount.

# begin_follow PATH OPTION...: what it prints is in $dir/got.
begin_follow() {
	"$walctl" follow "${@:2}" "$1" >"$dir/got" 2>"$dir/said" &
	follower=$!
	remember "$follower"
}

end_follow() {
	kill "$follower"
	wait "$follower" || [ $? -eq 143 ]
}

has_lines() { [ "$(wc -l <"$dir/got")" -ge "$1" ]; }

# writes_with_rotations FROM TO: a line at a time, in hundreds, a rotation after each.
writes_with_rotations() {
	local i
	for ((i = $1; i < $2; i += 100)); do
		seq "$i" $((i + 99)) >>"$mnt/current"
		rotate
		sleep 0.03 # so that some come while follow waits
	done
}

case_follow_of_a_mount_gives_each_event_once() {
	mount_log
	begin_follow "$mnt" --from 1
	writes_with_rotations 1 2000
	seq 2001 2010 >>"$mnt/current"
	wait_until has_lines 2010
	end_follow
	seq 2010 | cmp - "$dir/got"
	same said "$(cat "$dir/said")" ''
}

case_follow_of_a_store_goes_on_over_a_killed_daemon() {
	mount_log keep_segments=20
	begin_follow "$store" --from 1 --cursor "$dir/cursor"
	writes_with_rotations 1 1000
	seq 1001 1050 >>"$mnt/current"
	kill_log
	mount_log keep_segments=20
	seq 1051 1100 >>"$mnt/current"
	writes_with_rotations 1101 2000
	wait_until has_lines 2000
	end_follow
	seq 2000 | cmp - "$dir/got"
	same said "$(cat "$dir/said")" ''
	jq -e '.next_id == 2001' "$dir/cursor" >/dev/null
}

case_follow_of_a_mount_waits_for_the_next_daemon() {
	mount_log
	begin_follow "$mnt" --from 1
	seq 1 100 >>"$mnt/current"
	wait_until has_lines 100
	kill_log
	mount_log
	seq 101 200 >>"$mnt/current"
	writes_with_rotations 201 400
	wait_until has_lines 400
	end_follow
	seq 400 | cmp - "$dir/got"
	grep -q 'its walfs has ended; waiting until it is mounted again' "$dir/said"
}

case_follow_of_a_mount_names_what_retention_removed() {
	local status=0
	mount_log keep_segments=2
	begin_follow "$mnt" --from 1
	echo 1 >>"$mnt/current"
	wait_until has_lines 1
	kill -STOP "$follower"
	seq 2 100 >>"$mnt/current"
	rotate
	writes_with_rotations 101 1000
	wait_until [ ! -e "$store/0000000008.wal" ]
	kill -CONT "$follower"
	wait "$follower" || status=$?
	same status "$status" 3
	# it has the first event alone: the segment is gone, and 9 and 10 are kept
	grep -qF 'LOST: events 2 to 800 are not in the log any more' "$dir/said"
}
