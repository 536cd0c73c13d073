# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# Cases of walctl rotate, on stores that nobody holds (tests/mount has those of a mount).
# Sourced by run, which has the words that they are written in.

rotate_seals_the_active_segment() {
	copy_store
	walctl_is 0 rotate store
	is 'what it says' "$(cat out)" \
		'store: sealed segment 3 (events 401 to 600); segment 4 begins with event 601'
	is 'stderr' "$(cat err)" ''
	walctl_is 0 info --json store
	jq -e '[.segments[].state] == ["sealed", "sealed", "sealed", "active"] and .clean and
		.block_size == 4096 and .segment_size == .segments[3].file_bytes' out >/dev/null
	is 'the segment size' "$(stat -c %s store/0000000004.wal)" "$(stat -c %s "$scratch/sound/$three")"
	walctl_is 0 verify store
	walctl_is 0 rotate --json store
	jq -e '.sealed == null and .current == {"segment": 4, "first_event": 601}' out >/dev/null
	walctl_is 0 rotate store
	holds out 'segment 4 holds no event: there is nothing to seal'
	echo more | "$mkstore" store
	walctl_is 0 rotate --json store
	jq -e '.kind == "store" and .current == {"segment": 5, "first_event": 602} and
		.sealed == {"segment": 4, "first_event": 601, "last_event": 601}' out >/dev/null
	walctl_is 0 cat store
	(cat "$scratch/input" && echo more) | cmp - out
}

rotate_recovers_as_a_mount_does() {
	{ lines 1 10; } | "$mkstore" -u -b "$block" -s $((block * 16)) store
	printf 'rest of a write' | dd of="store/$one" bs=1 seek=9000 conv=notrunc status=none
	walctl_is 0 rotate store
	walctl_is 0 verify store
	walctl_is 0 cat store
	lines 1 10 | cmp - out
}

rotate_leaves_a_store_that_is_held() {
	local sums
	copy_store
	mkfifo pipe
	"$mkstore" store <pipe >synced &
	exec 8>pipe
	echo @@sync >&8
	wait_until grep -q synced synced
	sums=$(md5sum store/*.wal)
	walctl_is 2 rotate store
	holds err 'held by mkstore (pid '
	is 'the store' "$(md5sum store/*.wal)" "$sums"
	exec 8>&-
	wait
}

rotate_makes_no_store() {
	mkdir empty
	walctl_is 2 rotate empty
	is 'the directory' "$(ls -A empty)" ''
	walctl_is 2 rotate missing
	[ ! -e missing ]
	walctl_is 2 rotate "$scratch/sound/$three"
	holds err 'a segment, and not a log'
	walctl_is 2 rotate
	walctl_is 0 rotate --help
	holds out 'usage: walctl rotate'
}

# Root's segments in a store of another user would keep that user's walfs from opening them.
rotate_is_for_the_owner() {
	[ "$(id -u)" -eq 0 ] || return 0
	copy_store
	chown -R 65534 store
	walctl_is 2 rotate store
	holds err 'the store of user 65534'
	is 'the number of segments' "$(find store -name '*.wal' | wc -l)" 3
}

it 'rotate seals the active segment, and keeps the sizes' rotate_seals_the_active_segment
it 'rotate recovers what a crash left, as a mount does' rotate_recovers_as_a_mount_does
it 'rotate leaves a store that is held, and names who holds it' rotate_leaves_a_store_that_is_held
it 'rotate makes no store of anything else' rotate_makes_no_store
it 'rotate is for the owner of a store' rotate_is_for_the_owner
