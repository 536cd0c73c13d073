# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl cat.
# Sourced by run, which has the words that they are written in.

cat_gives_back_the_bytes() {
	walctl_is 0 cat "$scratch/sound"
	cmp "$scratch/input" out
	walctl_is 0 cat "$scratch/sound/$one" "$scratch/sound/$two"
	head -n 400 "$scratch/input" | cmp - out
	head -c 3000000 /dev/urandom | LC_ALL=C sed 's/^@/a/' >random # (@@ are orders)
	"$mkstore" -b 65536 -s 1048576 store <random
	walctl_is 0 cat store
	cmp random out
}

cat_by_id_is_exact() {
	local from to
	while read -r from to; do
		walctl_is 0 cat --from "$from" --to "$to" "$scratch/sound"
		sed -n "${from},${to}p" "$scratch/input" | cmp - out ||
			{ echo "from $from to $to" && return 1; }
	done <<-'RANGES'
		1 1
		17 17
		1 200
		200 201
		201 201
		33 400
		399 600
		600 600
		600 700
		700 800
	RANGES
	walctl_is 0 cat --from 590 "$scratch/sound"
	tail -n 11 "$scratch/input" | cmp - out
	walctl_is 0 cat --to 10 "$scratch/sound"
	head -n 10 "$scratch/input" | cmp - out
	walctl_is 0 cat --from 30 --to 40 "$scratch/sound/$two"
	is 'what was printed' "$(cat out)" ''
}

# Segments of ten lines each, at these times in seconds; then whatever its clock was.
segments_at() {
	local time line=1
	for time in "$@"; do
		echo "@@clock $time"
		lines $line $((line + 9))
		echo '@@rotate'
		line=$((line + 10))
	done
}

# A clock that was ahead, that went back twice, and that was right again.
cat_by_time_is_exact_whatever_the_clock_did() {
	local since until
	# shellcheck disable=SC2046 # words
	segments_at $(seq 1000 10 1200) $(seq 5000 10 5050) $(seq 1210 10 1400) 1100 1350 \
		$(seq 1360 10 1500) | "$mkstore" -b "$block" -s $((block * 4)) store
	walctl_is 0 cat --json store
	jq -r '(.time | sub("\\.[0-9]*Z$"; "Z") | fromdate)' out >when
	jq -r .id out >ids
	for since in 900 1000 1055 1200 1205 1300 1355 1500 4000 5020 6000; do
		for until in 950 1010 1100 1220 1350 1401 2000 5040 9999; do
			[ "$since" -lt "$until" ] || continue
			paste when ids | awk -v since="$since" -v until="$until" \
				'$1 >= since && $1 < until { print $2 }' >want
			walctl_is 0 cat --json --since "@$since" --until "@$until" store
			jq -r .id out | cmp want - || { echo "since $since until $until" && return 1; }
		done
	done
}

# Lines, and two records that are longer than a block, at 6 and at 11.
make_long() {
	{
		seq 1 5
		head -c 20000 /dev/zero | tr '\0' x
		echo
		seq 7 10
		head -c 9000 /dev/zero | tr '\0' y
		echo
		seq 12 3000
	} >input
	"$mkstore" -b "$block" -s $((block * 16)) store <input
}

cat_prints_the_last_records() {
	local n
	make_long
	for n in 1 7 1000 2989 2990 2991 2994 2995 2996 3001; do
		walctl_is 0 cat -n "$n" store
		tail -n "$n" input | cmp - out
		walctl_is 0 cat -n "$n" --reverse store
		tail -n "$n" input | tac | cmp - out
	done
	walctl_is 0 cat --reverse store
	tac input | cmp - out
	walctl_is 0 cat --reverse --to 50 --json store
	jq -r .id out >ids
	is 'the first id' "$(head -n 1 ids)" 50
	is 'the last one' "$(tail -n 1 ids)" 1
	walctl_is 0 cat -n 3 "store/$one"
	is 'the lines of a segment' "$(wc -l <out)" 3
}

