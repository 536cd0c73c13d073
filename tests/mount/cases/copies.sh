# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2164 # set -e is on
#
# Copies of a store and of a mount, made while the log is written.

copied_word='a copy that was made file by file while the log was written'

# R20: the segment first, wal.meta last.
case_a_copy_with_a_newer_wal_meta_is_told_as_such_by_mount_and_verify() {
	mount_log sync=interval:20
	seq 1 1000 >>"$mnt/current"
	mkdir "$dir/copy" "$dir/at"
	cp "$store/0000000001.wal" "$dir/copy/"
	seq 1001 2000 >>"$mnt/current"
	# D is written a moment after the sync
	wait_until durable_up_to 2000
	cp "$store/wal.meta" "$dir/copy/"
	fails "$walctl" verify "$dir/copy" >"$dir/said"
	grep -q "note: .*$copied_word" "$dir/said"
	same hint "$("$walctl" verify --json "$dir/copy" | jq -r '.paths[0].hint' | grep -c "$copied_word")" 1
	"$walfs" "$dir/copy" "$dir/at" 2>"$dir/said"
	grep -q "$copied_word" "$dir/said"
	same "the fault stays" "$(attribute state "$dir/at/0000000001.wal")" damaged
	fusermount3 -u "$dir/at"
}
acked_beyond() { [ "$("$poke" acked "$dir/acked")" -gt "$1" ]; }
durable_up_to() { same durable "$("$walctl" info --json "$store" | jq .durable_event)" "$1"; }

# As documented: without wal.meta and *.new, of a listing made at the start.
case_a_copy_without_wal_meta_made_while_the_log_is_written_is_whole() {
	mount_log segment_size=128K
	"$poke" storm "$mnt/current" w1 "$dir/acked" &
	remember $!
	local i name written=0
	mkdir "$dir/at"
	for i in {1..5}; do
		wait_until acked_beyond $((written + 2000))
		written=$("$poke" acked "$dir/acked")
		mkdir "$dir/copy"
		for name in $(cd "$store" && echo *.wal); do
			cp "$store/$name" "$dir/copy/"
		done
		"$poke" acked "$dir/acked" >"$dir/acked.$i"
		"$walctl" verify "$dir/copy" >"$dir/said" || { cat "$dir/said" && return 1; }
		"$walfs" "$dir/copy" "$dir/at" -o segment_size=128K 2>"$dir/said"
		fails grep -qE 'damaged:|are missing' "$dir/said"
		fusermount3 -u "$dir/at"
		flock -w 20 "$dir/copy" true
		"$walctl" verify -q "$dir/copy"
		# a prefix of what was written
		"$walctl" cat "$dir/copy" >"$dir/got"
		[ -s "$dir/got" ]
		cmp -n "$(stat -c %s "$dir/got")" <(cat "$mnt"/events/*.log "$mnt/current") "$dir/got"
		rm -rf "$dir/copy"
	done
	kill "$(remembered 1)"
	wait "$(remembered 1)" 2>/dev/null || true
}

# R59
case_a_copy_of_the_mount_is_refused_and_the_way_out_loses_nothing() {
	mount_log
	seq 1 1000 >>"$mnt/current"
	rotate
	seq 1001 1010 >>"$mnt/current"
	cp -r "$mnt" "$dir/copy"
	"$walctl" cat --json "$mnt" >"$dir/events"
	chmod -R u+w "$dir/copy"
	cp -r "$dir/copy" "$dir/whole"
	mkdir "$dir/at" "$dir/away"
	"$walctl" verify "$dir/copy" | grep -q 'note: .*is a copy of a mount'
	same 'hints for the mount' "$("$walctl" verify "$mnt" 2>&1 | grep -c 'a copy of a mount')" 0
	refuses 'is a copy of a mount.*cat current >> MOUNTPOINT/current' "$walfs" "$dir/copy" "$dir/at"
	[ ! -e "$dir/copy/wal.meta" ]
	"$walfs" -o ro "$dir/copy" "$dir/at" 2>&1 | grep -q 'is a copy of a mount'
	fusermount3 -u "$dir/at"
	flock -w 20 "$dir/copy" true
	mv "$dir/copy/current" "$dir/copy/events" "$dir/copy/.walfs" "$dir/away/"
	"$walfs" "$dir/copy" "$dir/at"
	cat "$dir/away/current" >>"$dir/at/current"
	cat "$dir/at"/events/*.log "$dir/at/current" | cmp - <(seq 1 1010)
	fusermount3 -u "$dir/at"
	# the other way out: ids and times are kept, too
	"$walctl" info "$dir/whole/.walfs/active.wal" | grep -q 'active.wal: segment 2, active'
	mv "$dir/whole/.walfs/active.wal" "$dir/whole/0000000002.wal"
	rm -r "$dir/whole/current" "$dir/whole/events" "$dir/whole/.walfs"
	"$walctl" verify -q "$dir/whole"
	"$walfs" "$dir/whole" "$dir/at"
	"$walctl" cat --json "$dir/whole" | cmp - "$dir/events"
	fusermount3 -u "$dir/at"
}

# R61
case_lines_in_the_store_instead_of_the_mount_are_told_and_left_alone() {
	mount_log
	echo 'in the log' >>"$mnt/current"
	unmount_log
	echo stray >"$store/current"
	mount_log
	grep -q "$store/current: is no part of the log" "$log"
	same log "$(cat "$mnt/current")" 'in the log'
	same stray "$(cat "$store/current")" stray
}

# As what is restored from a copy of the mount by a program that keeps flags.
case_root_R60_a_store_with_flags_of_chattr_is_refused_with_the_way_out() {
	full_disk
	mount_log
	seq 1 10 >>"$mnt/current"
	unmount_log
	local what flag
	for what in '' /wal.meta /0000000001.wal; do
		for flag in i a; do
			chattr "+$flag" "$store$what"
			store_sums >"$dir/before"
			refuses "$store$what: has the flag '$flag'.*chattr -R -i -a $store" "$walfs" "$store" "$mnt"
			store_sums | cmp - "$dir/before"
			"$walfs" -o ro "$store" "$mnt"
			same "read only" "$(wc -l <"$mnt/current")" 10
			fusermount3 -u "$mnt"
			flock -w 20 "$store" true
			chattr -R -i -a "$store"
		done
	done
	mount_log
	seq 11 20 >>"$mnt/current"
	unmount_log
	umount "$dir/full"
}
