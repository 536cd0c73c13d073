# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# user.wal.*

case_attributes_of_a_sealed_segment_say_what_it_holds() {
	mount_log
	printf 'one\ntwo\nthree\n' >>"$mnt/current"
	rotate
	local file=$mnt/0000000001.wal now
	now=$(date -u +%Y-%m-%dT%H)
	same state "$(attribute state "$file")" sealed
	same segment "$(attribute segment "$file")" 1
	same ids "$(attribute first_event "$file") $(attribute last_event "$file")" '1 3'
	same durable "$(attribute durable_event "$file")" 3
	same counts "$(attribute events "$file") $(attribute payload_bytes "$file")" '3 14'
	same blocks "$(attribute blocks "$file") $(attribute block_size "$file")" '1 65536'
	same incarnation "$(attribute incarnation "$file")" 1
	same integrity "$(attribute integrity "$file")" checksum
	same sealed_by "$(attribute sealed_by "$file")" writer
	same verified "$(attribute verified "$file")" never
	[[ $(attribute log "$file") =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]]
	[[ $(attribute created "$file") =~ ^$now.*\.[0-9]{9}Z$ ]]
	[[ $(attribute closed "$file") =~ ^$now.*\.[0-9]{9}Z$ ]]
	[[ $(attribute chain "$file") =~ ^[0-9a-f]{16}$ ]]
	[[ $(attribute prev_chain "$file") =~ ^[0-9a-f]{16}$ ]]
	[[ $(attribute header_checksum "$file") =~ ^[0-9a-f]{16}$ ]]
	same "the next one's prev_chain" "$(attribute prev_chain "$mnt/current")" "$(attribute chain "$file")"
	same "on events/" "$(getfattr --absolute-names -d "$mnt/events/0000000001.log" | grep -c '^user[.]wal[.]')" 19
	same "mtime" "$(stat -c %Y "$file")" "$(date -d "$(attribute closed "$file")" +%s)"
}

case_attributes_of_current_are_live() {
	mount_log
	same before "$(attribute events "$mnt/current") $(attribute last_event "$mnt/current")" '0 0'
	same state "$(attribute state "$mnt/current")" active
	echo x >>"$mnt/current"
	same after "$(attribute events "$mnt/current") $(attribute last_event "$mnt/current")" '1 1'
	gives ok fsync "$mnt/current"
	same durable "$(attribute durable_event "$mnt/current")" 1
	same listed "$(getfattr --absolute-names -d "$mnt/current" | grep -c '^user[.]wal[.]')" 17
	gives ENODATA getxattr "$mnt/current" user.wal.closed 100
	gives ENODATA getxattr "$mnt/current" user.wal.sealed_by 100
	gives ENODATA getxattr "$mnt/current" user.wal.verify 100
	gives ENODATA getxattr "$mnt/current" user.wal.rotate 100
}

# How long a value is, asked for as rsync -X and cp -a do: it is read with just that room.
case_the_size_of_a_listed_attribute_is_exact() {
	mount_log
	seq 1 9 >>"$mnt/current"
	rotate
	seq 1 9 >>"$mnt/current"
	python3 - "$mnt/current" "$mnt/0000000001.wal" "$mnt/events/0000000001.log" <<-'PYTHON'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		def get(name, room):
		    value = ctypes.create_string_buffer(room)
		    got = libc.getxattr(path.encode(), name.encode(), value if room else None, room)
		    assert got >= 0, (path, name, room, os.strerror(ctypes.get_errno()))
		    return got, value.raw[:got] if room else b''
		for path in sys.argv[1:]:
		    for name in os.listxattr(path):
		        told = get(name, 0)[0]
		        assert get(name, told)[0] == told, (path, name)
		# values that grow in between are as they were when their size was asked for
		path = sys.argv[1]
		for name in ('events', 'last_event'):
		    name = 'user.wal.' + name
		    was = os.getxattr(path, name)
		    told = get(name, 0)[0]
		    with open(path, 'a') as log:
		        log.write('more\n' * 10 ** (told + 1))
		    assert get(name, told) == (told, was), (name, was)
		    assert len(os.getxattr(path, name)) > told, name
		    assert libc.getxattr(path.encode(), name.encode(), ctypes.create_string_buffer(told), told) < 0
		    assert ctypes.get_errno() == 34, name
	PYTHON
}

