# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# .walfs/active.wal, and what the commands of walctl see of the active segment by it.

# seen_alike: walctl says the same of the mount and of the store.
seen_alike() {
	"$walctl" cat --json "$mnt" >"$dir/of-mount" 2>"$dir/said"
	same 'what was said' "$(cat "$dir/said")" ''
	"$walctl" cat --json "$store" | cmp - "$dir/of-mount"
}

case_walctl_cat_of_a_mount_has_the_active_events() {
	mount_log
	seen_alike
	same 'of an empty log' "$(cat "$dir/of-mount")" ''
	seq 1 2500 >>"$mnt/current"
	seen_alike
	same events "$(wc -l <"$dir/of-mount")" 2500
	rotate
	seq 2501 5000 >>"$mnt/current"
	printf unfinished >>"$mnt/current"
	seen_alike
	same events "$(wc -l <"$dir/of-mount")" 5001
	same 'some of both' "$("$walctl" cat --from 2499 --to 2502 "$mnt" | xargs)" '2499 2500 2501 2502'
	same 'its last' "$("$walctl" cat --from 5001 "$mnt")" unfinished
	"$walctl" info --json "$mnt" | jq -e '[.segments[].state] == ["sealed", "active"] and
		.segments[1].last_event == 5001 and .last_segment == 2 and .missing == []' >/dev/null
	"$walctl" verify "$mnt/.walfs/active.wal" | grep -q ': sound: '
	! "$walctl" cat "$mnt/current" 2>"$dir/said" || return 1
	grep -qF "not a segment file; that is $mnt/.walfs/active.wal" "$dir/said"
}

case_active_wal_is_a_file_like_the_others_there() {
	local file=$mnt/.walfs/active.wal
	mount_log mode=640
	seq 1 1000 >>"$mnt/current"
	same mode "$(stat -c %a "$file")" 440
	same attributes "$(getfattr -d "$file")" ''
	same flags "$(lsattr "$file" | cut -c5)" i
	refuses 'not permitted|denied' bash -c "echo x >>'$file'"
	exec 5<"$file"
	cp "$file" "$dir/copy"
	same 'size of the open one' "$(stat -L -c %s /proc/self/fd/5)" "$(stat -c %s "$dir/copy")"
	seq 1001 30000 >>"$mnt/current"
	rotate
	seq 30001 30010 >>"$mnt/current"
	cmp "$dir/copy" <(cat <&5) # it is what it was
	exec 5<&-
	same 'a copy' "$("$walctl" cat "$dir/copy" | tail -n 1)" 1000
	same 'the new one' "$("$walctl" cat --json "$file" | jq -c .id | xargs)" "$(seq 30001 30010 | xargs)"
	unmount_log
	mount_log mode=600
	same mode "$(stat -c %a "$file")" 400
}

case_active_wal_is_sound_whenever_it_is_copied() {
	local i last=0 now
	mount_log segment_size=1M,keep_segments=3
	(
		while [ ! -e "$dir/enough" ]; do
			{
				seq 1 700
				head -c 20000 /dev/zero | tr '\0' x
			} >>"$mnt/current"
			printf 'half a' >>"$mnt/current"
		done
	) &
	remember $!
	for i in $(seq 40); do
		[ "$((i % 4))" -ne 0 ] || rotate
		cat "$mnt/.walfs/active.wal" >"$dir/copy"
		"$walctl" verify "$dir/copy" >"$dir/said" || { cat "$dir/said" && touch "$dir/enough" && return 1; }
		"$walctl" cat "$mnt" >/dev/null 2>"$dir/said" || { cat "$dir/said" && touch "$dir/enough" && return 1; }
		now=$("$walctl" info --json "$dir/copy" | jq .last_event)
		[ "$now" -ge "$last" ] || { echo "event $now after $last" && return 1; }
		last=$now
	done
	touch "$dir/enough"
	wait $(remembered 1)
	seen_alike
}

case_active_wal_of_a_ro_mount_is_what_current_is() {
	mkdir "$store"
	mount_log
	echo one >>"$mnt/current"
	kill_log
	fusermount3 -uz "$mnt"
	mount_log ro
	same event "$("$walctl" cat "$mnt")" one
	"$walctl" verify "$mnt/.walfs/active.wal" | grep -q ': sound: '
}

case_incarnation_of_a_resumed_segment_stays_what_it_was() {
	mount_log
	echo one >>"$mnt/current"
	kill_log
	fusermount3 -uz "$mnt"
	mount_log
	echo two >>"$mnt/current"
	same 'the log' "$(jq .position.incarnation "$mnt/.walfs/status")" 2
	same active "$(attribute incarnation "$mnt/current")" 1
	"$walctl" info --json "$mnt/.walfs/active.wal" | jq -e '.incarnation == 1' >/dev/null
	rotate
	same sealed "$(attribute incarnation "$mnt/0000000001.wal")" 1
	same 'the next' "$(attribute incarnation "$mnt/current")" 2
	unmount_log
	mount_log
	same 'after a mount' "$(attribute incarnation "$mnt/0000000001.wal")" 1
}

case_walctl_ls_of_a_mount_has_the_active_segment() {
	mount_log
	seq 1 1000 >>"$mnt/current"
	rotate
	seq 1001 1010 >>"$mnt/current"
	"$walctl" ls "$mnt" >"$dir/table"
	grep -qE '^0000000001  sealed +1 +1000 +1000 ' "$dir/table"
	grep -qE '^0000000002  active +1001 +1010 +10 .* -$' "$dir/table"
	grep -qF '2 segments (1 active, 1 sealed), 1,010 events (1 to 1010)' "$dir/table"
	same 'of the store' "$("$walctl" ls "$store" | head -n 3 | tail -n 2 | cut -c1-50)" \
		"$(sed -n 2,3p "$dir/table" | cut -c1-50)"
}
