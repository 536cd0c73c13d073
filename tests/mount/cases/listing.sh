# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2164 # no name has blanks; set -e is on
#
# Listings of many segments, and what the kernel keeps: counted in requests, not timed.

requests() { metrics | awk -v series="walfs_fuse_request_seconds_count{operation=\"$1\"}" '$1 == series { print $2 }'; }

# A request is counted once it was answered, and a busy machine may run who asked before that: so
# until all threads of the daemon sleep, some may not be counted.
all_are_counted() { ! cat "/proc/$daemon"/task/*/stat | sed 's/.*) //' | grep -q '^[^S]'; }

# asks OPERATION COMMAND...: how many requests of that kind the command is.
asks() {
	local before
	wait_until all_are_counted
	before=$(requests "$1")
	"${@:2}" >/dev/null
	wait_until all_are_counted
	echo $(($(requests "$1") - ${before:-0}))
}

segments() {
	local i
	for ((i = 1; i <= $1; i++)); do
		echo "line $i" >>"$mnt/current"
		rotate
	done
}

case_a_long_listing_is_not_a_lookup_for_each_segment() {
	mount_log
	segments 40
	unmount_log
	mount_log
	# (current, which newer versions of ls name four times; events, the report itself)
	[ "$(asks lookup ls -l "$mnt")" -lt 20 ]
	[ "$(asks lookup ls -l "$mnt/events")" -lt 20 ]
	[ "$(asks getxattr ls -l "$mnt")" -lt 20 ]
}

case_a_listing_says_what_a_lookup_says() {
	local said=(-printf '%f %i %m %s %b %T@\n')
	mount_log
	segments 12
	unmount_log
	mount_log
	find "$mnt" -type f -name '0*' "${said[@]}" | sort >"$dir/listed"
	unmount_log
	mount_log
	for i in {1..12}; do
		find "$mnt/$(printf '%010d' "$i").wal" "$mnt/events/$(printf '%010d' "$i").log" "${said[@]}"
	done | sort >"$dir/looked_up"
	same lines "$(wc -l <"$dir/listed")" 24
	diff "$dir/listed" "$dir/looked_up"
}

# A 32-bit program without large files gets EOVERFLOW for one that needs more bits.
case_inodes_fit_32_bits_and_are_told_alike_and_apart() {
	mount_log
	segments 3
	python3 - "$mnt" <<-'PYTHON'
		import os, sys
		seen = {}
		def look(path):
		    for entry in os.scandir(path):
		        ino = os.stat(entry.path).st_ino
		        assert entry.inode() == ino, (entry.path, entry.inode(), ino)
		        assert ino < 1 << 32, (entry.path, ino)
		        assert seen.setdefault(ino, entry.path) == entry.path, (entry.path, seen[ino])
		        if entry.is_dir():
		            look(entry.path)
		look(sys.argv[1])
		assert len(seen) >= 11, seen
	PYTHON
}

case_after_a_listing_current_is_a_new_node_for_every_open() {
	mount_log
	segments 3
	ls -l "$mnt"
	exec 3>>"$mnt/current" 4>>"$mnt/current"
	echo a >&3
	echo b >&4
	exec 3>&- 4>&-
	same content "$(cat "$mnt/current")" $'a\nb'
	# names and attributes of `current` are never kept
	[ "$(asks lookup stat "$mnt/current" "$mnt/current" "$mnt/current")" -ge 3 ]
}

case_a_listed_segment_that_is_damaged_says_so() {
	mount_log
	segments 3
	unmount_log
	printf X | dd of="$store/0000000002.wal" bs=1 seek=5000 conv=notrunc status=none
	mount_log
	same names "$(echo "$mnt"/*.wal | wc -w)" 3
	ls -l "$mnt" "$mnt/events"
	same state "$(attribute state "$mnt/0000000001.wal") $(attribute state "$mnt/0000000002.wal")" 'sealed damaged'
	refuses 'Input/output error' cat "$mnt/0000000002.wal"
}

case_a_sealed_segment_is_read_once() {
	mount_log
	head -c 300000 /dev/zero | tr '\0' '\n' >>"$mnt/current"
	rotate
	local files=("$mnt/0000000001.wal" "$mnt/events/0000000001.log") first second report
	# Reading the report is a read, too, or one more where it has grown: so it is asked last.
	first=$(asks read cat "${files[@]}")
	second=$(asks read cat "${files[@]}")
	report=$(asks read true)
	echo "requests: $first, then $second, $report of them for the report"
	[ "$second" -le "$report" ]
	[ "$first" -gt "$report" ]
}
