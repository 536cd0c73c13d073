# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# A real log file of this machine.

case_a_real_log_comes_back_byte_for_byte_with_an_event_a_line() {
	mount_log segment_size=16M
	real_log >"$dir/real"
	local lines
	lines=$(wc -l <"$dir/real")
	cat "$dir/real" >>"$mnt/current"
	cmp "$dir/real" "$mnt/current"
	same events "$(events_of)" "$lines"
	rotate
	cmp "$dir/real" "$mnt/events/0000000001.log"
	while IFS= read -r line; do printf '%s\n' "$line"; done <"$dir/real" >>"$mnt/current"
	cmp "$dir/real" "$mnt/current"
	same "events line by line" "$(events_of)" "$lines"
	rotate
	"$walctl" cat "$store" >"$dir/both"
	cat "$dir/real" "$dir/real" | cmp - "$dir/both"
}

case_a_real_log_from_several_writers_is_whole_and_in_each_ones_order() {
	mount_log segment_size=16M
	local w
	for w in 1 2 3 4; do
		real_log | sed "s/^/w$w /" >"$dir/in.$w"
	done
	for w in 1 2 3 4; do
		cat "$dir/in.$w" >>"$mnt/current" &
		remember $!
	done
	wait $(remembered 4)
	for w in 1 2 3 4; do
		grep -a "^w$w " "$mnt/current" | cmp - "$dir/in.$w"
	done
	rotate
	for w in 1 2 3 4; do
		grep -a "^w$w " "$mnt/events/0000000001.log" | cmp - "$dir/in.$w"
	done
}

case_a_copied_segment_verifies_elsewhere_and_a_flipped_bit_is_named() {
	mount_log
	real_log >"$dir/real"
	head -n 500 "$dir/real" >>"$mnt/current"
	rotate
	cp "$mnt/0000000001.wal" "$dir/0000000001.wal"
	cmp "$store/0000000001.wal" "$dir/0000000001.wal"
	chmod u+w "$dir/0000000001.wal"
	"$walctl" verify "$dir/0000000001.wal"
	local size at
	size=$(stat -c %s "$dir/0000000001.wal")
	for at in 9 520 4100 5000 $((size - 1)); do
		"$poke" flip "$dir/0000000001.wal" "$at"
		refuses '0000000001.wal' "$walctl" verify "$dir/0000000001.wal"
		"$poke" flip "$dir/0000000001.wal" "$at"
	done
	"$walctl" verify "$dir/0000000001.wal"
}
