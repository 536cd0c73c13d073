# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# The store changed or gone under the daemon: nothing is promised that is not so, what
# failed is said, and the daemon lives on, read-only, until it is mounted again.

append() { echo "$1" >>"$mnt/current"; }

# failed_is REASON: read-only for good, with that reason, and told so everywhere.
failed_is() {
	for _ in 1 2; do
		refuses 'Read-only file system' append no
		refuses 'Input/output error|Read-only file system' sync -d "$mnt/current"
		refuses 'Input/output error|Read-only file system' rotate
	done
	same reason "$(status_of .reason)" "$1"
	same state "$(status_of .state) $(status_of .failed)" 'read-only true'
	same metrics "$(metric_of walfs_failed) $(metric_of walfs_read_only)" '1 1'
	says 1 "state +read-only: $1" status "$mnt"
	kill -0 "$daemon"
}

# The exit status says that the last events are not durable.
ends_with_an_error() {
	local status=0
	fusermount3 -u "$mnt"
	wait "$daemon" || status=$?
	same "exit status" "$status" 1
}

case_an_active_file_that_was_cut_fails_the_next_sync() {
	mount_log io=pwrite
	printf 'one\ntwo\n' >>"$mnt/current"
	sync -d "$mnt/current"
	echo three >>"$mnt/current"
	truncate -s 4096 "$store/0000000001.wal"
	refuses 'Input/output error' sync -d "$mnt/current"
	failed_is '0000000001.wal: sync failed: Input/output error'
	same durable "$(metric_of walfs_durable_event_id)" 2
	same counted "$(status_of '.counters.sync_errors')" 1
	[ "$(status_of '.counters.sync_refusals')" -ge 1 ]
	ends_with_an_error
	# what was promised and is gone is damage
	refuses 'file too short' "$walctl" verify "$store"
}

# A store into its mapping is a SIGBUS: the daemon outlives it.
case_an_active_file_that_was_cut_under_its_mapping_fails_the_write() {
	mount_log io=mmap
	printf 'one\ntwo\n' >>"$mnt/current"
	sync -d "$mnt/current"
	truncate -s 0 "$store/0000000001.wal"
	refuses 'Input/output error' append three
	failed_is '0000000001.wal: its mapping failed: Input/output error'
	same durable "$(metric_of walfs_durable_event_id)" 2
	ends_with_an_error
}

case_a_store_that_vanished_fails_the_next_sync() {
	mount_log
	printf 'one\ntwo\n' >>"$mnt/current"
	sync -d "$mnt/current"
	rm -rf "$store"
	echo three >>"$mnt/current"
	refuses 'Input/output error' sync -d "$mnt/current"
	failed_is '0000000001.wal: sync failed: Input/output error'
	ends_with_an_error
	[ ! -e "$store" ]
}

case_an_active_file_that_was_replaced_fails_the_next_sync() {
	mount_log
	echo one >>"$mnt/current"
	cp "$store/0000000001.wal" "$dir/copy"
	mv "$dir/copy" "$store/0000000001.wal"
	refuses 'Input/output error' sync -d "$mnt/current"
	failed_is '0000000001.wal: sync failed: Input/output error'
	ends_with_an_error
}
