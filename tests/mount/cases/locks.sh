# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# flock and fcntl locks.

case_posix_locks_work_over_separate_opens() {
	mount_log
	same locks "$("$poke" posix-locks "$mnt/current")" "$(
		cat <<-'LINES'
			free ok
			write[100+100] EAGAIN
			free ok
			write[100+40] EAGAIN
			read[100+100] EAGAIN
			free ok
		LINES
	)"
	: >"$dir/file"
	same 'as on a local file' "$("$poke" posix-locks "$mnt/current")" "$("$poke" posix-locks "$dir/file")"
}

case_open_file_description_locks_end_with_their_file() {
	mount_log
	same locks "$("$poke" ofd-locks "$mnt/current")" $'ok\nEAGAIN\nok'
}

case_a_wait_for_a_lock_can_be_interrupted() {
	mount_log
	same locks "$("$poke" interrupted-lock "$mnt/current")" $'ok\nEAGAIN\nEINTR\nok\nok'
}

case_a_deadlock_is_found() {
	mount_log
	same locks "$("$poke" deadlock "$mnt/current")" $'EDEADLK\nthe other has it'
}

case_flock_excludes_across_a_rotation_and_ends_with_its_holder() {
	mount_log
	exec 3>>"$mnt/current"
	flock -n 3
	echo x >&3
	rotate
	fails flock -n "$mnt/current" true
	fails flock -n -s "$mnt/current" true
	flock -n "$mnt/0000000001.wal" true
	exec 3>&-
	wait_until flock -n "$mnt/current" true
	(exec 4>>"$mnt/current" && flock 4 && touch "$dir/held" && sleep 0.3) & # so long the next one has to wait
	wait_until test -e "$dir/held"
	flock "$mnt/current" echo mine
	wait $!
}

# More than are tried at a time.
case_fifty_that_wait_for_a_lock_all_get_it() {
	local i
	mount_log
	exec 3>>"$mnt/current"
	flock 3
	for ((i = 0; i < 50; i++)); do
		flock "$mnt/current" sh -c "echo $i >>'$dir/got'" 3>&- &
	done
	wait_until all_wait
	exec 3>&-
	wait $(jobs -p | tail -n 50)
	same got "$(sort -n "$dir/got" | tr '\n' ' ')" "$(seq -s ' ' 0 49) "
}
# Each is the program flock by now, and blocked.
all_wait() {
	local pid
	for pid in $(jobs -p | tail -n 50); do
		grep -q '^[0-9]* (flock) S' "/proc/$pid/stat" || return
	done
}

case_an_owner_with_too_many_locks_gets_enolck_and_others_lock_on() {
	mount_log
	cat >"$dir/many.py" <<-'PYTHON'
		import errno, fcntl, os, sys
		mine, other = (os.open(sys.argv[1], os.O_RDONLY) for i in range(2))
		try:
		    for n in range(2000):
		        fcntl.lockf(mine, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 2 * n)
		except OSError as error:
		    print(n, errno.errorcode[error.errno], flush=True)
		if os.fork() == 0:
		    fcntl.lockf(other, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0)
		    print("another has one", flush=True)
		    os._exit(0)
		os.wait()
		fcntl.lockf(mine, fcntl.LOCK_UN)
		fcntl.lockf(mine, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 5000)
	PYTHON
	same locks "$(python3 "$dir/many.py" "$mnt/current")" $'1024 ENOLCK\nanother has one'
}
