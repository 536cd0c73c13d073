# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What only root can arrange: other users, bind mounts, full disks.

case_root_other_users_need_allow_other_and_the_modes() {
	mount_log
	refuses 'denied' setpriv --reuid 65534 --regid 65534 --clear-groups cat "$mnt/current"
	unmount_log
	mount_log allow_other,mode=644
	echo x >>"$mnt/current"
	setpriv --reuid 65534 --regid 65534 --clear-groups cat "$mnt/current"
	refuses 'denied' setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "echo y >>'$mnt/current'"
	refuses 'denied' setpriv --reuid 65534 --regid 65534 --clear-groups \
		setfattr -n user.wal.rotate "$mnt/current"
	unmount_log
	mount_log allow_other,mode=666
	setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "echo y >>'$mnt/current'"
	refuses 'not permitted' setpriv --reuid 65534 --regid 65534 --clear-groups \
		setfattr -n user.wal.rotate "$mnt/current"
	unmount_log
	mount_log allow_other,uid=65534,gid=65534
	setpriv --reuid 65534 --regid 65534 --clear-groups setfattr -n user.wal.rotate "$mnt/current"
	same rotated "$(ls "$mnt"/*.wal | wc -l)" 1
}

case_root_gives_what_it_makes_in_the_store_of_another_user_to_that_user() {
	local user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	mount_log
	unmount_log
	if grep -q 'belongs to user' "$log"; then return 1; fi
	same "of root" "$(find "$store" ! -uid 0)" ''
	chown -R 65534:65534 "$store"
	mount_log
	grep -q 'belongs to user 65534' "$log"
	echo torn >>"$mnt/current"
	kill_log
	fusermount3 -u "$mnt"
	# wal.meta is made again, and a tail is cut off
	rm "$store/wal.meta"
	leave_torn_tail
	mount_log
	echo 'of root' >>"$mnt/current"
	rotate
	unmount_log
	[ "$(find "$store" -name '*.torn-*' | wc -l)" -eq 1 ]
	same "of others" "$(find "$store" ! -uid 65534 -o ! -gid 65534)" ''
	chmod 755 "$dir"
	cp "$walctl" "$dir/"
	"${user[@]}" "$dir/walctl" verify "$store"
	same "what root added" "$("${user[@]}" "$dir/walctl" cat "$store" | tail -n 1)" 'of root'
}

# By then the daemon has given up the right to give files away.
case_root_a_store_that_is_given_away_while_it_is_mounted_is_told_of() {
	mount_log
	chown -R 65534:65534 "$store"
	echo x >>"$mnt/current" && rotate
	echo x >>"$mnt/current" && rotate
	wait_until grep -q 'belongs to user 65534 by now.*chown -R' "$log"
	echo x >>"$mnt/current" && rotate
	unmount_log
	same said "$(grep -c 'by now' "$log")" 1
}

