# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl verify, and of which paths are looked at.
# Sourced by run, which has the words that they are written in.

sound_store_is_sound() {
	copy_store
	walctl_is 0 verify store
	holds out 'store: sound: 3 segments, '
	holds out " $events events, "
	is 'what went to stderr' "$(cat err)" ''
	walctl_is 0 verify -q store
	is 'the quiet output' "$(cat out err)" ''
	walctl_is 0 verify --direct --no-progress store
	holds out 'page cache'
}

unclean_store_is_sound() {
	lines 1 100 | "$mkstore" -u -b "$block" -s $((block * 16)) store
	walctl_is 0 verify store
	holds out ' 100 events, '
	walctl_is 0 cat store
	lines 1 100 | cmp - out
}

lone_copy_is_sound() {
	cp "$scratch/sound/$two" backup
	walctl_is 0 verify backup
	holds out 'backup: sound: 1 segment, '
	holds out ' 200 events, '
	cp "$scratch/sound/$two" "$two"
	ln -s "$two" link
	walctl_is 0 verify "$two" link
	holds out 'all: sound: 2 segments, '
}

looking_changes_nothing() {
	copy_store
	find store -type f -exec sha256sum {} + -exec stat -c '%n %s %Y' {} + >before
	walctl_is 0 verify store
	walctl_is 0 cat store
	walctl_is 0 info store
	find store -type f -exec sha256sum {} + -exec stat -c '%n %s %Y' {} + | cmp before -
}

