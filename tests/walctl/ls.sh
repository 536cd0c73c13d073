# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl ls.
# Sourced by run, which has the words that they are written in.

ls_is_a_table_of_the_segments() {
	walctl_is 0 ls "$scratch/sound"
	is 'the number of lines' "$(wc -l <out)" 5
	is 'the segments' "$(sed 1d out | cut -d' ' -f1 | head -n 3 | xargs)" '0000000001 0000000002 0000000003'
	grep -qE '^0000000002  sealed +201 +400 +200  20[0-9T:.-]{21}Z  20[0-9T:.-]{21}Z +[0-9.]+ KiB +[0-9.]+ KiB  20' out
	grep -qE '^0000000003  active .* -$' out
	grep -qE '^3 segments \(1 active, 2 sealed\), 600 events \(1 to 600\), .* of payload in .*$' out
	is 'where the times begin' "$(sed -n 2,4p out | awk '{ print match($0, /20[0-9]+-/) }' | uniq | wc -l)" 1
}

ls_has_all_of_it_in_json() {
	walctl_is 0 ls --json "$scratch/sound"
	jq -e '.kind == "store" and .missing == [] and .notes == [] and .faults == [] and
		[.segments[].state] == ["sealed", "sealed", "active"] and
		.segments[2].closed == null and
		([.segments[] | .first_time <= .last_time] | all) and
		.total.segments == 3 and .total.events == 600 and .total.damaged == 0 and
		.total.first_event == 1 and .total.last_event == 600' out >/dev/null
	is 'the payload' "$(jq .total.payload_bytes out)" "$(wc -c <"$scratch/input")"
	is 'the files' "$(jq .total.file_bytes out)" "$(stat -c %s "$scratch/sound"/*.wal | paste -sd+ | bc)"
	is 'the first time' "$(jq -r '.segments[1].first_time' out)" \
		"$("$walctl" cat --json --from 201 --to 201 "$scratch/sound" | jq -r .time)"
}

ls_can_begin_with_the_newest() {
	walctl_is 0 ls --reverse "$scratch/sound"
	is 'the segments' "$(sed 1d out | cut -d' ' -f1 | head -n 3 | xargs)" '0000000003 0000000002 0000000001'
	tail -n 1 out | grep -q '^3 segments'
	walctl_is 0 ls --reverse --json "$scratch/sound"
	is 'the segments' "$(jq -c '[.segments[].segment]' out)" '[3,2,1]'
}

ls_says_what_is_damaged_and_missing() {
	copy_store
	rm "store/$two"
	flip "store/$one" $((4096 + 70)) 3 # in the first block
	walctl_is 1 ls store
	grep -qE '^0000000001  damaged +1 ' out
	holds out "store/$one: block 0, offset "
	grep -qE '^- +MISSING  events 201 to 400 are missing, with segment 2$' out
	walctl_is 1 ls --json store
	jq -e '.segments[0].fault.block == 0 and .segments[0].first_time == null and
		.total.damaged == 1 and .missing == [{"first_event": 201, "last_event": 400,
		"first_segment": 2, "last_segment": 2}]' out >/dev/null
	dd if=/dev/zero of="store/$one" bs=4096 count=1 conv=notrunc status=none
	walctl_is 1 ls store
	grep -qE '^0000000001  damaged  \(its header cannot be read\)$' out
}

ls_is_of_a_log() {
	walctl_is 2 ls "$scratch/sound/$one"
	holds err "walctl info"
	mkdir empty
	walctl_is 2 ls empty
	walctl_is 2 ls --revers=x "$scratch/sound"
	walctl_is 2 ls
	walctl_is 0 ls --help
	holds out 'usage: walctl ls'
}

it 'ls is a table of the segments, in columns' ls_is_a_table_of_the_segments
it 'ls --json has all of it, with the sums' ls_has_all_of_it_in_json
it 'ls --reverse begins with the newest' ls_can_begin_with_the_newest
it 'ls says what is damaged and what is missing' ls_says_what_is_damaged_and_missing
it 'ls is of a log: of nothing else' ls_is_of_a_log
