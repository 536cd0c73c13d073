# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are used by the cases, and set by run
#
# What cases use.

# shellcheck source=tests/mount/wait_until.sh
source "$(dirname "${BASH_SOURCE[0]}")/wait_until.sh"

# $top: of this run; $dir: of this case; $store and $mnt: the usual places in it.
store_and_mount() {
	store=$dir/store
	mnt=$dir/mnt
	log=$dir/log
	daemon=
	mkdir -p "$mnt"
	: >"$log"
}

# When a process began, in ticks; with its number that names it for ever.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# A process that is to be ended after the case, if it still runs then.
remember() { echo "$1 $(started_at "$1")" >>"$dir/pids"; }

# The numbers of the last N.
remembered() { tail -n "$1" "$dir/pids" | cut -d' ' -f1; }

# mount_log [OPTIONS [STORE [MOUNTPOINT]]]: in the foreground, so that $daemon and
# its messages ($log) are at hand.
mount_log() {
	local options=segment_size=1M${1:+,$1} at=${3:-$mnt}
	"$walfs" -f "${2:-$store}" "$at" -o "$options" 2>>"$log" &
	daemon=$!
	remember "$daemon"
	if wait_until mounted_or_ended "$at" && [ -e "$at/current" ]; then return 0; fi
	echo "walfs did not mount:" && cat "$log"
	return 1
}

mounted_or_ended() { [ -e "$1/current" ] || ! kill -0 "$daemon"; }

unmount_log() {
	fusermount3 -u "$mnt"
	wait "$daemon"
}

kill_log() {
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null || true
}

# leave_torn_tail [FILE]: bytes after the last event, as a crash can leave them.
leave_torn_tail() {
	printf x | dd of="${1:-$store/0000000001.wal}" bs=1 seek=100000 conv=notrunc status=none
}

rotate() { setfattr -n user.wal.rotate "$mnt/current"; }

attribute() { getfattr --absolute-names --only-values -n "user.wal.$1" "$2"; }

events_of() { attribute events "$mnt/current"; }

# same WHAT IS EXPECTED
same() {
	[ "$2" = "$3" ] || { printf '%s: is "%s", expected "%s"\n' "$1" "$2" "$3" && return 1; }
}

# fails COMMAND...: under set -e a "! COMMAND" that succeeds would end nothing
fails() {
	if "$@"; then
		echo "should have failed: $*"
		return 1
	fi
}

# gives EXPECTED ARGUMENTS OF POKE...
gives() {
	local expected=$1 got
	shift
	got=$("$poke" "$@" 2>&1) || true
	same "poke $*" "$got" "$expected"
}

# refuses PATTERN COMMAND...: fails, and says something that matches.
refuses() {
	local expected=$1 said status=0
	shift
	said=$("$@" 2>&1) || status=$?
	[ "$status" -ne 0 ] || { echo "$* succeeded" && return 1; }
	grep -qE -e "$expected" <<<"$said" || { echo "$* said: $said; expected: $expected" && return 1; }
}

# What a case leaves mounted has to end well too, and nothing may have been found
# by a sanitizer.
end_well() {
	if is_mounted "$mnt" && kill -0 "$daemon" 2>/dev/null; then
		unmount_log
	fi
	! grep -E 'Sanitizer|runtime error' "$log"
}

is_mounted() { grep -qF " $1 fuse.walfs " /proc/self/mounts; }
is_gone() { ! is_mounted "$1"; }

ids_and_flags() { "$walctl" cat --json "$1" | sed -E 's/.*"id": ?([0-9]+).*"flags": ?\[?([^],}]*).*/\1 \2/'; }

# The metrics without the label that each has, the store. (dd: two reads, however long it is.)
metrics() {
	dd if="$mnt/.walfs/metrics" bs=1M status=none | sed -E 's/[{]store="[^"]*",?/{/; s/[{][}]//'
}
# metric_of SERIES
metric_of() { metrics | awk -v series="$1" '$1 == series { print $2; found = 1 } END { exit !found }'; }

# every byte of a store, and that nothing was written to it
store_sums() { (cd "$store" && find . -type f -printf '%p %s %T@ ' -exec md5sum {} \;) | sort; }

# a real log file of this machine, with a last newline
real_log() {
	local file
	for file in /var/log/dpkg.log /var/log/apt/term.log /var/log/bootstrap.log; do
		if [ -r "$file" ] && [ -s "$file" ]; then
			head -n 5000 "$file" | tr -d '\0' | awk 1
			return
		fi
	done
	dpkg -L dpkg bash coreutils libc6
}

# fills_up_and_goes_on LINES LEAST: on a small file system, mounted at $dir/full with a
# ballast in it: more lines than fit are ENOSPC without loss, at least LEAST bytes of them
# are there; without the ballast it goes on by itself. Unmounts the log.
fills_up_and_goes_on() {
	seq -f 'line %.0f of a log that fills its disk' 1 "$1" >"$dir/in"
	refuses 'No space left' bash -c "cat '$dir/in' >>'$mnt/current'"
	cat "$mnt"/events/*.log "$mnt/current" >"$dir/got"
	# a prefix of it, as long as the disk is large
	[ "$(stat -c %s "$dir/got")" -gt "$2" ]
	cmp -n "$(stat -c %s "$dir/got")" "$dir/got" "$dir/in"
	rm "$dir/full/ballast"
	echo 'it goes on' >>"$mnt/current"
	same last "$(tail -n 1 "$mnt/current")" 'it goes on'
	unmount_log
	"$walctl" verify "$store"
}