# flipped OFFSET BIT BLOCK KIND: in a sealed segment of a store
flipped() {
	local where
	copy_store
	flip "store/$two" "$1" "$2"
	walctl_is 1 verify store
	holds out "store/$two: "
	holds out 'store: DAMAGED, '
	if [ "$3" = - ]; then
		where=$(grep -c "^store/$two: offset .*: $4" out || true)
	else
		where=$(grep -c "^store/$two: block $3, offset .*: $4" out || true)
	fi
	[ "$where" -gt 0 ] || { cat out && return 1; }
	walctl_is 1 verify -q "store/$two"
	walctl_is 1 verify --json "store/$two"
	jq -e --arg kind "$4" --arg block "${3#-}" \
		'.result == "damaged" and any(.faults[]; .kind == $kind and
		 (.block // "" | tostring) == $block)' out >/dev/null
}

flip_anywhere_is_found() {
	local size at bit=0
	lines 1 60 | sed '$a @@rotate' | "$mkstore" -b "$block" -s $((block * 4)) store
	cp "store/$one" good
	size=$(stat -c %s good)
	for ((at = 0; at < size; at += at < 1200 || at % block < 96 ? 1 : 61)); do
		cp good bad
		flip bad "$at" "$bit"
		walctl_is 1 verify bad || { echo "bit $bit of byte $at" && return 1; }
		grep -qE '^bad: (block [0-9]+, )?offset [0-9]+: [a-z]' out ||
			{ echo "bit $bit of byte $at is not named" && cat out && return 1; }
		bit=$(((bit + 1) % 8))
	done
}

missing_segment_is_named() {
	copy_store
	rm "store/$two"
	walctl_is 1 verify store
	holds out "store/$two: segment missing"
}

swapped_segments_are_named() {
	copy_store
	mv "store/$one" x && mv "store/$two" "store/$one" && mv x "store/$two"
	walctl_is 1 verify store
	holds out "store/$one: "
	holds out "store/$two: "
	holds out 'holds another segment than its name says'
	walctl_is 1 verify "store/$one"
	holds out 'holds another segment than its name says'
}

segment_of_another_log_is_named() {
	copy_store
	make_store other
	cp "other/$two" "store/$two"
	walctl_is 1 verify store
	holds out "store/$two: "
	holds out 'belongs to another log'
	walctl_is 0 verify "store/$two"
}

cut_and_grown_segments_are_named() {
	copy_store
	truncate -s -100 "store/$one"
	echo more >>"store/$two"
	walctl_is 1 verify store
	grep -q "^store/$one: .*file too short" out
	grep -q "^store/$two: .*bytes after the last block" out
}

lost_durable_events_are_named() {
	copy_store
	rm "store/$three"
	walctl_is 1 verify store
	holds out 'store'
	grep -qE 'segment missing|events that were durable are not there' out
}

threads_change_nothing_of_what_is_found() {
	lines 1 20000 | sed '$a @@rotate' | "$mkstore" -b "$block" -s $((block * 1024)) store
	flip "store/$one" $((block * 3 + 100)) 1
	flip "store/$one" $((block * 200 + 7)) 1
	walctl_is 1 verify store
	grep -v 'DAMAGED' out >before
	for threads in 0 1 2 4 16; do
		walctl_is 1 verify --threads "$threads" store
		grep -v 'DAMAGED' out | cmp before -
		walctl_is 1 verify --threads="$threads" -q --direct "store/$one"
	done
	walctl_is 0 verify --help
	holds out '--threads N'
}

lost_seal_is_named() {
	copy_store
	dd if=/dev/zero of="store/$one" bs=64 seek=8 count=1 conv=notrunc status=none
	walctl_is 1 verify store
	grep -q "^store/$one: .*not there: it is not sealed, and segment 2 is$" out
	holds out 'store: DAMAGED, 1 fault: '
}

torn_tail_is_a_note() {
	lines 1 100 | "$mkstore" -u -b "$block" -s $((block * 16)) store
	printf x | dd of="store/$one" bs=1 seek=$((block * 8)) conv=notrunc status=none
	walctl_is 0 verify store
	grep -q "^note: store/$one: block [0-9]*, offset .*: torn tail of .*, recovery will cut it" out
	holds out 'store: sound: 1 segment, '
	walctl_is 0 verify --json store
	jq -e '.result == "sound" and .faults == [] and (.notes | length) == 1 and
		.notes[0].segment == 1 and (.notes[0].detail | test("torn tail"))' out >/dev/null
	walctl_is 0 verify -q store
	is 'the quiet output' "$(cat out err)" ''
}

torn_tail_of_a_closed_store_is_damage() {
	lines 1 100 | "$mkstore" -b "$block" -s $((block * 16)) store
	printf x | dd of="store/$one" bs=1 seek=$((block * 8)) conv=notrunc status=none
	walctl_is 1 verify store
	grep -q "^store/$one: .*: bytes after the last whole event" out
}

damaged_active_segment_is_named() {
	copy_store
	flip "store/$three" 9000 5
	walctl_is 1 verify store
	grep -q "^store/$three: block 1, offset .*: bytes after the last whole event" out
	grep -q "^store/$three: .*events that were durable are not there" out
}

what_is_no_file_does_not_hang() {
	copy_store
	mkfifo store/0000000004.wal
	mkdir store/0000000005.wal
	ln -s /dev/zero store/0000000006.wal
	walctl_is 1 verify store
	grep -q '^store/0000000004.wal: .*not a regular file' out
	grep -q '^store/0000000005.wal: .*not a regular file' out
	grep -q '^store/0000000006.wal: .*not a regular file' out
	walctl_is 1 cat store
	cmp "$scratch/input" out
	walctl_is 1 info store
	walctl_is 2 verify store/0000000004.wal
	holds err 'neither a file nor a directory'
	walctl_is 2 cat /dev/null
	walctl_is 2 verify store/0000000006.wal
}

what_is_no_store_is_refused() {
	mkdir empty other
	echo hello >other/readme
	walctl_is 2 verify empty
	holds err 'walctl: empty: '
	walctl_is 2 verify other
	holds err 'walctl: other: '
	walctl_is 2 info other
	walctl_is 2 cat other
	walctl_is 2 verify missing
	holds err 'walctl: missing: No such file or directory'
	walctl_is 2 cat missing
	walctl_is 2 info missing
	ln -s loop loop
	walctl_is 2 verify loop
}

other_files_are_no_segments() {
	: >empty
	: >"$one"
	lines 1 1000 >text
	head -c 100000 /dev/zero >zeros
	walctl_is 1 verify "$one" # by its name it should be one
	holds out "$one: "
	for command in verify cat info; do
		for file in empty text zeros; do
			walctl_is 2 "$command" "$file"
			holds err "walctl: $file: not a walfs segment; give walctl a segment file"
			is "what $command printed" "$(cat out)" ''
		done
	done
	printf 'no header' >"$one"
	walctl_is 1 cat "$one"
	holds err "walctl: $one: "
	is 'what cat printed' "$(cat out)" ''
	walctl_is 1 info "$one"
	grep -qE '^  file +9 B$' out
	walctl_is 1 info --json "$one"
	is 'the size' "$(jq .file_bytes out)" 9
}

# as_nobody COMMAND...
as_nobody() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

no_permission_is_trouble() {
	local status=0
	copy_store
	chmod 755 .
	chmod 000 store
	as_nobody "$walctl" verify "$PWD/store" >out 2>err || status=$?
	is 'the status' $status 2
	holds err 'Permission denied'
	chmod 755 store
	chmod 644 store/*
	chmod 000 "store/$two"
	for command in verify cat info; do
		status=0
		as_nobody "$walctl" $command "$PWD/store/$two" >out 2>err || status=$?
		is "the status of $command" $status 2
		holds err 'Permission denied'
		status=0
		as_nobody "$walctl" $command "$PWD/store" >out 2>err || status=$?
		is "the status of $command of the store" $status 2
	done
	chmod -R u+rwX store
}

newer_format_is_not_damage() {
	copy_store
	printf '\x02' | dd of="store/$two" bs=1 seek=4 conv=notrunc status=none
	xxhsum_header "store/$two"
	walctl_is 2 verify "store/$two"
	holds out 'newer format'
}

# Makes the active header's checksum right again: XXH3-64 of bytes 0..55.
xxhsum_header() {
	local sum i
	sum=$(head -c 56 "$1" | xxhsum -H3 - | grep -oE '[0-9a-f]{16}')
	for ((i = 14; i >= 0; i -= 2)); do
		# shellcheck disable=SC2059
		printf "\\x${sum:i:2}"
	done | dd of="$1" bs=1 seek=56 conv=notrunc status=none
}

worst_of_several_counts() {
	copy_store
	cp -a store bad
	flip "bad/$one" 5000 1
	walctl_is 0 verify store store
	walctl_is 1 verify bad store
	walctl_is 1 verify store bad
	walctl_is 2 verify bad missing store
	holds out 'all: NOT ALL CHECKED'
	walctl_is 2 verify --json bad missing store
	jq -e '.result == "could not look" and
		[.paths[].result] == ["damaged", "could not look", "sound"]' out >/dev/null
}

what_is_not_anchored_is_said() {
	copy_store
	walctl_is 0 verify --json store
	is 'the hint' "$(jq -c '.paths[0] | [.hint, .anchored, .start_anchored]' out)" '[null,true,true]'
	rm store/wal.meta store/0000000001.wal
	walctl_is 0 verify --json store
	is 'the hint' "$(jq -c '.paths[0] | [.hint, .anchored, .start_anchored]' out)" '[null,false,false]'
	walctl_is 0 verify store
	holds out 'store: end not anchored: '
	holds out 'store: start not anchored: '
}

verify_json_describes_each_segment() {
	copy_store
	walctl_is 0 verify --json store
	is 'the number of lines' "$(wc -l <out)" 1
	jq -e '.result == "sound" and .segments == 3 and .events == 600 and (.faults | length) == 0
		and [.files[].segment] == [1, 2, 3]
		and [.files[].state] == ["sealed", "sealed", "active"]
		and [.files[].first_event] == [1, 201, 401]
		and ([.files[].faults] | add) == 0
		and .files[0].chain == .files[1].prev_chain' out >/dev/null
}

odd_names_are_escaped() {
	local name=$'new\nline\e[31m'
	mkdir "$name"
	walctl_is 2 verify "$name"
	holds err 'new\x0aline\x1b[31m'
	is 'the number of lines' "$(wc -l <err)" 1
	cp "$scratch/sound/$one" "$name/x"
	flip "$name/x" 5000 1
	walctl_is 1 verify "$name/x"
	is 'the lines that do not begin with the name' "$(grep -vcF 'new\x0aline\x1b[31m/x: ' out)" 0
	cp "$name/x" $'not\xffutf8'
	walctl_is 1 verify --json $'not\xffutf8'
	is 'the name' "$(jq -r '.faults[0].file' out)" 'not\xffutf8'
}

it 'a sound store is sound' sound_store_is_sound
it 'a store that was not closed is sound' unclean_store_is_sound
it 'a lone copy of a segment verifies under any name, and through a link' lone_copy_is_sound
it 'looking changes nothing' looking_changes_nothing
it 'a flipped bit in the active header is named' \
	flipped 32 0 - 'segment header checksum mismatch'
it 'a flipped bit in the seal header is named' \
	flipped $((512 + 24)) 7 - 'segment header checksum mismatch'
it 'a flipped bit in the reserved bytes is named' \
	flipped 2000 4 - 'reserved header bytes are not zero'
it 'a flipped bit in a block header is named' \
	flipped $((4096 + block + 8)) 2 1 'block header checksum mismatch'
it 'a flipped bit in a payload is named' \
	flipped $((4096 + block + 1000)) 6 1 'block checksum mismatch'
it 'a flipped bit in the rest of a block is named' \
	flipped $((4096 + 2 * block - 1)) 0 1 'padding is not zero'
it 'a flipped bit anywhere in a sealed segment is found and named' flip_anywhere_is_found
it 'a missing segment is named' missing_segment_is_named
it 'swapped segments are named' swapped_segments_are_named
it 'a segment of another log is named' segment_of_another_log_is_named
it 'a cut segment and a longer one are named' cut_and_grown_segments_are_named
it 'lost durable events are named' lost_durable_events_are_named
it 'how many threads check changes nothing of what is found' threads_change_nothing_of_what_is_found
it 'a segment that lost its seal below a sealed one is named' lost_seal_is_named
it 'damage in the active segment is named' damaged_active_segment_is_named
it 'a torn tail is a note, and no fault' torn_tail_is_a_note
it 'a torn tail of a store that was closed in order is damage' torn_tail_of_a_closed_store_is_damage
it 'a FIFO, directory or link with the name of a segment does not hang' \
	what_is_no_file_does_not_hang
it 'what is no store is refused' what_is_no_store_is_refused
it 'an empty file, text and zeros are no segments' other_files_are_no_segments
it 'no permission is trouble, not damage' no_permission_is_trouble
it 'a newer format is trouble, not damage' newer_format_is_not_damage
it 'of several paths the worst counts' worst_of_several_counts
it 'what is not anchored is said' what_is_not_anchored_is_said
it 'verify --json describes each segment' verify_json_describes_each_segment
it 'odd file names are escaped' odd_names_are_escaped