# In both directions the same is told of, once, and the same is printed.
cat_in_reverse_tells_of_damage() {
	copy_store
	flip "store/$two" $((4096 + block + 70))
	walctl_is 1 cat store
	tac out >want
	sort err >told
	walctl_is 1 cat --reverse store
	cmp want out
	sort err | cmp told -
	walctl_is 1 cat -n 390 store
	tac want | tail -n 390 | cmp - out
	rm "store/$two"
	walctl_is 1 cat --reverse store
	holds err 'events 201 to 400 are missing, with segment 2'
	{ lines 1 200 && lines 401 600; } | tac | cmp - out
}

cat_greps_records() {
	make_long
	walctl_is 0 cat --grep '^[12]+5$' store
	grep -P '^[12]+5$' input | cmp - out
	walctl_is 0 cat -g '^1.*5$' -n 4 store
	grep -P '^1.*5$' input | tail -n 4 | cmp - out
	walctl_is 0 cat -g '^Y{9000}$' -i store # a record of three events is matched as one
	is 'what was printed' "$(wc -c <out)" 9001
	walctl_is 0 cat -g '^Y' store
	is 'what was printed' "$(cat out)" ''
	walctl_is 2 cat -g '(' store
	holds err "'(' is no regular expression: missing closing parenthesis"
	walctl_is 2 cat -i store
	printf 'caf\xc3\xa9\n\xff bad \xc3\xa9\n' | "$mkstore" -b "$block" -s $((block * 4)) utf
	walctl_is 0 cat -g 'caf.$' utf
	is 'what was printed' "$(wc -l <out)" 1
	walctl_is 0 cat -g 'bad é$' utf # bytes that are no UTF-8 hide nothing
	is 'what was printed' "$(wc -l <out)" 1
}

cat_prints_in_formats() {
	{ echo '@@clock 1795341662' && echo one && echo two; } |
		"$mkstore" -b "$block" -s $((block * 4)) store
	TZ=UTC walctl_is 0 cat -n 2 -o short store
	holds out '2026-11-22 10:01:0'
	walctl_is 0 cat --format '%i <%p> %% %f' store
	printf '%s\n' '1 <one> % ' '2 <two> % ' | cmp - out
	walctl_is 0 cat --json store
	jq -r '"\(.id) \(.time)"' out >want
	walctl_is 0 cat -o '%i %t' store
	cmp want out
	walctl_is 0 cat -o json store
	is 'JSON' "$(jq -c .id out | tr '\n' ' ')" '1 2 '
	for format in nonsense '%x' 'a%'; do
		walctl_is 2 cat -o "$format" store
		holds err 'is no format'
	done
	walctl_is 2 cat --damaged -o short store
}

# What nobody looks at cannot be complained of: it is the last segment but two that is wanted.
cat_by_time_does_not_open_what_is_older() {
	# shellcheck disable=SC2046 # words
	segments_at $(seq 1000 10 1630) | "$mkstore" -b "$block" -s $((block * 4)) store
	for old in 0000000002 0000000003 0000000020 0000000057; do
		dd if=/dev/zero of="store/$old.wal" bs=4096 count=1 conv=notrunc status=none
	done
	walctl_is 0 cat --since @1610 store
	lines 611 640 | cmp - out
	is 'what it complained of' "$(cat err)" ''
	walctl_is 1 cat store
	rm store/0000000062.wal # it may have held what is wanted
	walctl_is 1 cat --since @1610 store
	holds err 'events 601 to 610 are missing, with segment 62'
	lines 611 640 | cmp - out
}

cat_by_time_includes_since_and_excludes_until() {
	{
		lines 1 30
		echo '@@rotate'
		sleep 0.02 # time itself: what follows is to be later
		lines 31 60
		sleep 0.02 # and so here
		lines 61 90
	} | "$mkstore" -b "$block" -s $((block * 16)) store
	walctl_is 0 cat --json store
	jq -r .time out >when
	local a b
	for a in 1 20 30 31 61 90; do
		for b in 30 31 60 61 90; do
			[ "$(sed -n ${a}p when)" \< "$(sed -n ${b}p when)" ] || continue
			walctl_is 0 cat --json --since "$(sed -n ${a}p when)" \
				--until "$(sed -n ${b}p when)" store
			awk -v since="$(sed -n ${a}p when)" -v until="$(sed -n ${b}p when)" \
				'$0 >= since && $0 < until { print NR }' when >want
			jq -r .id out | cmp want - || { echo "since $a until $b" && return 1; }
		done
	done
	walctl_is 0 cat --since 2000-01-01 --until @4102444800 store
	lines 1 90 | cmp - out
	walctl_is 0 cat --since 2090-01-01 store
	is 'what was printed' "$(cat out)" ''
	walctl_is 0 cat --since "$(sed -n 31p when)" --to 60 store
	is 'the first line' "$(head -n 1 out)" "$(lines 31 31)"
	is 'the last line' "$(tail -n 1 out)" "$(lines 60 60)"
}

