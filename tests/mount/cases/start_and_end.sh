# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2010,SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# Start-up, refusals at start, the end.

case_it_goes_to_the_background_once_the_mount_works() {
	"$walfs" "$store" "$mnt" -o segment_size=1M
	is_mounted "$mnt"
	echo x >>"$mnt/current"
	grep -qF "$store $mnt fuse.walfs" /proc/self/mounts
	fusermount3 -u "$mnt"
	# at once again: the one that is finishing is waited for
	"$walfs" "$store" "$mnt"
	same content "$(cat "$mnt/current")" x
	fusermount3 -u "$mnt"
}

case_options_may_stand_anywhere_as_mount_passes_them() {
	"$walfs" "$store" "$mnt" -o rw,nosuid,nodev,framing=write,segment_size=1M -o sync
	printf abc >>"$mnt/current"
	printf def >>"$mnt/current"
	same events "$(events_of)" 2
	same durable "$(attribute durable_event "$mnt/current")" 2
	fusermount3 -u "$mnt"
	"$walfs" -o ro "$store" -odefaults,_netdev,x-systemd.automount "$mnt"
	same content "$(cat "$mnt/current")" abcdef
	fusermount3 -u "$mnt"
}

case_errors_reach_the_terminal_and_the_exit_status() {
	refuses 'MOUNTPOINT is missing' "$walfs" "$store"
	refuses "unknown option 'colour'" "$walfs" "$store" "$mnt" -o colour
	refuses "unknown option '-x'" "$walfs" -x "$store" "$mnt"
	refuses 'one argument too many' "$walfs" "$store" "$mnt" more
	refuses 'expected line, write or fixed' "$walfs" "$store" "$mnt" -o framing=paragraph
	refuses 'expected a power of two' "$walfs" "$store" "$mnt" -o block_size=5000
	refuses 'expected a size' "$walfs" "$store" "$mnt" -o segment_size=64Q
	refuses 'expected none, always' "$walfs" "$store" "$mnt" -o sync=sometimes
	refuses 'expected an octal' "$walfs" "$store" "$mnt" -o mode=999
	local status=0
	"$walfs" "$store" "$mnt" -o colour 2>/dev/null || status=$?
	same "status of a bad command line" "$status" 2
	[ ! -e "$store" ]
	"$walfs" --help | grep framing= >/dev/null
	"$walfs" -V | grep -q 'walfs [0-9]'
}

# defaults_of_help: "option=value" of each default that is a value, as --help says.
defaults_of_help() {
	"$walfs" --help | awk '
		function end() {
			if (name && match(text, /\(default: [^)]*\)/)) {
				value = substr(text, RSTART + 10, RLENGTH - 11)
				sub(/.*new: /, "", value)
				if (value !~ /never|keep all|yours/) print name value
			}
			name = text = ""
		}
		/^(  [^ ]|[^ ]|$)/ { end() }
		/^  [a-z_]+=/ { match($1, /^[a-z_]+=/); name = substr($1, 1, RLENGTH) }
		name { text = text " " $0; gsub(/ +/, " ", text) }
		END { end() }'
}

case_the_defaults_that_help_names_are_those_in_force() {
	local options
	"$walfs" --help >"$dir/help"
	[ "$(awk 'length($0) > 80' "$dir/help" | wc -l)" -eq 0 ]
	options=$(defaults_of_help | paste -sd ,)
	same defaults "$(tr , '\n' <<<"$options" | wc -l)" 10
	"$walfs" "$store" "$mnt"
	jq -S .options "$mnt/.walfs/status" >"$dir/without"
	fusermount3 -u "$mnt"
	flock -w 20 "$store" true
	rm -r "$store"
	"$walfs" -o "$options" "$store" "$mnt"
	jq -S .options "$mnt/.walfs/status" >"$dir/with"
	fusermount3 -u "$mnt"
	flock -w 20 "$store" true
	diff "$dir/without" "$dir/with"
}

case_a_store_that_is_held_is_refused_and_names_the_holder() {
	mount_log
	mkdir "$dir/other"
	refuses "pid $daemon" timeout 5 "$walfs" "$store" "$dir/other"
	is_gone "$dir/other"
	echo 'still works' >>"$mnt/current"
}

case_a_directory_that_is_no_store_is_refused_and_left_alone() {
	mkdir "$store"
	echo mine >"$store/letter.txt"
	refuses "$store" "$walfs" "$store" "$mnt"
	same left "$(ls "$store")" letter.txt
	is_gone "$mnt"
}

case_a_store_of_a_newer_format_is_refused_and_left_alone() {
	mount_log
	echo x >>"$mnt/current"
	unmount_log
	"$poke" newer-meta "$store/wal.meta"
	store_sums >"$dir/before"
	refuses 'newer' "$walfs" "$store" "$mnt"
	refuses 'newer' "$walfs" -o ro "$store" "$mnt"
	store_sums | cmp - "$dir/before"
	is_gone "$mnt"
}

case_a_mount_point_must_be_an_empty_directory() {
	refuses 'mkdir' "$walfs" "$store" "$dir/missing"
	echo x >"$dir/file"
	refuses 'has to be a directory' "$walfs" "$store" "$dir/file"
	mkdir "$dir/full"
	touch "$dir/full/something"
	refuses 'not empty' "$walfs" "$store" "$dir/full"
	mount_log
	refuses 'mounted there already' "$walfs" "$dir/store2" "$mnt"
	[ ! -e "$dir/store2" ]
}

