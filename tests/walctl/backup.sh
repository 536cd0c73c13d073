# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl diff and backup.
# Sourced by run, which has the words that they are written in.

# names DIRECTORY: what is in it, in one line.
names() { (cd "$1" && printf '%s ' *); }

# --- diff -----------------------------------------------------------------------------

a_copy_is_the_same() {
	copy_store
	walctl_is 0 diff "$scratch/sound" store
	is 'standard output' "$(cat out)" \
		"$scratch/sound and store: the same: 600 events in both; 2 sealed segments by checksums alone"
	walctl_is 0 diff --full "$scratch/sound" store
	is 'standard output' "$(cat out)" "$scratch/sound and store: the same: 600 events in both"
	walctl_is 0 diff --json "$scratch/sound" store
	jq -e '.result == "same" and .events == 600 and .segments_not_read == 2 and
		.differences == [] and .faults == [] and .notes == [] and
		.store_log == .copy_log' out >/dev/null
	walctl_is 0 diff -q "$scratch/sound/$one" "store/$one"
	is 'the size of what it prints' "$(wc -c <out)" 0
}

# Only what was read can be known: damage in a block that the chained checksum stands for.
full_reads_what_checksums_stand_for() {
	copy_store
	flip "store/$two" 12000 3
	walctl_is 0 diff "$scratch/sound" store
	walctl_is 1 diff --full "$scratch/sound" store
	holds out "store/$two: block 1, offset 8256: block checksum mismatch"
	holds out 'only in store'
	walctl_is 1 diff --full --json store "$scratch/sound"
	jq -e '(.faults | length) > 0 and
		(.differences | all(.kind == "only in copy" and .first_event >= 201 and
			.last_event <= 400))' out >/dev/null
}

# Two stores of one name that were written to both: what makes a copy dangerous.
what_was_appended_to_both_differs() {
	copy_store
	cp -a store other
	lines 601 610 | "$mkstore" store
	seq -f 'another %g' 601 605 | "$mkstore" other
	walctl_is 1 diff store other
	holds out 'events 601 to 605: differs: payload'
	holds out 'events 606 to 610: only in store'
	walctl_is 1 diff --json other store
	jq -e '[.differences[] | [.kind, .first_event, .last_event, .what]] ==
		[["differs", 601, 605, "payload"], ["only in copy", 606, 610, null]]' out >/dev/null
}

a_prefix_is_no_difference_if_that_is_asked_for() {
	copy_store
	lines 601 610 | "$mkstore" store
	walctl_is 1 diff store "$scratch/sound"
	holds out 'events 601 to 610: only in store'
	walctl_is 0 diff --prefix store "$scratch/sound"
	holds out 'note: events 601 to 610: only in store'
	walctl_is 1 diff --prefix "$scratch/sound" store
	rm "store/$one"
	walctl_is 1 diff --prefix store "$scratch/sound" # retention did not remove it
	holds out 'events 1 to 200: only in copy'
	cp -a "$scratch/sound" kept
	lines 601 610 | "$mkstore" -k 1 kept
	walctl_is 0 diff --prefix kept "$scratch/sound"
	holds out 'note: events 1 to 200: only in copy'
	copy_store_with_a_hole
	walctl_is 1 diff --prefix "$scratch/sound" hole
	holds out 'events 201 to 400: only in store'
	walctl_is 1 diff --prefix hole "$scratch/sound"
	holds out 'events 201 to 400: only in copy'
}

copy_store_with_a_hole() {
	cp -a "$scratch/sound" hole
	rm "hole/$two"
}

diff_says_that_bytes_differ_where_events_do_not() {
	copy_store
	: | "$mkstore" -s $((block * 32)) store # another size: recovery seals the last one
	walctl_is 0 diff "$scratch/sound" store
	holds out 'note: segment 3: its bytes differ: they are not in the same state (active, sealed)'
}

diff_knows_two_logs() {
	make_store other
	walctl_is 1 diff "$scratch/sound" other
	holds out 'note: they are two logs: '
	holds out 'events 1 to 600: differs: time'
	walctl_is 1 diff --any-log "$scratch/sound/$one" "other/$two"
	holds out 'events 1 to 200: only in store'
}

diff_says_what_it_could_not_look_at() {
	walctl_is 2 diff "$scratch/sound"
	holds err 'give two paths'
	walctl_is 2 diff "$scratch/sound" nothing
	holds err 'nothing: No such file or directory'
	walctl_is 2 diff --bogus "$scratch/sound" "$scratch/sound"
	walctl_is 0 diff --help
	holds out 'usage: walctl diff'
}

it 'diff: a copy is the same, without reading what checksums stand for' a_copy_is_the_same
it 'diff --full reads what checksums stand for' full_reads_what_checksums_stand_for
it 'diff: what was appended to both differs, by ids' what_was_appended_to_both_differs
it 'diff --prefix: a store that went on is not different' a_prefix_is_no_difference_if_that_is_asked_for
it 'diff notes other bytes with the same events' diff_says_that_bytes_differ_where_events_do_not
it 'diff: two logs are different, whatever their ids' diff_knows_two_logs
it 'diff says what it could not look at' diff_says_what_it_could_not_look_at

