# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2317 # functions are called by name
#
# walctl backup beside a live mount, and what becomes of the copy

# Lines that come meanwhile, with rotations.
write_until_told() {
	local n=0
	while [ ! -e "$dir/enough" ]; do
		seq -f 'line %g' $((n + 1)) $((n + 500)) >>"$mnt/current"
		n=$((n + 500))
		[ $((n % 5000)) -ne 0 ] || rotate
	done
}

case_a_log_is_copied_while_it_is_written() {
	local from last=0 now
	mount_log
	write_until_told &
	remember $!
	wait_until test -e "$mnt/0000000002.wal"
	for from in "$store" "$mnt" "$store" "$mnt"; do
		"$walctl" backup "$from" "$dir/copy"
		"$walctl" verify "$dir/copy"
		now=$("$walctl" info --json "$dir/copy" | jq .durable_event)
		[ "$now" -gt "$last" ]
		last=$now
		"$walctl" diff --full --prefix "$store" "$dir/copy"
	done
	touch "$dir/enough"
	wait "$(remembered 1)"
	"$walctl" backup "$mnt" "$dir/copy"
	"$walctl" diff --full "$store" "$dir/copy"
	unmount_log
}

case_a_copy_is_mounted_for_writing_only_if_its_original_is_gone() {
	mount_log
	printf 'one\ntwo\n' >>"$mnt/current"
	"$walctl" backup "$store" "$dir/copy"
	unmount_log
	! "$walfs" -f "$dir/copy" "$mnt" 2>"$dir/said"
	grep -q 'copy: a copy, made by walctl backup' "$dir/said"
	grep -qF -e '-o continue' "$dir/said"
	mount_log ro "$dir/copy"
	same 'what the copy has' "$(cat "$mnt/current")" $'one\ntwo'
	unmount_log
	mount_log continue "$dir/copy"
	echo three >>"$mnt/current"
	unmount_log
	mount_log '' "$dir/copy" # it is no copy any more
	unmount_log
	same 'what the log has' "$("$walctl" cat "$dir/copy")" $'one\ntwo\nthree'
	"$walctl" verify -q "$dir/copy"
}