cat_json_has_every_byte() {
	printf 'plain\n\tquote " and \\ and \001\nümlaut \xe2\x82\xac\nbad \xff\xfe\nno newline' >input
	"$mkstore" store <input
	walctl_is 0 cat --json store
	is 'the ids' "$(jq -c .id out | tr '\n' ' ')" '1 2 3 4 5 '
	is 'the flags' "$(jq -c .flags out | tr '\n' ' ')" '[] [] [] [] ["part"] '
	is 'a payload' "$(sed -n 2p out | jq -r .payload)" $'\tquote " and \\ and \001'
	jq -j 'select(.payload) | .payload' out >text
	printf 'plain\n\tquote " and \\ and \001\nümlaut \xe2\x82\xac\nno newline' | cmp - text
	sed -n 4p out | jq -r .payload_base64 | base64 -d >binary
	printf 'bad \xff\xfe\n' | cmp - binary
	jq -e '.time | test("^20..-..-..T..:..:..[.].........Z$")' out >/dev/null
}

cat_json_is_a_line_an_event_to_every_reader() {
	printf 'a\xe2\x80\xa8b\n\xe2\x80\xa9\nnel \xc2\x85 x\xc2\x86\xe2\x80\xa7\n\xe2\x80\xa8\xe2\x80\xa9' >input
	mkdir $'sep\xe2\x80\xa8'
	"$mkstore" $'sep\xe2\x80\xa8/store' <input
	walctl_is 0 cat --json $'sep\xe2\x80\xa8/store'
	jq -j .payload out | cmp - input
	holds out 'a\u2028b'
	walctl_is 0 info --json $'sep\xe2\x80\xa8/store'
	cat out >>all
	walctl_is 0 verify --json $'sep\xe2\x80\xa8/store'
	cat out >>all
	holds out 'sep\u2028'
	is 'the number of lines' "$(wc -l <all)" 2
	! grep -qP '\x{85}|\x{2028}|\x{2029}' all
}

an_event_at_the_end_of_time_is_printed() {
	"$mkstore" store <<<'far ahead'
	"$settime" "store/$one" 18446744073709551615
	walctl_is 0 cat store
	is 'the event' "$(cat out)" 'far ahead'
	walctl_is 0 cat --since 2500-01-01 store
	is 'the event' "$(cat out)" 'far ahead'
	walctl_is 0 cat --until 2500-01-01 store
	is 'nothing' "$(cat out)" ''
}

long_lines_are_groups() {
	head -c 20000 /dev/zero | tr '\0' x >input
	echo >>input
	"$mkstore" -b "$block" -s $((block * 16)) store <input
	walctl_is 0 cat store
	cmp input out
	walctl_is 0 cat --json store
	jq -se '.[0].flags == ["more"] and .[1].flags == ["more", "cont"] and .[-1].flags == ["cont"]' \
		out >/dev/null
	walctl_is 0 verify store
}

cat_goes_on_behind_damage() {
	copy_store
	flip "store/$one" $((4096 + block + 1000)) 3
	walctl_is 1 cat store
	holds err "walctl: store/$one: block 1, offset "
	is 'the first line' "$(head -n 1 out)" "$(lines 1 1)"
	is 'the last line' "$(tail -n 1 out)" "$(lines 600 600)"
	[ "$(comm -13 "$scratch/input" out)" = '' ]
	local lost
	lost=$(comm -23 "$scratch/input" out | wc -l)
	[ "$lost" -gt 20 ]
	[ "$lost" -lt 80 ]
	walctl_is 0 cat --from 201 store
	tail -n 400 "$scratch/input" | cmp - out
	walctl_is 0 cat --to 10 store
	head -n 10 "$scratch/input" | cmp - out
	walctl_is 1 cat --from 2 --to 190 store
	is 'the last line' "$(tail -n 1 out)" "$(lines 190 190)"
}

