# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are set by run
#
# File systems that write elsewhere what is written over: a full one can refuse any write.

# cow_disk btrfs|xfs
cow_disk() {
	truncate -s 320M "$dir/disk"
	"mkfs.$1" -q -f "$dir/disk" >/dev/null 2>&1
	mkdir "$dir/full"
	mount -o loop "$dir/disk" "$dir/full"
	store=$dir/full/store
}

fill_disk() {
	local size end=0
	for size in 67108864 4194304 262144 4096; do
		while fallocate -o "$end" -l "$size" "$dir/full/ballast" 2>/dev/null; do
			end=$((end + size))
		done
	done
	sync -f "$dir/full"
}

empty_disk() {
	rm "$dir/full/ballast"
	sync -f "$dir/full"
}

# write_until_full: what a write took is added to $dir/in
write_until_full() {
	local i line
	for ((i = 1; i < 3000; i++)); do
		line="full $i $(printf '%03000d' 7)"
		echo "$line" 2>/dev/null >>"$mnt/current" || return 0
		echo "$line" >>"$dir/in"
	done
	echo 'the disk did not fill up' && return 1
}

log_is_what_was_taken() {
	find "$mnt/events" -name '*.log' -exec cat {} + >"$dir/got"
	cat "$mnt/current" >>"$dir/got"
	cmp "$dir/got" "$dir/in"
	fails grep -E 'damaged|read-only' "$log"
}

# goes_on_when_there_is_space btrfs|xfs IO
goes_on_when_there_is_space() {
	cow_disk "$1"
	mount_log "segment_size=8M,io=$2"
	seq -f "before %.0f $(printf '%03000d' 7)" 1 200 >"$dir/in"
	cat "$dir/in" >>"$mnt/current"
	sync "$mnt/current"
	[ "$1" = xfs ] || grep -q 'is on btrfs, which writes elsewhere' "$log"
	[ "$1" = btrfs ] || cp --reflink=always "$store/0000000001.wal" "$dir/full/copy"
	fill_disk
	write_until_full
	refuses 'No space left' bash -c "echo once more >>'$mnt/current'"
	sync "$mnt/current" # what was taken
	grep -q '"state": "no space"' "$mnt/.walfs/status"
	log_is_what_was_taken
	kill_log
	mount_log "segment_size=8M,io=$2" # and serves what is there
	log_is_what_was_taken
	# The mount gave back what was prepared, and on XFS zeros behind the end unshare its blocks:
	# there may be space for two segments.
	fails bash -c "for i in {1..40}; do head -c 900000 /dev/zero >>'$mnt/current' || exit 1; done" 2>/dev/null
	empty_disk
	wait_until bash -c "echo 'space is back' >>'$mnt/current'"
	sync "$mnt/current"
	same last "$(tail -n 1 "$mnt/current" | tr -d '\0')" 'space is back'
	rotate
	fails grep -E 'damaged|read-only' "$log"
	unmount_log
	"$walctl" verify "$store"
	umount "$dir/full"
}

case_root_a_full_btrfs_is_enospc_and_writing_goes_on_by_mapping() {
	goes_on_when_there_is_space btrfs mmap
}
case_root_a_full_btrfs_is_enospc_and_writing_goes_on_by_pwrite() {
	goes_on_when_there_is_space btrfs pwrite
}
case_root_a_full_xfs_with_shared_blocks_is_enospc_and_writing_goes_on_by_mapping() {
	goes_on_when_there_is_space xfs mmap
}
case_root_a_full_xfs_with_shared_blocks_is_enospc_and_writing_goes_on_by_pwrite() {
	goes_on_when_there_is_space xfs pwrite
}