# --- backup ---------------------------------------------------------------------------

a_store_is_copied_and_copied_again() {
	copy_store
	walctl_is 0 backup store copy
	is 'standard output' "$(sed 's/(.*)/(SIZE)/' out)" \
		'copy: a copy of store to event 600: 3 segments, 3 copied now (SIZE)'
	walctl_is 0 verify copy
	walctl_is 0 diff --full store copy
	walctl_is 0 cat copy
	cmp out "$scratch/input"
	lines 601 610 | "$mkstore" store
	ln "copy/$one" kept
	walctl_is 0 backup --json store copy
	jq -e '.result == "copied" and .segments == 3 and .segments_copied == 1 and
		.last_event == 610 and .set_aside == 0 and .faults == []' out >/dev/null
	[ "$(stat -c %i kept)" = "$(stat -c %i "copy/$one")" ]
	walctl_is 0 diff --full store copy
	is 'the files of the copy' "$(names copy)" "$one $two $three wal.meta "
}

a_copy_is_not_written_to_by_accident() {
	copy_store
	walctl_is 0 backup store copy
	walctl_is 0 info copy
	holds out 'a copy'
	walctl_is 0 info --json copy
	jq -e '.copy' out >/dev/null
	! lines 601 602 | "$mkstore" copy 2>err
	holds err 'copy: a copy, made by walctl backup'
	holds err '-o continue'
	walctl_is 0 diff store copy
}

backup_copies_damage_as_it_is() {
	copy_store
	flip "store/$two" 12000 3
	walctl_is 1 backup store copy
	holds err 'block checksum mismatch'
	holds out 'DAMAGED, as the store is'
	cmp "store/$two" "copy/$two"
	walctl_is 1 verify copy
	walctl_is 0 backup --json store copy # only the active one is copied again
	jq -e '.segments_copied == 1 and .set_aside == 0' out >/dev/null
	dd if=/dev/zero of="store/$two" bs=4096 count=1 conv=notrunc status=none
	walctl_is 1 backup store copy
	cmp "store/$two" "copy/$two"
	walctl_is 0 backup --json store copy # it is there already, as it is
	rm copy/*.torn-*
	! names copy | grep -q torn
}

backup_keeps_what_retention_removed() {
	copy_store
	walctl_is 0 backup store copy
	lines 601 610 | "$mkstore" -k 1 store
	[ ! -e "store/$one" ]
	walctl_is 0 backup store copy
	walctl_is 0 verify copy
	walctl_is 0 cat copy
	lines 1 610 | cmp - out
	walctl_is 0 diff --prefix store copy
	for at in 6 7 8; do
		{ echo "line $at"; echo '@@rotate'; } | "$mkstore" -k 1 store
	done
	walctl_is 0 backup store copy
	holds err 'were removed by retention before they were copied'
}

backup_never_copies_a_key() {
	copy_store
	echo secret >store/wal.key
	echo x >"store/$three.new"
	echo evidence >"store/$two.torn-20261122T100102.000000017Z"
	walctl_is 0 backup store copy
	is 'the files of the copy' "$(names copy)" "$one $two $three wal.meta "
	walctl_is 0 backup --all store copy
	holds "copy/$two.torn-20261122T100102.000000017Z" evidence
	[ ! -e copy/wal.key ]
}

backup_says_what_it_could_not_copy() {
	copy_store
	walctl_is 2 backup store
	walctl_is 2 backup nothing copy
	walctl_is 2 backup "store/$one" copy
	[ ! -e copy ]
	mkdir other
	echo x >other/letter
	walctl_is 2 backup store other
	holds err 'not empty'
	walctl_is 2 backup "$scratch/sound" store
	holds err 'a store of its own'
	mv "store/$two" "store/$two.zst"
	walctl_is 2 backup store copy
	[ ! -e copy ]
	walctl_is 0 backup --help
	holds out 'usage: walctl backup'
}

# A store that is written, rotated and cut by retention meanwhile.
backup_of_a_store_in_use() {
	seq 1 200000 | awk '{print "line", $0} NR % 97 == 0 {print "@@rotate"}' |
		"$mkstore" -b 4096 -s 65536 -k 5 live 2>/dev/null &
	local writer=$!
	wait_until test -e live/0000000003.wal
	for ((i = 0; i < 10; i++)); do
		timeout 60 "$walctl" backup live copy >out 2>err || { cat err; kill $writer; return 1; }
		walctl_is 0 verify copy || { kill $writer; return 1; }
	done
	kill $writer 2>/dev/null || true
	wait $writer || true
}

it 'backup: a store is copied, and copied again by what is new' a_store_is_copied_and_copied_again
it 'backup: a copy is not written to by accident' a_copy_is_not_written_to_by_accident
it 'backup copies damage as it is, and says so' backup_copies_damage_as_it_is
it 'backup keeps what retention removed, and names a gap' backup_keeps_what_retention_removed
it 'backup never copies a key, and evidence on request' backup_never_copies_a_key
it 'backup says what it could not copy' backup_says_what_it_could_not_copy
it 'backup: a store in use, with rotation and retention' backup_of_a_store_in_use