cat_goes_on_behind_a_lost_header() {
	copy_store
	dd if=/dev/zero of="store/$two" bs=4096 count=1 conv=notrunc status=none
	walctl_is 1 cat store
	{ lines 1 200 && lines 401 600; } | cmp - out
	walctl_is 1 cat --from 150 --to 450 store
	{ lines 150 200 && lines 401 450; } | cmp - out
}

cat_says_what_is_missing() {
	copy_store
	rm "store/$two"
	walctl_is 1 cat store
	holds err 'walctl: store: events 201 to 400 are missing'
	{ lines 1 200 && lines 401 600; } | cmp - out
	walctl_is 1 cat --from 390 --to 500 store
	holds err 'walctl: store: events 390 to 400 are missing'
	walctl_is 0 cat --to 200 store
	walctl_is 0 cat --from 401 store
	rm "store/$three"
	walctl_is 1 cat store
	holds err 'walctl: store: events 201 to 600 are missing'
}

cat_of_a_damaged_active_segment_says_so() {
	copy_store
	flip "store/$three" 9000 5
	walctl_is 1 cat store
	is 'the complaints' "$(grep -c "$three: block 1, .*: events that were durable are not there" err)" 1
	is 'what is left out' "$(grep -c "$three: events 4[0-9]* to [45][0-9]* are damaged and left out" err)" 1
	diff "$scratch/input" out >gone || true
	is 'the holes' "$(grep -c '^[0-9]' gone)" 1 # what is whole behind it is there, as in a mount
	lines 600 600 | cmp - <(tail -n 1 out)
}

# R12, R23 and R27, before the mount that recovers it; test_outlook has all the others.
what_a_mount_will_set_aside_is_a_note_and_not_handed_out() {
	lines 1 100 | "$mkstore" -u -b "$block" -s $((block * 16)) store
	truncate -s $((block * 17)) "store/$two"
	local command
	for command in verify cat info; do
		walctl_is 0 $command store
		cat out err >said
		holds said "store/$two: "
		holds said 'nothing in it was durable, recovery will set it aside'
	done
	walctl_is 0 cat --from 100 store
	lines 100 100 | cmp - out
	holds err "walctl: store/$two: note: "
	holds err 'given alone, the file can be looked at'
	walctl_is 0 info --json store
	is 'the segments' "$(jq -c '[.segments[].segment]' out)" '[1]'
	is 'the notes' "$(jq -c '[.notes[].segment], .faults' out | xargs)" '[2] []'
	walctl_is 1 cat "store/$two"
	# after a clean close no crash explains it
	rm "store/$two"
	"$mkstore" -b "$block" -s $((block * 16)) store </dev/null
	truncate -s $((block * 17)) "store/$two"
	walctl_is 1 verify store
	walctl_is 1 info store
	holds out 'DAMAGED'
	walctl_is 1 cat store
	lines 1 100 | cmp - out
}

a_torn_tail_is_a_note_of_all_three() {
	lines 1 100 | "$mkstore" -u -b "$block" -s $((block * 16)) store
	printf x | dd of="store/$one" bs=1 seek=$((block * 8)) conv=notrunc status=none
	local command
	for command in verify cat info; do
		walctl_is 0 $command store
		cat out err >said
		grep -q "store/$one: .*torn tail of .*, recovery will cut it" said
	done
	walctl_is 0 cat store
	lines 1 100 | cmp - out
}

# R59
a_copy_of_a_mount_is_told_as_such() {
	copy_store
	rm store/wal.meta
	echo line >store/current
	local command
	for command in verify cat info; do
		walctl_is 0 $command store
		cat out err >said
		holds said 'is a copy of a mount'
		holds said '.walfs/active.wal'
	done
	walctl_is 0 info --json store
	jq -e '.hint | test("copy of a mount")' out >/dev/null
	mkdir new
	echo line >new/current
	for command in verify cat info; do
		walctl_is 2 $command new
		holds err 'it is a copy of a mount'
	done
	walctl_is 0 info --json "$scratch/sound"
	is 'the hint of a store' "$(jq .hint out)" null
}

