# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What readers and writers see of a rotation.

case_rotation_gives_current_a_new_inode_that_survives_a_restart() {
	mount_log
	local first second
	echo one >>"$mnt/current"
	first=$(stat -c %i "$mnt/current")
	rotate
	second=$(stat -c %i "$mnt/current")
	[ "$first" != "$second" ]
	[ "$first" != "$(stat -c %i "$mnt/0000000001.wal")" ]
	[ "$first" != "$(stat -c %i "$mnt/events/0000000001.log")" ]
	same listed "$(ls -i "$mnt" | awk '$2 == "current" { print $1 }')" "$second"
	echo two >>"$mnt/current"
	kill_log
	mount_log
	same "after a restart" "$(stat -c %i "$mnt/current")" "$second"
	same content "$(cat "$mnt/current")" two
}

case_rotation_of_an_empty_segment_does_nothing() {
	mount_log
	rotate
	rotate
	same names "$(ls "$mnt")" $'current\nevents'
}

case_an_old_reader_reads_on_and_an_old_writer_goes_to_the_new_segment() {
	mount_log
	exec 3<"$mnt/current" 4>>"$mnt/current"
	echo first >&4
	same "read" "$(head -n 1 <&3)" first
	echo more >&4
	rotate
	echo second >&4
	same "the rest of the old" "$(cat <&3)" more
	same "fstat of the old" "$(stat -L -c %s /proc/self/fd/3)" 11
	same "the new" "$(cat "$mnt/current")" second
	same "events/" "$(cat "$mnt/events/0000000001.log")" $'first\nmore'
	exec 3<&- 4>&-
}

case_an_unfinished_line_survives_a_rotation() {
	mount_log
	exec 3>>"$mnt/current"
	echo whole >>"$mnt/current"
	printf 'begun before, ' >&3
	rotate
	echo 'ended after' >&3
	exec 3>&-
	same "the old" "$(cat "$mnt/events/0000000001.log")" whole
	same "the new" "$(cat "$mnt/current")" 'begun before, ended after'
}

case_segments_follow_each_other_and_every_line_is_in_one() {
	mount_log segment_size=256K
	seq 1 60000 >"$dir/in"
	cat "$dir/in" >>"$mnt/current"
	rotate
	cat "$mnt"/events/*.log | cmp - "$dir/in"
	[ "$(ls "$mnt"/*.wal | wc -l)" -ge 4 ]
	same listed "$(ls "$mnt"/*.wal | wc -l)" "$(ls "$mnt/events" | wc -l)"
	unmount_log
	"$walctl" verify "$store"
}

case_only_the_owner_and_root_may_rotate() {
	mount_log
	echo x >>"$mnt/current"
	gives ok setxattr "$mnt/current" user.wal.rotate
	same rotated "$(ls "$mnt")" $'0000000001.wal\ncurrent\nevents'
}
