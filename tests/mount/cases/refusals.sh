# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What cannot be done, with its errno: docs/FILESYSTEM.md says the same.

case_current_behaves_as_chattr_a() {
	mount_log
	echo kept >>"$mnt/current"
	cd "$mnt"
	gives ok open current rdonly
	gives ok open current wronly,append
	gives ok open current rdwr,append,creat
	gives EPERM open current wronly
	gives EPERM open current rdwr
	gives EPERM open current rdonly,trunc
	gives EPERM open current wronly,append,trunc
	gives EPERM open current wronly,creat,trunc
	gives EEXIST open current wronly,append,creat,excl
	gives EPERM write-without-append current
	gives EPERM truncate current 0
	gives EPERM truncate current 100000
	gives EPERM ftruncate current
	gives EPERM fallocate current 3 5
	gives EPERM fallocate current 16 5
	gives EOPNOTSUPP fallocate current 8 5
	gives EPERM chmod current 600
	gives EPERM chmod current 750
	gives EPERM chown current 12345 "$(id -g)"
	gives EPERM chown current "$(id -u)" 12345
	gives EPERM setflags current
	gives ENOTTY ioctl current
	gives ENODEV mmap current
	gives EPERM setxattr current user.wal.state
	gives EPERM setxattr current user.other
	gives EPERM removexattr current user.wal.state
	gives a getflags current
	same content "$(cat current)" kept
	cd /
}

# As of a file of ext4 with chattr +a, as far as there is nothing to be written for it.
case_fallocate_succeeds_where_there_is_nothing_to_do() {
	mount_log
	echo kept >>"$mnt/current"
	cd "$mnt"
	gives ok fallocate current 0 5
	gives EPERM fallocate current 0 6
	gives ok fallocate current 1 6
	gives ok fallocate current 1 500000
	gives EPERM fallocate current 1 100000000
	same content "$(cat current)" kept
	same size "$(stat -c %s current)" 5
	cd /
}

# What start scripts of containers do, and a change to nothing is none.
case_owner_and_mode_can_be_set_to_what_they_are() {
	mount_log
	echo kept >>"$mnt/current"
	rotate
	local name uid gid before
	uid=$(id -u) gid=$(id -g)
	# what the kernel knows of the directories, from before the rotation, is gone after a second
	sleep 1.1 # (asking would make it ask anew)
	before=$(stat -c '%n %a %u %g %Y' "$mnt" "$mnt"/* "$mnt"/events/*)
	chown -R "$uid:$gid" "$mnt"
	chmod -R u+r "$mnt"
	for name in current 0000000001.wal events/0000000001.log events . .walfs .walfs/status; do
		gives ok chown "$mnt/$name" "$uid" "$gid"
		gives ok chmod "$mnt/$name" "$(stat -c %a "$mnt/$name")"
		gives EPERM chmod "$mnt/$name" 777
		gives EPERM chmod "$mnt/$name" 4640
		gives EPERM chown "$mnt/$name" 12345 "$gid"
	done
	same "after all that" "$(stat -c '%n %a %u %g %Y' "$mnt" "$mnt"/* "$mnt"/events/*)" "$before"
}

case_names_cannot_be_changed() {
	mount_log
	echo kept >>"$mnt/current"
	rotate
	cd "$mnt"
	local denied=EPERM name
	[ "$(id -u)" -eq 0 ] || denied=EACCES
	for name in current 0000000001.wal events/0000000001.log; do
		gives "$denied" rename "$name" other
		gives "$denied" unlink "$name"
		gives "$denied" link "$name" another
	done
	gives "$denied" rename events other
	gives "$denied" rmdir events
	gives "$denied" mkdir new
	gives "$denied" symlink new
	gives "$denied" mknod new
	gives "$denied" open new wronly,creat
	gives "$denied" open events/new wronly,creat,append
	gives ENOENT open new rdonly
	gives ENOENT open 0000000002.wal rdonly
	gives ENOENT open 0000000099.wal rdonly
	gives ENOENT open events/0000000002.log rdonly
	gives ENOENT open events/0000000001.wal rdonly
	gives ENOENT open 1.wal rdonly
	gives i getflags .
	gives i getflags events
	cd /
}

case_sealed_files_behave_as_chattr_i() {
	mount_log
	echo kept >>"$mnt/current"
	rotate
	cd "$mnt"
	local name denied=EPERM
	[ "$(id -u)" -eq 0 ] || denied=EACCES
	for name in 0000000001.wal events/0000000001.log; do
		gives ok open "$name" rdonly
		gives "$denied" open "$name" wronly
		gives "$denied" open "$name" rdwr
		gives "$denied" open "$name" wronly,append
		gives "$denied" open "$name" wronly,trunc
		gives "$denied" truncate "$name" 0
		gives EPERM chmod "$name" 640
		gives EPERM chown "$name" 12345 12345
		gives EPERM utimes "$name" now
		gives EPERM utimes "$name" past
		gives "$denied" setxattr "$name" user.wal.rotate
		gives "$denied" removexattr "$name" user.wal.state
		gives EPERM setflags "$name"
		gives ok fsync "$name"
		gives ok mmap "$name"
		gives i getflags "$name"
	done
	cd /
}

case_lsattr_shows_a_and_i() {
	mount_log
	echo kept >>"$mnt/current"
	rotate
	same current "$(lsattr "$mnt/current" | cut -d' ' -f1 | tr -d -)" a
	same sealed "$(lsattr "$mnt/0000000001.wal" | cut -d' ' -f1 | tr -d -)" i
	same events "$(lsattr "$mnt/events/0000000001.log" | cut -d' ' -f1 | tr -d -)" i
}

case_modes_owners_and_statfs_are_as_asked() {
	mount_log
	echo kept >>"$mnt/current"
	rotate
	same current "$(stat -c '%a %u %g' "$mnt/current")" "640 $(id -u) $(id -g)"
	same sealed "$(stat -c %a "$mnt/0000000001.wal")" 440
	same events "$(stat -c %a "$mnt/events/0000000001.log")" 440
	same directory "$(stat -c '%a %h' "$mnt") $(stat -c '%a %h' "$mnt/events")" '550 4 550 2'
	same store "$(stat -c %a "$store")" 700
	same blocks "$(stat -c %b "$mnt/events/0000000001.log")" 0
	same statfs "$(stat -f -c '%b %s' "$mnt")" "$(stat -f -c '%b %s' "$store")"
	unmount_log
	mount_log uid=12345,gid=54321,mode=604
	same current "$(stat -c '%a %u %g' "$mnt/current")" '604 12345 54321'
	same directory "$(stat -c %a "$mnt")" 505
}
