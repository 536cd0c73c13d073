# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# Bits that flipped.

case_a_flipped_bit_is_eio_there_reported_and_the_rest_readable() {
	mount_log
	seq 1 30000 >>"$mnt/current"
	rotate
	local at=$((4096 + 65536 + 1000))
	"$poke" flip "$store/0000000001.wal" "$at"
	refuses 'Input/output error' cat "$mnt/0000000001.wal"
	refuses 'Input/output error' cat "$mnt/events/0000000001.log"
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
	grep -E '0000000001\.wal.*block 1' "$log"
	same "one message" "$(grep -c 'block 1' "$log")" 1
	same raw "$("$poke" good-pages "$mnt/0000000001.wal" | cut -d' ' -f3-)" '16 bad'
	"$poke" good-pages "$mnt/events/0000000001.log"
	[[ $(attribute verify "$mnt/0000000001.wal") =~ ^damaged:\ block\ 1: ]]
	[[ $(attribute verified "$mnt/0000000001.wal") =~ ^damaged:\ block\ 1:.*Z$ ]]
	gives EIO getxattr "$mnt/0000000001.wal" user.wal.xxh128 100
	echo 'the log goes on' >>"$mnt/current"
	same current "$(cat "$mnt/current")" 'the log goes on'
}

# A reader that tries again and again tells no more than the first one.
case_each_bad_block_is_told_and_counted_once() {
	mount_log
	seq 1 60000 >>"$mnt/current"
	rotate
	local block
	for block in 0 2 4; do
		"$poke" flip "$store/0000000001.wal" $((4096 + block * 65536 + 1000))
	done
	for _ in 1 2 3; do
		"$poke" good-pages "$mnt/0000000001.wal"
		"$poke" good-pages "$mnt/events/0000000001.log"
		attribute verify "$mnt/0000000001.wal" >/dev/null
	done
	cat "$log"
	for block in 0 2 4; do
		same "messages of block $block" "$(grep -c "block $block:" "$log")" 1
	done
	same counted "$(metric_of walfs_block_faults_total)" 3
	same segments "$(metric_of walfs_damaged_segments)" 1
}

case_verify_finds_damage_that_nobody_has_read() {
	mount_log
	seq 1 30000 >>"$mnt/current"
	rotate
	cat "$mnt/0000000001.wal" >/dev/null
	"$poke" flip "$store/0000000001.wal" $((4096 + 2 * 65536 + 77))
	[[ $(attribute verify "$mnt/0000000001.wal") =~ ^damaged:\ block\ 2: ]]
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
}

case_a_damaged_segment_does_not_end_quietly() {
	mount_log
	seq 1 30000 >"$dir/in"
	cat "$dir/in" >>"$mnt/current"
	rotate
	unmount_log
	# the last block's header: how much payload there was is not known then
	local size
	size=$(stat -c %s "$store/0000000001.wal")
	"$poke" flip "$store/0000000001.wal" $((size - 65536 + 20))
	mount_log
	refuses 'Input/output error' cat "$mnt/events/0000000001.log"
	cat "$mnt/events/0000000001.log" >"$dir/got" 2>/dev/null || true
	[ "$(stat -c %s "$dir/got")" -gt 100000 ]
	cmp -n "$(stat -c %s "$dir/got")" "$dir/got" "$dir/in"
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
}

case_an_active_segment_that_somebody_made_too_long_can_be_read() {
	mount_log
	seq 1 10000 | tee -a "$mnt/current" >"$dir/in"
	kill_log
	fusermount3 -u "$mnt"
	truncate -s 5G "$store/0000000001.wal"
	mount_log
	cat "$mnt/events/0000000001.log" >"$dir/got" 2>/dev/null && return 1
	cmp "$dir/got" "$dir/in"
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
	grep -q '0000000001.wal: damaged: .*5368709120 bytes, no segment is that long' "$log"
	same size "$(stat -c %s "$mnt/0000000001.wal")" 4294967296
	cmp -n 69632 "$store/0000000001.wal" "$mnt/0000000001.wal"
	echo 'the log goes on' >>"$mnt/current"
	same last "$(attribute last_event "$mnt/current")" 10001
}

# It is sound in itself, so that a file in the store's directory would verify.
case_a_segment_of_another_log_is_damage() {
	mkdir "$dir/other"
	mount_log '' "$dir/other"
	seq 1 100 >>"$mnt/current"
	rotate
	unmount_log
	mount_log
	seq 1 100 >>"$mnt/current"
	rotate
	seq 1 100 >>"$mnt/current"
	rotate
	unmount_log
	cp "$dir/other/0000000001.wal" "$store/0000000001.wal"
	"$walctl" verify "$store/0000000001.wal"
	mount_log
	[[ $(attribute verify "$mnt/0000000001.wal") =~ ^damaged:.*another\ log ]]
	same state "$(attribute state "$mnt/0000000001.wal")" damaged
	same the-other "$(attribute verify "$mnt/0000000002.wal" | cut -d' ' -f1)" ok
}
