# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# The ways in which a shell and its tools append.

case_an_appended_line_is_read_back_and_is_one_event() {
	mount_log
	echo 'order 17 filled' >>"$mnt/current"
	same content "$(cat "$mnt/current")" 'order 17 filled'
	same size "$(stat -c %s "$mnt/current")" 16
	same events "$(events_of)" 1
}

case_a_line_written_in_parts_through_one_descriptor_is_one_event() {
	mount_log
	exec 3>>"$mnt/current"
	printf a >&3
	same "while unfinished" "$(cat "$mnt/current")" ''
	printf 'b\n' >&3
	same "once finished" "$(cat "$mnt/current")" ab
	exec 3>&-
	same events "$(events_of)" 1
}

case_a_group_that_shares_a_descriptor_with_a_child_makes_one_line() {
	mount_log
	{
		printf 'order '
		/bin/echo 17
	} >>"$mnt/current"
	same content "$(cat "$mnt/current")" 'order 17'
	same events "$(events_of)" 1
}

case_parallel_children_of_one_descriptor_keep_their_lines() {
	mount_log
	(
		for i in {1..200}; do echo "a$i"; done &
		for i in {1..200}; do echo "b$i"; done &
		wait
	) >>"$mnt/current"
	same "a's order" "$(grep a "$mnt/current" | tr -d '\n')" "$(printf 'a%s' {1..200})"
	same "b's order" "$(grep b "$mnt/current" | tr -d '\n')" "$(printf 'b%s' {1..200})"
	same events "$(events_of)" 400
}

case_text_without_a_newline_is_there_after_the_close() {
	mount_log
	for i in {1..50}; do
		printf 'no newline %s' "$i" >>"$mnt/current"
		same "after close $i" "$(tail -c 13 "$mnt/current" | grep -c "newline $i$")" 1
	done
	same events "$(events_of)" 50
}

case_unfinished_text_is_flagged_part() {
	mount_log
	printf 'part' >>"$mnt/current"
	printf 'whole\n' >>"$mnt/current"
	unmount_log
	"$walctl" cat --json "$store" >"$dir/events"
	same "flagged" "$(grep -ci part "$dir/events")" 1
	grep -i '"part"' "$dir/events" | grep -q '"id": *1[,}]' || { cat "$dir/events" && return 1; }
}

case_lines_of_different_opens_never_mix() {
	mount_log
	exec 3>>"$mnt/current" 4>>"$mnt/current"
	printf 'left ' >&3
	printf 'right ' >&4
	printf 'one\n' >&3
	printf 'two\n' >&4
	exec 3>&- 4>&-
	same content "$(cat "$mnt/current")" $'left one\nright two'
}

case_a_duplicate_that_closes_ends_no_line() {
	mount_log
	exec 3>>"$mnt/current"
	printf 'be' >&3
	exec 4>&3 4>&-
	(exit 0)
	/bin/true
	printf 'gun\n' >&3
	exec 3>&-
	same content "$(cat "$mnt/current")" begun
	same events "$(events_of)" 1
}

case_overwriting_redirection_is_refused_and_changes_nothing() {
	mount_log
	echo first >>"$mnt/current"
	refuses 'not permitted' bash -c "echo x > '$mnt/current'"
	refuses 'not permitted' bash -c ": > '$mnt/current'"
	refuses 'not permitted' bash -c "echo x 1<> '$mnt/current'"
	same content "$(cat "$mnt/current")" first
}

case_python_open_for_appending_works() {
	mount_log
	python3 - "$mnt/current" <<-'PYTHON'
		import sys
		with open(sys.argv[1], 'a') as f:
		    for i in range(1000):
		        f.write(f'line {i}\n')
		with open(sys.argv[1], 'ab', buffering=0) as f:
		    f.write(b'raw\n')
	PYTHON
	same lines "$(wc -l <"$mnt/current")" 1001
	same events "$(events_of)" 1001
}

case_tee_and_dd_append() {
	mount_log
	echo tee | tee -a "$mnt/current" >/dev/null
	echo dd | dd of="$mnt/current" oflag=append conv=notrunc status=none
	echo direct | dd of="$mnt/current" oflag=append,direct conv=notrunc status=none
	echo sync | dd of="$mnt/current" oflag=append,sync conv=notrunc,fsync status=none
	same content "$(cat "$mnt/current")" $'tee\ndd\ndirect\nsync'
	refuses 'not permitted' dd if=/dev/null of="$mnt/current" status=none
}

case_tail_f_shows_lines_as_they_come() {
	mount_log
	echo before >>"$mnt/current"
	tail -n +1 -s 0.1 -f "$mnt/current" >"$dir/tailed" &
	local tail=$!
	remember "$tail"
	wait_until grep -q before "$dir/tailed"
	echo after >>"$mnt/current"
	wait_until grep -q after "$dir/tailed"
	kill "$tail"
	wait "$tail" || true
}

# It looks at the name again only when the file that it has did not change for a while.
case_tail_F_goes_on_with_the_next_segment_after_a_rotation() {
	mount_log
	echo before >>"$mnt/current"
	tail -n +1 -s 0.1 --max-unchanged-stats=1 -F "$mnt/current" >"$dir/tailed" 2>"$dir/said" &
	local tail=$!
	remember "$tail"
	wait_until grep -q before "$dir/tailed"
	rotate
	echo after >>"$mnt/current"
	wait_until grep -q after "$dir/tailed"
	kill "$tail"
	wait "$tail" || true
	same tailed "$(cat "$dir/tailed")" $'before\nafter'
}

case_touch_succeeds_and_does_nothing() {
	mount_log
	echo x >>"$mnt/current"
	local before
	before=$(stat -c '%y %s' "$mnt/current")
	touch "$mnt/current"
	touch -a "$mnt/current"
	touch -m "$mnt/current"
	same stat "$(stat -c '%y %s' "$mnt/current")" "$before"
	gives ok utimes "$mnt/current" now
	gives EPERM utimes "$mnt/current" past
}