case_unknown_and_foreign_attributes_have_their_errno() {
	mount_log
	echo x >>"$mnt/current"
	rotate
	local file
	for file in "$mnt/current" "$mnt/0000000001.wal" "$mnt/events/0000000001.log" "$mnt"; do
		gives ENODATA getxattr "$file" user.wal.nothing 100
		gives ENODATA getxattr "$file" user.other 100
		gives ENODATA getxattr "$file" trusted.other 100
		gives EOPNOTSUPP getxattr "$file" security.capability 100
		gives EOPNOTSUPP getxattr "$file" security.selinux 100
		gives EOPNOTSUPP getxattr "$file" system.posix_acl_access 100
		[ "$(id -u)" -ne 0 ] || gives EOPNOTSUPP setxattr "$file" security.other
		[ "$(id -u)" -ne 0 ] || gives EOPNOTSUPP removexattr "$file" security.other
	done
	gives ERANGE getxattr "$mnt/0000000001.wal" user.wal.state 3
	gives 6 getxattr "$mnt/0000000001.wal" user.wal.state 6
	gives 6 getxattr "$mnt/0000000001.wal" user.wal.state 0
	gives 256 getxattr "$mnt/0000000001.wal" user.wal.verify 0
	gives 256 getxattr "$mnt/0000000001.wal" user.wal.xxh128 0
	gives 32 getxattr "$mnt/0000000001.wal" user.wal.xxh128 32
	gives ERANGE getxattr "$mnt/0000000001.wal" user.wal.xxh128 31
	ls -l "$mnt" >/dev/null
}

case_verify_on_request_says_ok_and_is_remembered() {
	mount_log
	echo x >>"$mnt/current"
	rotate
	[[ $(attribute verify "$mnt/0000000001.wal") =~ ^ok(\ \(through\ the\ page\ cache\))?$ ]]
	[[ $(attribute verified "$mnt/0000000001.wal") =~ ^ok.*\ 20.*Z$ ]]
	attribute verify "$mnt/events/0000000001.log" | grep -q ok
}

case_xxh128_equals_xxhsum() {
	mount_log
	real_log >>"$mnt/current"
	rotate
	same xxh128 "$(attribute xxh128 "$mnt/0000000001.wal")" \
		"$(xxhsum -H2 "$store/0000000001.wal" | cut -d' ' -f1)"
	same "through the mount" "$(xxhsum -H2 "$mnt/0000000001.wal" | cut -d' ' -f1)" \
		"$(attribute xxh128 "$mnt/0000000001.wal")"
}

# All threads outside of the daemon's PID namespace have the same number there, 0.
case_root_what_one_caller_was_told_of_is_not_given_to_another() {
	unshare --pid --fork --kill-child "$walfs" -f "$store" "$mnt" -o segment_size=1M 2>>"$log" &
	daemon=$!
	remember "$daemon"
	wait_until test -e "$mnt/current"
	seq 9 >>"$mnt/current"
	python3 - "$mnt/current" <<-'PYTHON'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		def ask(size):
		    value = ctypes.create_string_buffer(16)
		    n = libc.getxattr(sys.argv[1].encode(), b'user.wal.events', value, size)
		    return value.raw[:n] if n >= 0 else os.strerror(ctypes.get_errno())
		def in_a_process(size):
		    read, write = os.pipe()
		    if os.fork() == 0:
		        os.write(write, repr(ask(size)).encode())
		        os._exit(0)
		    os.wait()
		    return os.read(read, 100).decode()
		assert ask(0) == bytes(1)
		with open(sys.argv[1], 'a') as current:
		    current.write('ten\n')
		said = in_a_process(1)
		assert said == repr('Numerical result out of range'), said
	PYTHON
	unmount_log
}