case_a_message_about_a_path_with_a_newline_is_one_line() {
	local odd=$dir/$'od\nd'
	mkdir "$odd"
	touch "$odd/something"
	fails "$walfs" "$odd" "$mnt" 2>"$dir/message"
	same lines "$(wc -l <"$dir/message")" 1
	grep -qF 'od\x0ad' "$dir/message"
}

case_store_and_mount_point_inside_each_other_are_refused() {
	mkdir -p "$dir/a/b"
	refuses 'inside' "$walfs" "$dir/a" "$dir/a/b"
	refuses 'inside' "$walfs" "$dir/a/b/new" "$dir/a/b"
	refuses 'inside' "$walfs" "$dir/a/b" "$dir/a/b"
	ln -s a "$dir/link"
	refuses 'inside' "$walfs" "$dir/link" "$dir/a/b"
	refuses 'inside' "$walfs" "$dir/link/b/../b/new" "$dir/a/b"
	(cd "$dir/a/b" && refuses 'inside' "$walfs" . .)
	# names that only begin alike are no reason
	mkdir "$dir/a-mnt"
	"$walfs" "$dir/a" "$dir/a-mnt" 2>&1 | grep -q inside && return 1
	rm -rf "$dir/a"
	"$walfs" "$dir/a" "$dir/a-mnt" -o segment_size=1M
	fusermount3 -u "$dir/a-mnt"
}

case_a_dead_mount_of_walfs_is_cleared() {
	mount_log
	echo before >>"$mnt/current"
	kill_log
	refuses 'not connected' ls "$mnt"
	: >"$log"
	"$walfs" -f "$store" "$mnt" 2>>"$log" &
	daemon=$!
	remember "$daemon"
	wait_until test -e "$mnt/current"
	same content "$(cat "$mnt/current")" before
	grep -q 'cleared' "$log"
	unmount_log
	is_gone "$mnt"
}

case_sigterm_sigint_and_sighup_end_it_cleanly() {
	local signal status
	for signal in TERM INT HUP; do
		mount_log
		exec 3>>"$mnt/current"
		printf 'unfinished at %s' "$signal" >&3
		kill -"$signal" "$daemon"
		status=0
		wait "$daemon" || status=$?
		same "status after SIG$signal" "$status" 0
		exec 3>&-
		is_gone "$mnt"
		mount_log
		same "after SIG$signal" "$(tail -c $((14 + ${#signal})) "$mnt/current")" "unfinished at $signal"
		same "unclean ends" "$(attribute incarnation "$mnt/current")" 1
		unmount_log
	done
}

case_a_busy_mount_ends_while_writers_write() {
	mount_log
	local w
	for w in 1 2 3; do
		"$poke" storm "$mnt/current" "w$w" "$dir/acked.$w" &
		remember $!
	done
	wait_until all_write
	kill -TERM "$daemon"
	wait "$daemon"
	wait $(remembered 3) 2>/dev/null || true
	"$walctl" verify "$store"
	"$walctl" cat "$store" >"$dir/all"
	for w in 1 2 3; do
		[ "$(grep -c "^w$w " "$dir/all")" -ge "$("$poke" acked "$dir/acked.$w")" ]
	done
}

all_write() {
	local w
	for w in 1 2 3; do
		[ "$("$poke" acked "$dir/acked.$w")" -gt 500 ] || return
	done
}

# The kernel does not wait for the daemon: the lock on the store says when it is done.
case_after_an_unmount_all_is_durable_once_the_store_is_let_go() {
	mount_log sync=none
	seq 1 1000 >>"$mnt/current"
	kill -STOP "$daemon"
	timeout 20 fusermount3 -u "$mnt"
	same "the lock meanwhile" "$(flock -n "$store" echo free || echo held)" held
	kill -CONT "$daemon"
	flock -w 20 "$store" true
	same stored "$("$walctl" info --json "$store" | jq -c '[.durable_event, .clean]')" '[1000,true]'
	wait "$daemon"
}

# --- what it holds ---------------------------------------------------------------------

# Descriptors and threads of the daemon.
held_by_daemon() { echo "$(ls "/proc/$daemon/fd" | wc -l) $(ls "/proc/$daemon/task" | wc -l)"; }
holds() { same held "$(held_by_daemon)" "$1"; }
# The last closes reach the daemon a little later, and nothing says that there are no more.
is_steady() {
	local before
	before=$(held_by_daemon)
	sleep 0.2 # nothing is to change meanwhile
	holds "$before"
}
at_rest() { [ "$(status_of '.segments.sealing, .segments.ready' | xargs)" = '0 2' ]; }

case_a_hundred_rotations_leave_no_descriptor_and_no_thread() {
	mount_log segment_size=128K,keep_segments=5
	local i before
	# what is made at the first use, and kept
	for i in {1..5}; do
		echo "$i" >>"$mnt/current"
		rotate
		cat "$mnt/current" "$mnt"/events/*.log >/dev/null
	done
	wait_until at_rest
	wait_until is_steady
	before=$(held_by_daemon)
	for i in {1..100}; do
		echo "$i" >>"$mnt/current"
		rotate
		# one of them may be removed before it is opened
		[ $((i % 10)) -ne 0 ] || cat "$mnt/current" "$mnt"/events/*.log >/dev/null 2>&1 || true
	done
	same "the last segment" "$(ls "$mnt" | grep -E '^[0-9]{10}[.]wal$' | tail -n 1)" 0000000105.wal
	wait_until at_rest
	wait_until holds "$before"
	if ls -l "/proc/$daemon/fd" | grep -F '(deleted)'; then return 1; fi
	unmount_log
	same "prepared files" "$(ls "$store" | grep -c new)" 0
	if kill -0 "$daemon" 2>/dev/null; then return 1; fi
	flock -n "$store" true
}
