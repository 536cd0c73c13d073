# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl info, of stores in use, and of options.
# Sourced by run, which has the words that they are written in.

# --- info -----------------------------------------------------------------------------

info_describes_a_segment() {
	walctl_is 0 info "$scratch/sound/$two"
	holds out 'segment 2, sealed'
	grep -qE '^ +events +200 \(201 to 400\)$' out
	grep -qE '^ +sealed by +writer$' out
	grep -qE '^ +chain +[0-9a-f]{16}$' out
	walctl_is 0 info --json "$scratch/sound/$two"
	jq -e '.segment == 2 and .state == "sealed" and .events == 200 and .first_event == 201 and
		.last_event == 400 and .block_size == 4096 and .framing == "line" and
		.sealed_by == "writer" and (.log | length) == 36 and
		(.header_checksum | test("^[0-9a-f]{16}$")) and .closed >= .created' out >/dev/null
	is 'the file size' "$(jq .file_bytes out)" "$(stat -c %s "$scratch/sound/$two")"
	is 'the payload size' "$(jq .payload_bytes out)" "$(lines 201 400 | wc -c)"
}

info_describes_a_store() {
	walctl_is 0 info "$scratch/sound"
	holds out 'held by          nobody'
	holds out 'closed           cleanly'
	grep -qE '^  0000000003  active +401 +600 +200 ' out
	walctl_is 0 info --json "$scratch/sound" "$scratch/sound/$one"
	is 'the number of lines' "$(wc -l <out)" 2
	head -n 1 out | jq -e '.kind == "store" and .clean and .holder == null and
		.durable_event == 600 and
		[.segments[].events] == [200, 200, 200] and
		.segment_size == .segments[2].file_bytes' >/dev/null
}

info_marks_damage() {
	copy_store
	dd if=/dev/zero of="store/$two" bs=4096 count=1 conv=notrunc status=none
	walctl_is 1 info store
	grep -qE '^  0000000002  damaged' out
	holds out "store/$two: offset 0: not a walfs segment"
	walctl_is 1 info --json store
	jq -e '.segments[1].state == "damaged" and
		.segments[1].fault.kind == "not a walfs segment"' out >/dev/null
}

info_says_what_is_missing() {
	copy_store
	rm "store/$two"
	walctl_is 1 info store
	grep -qE '^  - +MISSING +events 201 to 400 are missing, with segment 2$' out
	walctl_is 1 info --json store
	jq -e '.missing == [{"first_event": 201, "last_event": 400, "first_segment": 2,
		"last_segment": 2}]' out >/dev/null
}

# R62: it is there, and cannot be looked at. Nothing may call that damage, or hide it.
a_compressed_segment_is_not_missing() {
	copy_store
	mv "store/$two" "store/$two.zst"
	walctl_is 2 verify store
	holds out "store/$two: compressed, which this version cannot read"
	! grep -q missing out
	walctl_is 2 cat store
	holds err "left out: 1, the first is $two.zst"
	! grep -q missing err
	lines 1 200 >want
	lines 401 600 >>want
	cmp want out
	walctl_is 2 info store
	! grep -q MISSING out
	walctl_is 2 info --json store
	jq -e '.compressed == 1 and .missing == [] and (.segments | length) == 2' out >/dev/null
	rm "store/$one"
	walctl_is 2 verify store
	holds out "store/$one: segment missing"
	holds out "store/$two: compressed, which this version cannot read"
}

# R50: what was made behind a lost segment 2, which then came back longer.
info_says_which_ids_were_given_twice() {
	local said='begins with event 202, events up to 400 are before it'
	{ lines 1 200 && echo '@@rotate' && lines 201 201; } |
		"$mkstore" -b "$block" -s $((block * 16)) longer
	cp -a longer store
	{ lines 202 400 && echo '@@rotate'; } | "$mkstore" -b "$block" -s $((block * 16)) longer
	dd if=/dev/zero of="store/$two" bs=4096 count=1 conv=notrunc status=none
	lines 701 703 | "$mkstore" -b "$block" -s $((block * 16)) store 2>said
	cp "longer/$two" store
	walctl_is 0 cat --json "store/$three"
	is 'the ids' "$(jq .id out | xargs)" '202 203 204'
	walctl_is 1 info store
	holds out "store/$three: does not continue the segment before: $said"
	walctl_is 1 info --json store
	is 'the fault' "$(jq -r '.segments[2].fault.detail' out)" "$said"
	walctl_is 1 cat store
	holds err "walctl: store/$three: $said"
}

# R50: the segment between them cannot be read.
info_says_ids_that_were_given_far_below() {
	local said='begins with event 102, events up to 200 are before it'
	local order=(-b "$block" -s $((block * 16)))
	lines 1 100 | "$mkstore" "${order[@]}" store
	cp -a store longer
	{ lines 101 200 && echo '@@rotate'; } | "$mkstore" "${order[@]}" longer
	{ echo '@@rotate' && lines 101 101; } | "$mkstore" "${order[@]}" store
	dd if=/dev/zero of="store/$two" bs=4096 count=1 conv=notrunc status=none
	lines 102 110 | "$mkstore" "${order[@]}" store 2>said
	cp "longer/$one" store
	walctl_is 1 verify store
	holds out "store/$three: offset 16: does not continue the segment before: begins with event 102"
	walctl_is 1 info store
	holds out "store/$three: does not continue the segment before: $said"
	walctl_is 1 cat store
	holds err "walctl: store/$three: $said"
}

