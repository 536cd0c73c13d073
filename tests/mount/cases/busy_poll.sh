# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2317 # functions are called by name
#
# A daemon that polls for its next request: it works as one that does not, ends as
# soon, and does not poll where there is nothing to find.

busy_polls() { jq ".busy_polls.$1" "$mnt/.walfs/status"; }
polled() { [ "$(busy_polls found)" -gt 0 ]; }
# Where others keep the cores busy, a round can miss what comes in time.
writing_is_polled_for() {
	seq 1000 | while read -r i; do echo "$i"; done >>"$mnt/current"
	polled
}

case_busy_poll_finds_requests_and_loses_none() {
	mount_log busy_poll=1000
	same "in force" "$(jq .options.busy_poll_us "$mnt/.walfs/status")" 1000
	seq 20000 | while read -r i; do echo "$i"; done >>"$mnt/current"
	seq 20000 | cmp - <("$walctl" cat "$store")
	wait_until writing_is_polled_for
	[ "$(metric_of 'walfs_busy_polls_total{result="found"}')" -gt 0 ]
	"$(dirname "${BASH_SOURCE[0]}")/../check-metrics" "$mnt/.walfs/metrics"
	unmount_log
	mount_log
	ls "$mnt" >/dev/null
	same "without the option" "$(busy_polls found) $(busy_polls missed)" '0 0'
}

case_a_polling_daemon_ends_by_signal_while_a_writer_writes() {
	mount_log busy_poll=1000
	"$poke" storm "$mnt/current" w1 "$dir/acked" &
	remember $!
	local writer=$!
	wait_until polled
	kill -TERM "$daemon"
	wait "$daemon"
	wait "$writer" 2>/dev/null || true
	is_gone "$mnt"
	"$walctl" verify "$store"
}

case_a_polling_daemon_ends_by_unmount() {
	local i
	for i in 1 2 3 4 5; do
		mount_log busy_poll=1000
		echo "$i" >>"$mnt/current"
		unmount_log
		is_gone "$mnt"
	done
	same content "$("$walctl" cat "$store" | xargs)" '1 2 3 4 5'
}

# Processor time, in ticks, of the threads that read requests, and of what has their name.
loop_ticks() {
	local task total=0
	for task in /proc/"$daemon"/task/*; do
		[ "$(cat "$task/comm")" = walfs ] || continue
		total=$((total + $(sed 's/.*) //' "$task/stat" | awk '{ print $12 + $13 }')))
	done
	echo "$total"
}

case_an_idle_daemon_does_not_poll() {
	local before missed
	mount_log busy_poll=1000
	seq 1000 >>"$mnt/current"
	missed=$(busy_polls missed)
	before=$(loop_ticks)
	sleep 1 # nothing is to happen meanwhile: an idle second
	# all of a core would be 100 ticks
	[ $(($(loop_ticks) - before)) -lt 50 ]
	# a round is at most 1 ms: a daemon that polls while idle would have had a thousand
	[ $(($(busy_polls missed) - missed)) -lt 200 ]
}

case_bad_values_of_busy_poll_are_refused() {
	local value
	for value in busy_poll= busy_poll=1001 busy_poll=-1 busy_poll=50us busy_poll=x; do
		refuses "option '$value': expected for how many microseconds" "$walfs" "$store" "$mnt" -o "$value"
		[ ! -e "$store" ]
	done
	refuses "unknown option 'busy_poll'" "$walfs" "$store" "$mnt" -o busy_poll
	"$walfs" --help | grep -F -- '  busy_poll=' >/dev/null
}