# A link to a file of root's, or anybody's: not given away, not written to, not copied out.
case_root_writes_to_nobody_elses_file_in_the_store_of_another_user() {
	local name secret
	mount_log
	printf 'one\n' >>"$mnt/current"
	kill_log
	fusermount3 -u "$mnt"
	chown -R 65534:65534 "$store"
	# a tail, which would be copied into a file that the user can read
	leave_torn_tail
	for name in wal.meta 0000000001.wal; do
		ln "$store/$name" "$dir/second"
		refuses "$name: has 2 names.*user 65534" "$walfs" "$store" "$mnt"
		rm "$dir/second"
		chown 65533 "$store/$name"
		refuses "$name: belongs to user 65533 and the store to user 65534" "$walfs" "$store" "$mnt"
		chown 65534 "$store/$name"
	done
	# of root's, and not a segment: moved away as it is
	cp "$store/0000000001.wal" "$dir/kept"
	secret=$dir/secret
	echo 'only root may read this' >"$secret"
	chmod 600 "$secret"
	ln -f "$secret" "$store/0000000001.wal"
	mount_log
	unmount_log
	same "the secret" "$(stat -c '%u %a' "$secret") $(cat "$secret")" '0 600 only root may read this'
	same "copies of it" "$(find "$store" -links 1 -type f -exec grep -l 'only root may' {} +)" ''
	# and nothing was lost of what is no link
	rm "$store"/*
	cp "$dir/kept" "$store/0000000001.wal"
	chown 65534:65534 "$store/0000000001.wal"
	mount_log
	same events "$("$walctl" cat "$store" 2>/dev/null)" one
}

last_is_sealed() { [ "$(attribute state "$mnt/0000000003.wal")" = sealed ]; }

# A backup of what is finished, by hard links: that is only read.
case_root_sealed_segments_of_another_user_may_have_many_names() {
	mount_log
	for i in 1 2 3; do
		echo "$i" >>"$mnt/current"
		rotate
	done
	echo 4 >>"$mnt/current"
	wait_until last_is_sealed
	kill_log
	fusermount3 -u "$mnt"
	chown -R 65534:65534 "$store"
	mkdir "$dir/backup"
	cp -al "$store"/000000000[123].wal "$dir/backup"
	mount_log
	same events "$(cat "$mnt"/events/*.log "$mnt/current")" "$(seq 4)"
	unmount_log
	"$walctl" verify "$dir/backup" >/dev/null
}

# A mount whose program is gone, and that program was not walfs: not ours to clear.
case_root_a_dead_mount_of_another_program_is_refused() {
	mkdir "$dir/dead"
	exec 9<>/dev/fuse
	# (newer versions of mount take "-t fuse.other" for plain fuse)
	mount -i -t fuse -o subtype=other,fd=9,rootmode=40000,user_id=0,group_id=0 other "$dir/dead"
	exec 9>&-
	refuses 'not connected' stat -f "$dir/dead"
	refuses 'dead mount \(fuse\.other\).*fusermount3 -u' "$walfs" "$store" "$dir/dead"
	grep -qF " $dir/dead fuse.other " /proc/self/mounts
	[ ! -e "$store" ]
	umount "$dir/dead"
}

# With a fuse.conf of its own, in a mount namespace, so that this machine's does not matter.
case_root_allow_other_of_an_ordinary_user_is_refused_with_the_way_out() {
	mkdir "$dir/dev" "$dir/user" "$dir/user/mnt"
	cp "$walfs" "$dir/user/"
	chown -R 65534:65534 "$dir/user"
	chmod 755 "$dir" "$dir/user"
	echo '# nothing is allowed' >"$dir/fuse.conf"
	chmod 644 "$dir/fuse.conf"
	# shellcheck disable=SC2016 # expanded by the shell that is started
	refuses 'user_allow_other' unshare --mount bash -c '
		mount -t tmpfs -o mode=755 tmpfs "$0/dev" && mknod -m 666 "$0/dev/fuse" c 10 229 &&
			mount --bind "$0/dev/fuse" /dev/fuse && mount --bind "$0/fuse.conf" /etc/fuse.conf &&
			exec setpriv --reuid 65534 --regid 65534 --clear-groups \
				"$0/user/walfs" -o allow_other "$0/user/store" "$0/user/mnt" 2>&1 |
				grep "walfs: only root may use allow_other"; exit 1' "$dir"
}

case_root_bind_mounts_do_not_hide_that_one_is_in_the_other() {
	mkdir -p "$dir/a/b" "$dir/bound"
	mount --bind "$dir/a" "$dir/bound"
	refuses 'inside' "$walfs" "$dir/a" "$dir/bound/b"
	refuses 'inside' "$walfs" "$dir/bound/b" "$dir/a"
	mount --bind "$dir/a/b" "$dir/mnt"
	refuses 'inside' "$walfs" "$dir/a" "$dir/mnt"
	refuses 'inside' "$walfs" "$dir/mnt/new" "$dir/a/b"
	umount "$dir/mnt" "$dir/bound"
}

case_root_mount_8_finds_walfs() {
	PATH=$build:$PATH mount -t fuse.walfs -o segment_size=1M,noatime,sync "$store" "$mnt" ||
		PATH=$build:$PATH mount.fuse3 "$store" "$mnt" -t fuse.walfs -o segment_size=1M,noatime,sync
	echo x >>"$mnt/current"
	same content "$(cat "$mnt/current")" x
	umount "$mnt"
}

case_root_no_fuse_device_is_explained() {
	refuses 'modprobe fuse' unshare --mount \
		sh -c "mount -t tmpfs none /dev && exec '$walfs' '$store' '$mnt'"
	is_gone "$mnt"
}

full_disk() {
	truncate -s 32M "$dir/disk"
	mkfs.ext4 -q -m 0 "$dir/disk"
	mkdir "$dir/full"
	mount -o loop "$dir/disk" "$dir/full"
	store=$dir/full/store
}

case_root_a_full_disk_is_enospc_without_loss_and_writing_goes_on() {
	full_disk
	mount_log segment_size=4M
	head -c 10M /dev/zero >"$dir/full/ballast"
	fills_up_and_goes_on 1000000 5000000
	umount "$dir/full"
}

case_root_a_full_disk_still_mounts_and_serves_reads() {
	full_disk
	mount_log segment_size=4M
	echo first >>"$mnt/current"
	rotate
	unmount_log
	head -c 100M /dev/zero >"$dir/full/ballast" 2>/dev/null || true
	mount_log segment_size=4M
	same events "$(cat "$mnt/events/0000000001.log")" first
	seq 1 1000000 >>"$mnt/current" 2>/dev/null && return 1
	rm "$dir/full/ballast"
	echo again >>"$mnt/current"
	unmount_log
	umount "$dir/full"
}

case_root_a_full_disk_is_freed_of_what_need_not_be_kept() {
	full_disk
	mount_log segment_size=1M
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		seq -f 'line %.0f of a segment' 1 30000 >>"$mnt/current"
		rotate
	done
	unmount_log
	head -c 100M /dev/zero >"$dir/full/ballast" 2>/dev/null || true
	# a larger segment, and no room for it
	mount_log segment_size=4M,keep_segments=1
	echo 'it goes on' >>"$mnt/current"
	sync "$mnt/current"
	same last "$(tail -n 1 "$mnt/current")" 'it goes on'
	unmount_log
	"$walctl" verify "$store"
	umount "$dir/full"
}

case_root_a_held_line_has_its_space_on_a_full_disk() {
	full_disk
	mount_log segment_size=4M
	exec 3>>"$mnt/current"
	printf 'begun while there was space' >&3
	seq 1 5000000 >>"$mnt/current" 2>/dev/null && return 1
	exec 3>&-
	same "the held line" "$(cat "$mnt"/events/*.log "$mnt/current" | grep -c 'begun while')" 1
	unmount_log
	umount "$dir/full"
}

case_root_ro_works_on_read_only_media() {
	full_disk
	mount_log
	echo one >>"$mnt/current"
	unmount_log
	mount -o remount,ro "$dir/full"
	refuses '-o ro' "$walfs" "$store" "$mnt"
	mount_log ro
	same current "$(cat "$mnt/current")" one
	unmount_log
	umount "$dir/full"
}