cat_of_a_cut_segment_says_so_once() {
	copy_store
	truncate -s 6000 "store/$two"
	walctl_is 1 cat store
	is 'the number of lines' "$(wc -l <err)" 2
	holds err "walctl: store/$two: offset 6000: file too short"
	holds err "walctl: store/$two: events 201 to 400 are damaged and left out; cat --damaged"
	{ lines 1 200 && lines 401 600; } | cmp - out
}

cat_of_a_damaged_header_says_so() {
	copy_store
	flip "store/$two" 2000 5
	walctl_is 1 cat store
	holds err "walctl: store/$two: offset"
	cmp "$scratch/input" out
}

cat_names_what_a_damaged_block_hides() {
	copy_store
	walctl_is 0 cat --damaged store
	cut -f 3- out | cmp "$scratch/input" -
	is 'the marks' "$(cut -f 1 out | sort -u)" ok
	is 'the ids' "$(cut -f 2 out | cmp - <(seq "$events") && echo same)" same
	flip "store/$two" $((4096 + block * 2 + 1000)) 3
	walctl_is 1 cat --json store
	jq .id out >whole
	local first last
	seq "$events" | grep -vxFf whole >hidden
	first=$(head -n 1 hidden)
	last=$(tail -n 1 hidden)
	[ "$last" -gt "$first" ]
	holds err "walctl: store/$two: block 2, offset "
	holds err "walctl: store/$two: events $first to $last are damaged and left out; cat --damaged"
	walctl_is 1 cat --from "$first" --to "$((first + 1))" store
	is 'what is printed' "$(cat out)" ''
	holds err "events $first to $((first + 1)) are damaged and left out"
	walctl_is 0 cat --from 201 --to "$((first - 1))" store
	walctl_is 0 cat --from "$((last + 1))" store
}

cat_damaged_shows_whole_events_of_a_damaged_block() {
	copy_store
	flip "store/$two" $((4096 + block * 2 + 1000)) 3
	walctl_is 1 cat --json store
	jq .id out | sort >whole
	walctl_is 1 cat --damaged --json store
	# all but one, those of the block with the mark, the others without
	is 'how many' "$(wc -l <out)" $((events - 1))
	jq 'select(.damaged | not) | .id' out | sort | cmp whole -
	[ "$(jq 'select(.damaged == true) | .id' out | wc -l)" -gt 20 ]
	local lost
	lost=$(comm -23 <(seq "$events" | sort) <(jq .id out | sort))
	holds err "walctl: store/$two: event $lost is damaged and left out"
	jq -j .payload out | cmp - <(sed "${lost}d" "$scratch/input")
	walctl_is 1 cat --damaged store
	cut -f 3- out | cmp - <(sed "${lost}d" "$scratch/input")
	grep '^ok' out | cut -f 2 | sort | cmp whole -
	walctl_is 1 cat --damaged --from "$lost" --to $((lost + 1)) "store/$two"
	is 'what is printed' "$(cut -f 1,2 out)" "damaged	$((lost + 1))"
}

marks_cannot_be_taken_for_payload() {
	printf 'a\ndamaged\t7\tforged\nok\t8\tforged\n\nno newline' |
		"$mkstore" -f write store
	walctl_is 0 cat --damaged store
	printf 'ok\t1\ta\nok\t2\tdamaged\t7\tforged\nok\t3\tok\t8\tforged\nok\t4\t\nok\t5\tno newline\n' |
		cmp - out
}

