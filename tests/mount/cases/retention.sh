# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2010,SC2011,SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# Options of the recorder: what is removed and who notices, rotation by age,
# segments kept ready, a strict durable position.

# segments_with LINE...: a segment for each
segments_with() {
	local line
	for line; do
		echo "$line" >>"$mnt/current"
		rotate
	done
}

finished() { ls "$mnt" | grep -c '[.]wal$'; }
finished_are() { [ "$(finished)" -eq "$1" ]; }

case_keep_segments_removes_the_oldest() {
	mount_log keep_segments=2
	segments_with one two three four five
	wait_until finished_are 2
	same names "$(ls "$mnt" "$mnt/events" | grep -E '^[0-9]{10}[.](wal|log)$' | xargs)" \
		'0000000004.wal 0000000005.wal 0000000004.log 0000000005.log'
	same store "$(ls "$store" | grep -c '[.]wal$')" 3
	same kept "$(cat "$mnt"/events/*)" $'four\nfive'
	gives ENOENT open "$mnt/0000000001.wal" rdonly
	gives ENOENT open "$mnt/events/0000000003.log" rdonly
	gives ENOENT getxattr "$mnt/0000000002.wal" user.wal.state 100
	same counted "$(metric_of walfs_removed_segments_total)" 3
	grep 'removed' "$log"
	unmount_log
	"$walctl" verify "$store"
	mount_log
	same "after the next mount" "$(finished)" 2
	same "ids go on" "$(attribute first_event "$mnt/current")" 6
	unmount_log
	mount_log keep_segments=1
	wait_until finished_are 1
}

