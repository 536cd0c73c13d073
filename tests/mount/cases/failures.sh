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

# (sync=none here: else an interval may end before the file is changed, and the sync that
# follows has nothing left to do)
case_an_active_file_that_was_cut_fails_the_next_sync() {
	mount_log io=pwrite,sync=none
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
	mount_log sync=none
	echo one >>"$mnt/current"
	cp "$store/0000000001.wal" "$dir/copy"
	mv "$dir/copy" "$store/0000000001.wal"
	refuses 'Input/output error' sync -d "$mnt/current"
	failed_is '0000000001.wal: sync failed: Input/output error'
	ends_with_an_error
}

# thin_disk: ext4 at $dir/full on a device that has less room than it says, as a thin volume. Its
# journal and tables have been all written once: what fails later is a segment's write-back.
thin_disk() {
	mkdir "$dir/thin" "$dir/full"
	mount -t tmpfs -o size=200M tmpfs "$dir/thin"
	truncate -s 512M "$dir/thin/image"
	mkfs.ext4 -q -m 0 -N 4096 -J size=4 "$dir/thin/image"
	mount -o loop "$dir/thin/image" "$dir/full"
	for _ in 1 2 3 4 5 6; do
		mkdir "$dir/full/warm"
		(cd "$dir/full/warm" && seq 2000 | xargs touch && sync -f .)
		rm -rf "$dir/full/warm"
	done
	sync -f "$dir/full"
	store=$dir/full/store
}

# Lines in bulk, synced now and then; on the way the device has no room left. Says how many lines
# were synced.
fill_until_the_device_fails() {
	python3 - "$mnt/current" "$dir/thin/ballast" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
done = 0
for chunk in range(1000):
    if chunk == 150:
        ballast = open(sys.argv[2], 'wb', 0)
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    try:
        os.write(fd, b''.join(b'first %07d %s\n' % (done + i, b'x' * 240) for i in range(1000)))
        os.fsync(fd)
    except OSError:
        break
    done += 1000
else:
    sys.exit('the device never failed')
print(done)
END
}

# What the page cache has and the disk does not is on the disk once the log is mounted again, and
# so is what is synced then: seen when the file system was mounted afresh, without a power loss.
a_device_that_failed_for_a_moment() {
	local how=$1 options=segment_size=4M${2:+,$2} synced written
	thin_disk
	mount_log "$options"
	synced=$(fill_until_the_device_fails)
	written=$(cat "$mnt"/events/*.log "$mnt/current" | wc -l)
	rm "$dir/thin/ballast"
	sync "$dir/full" || true
	if [ "$how" = kill ]; then
		kill_log
		fusermount3 -u "$mnt"
	else
		fusermount3 -u "$mnt"
		wait "$daemon" || true
	fi
	mount_log "$options"
	for ((i = 0; i < 50; i++)); do echo "second $i"; done >>"$mnt/current"
	sync "$mnt/current"
	unmount_log
	umount "$dir/full"
	mount -o loop "$dir/thin/image" "$dir/full"
	"$walctl" verify "$store"
	"$walctl" cat "$store" >"$dir/got"
	[ "$synced" -ge 150000 ]
	# not only what was synced: no power was lost, and the page cache had it
	[ "$(grep -c '^first' "$dir/got")" -ge "$written" ]
	same "lines of the second life" "$(grep -c '^second' "$dir/got")" 50
	umount "$dir/full"
}

case_root_what_is_synced_after_a_device_failed_for_a_moment_is_on_the_disk() {
	a_device_that_failed_for_a_moment kill
}

case_root_what_is_synced_after_a_device_failed_and_the_log_was_closed_is_on_the_disk() {
	a_device_that_failed_for_a_moment close io=mmap
}