# --- a store that is being written -------------------------------------------------------

store_in_use_can_be_looked_at() {
	local synced
	mkfifo lines answers
	"$mkstore" -b "$block" -s $((block * 16)) store <lines >answers &
	exec 7>lines 8<answers
	{ lines 1 300 && echo '@@rotate' && lines 301 450 && echo '@@sync'; } >&7
	read -r -t 30 synced <&8
	is 'the answer' "$synced" synced
	walctl_is 0 verify store
	holds out ' 450 events, '
	walctl_is 0 cat store
	lines 1 450 | cmp - out
	walctl_is 0 info store
	holds out 'mkstore (pid '
	walctl_is 0 info --json store
	is 'the holder' "$(jq -r .holder out)" "mkstore (pid $!)"
	{ lines 451 460 && echo '@@sync'; } >&7
	read -r -t 30 synced <&8
	walctl_is 0 cat --from 445 store
	lines 445 460 | cmp - out
	exec 7>&-
	wait
	walctl_is 0 verify store
}

# Rotations, and removals, while each command looks at the store again and again.
retention_is_no_damage() {
	local i command
	mkfifo lines
	"$mkstore" -b "$block" -s $((block * 4)) -k 5 store <lines &
	exec 7>lines
	(
		exec 8>&7 7>&-
		i=0
		while [ ! -e enough ]; do
			lines $((i += 1)) $((i += 9)) >&8
			echo '@@rotate' >&8
			sleep 0.02 # the pace: fifty rotations a second
		done
	) &
	local feeder=$!
	wait_until test -e store/0000000009.wal || { touch enough && return 1; }
	for i in $(seq 150); do
		for command in cat info 'cat --from 30' 'info --json'; do
			# shellcheck disable=SC2086 # a command and its option
			walctl_is 0 $command store || { touch enough && return 1; }
			! grep -v 'note: segments with events from' err || { touch enough && return 1; }
		done
	done
	touch enough
	wait "$feeder"
	exec 7>&-
	wait
}

# --- options --------------------------------------------------------------------------------

wrong_usage_is_trouble() {
	local store=$scratch/sound
	walctl_is 2
	walctl_is 2 frobnicate
	holds err "walctl: frobnicate: no such command"
	walctl_is 2 verify
	holds err "see 'walctl help verify'"
	walctl_is 2 verify --frobnicate "$store"
	holds err '--frobnicate is not an option here'
	walctl_is 2 verify -x "$store"
	holds err '-x is not an option here'
	walctl_is 2 verify --json -q "$store"
	for threads in 17 -1 +1 '' ' 1' 1x x 99999999999999999999; do
		walctl_is 2 verify --threads "$threads" "$store"
		holds err 'is no number of threads (1 to 16, or 0)'
	done
	walctl_is 2 verify --threads
	holds err '--threads needs a value'
	walctl_is 2 cat --from
	holds err '--from needs a value'
	for id in 0 -1 +1 '' ' 1' 1x x 99999999999999999999; do
		walctl_is 2 cat --from "$id" "$store"
		holds err 'is no event id'
	done
	walctl_is 2 cat --from 2 --to 1 "$store"
	for time in later '' 2026-13-01 2026-11-22T25:00:00Z @x; do
		walctl_is 2 cat --since "$time" "$store"
		holds err 'is no time'
	done
	walctl_is 2 cat --since 2026-01-02 --until 2026-01-01 "$store"
	walctl_is 2 info
	walctl_is 2 info -q "$store"
	walctl_is 2 help frobnicate
}

help_is_there() {
	walctl_is 0 help
	holds out 'verify '
	walctl_is 0 --help
	walctl_is 0 -h
	for command in verify cat info; do
		walctl_is 0 help $command
		holds out 'examples:'
		cp out help
		walctl_is 0 $command --help
		cmp help out
		walctl_is 0 $command -h
		cmp help out
	done
	walctl_is 0 --version
	grep -qE '^walctl [0-9]+[.][0-9]+[.][0-9]+$' out
	walctl_is 0 -V
}

it 'info describes a segment' info_describes_a_segment
it 'info describes a store' info_describes_a_store
it 'info marks damage' info_marks_damage
it 'info says which events are missing' info_says_what_is_missing
it 'a segment that is compressed is not missing' a_compressed_segment_is_not_missing
it 'info says which ids were given twice' info_says_which_ids_were_given_twice
it 'info says which ids were given far below' info_says_ids_that_were_given_far_below
it 'a store in use can be verified, printed and described' store_in_use_can_be_looked_at
it 'beside retention cat and info raise no alarm' retention_is_no_damage
it 'wrong usage is trouble' wrong_usage_is_trouble
it 'help and version are there' help_is_there