case_nothing_is_removed_without_an_option() {
	mount_log segment_size=128K
	seq 1 100000 >>"$mnt/current"
	rotate
	sleep 1.5 # nothing is to be removed meanwhile
	same removed "$(jq .counters.removed_segments "$mnt/.walfs/status")" 0
	seq 1 100000 | cmp - <(cat "$mnt"/events/*)
}

case_keep_bytes_removes_what_is_beyond() {
	mount_log segment_size=128K,keep_bytes=500K
	seq 1 200000 >>"$mnt/current"
	rotate
	wait_until small_enough
	[ "$(finished)" -ge 2 ]
	# what is left is the end of it, without a gap
	cat "$mnt"/events/* >"$dir/left"
	seq 1 200000 | tail -c "$(stat -c %s "$dir/left")" | cmp - "$dir/left"
	unmount_log
	"$walctl" verify "$store"
}
small_enough() { [ "$(cat "$mnt"/*.wal | wc -c)" -le 512000 ]; }

case_keep_age_removes_all_but_the_last() {
	mount_log keep_age=1s
	segments_with one two three
	wait_until finished_are 1
	sleep 1.2 # the last one is to stay, though it is old by then
	same "the last stays" "$(cat "$mnt"/events/*)" three
}

case_an_open_file_outlives_its_segment() {
	mount_log keep_segments=1
	seq 1 5000 >"$dir/in"
	exec 5<"$mnt/current" 6>>"$mnt/current"
	cat "$dir/in" >&6
	rotate
	# open, and none of them was read yet
	exec 3<"$mnt/0000000001.wal" 4<"$mnt/events/0000000001.log"
	exec 7<"$mnt/events/0000000001.log"
	local size
	size=$(stat -c %s "$mnt/0000000001.wal")
	cp "$mnt/0000000001.wal" "$dir/before"
	segments_with two three
	wait_until gone "$mnt/0000000001.wal"
	[ ! -e "$store/0000000001.wal" ]
	cmp "$dir/before" <(cat <&3)
	cmp "$dir/in" <(cat <&4)
	cmp "$dir/in" <(cat <&5)
	sleep 1.2 # what the kernel remembers of them is over
	same "fstat of the segment" "$(stat -L -c '%s %h' /proc/self/fd/3)" "$size 0"
	same "fstat of its payload" "$(stat -L -c %s /proc/self/fd/4)" "$(stat -c %s "$dir/in")"
	same "fstat of current's reader" "$(stat -L -c %s /proc/self/fd/5)" "$(stat -c %s "$dir/in")"
	stat -L /proc/self/fd/6 >/dev/null
	echo 'an old writer' >&6
	same "what it wrote" "$(cat "$mnt/current")" 'an old writer'
	cmp "$dir/in" <(cat <&7)
	exec 3<&- 4<&- 5<&- 6>&- 7<&-
}
gone() { ! stat "$1" >/dev/null 2>&1; }

case_a_removed_name_is_gone_within_a_second() {
	mount_log keep_segments=1
	segments_with one
	stat "$mnt/0000000001.wal" "$mnt/events/0000000001.log" >/dev/null
	segments_with two
	wait_until gone "$store/0000000001.wal"
	sleep 1.1 # what is promised is the time: asking meanwhile could make the kernel ask, too
	gone "$mnt/0000000001.wal"
	gone "$mnt/events/0000000001.log"
}

case_a_listing_goes_on_while_segments_are_removed() {
	mount_log segment_size=128K,keep_segments=40
	seq 1 300000 >>"$mnt/current"
	"$poke" storm "$mnt/current" w "$dir/acked" &
	remember $!
	python3 - "$mnt" <<-'PYTHON'
		import os, sys, time
		end = time.time() + 3
		while time.time() < end:
		    names = os.listdir(sys.argv[1])
		    assert len(set(names)) == len(names), names
		    assert 'current' in names and 'events' in names and '.walfs' in names
		    for name in names:
		        try:
		            os.stat(os.path.join(sys.argv[1], name))
		        except FileNotFoundError:
		            pass
	PYTHON
	kill "$(remembered 1)"
	wait "$(remembered 1)" 2>/dev/null || true
	wait_until finished_are 40
	unmount_log
	"$walctl" verify "$store"
}

# --- the rest --------------------------------------------------------------------------

case_rotate_age_closes_what_is_old_and_not_empty() {
	mount_log rotate_age=1s
	sleep 2.2 # nothing is to be closed meanwhile
	same "empty" "$(finished)" 0
	echo one >>"$mnt/current"
	wait_until finished_are 1
	same content "$(cat "$mnt/events/0000000001.log")" one
	sleep 1.5 # nor again
	same "empty again" "$(finished)" 1
}

# Age does not ask whether somebody is writing: nothing is lost, twice there or out of order.
case_rotate_age_under_load_loses_and_doubles_nothing() {
	mount_log segment_size=64M,rotate_age=1s
	local w
	for w in 1 2 3 4; do
		"$poke" storm "$mnt/current" "w$w" "$dir/acked.$w" &
		remember $!
	done
	wait_until by_age 2 # a busy disk takes its time to seal
	kill $(remembered 4)
	wait $(remembered 4) 2>/dev/null || true
	rotate
	cat "$mnt"/events/*.log >"$dir/all"
	all_answered_in "$dir/all" 4
	unmount_log
	"$walctl" verify "$store"
}
# So many that were closed with a quarter of their room left.
by_age() {
	local size n=0
	for size in $(stat -c %s "$mnt"/*.wal); do
		[ "$size" -ge 50331648 ] || n=$((n + 1))
	done
	[ "$n" -ge "$1" ]
}

case_segments_are_kept_ready_as_asked() {
	mount_log prepare=4
	wait_until prepared 4
	unmount_log
	same "left over" "$(ls "$store" | grep -c new)" 0
	mount_log prepare=1
	wait_until prepared 1
	sleep 0.3 # no second one is to be prepared meanwhile
	prepared 1
}
prepared() { [ "$(ls "$store" | grep -c '[.]wal[.]new$')" -eq "$1" ]; }

case_a_strict_position_is_stored_before_a_sync_returns() {
	mount_log meta=strict,sync=none
	local i
	for i in {1..20}; do
		echo "$i" >>"$mnt/current"
		sync -d "$mnt/current"
		same "stored" "$("$walctl" info --json "$store" | jq .durable_event)" "$i"
	done
	kill_log
	mount_log
	same events "$(events_of)" 20
}

case_bad_values_of_these_options_are_refused() {
	local value
	for value in prepare=0 prepare=9 prepare=x prepare= meta=loose meta= rotate_age=0 rotate_age=1w \
		rotate_age=-1 rotate_age= rotate_age=s rotate_age=99999999999 keep_segments=0 keep_segments=1k \
		keep_segments= keep_bytes=0 keep_bytes=1X keep_bytes=-1 keep_bytes=99999999999T keep_age=0 \
		keep_age=1.5h keep_age=forever keep_age=50000d; do
		refuses "option '$value': expected" "$walfs" "$store" "$mnt" -o "$value"
		[ ! -e "$store" ]
	done
	refuses "unknown option 'keep_age'" "$walfs" "$store" "$mnt" -o keep_age
	for value in prepare= meta= rotate_age= keep_segments= keep_bytes= keep_age=; do
		"$walfs" --help | grep -F -- "  $value" >/dev/null
	done
}

some_are_removed() { [ "$(jq .counters.removed_segments "$mnt/.walfs/status")" -gt 0 ]; }

# no_alarm PATH: verify has nothing to tell of it, but where its end is anchored.
no_alarm() {
	local told
	told=$("$walctl" verify --no-progress "$1" 2>&1) || { echo "$told"; return 1; }
	told=$(grep '^note:' <<<"$told" | grep -v ': end anchored to wal.meta' || true)
	[ -z "$told" ] || { echo "$told"; return 1; }
}

# As quick as twenty segments a second, each removed soon: nothing of that is damage, or
# missing, or could not be looked at. WALFS_LIVE_LOOKS=5000 tries more.
case_verify_beside_retention_gives_no_false_alarm() {
	local looks=${WALFS_LIVE_LOOKS:-60} writer i last told
	mount_log segment_size=128K,block_size=4K,keep_segments=3
	seq 1000000 9999999 | while IFS= read -r i; do
		printf '%06144d\n' "$i" || break
	done >>"$mnt/current" 2>/dev/null &
	writer=$!
	wait_until some_are_removed
	for ((i = 0; i < looks; i++)); do
		no_alarm "$store"
		no_alarm "$mnt"
		last=$(ls "$store" | grep '[.]wal$' | tail -n 1)
		told=$(no_alarm "$store/$last") || grep 'No such file' <<<"$told" # removed meanwhile
	done
	kill "$writer"
	wait "$writer" || true
}
