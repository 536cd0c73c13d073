# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl follow on stores (tests/mount has those of a mount).
# Sourced by run, which has the words that they are written in.

# begin_writer OPTION...: a process that has the store open and takes lines from descriptor 8.
begin_writer() {
	mkfifo pipe
	"$mkstore" -b "$block" -s $((block * 16)) "$@" store <pipe >synced 2>kept &
	writer=$!
	exec 8>pipe
	echo @@sync >&8
	wait_until grep -q synced synced
}

end_writer() {
	exec 8>&-
	wait "$writer"
}

# begin_follow OPTION...: what it prints is in got.
begin_follow() {
	"$walctl" follow "$@" store >got 2>said &
	follower=$!
}

end_follow() {
	kill "$follower"
	wait "$follower" || [ $? -eq 143 ]
}

has_lines() { [ "$(wc -l <got)" -ge "$1" ]; }

follow_gives_each_event_once_over_rotations() {
	begin_writer
	begin_follow --from 1
	for ((i = 0; i < 40; i++)); do
		seq $((i * 100 + 1)) $((i * 100 + 100))
		[ $((i % 2)) -eq 0 ] || echo @@rotate
		sleep 0.02 # so that some come while follow waits, and some while it reads
	done >&8
	wait_until has_lines 4000
	end_follow
	end_writer
	seq 4000 | cmp - got
	is 'stderr' "$(cat said)" ''
}

follow_begins_where_it_is_told() {
	walctl_is 0 follow --until-end "$scratch/sound"
	is 'from now on' "$(cat out)" ''
	walctl_is 0 follow --until-end -n 3 "$scratch/sound"
	lines 598 600 | cmp - out
	walctl_is 0 follow --until-end -n 1000 "$scratch/sound"
	cmp "$scratch/input" out
	walctl_is 0 follow --until-end --from 399 "$scratch/sound"
	lines 399 600 | cmp - out
	walctl_is 0 follow --until-end --since @0 "$scratch/sound"
	cmp "$scratch/input" out
	walctl_is 0 follow --until-end --since \
		"$("$walctl" cat --json --from 401 --to 401 "$scratch/sound" | jq -r .time)" "$scratch/sound"
	lines 401 600 | cmp - out
	walctl_is 0 follow --until-end --since '2 hours ago' --json "$scratch/sound"
	is 'ids' "$(jq .id out | uniq | wc -l)" 600
	is 'json' "$(cat out)" "$("$walctl" cat --json "$scratch/sound")"
}

follow_names_what_retention_removed() {
	begin_writer -k 2
	begin_follow --from 1
	echo first >&8
	wait_until has_lines 1
	kill -STOP "$follower"
	for ((i = 0; i < 9; i++)); do
		seq 100
		echo @@rotate
	done >&8
	echo @@sync >&8
	wait_until [ -e store/0000000010.wal ] # and not before 7 is there
	wait_until [ ! -e store/0000000007.wal ]
	kill -CONT "$follower"
	local status=0
	wait "$follower" || status=$?
	is 'the status' "$status" 3
	# what it had open it gives to its end; segment 8 begins with event 702
	is 'the last' "$("$walctl" cat --json --from 1 store | head -n 1 | jq .id)" 702
	holds said "LOST: events $(($(wc -l <got) + 1)) to 701 are not in the log any more"
	walctl_is 3 follow --from 1 --until-end --skip-lost store
	holds err 'LOST: events 1 to 701 are'
	is 'the rest' "$(wc -l <out)" 200
	end_writer
}

follow_goes_on_at_its_cursor() {
	cp -a "$scratch/sound" store
	echo 590 >cursor
	walctl_is 0 follow --cursor cursor --until-end store
	lines 590 600 | cmp - out
	jq -e '.next_id == 601 and (.log | length) == 36 and .last_time' cursor >/dev/null
	walctl_is 0 follow --cursor cursor --until-end store
	is 'twice' "$(cat out)" ''
	echo more | "$mkstore" store
	walctl_is 0 follow --cursor cursor --until-end store
	is 'more' "$(cat out)" more
	[ ! -e cursor.new ]
	"$mkstore" other <"$scratch/input"
	walctl_is 2 follow --cursor cursor --until-end other
	holds err 'a cursor of log'
	echo '{"next_id": "x"}' >cursor
	walctl_is 2 follow --cursor cursor --until-end store
	holds err 'no cursor of walctl follow'
}

# The machine lost power, or an older copy is there: events were given out that the log has not.
follow_says_that_the_log_lost_its_end() {
	cp -a "$scratch/sound" store
	cp -a "$scratch/sound" older
	lines 601 610 | "$mkstore" store
	walctl_is 0 follow --cursor cursor --from 600 --until-end store
	cp cursor kept
	walctl_is 3 follow --cursor cursor --until-end older
	holds err 'LOST: the log does not have event 610 as it was given out'
	cmp cursor kept
	lines 701 720 | "$mkstore" older # the same ids, of others
	walctl_is 3 follow --cursor cursor --until-end older
	holds err 'LOST: the log does not have event 610 as it was given out'
}

follow_says_what_is_damaged() {
	copy_store
	flip "store/$two" $((4096 + 4096 + 100)) 2
	walctl_is 1 follow --from 1 --until-end store
	holds err "store/$two: block 1"
	grep -qE 'LOST: events [0-9]+ to [0-9]+ are damaged' err
	walctl_is 1 follow --from 1 --until-end --skip-lost store
	is 'the last' "$(tail -n 1 out)" "$(lines 600 600)"
	is 'of all but the block' "$(wc -l <out)" "$({ "$walctl" cat store 2>cat-said || true; } | wc -l)"
}

follow_ends_when_nobody_reads() {
	begin_writer
	echo one >&8
	echo @@sync >&8
	timeout 20 "$walctl" follow --from 1 store 2>said | head -n 1 >got
	is 'the first' "$(cat got)" one
	end_writer
}

follow_is_used_so() {
	walctl_is 2 follow
	walctl_is 2 follow --from 0 "$scratch/sound"
	walctl_is 2 follow --from 1 --since @0 "$scratch/sound"
	walctl_is 2 follow --interval never "$scratch/sound"
	walctl_is 2 follow --since nonsense "$scratch/sound"
	walctl_is 2 follow missing
	mkdir empty
	walctl_is 2 follow --until-end empty
	walctl_is 0 follow --help
	holds out 'usage: walctl follow'
}

it 'follow gives each event once, over rotations' follow_gives_each_event_once_over_rotations
it 'follow begins where it is told' follow_begins_where_it_is_told
it 'follow names what retention removed before it got there' follow_names_what_retention_removed
it 'follow goes on at its cursor' follow_goes_on_at_its_cursor
it 'follow says that the log lost its end' follow_says_that_the_log_lost_its_end
it 'follow says what is damaged' follow_says_what_is_damaged
it 'follow ends when nobody reads any more' follow_ends_when_nobody_reads
it 'follow is used so, and not otherwise' follow_is_used_so