cat_says_what_the_log_lacks_at_its_ends() {
	copy_store
	rm "store/$one"
	walctl_is 1 cat store
	holds err 'walctl: store: events 1 to 200 are missing, with segment 1; see walctl verify'
	lines 201 600 | cmp - out
	walctl_is 0 cat --from 201 store
	rm store/*.wal
	walctl_is 1 cat store
	holds err 'walctl: store: events 1 to 600 are missing, with segments 1 to 3'
	is 'what was printed' "$(cat out)" ''
	walctl_is 1 info store
	grep -qE '^  - +MISSING +events 1 to 600 are missing, with segments 1 to 3$' out
	walctl_is 1 info --json store
	jq -e '.segments == [] and .missing == [{"first_event": 1, "last_event": 600,
		"first_segment": 1, "last_segment": 3}]' out >/dev/null
}

cat_says_what_is_missing_behind_a_torn_segment() {
	copy_store
	# segment 2 as before its sealing, torn in its third block; segment 3 goes on behind it
	dd if=/dev/zero of="store/$two" bs=1 seek=512 count=64 conv=notrunc status=none
	dd if=/dev/zero of="store/$two" bs=1 seek=$((4096 + block * 2)) count=$((block * 30)) \
		conv=notrunc status=none
	truncate -s $((4096 + block * 2 + 7)) "store/$two"
	printf torn >>"store/$two"
	walctl_is 1 cat store
	holds err "are missing; see walctl verify"
	local first
	first=$(sed -nE 's/.*: events ([0-9]+) to 400 are missing.*/\1/p' err)
	{ lines 1 $((first - 1)) && lines 401 600; } | cmp - out
	walctl_is 1 info store
	holds out "events $first to 400 are missing"
}

# Segment 2 is from a copy in which segment 1 was damaged at event 100: it has 101 to 120 again.
ids_that_were_given_twice_are_told_and_the_log_goes_on_above_them() {
	local order=(-b "$block" -s $((block * 16)))
	lines 1 100 | "$mkstore" "${order[@]}" store
	cp -a store twin
	dd if=/dev/zero of="twin/$one" bs=512 seek=12 count=1 conv=notrunc status=none
	lines 101 120 | "$mkstore" "${order[@]}" twin
	lines 101 200 | sed '$a @@rotate' | "$mkstore" "${order[@]}" store
	cp "twin/$two" twin/wal.meta store
	lines 201 220 | "$mkstore" "${order[@]}" store 2>said
	holds said 'begins with event 101, and segments before it go to event 200'
	walctl_is 1 cat store
	{ lines 1 200 && lines 101 120 && lines 201 220; } | cmp - out
	holds err "$two: begins with event 101, events up to 200 are before it"
	is 'the number of complaints' "$(wc -l <err)" 1
	walctl_is 1 verify store
	is 'the number of faults' "$(grep -c "$two: .* begins with event 101" out)" 1
	walctl_is 1 info store
	! grep MISSING out
}

another_logs_events_are_not_handed_out() {
	make_store other
	copy_store
	cp "other/$two" store
	walctl_is 1 cat store
	holds err "walctl: store/$two: belongs to another log: $(walctl_log other); given alone"
	holds err 'walctl: store: events 201 to 400 are missing'
	{ lines 1 200 && lines 401 600; } | cmp - out
	walctl_is 1 cat --from 250 --to 420 store
	lines 401 420 | cmp - out
	walctl_is 1 cat --damaged store
	is 'how many' "$(wc -l <out)" 400
	walctl_is 1 info store
	grep -qE '^  0000000002  damaged' out
	holds out "store/$two: belongs to another log"
	holds out 'events 201 to 400 are missing'
	walctl_is 0 cat "store/$two"
	lines 201 400 | cmp - out
	rm store/wal.meta # then the first segment says which log it is
	walctl_is 1 cat store
	{ lines 1 200 && lines 401 600; } | cmp - out
}

# Of a damaged first block nothing says which log it is of, but the chain does.
the_chain_says_whose_a_damaged_segment_is() {
	local of_first=$((4096 + 64 + 40))
	make_store other
	copy_store
	cp "other/$two" store
	flip "store/$two" $of_first 3
	for damaged in '' --damaged; do
		# shellcheck disable=SC2086 # an option, or none
		walctl_is 1 cat $damaged store
		holds err "walctl: store/$two: does not continue the segment before: and damage hides"
		holds err 'walctl: store: events 201 to 400 are missing'
		is 'how many' "$(wc -l <out)" 400
	done
	walctl_is 1 cat --json store
	is 'the ids' "$(jq .id out | xargs)" "$({ seq 200 && seq 401 600; } | xargs)"
	walctl_is 1 info store
	holds out "store/$two: does not continue the segment before: and damage hides"
	holds out 'events 201 to 400 are missing'
	walctl_is 1 cat "store/$two"
	[ "$(wc -l <out)" -gt 100 ]

	# of its own segments all that is whole is printed: the first one, and one
	# whose neighbour is damaged, too, or not there
	rm -r store
	copy_store
	flip "store/$one" $of_first 3
	flip "store/$two" $of_first 3
	walctl_is 1 cat --damaged store
	is 'how many' "$(wc -l <out)" 600
	rm "store/$one"
	walctl_is 1 cat --damaged store
	is 'how many' "$(wc -l <out)" 400
	cut -f 3- out | cmp - <(lines 201 600)
}

cat_says_when_it_cannot_write() {
	local status=0
	"$walctl" cat "$scratch/sound" >/dev/full 2>err || status=$?
	is 'the status' $status 2
	holds err 'walctl: standard output: No space left on device'
	status=0
	"$walctl" verify "$scratch/sound" >/dev/full 2>err || status=$?
	is 'the status of verify' $status 2
}

cat_ends_quietly_with_its_reader() {
	head -c 5000000 /dev/zero | tr '\0' 'y' | fold -w 99 | "$mkstore" store
	"$walctl" cat store 2>err | head -n 1 >out
	is 'what went to stderr' "$(cat err)" ''
	is 'the number of lines' "$(wc -l <out)" 1
}

it 'cat gives back the bytes' cat_gives_back_the_bytes
it 'cat by id is exact' cat_by_id_is_exact
it 'cat by time includes since and excludes until' cat_by_time_includes_since_and_excludes_until
it 'cat by time is exact whatever the clock did' cat_by_time_is_exact_whatever_the_clock_did
it 'cat by time does not open what is older' cat_by_time_does_not_open_what_is_older
it 'cat prints the last records, and in reverse' cat_prints_the_last_records
it 'cat in reverse tells of damage' cat_in_reverse_tells_of_damage
it 'cat greps records' cat_greps_records
it 'cat prints in formats' cat_prints_in_formats
it 'cat --json has every byte' cat_json_has_every_byte
it 'cat --json is a line an event to every reader' cat_json_is_a_line_an_event_to_every_reader
it 'an event at the end of time is printed' an_event_at_the_end_of_time_is_printed
it 'a line longer than a block is a group of events' long_lines_are_groups
it 'cat goes on behind a damaged block' cat_goes_on_behind_damage
it 'cat goes on behind a segment whose header is lost' cat_goes_on_behind_a_lost_header
it 'cat says which events are missing' cat_says_what_is_missing
it 'cat says what a damaged active segment has lost' cat_of_a_damaged_active_segment_says_so
it 'what a mount will set aside is a note, and not handed out' \
	what_a_mount_will_set_aside_is_a_note_and_not_handed_out
it 'a torn tail is a note of verify, cat and info' a_torn_tail_is_a_note_of_all_three
it 'a copy of a mount is told as such' a_copy_of_a_mount_is_told_as_such
it 'cat says once that a segment was cut' cat_of_a_cut_segment_says_so_once
it 'cat prints what stands behind a damaged header, and says so' cat_of_a_damaged_header_says_so
it 'cat names the events that a damaged block hides' cat_names_what_a_damaged_block_hides
it 'cat --damaged shows whole events of a damaged block, and marks them' \
	cat_damaged_shows_whole_events_of_a_damaged_block
it 'no payload can look like a mark of cat --damaged' marks_cannot_be_taken_for_payload
it 'cat and info say what the log lacks at its ends' cat_says_what_the_log_lacks_at_its_ends
it 'cat and info say what is missing behind a torn segment' \
	cat_says_what_is_missing_behind_a_torn_segment
it 'ids that were given twice are told, and the log goes on above them' \
	ids_that_were_given_twice_are_told_and_the_log_goes_on_above_them
it "another log's events are not handed out" another_logs_events_are_not_handed_out
it 'of a segment that does not say its log the chain decides' \
	the_chain_says_whose_a_damaged_segment_is
it 'a full output is trouble' cat_says_when_it_cannot_write
it 'cat ends quietly with its reader' cat_ends_quietly_with_its_reader
