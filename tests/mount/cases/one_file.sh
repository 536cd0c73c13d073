# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# `current` is one file, whichever of its many nodes a program holds.

# turn_over LINE...: each in a segment of its own, and the first ones removed.
turn_over() {
	local line
	for line; do
		echo "$line" >>"$mnt/current"
		rotate
	done
	wait_until test ! -e "$store/0000000001.wal"
}

case_a_node_that_is_held_leads_to_the_active_segment() {
	mount_log keep_segments=1
	echo first >>"$mnt/current"
	python3 - "$mnt/current" <<-'PYTHON'
		import os, sys
		path = sys.argv[1]
		held = os.open(path, os.O_PATH)
		node = f'/proc/self/fd/{held}'
		for i in range(5):
		    with open(path, 'a') as log:
		        log.write('x' * (i + 1) + '\n')
		    os.setxattr(path, 'user.wal.rotate', b'')
		    with open(node, 'a') as log:
		        log.write(f'through it {i}\n')
		    assert os.stat(node).st_ino == os.stat(path).st_ino
		    assert os.stat(node).st_size == os.stat(path).st_size
		    assert open(node).read() == open(path).read() == f'through it {i}\n'
		    assert os.getxattr(node, 'user.wal.segment') == b'%d' % (i + 2)
		    assert 'user.wal.last_event' in os.listxattr(node)
	PYTHON
	wait_until test ! -e "$store/0000000001.wal"
}

# As a container's one log file.
case_root_current_can_be_bound_to_one_file() {
	mount_log keep_segments=1
	touch "$dir/app.log"
	mount --bind "$mnt/current" "$dir/app.log"
	echo first >>"$dir/app.log"
	tail -n +1 -s 0.1 --max-unchanged-stats=1 -F "$dir/app.log" >"$dir/tailed" 2>"$dir/said" &
	local tail=$!
	remember "$tail"
	wait_until grep -q first "$dir/tailed"
	turn_over two three four
	echo late >>"$dir/app.log"
	same "through it" "$(cat "$dir/app.log")" late
	same "in the log" "$(cat "$mnt/current")" late
	wait_until grep -q late "$dir/tailed" # so it has opened the file anew
	same "inode" "$(stat -c %i "$dir/app.log")" "$(stat -c %i "$mnt/current")"
	kill "$tail"
	wait "$tail" || true
	umount "$dir/app.log"
}

# Nobody asks it for the segment that it was opened on: what it writes goes to the active one.
case_a_writers_descriptor_shows_the_active_segment() {
	mount_log
	exec 3>>"$mnt/current" 4<"$mnt/current"
	echo old >&3
	rotate
	echo new, and longer >&3
	same writer "$(stat -L -c '%i %s' /proc/self/fd/3)" "$(stat -c '%i %s' "$mnt/current")"
	same reader "$(stat -L -c %s /proc/self/fd/4)" 4
	[ "$(stat -L -c %i /proc/self/fd/4)" != "$(stat -c %i "$mnt/current")" ]
	# so cat and grep see that they would read what they write
	refuses 'input file is output file' bash -c "cat '$mnt/current' >&3"
	same attribute "$(getfattr --absolute-names --only-values -n user.wal.segment /proc/self/fd/3)" 2
	same "the reader's" "$(getfattr --absolute-names --only-values -n user.wal.segment /proc/self/fd/4)" 1
	same "the old one" "$(cat <&4)" old
	exec 3>&- 4<&-
}

# Two files opened through one node: the size of one that is asked for by lseek() is its own.
case_readers_of_one_node_read_each_its_segment() {
	mount_log
	echo first >>"$mnt/current"
	python3 - "$mnt/current" <<-'PYTHON'
		import os, sys
		path = sys.argv[1]
		old = os.open(path, os.O_RDONLY)
		os.setxattr(path, 'user.wal.rotate', b'')
		with open(path, 'a') as log:
		    log.write('the second\n')
		new = os.open(f'/proc/self/fd/{old}', os.O_RDONLY)
		assert os.lseek(old, 0, os.SEEK_END) == 6
		assert os.lseek(new, 0, os.SEEK_END) == 11
		assert os.pread(old, 100, 0) == b'first\n'
		assert os.pread(new, 100, 0) == b'the second\n'
		assert os.fstat(new).st_ino == os.stat(path).st_ino
		os.close(new)
		assert os.fstat(old).st_size == 6 and os.fstat(old).st_ino != os.stat(path).st_ino
	PYTHON
}

case_current_is_there_for_everybody_beside_fast_removal() {
	mount_log segment_size=64K,block_size=4K,keep_segments=1,sync=none
	python3 - "$mnt/current" <<-'PYTHON'
		import os, sys
		path = sys.argv[1]
		held = os.open(path, os.O_PATH)
		node = f'/proc/self/fd/{held}'
		def append(path):
		    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
		    os.write(fd, b'x' * 3000 + b'\n')
		    os.close(fd)
		def read(path):
		    fd = os.open(path, os.O_RDONLY)
		    os.fstat(fd)
		    os.read(fd, 100)
		    os.close(fd)
		def look(path):
		    os.stat(path)
		    os.getxattr(path, 'user.wal.segment')
		children = []
		for what in (append, append, read, look):
		    child = os.fork()
		    if child == 0:
		        try:
		            for i in range(600):
		                what(path)
		                what(node)
		            os._exit(0)
		        except OSError as error:
		            print(what.__name__, i, error, file=sys.stderr)
		            os._exit(1)
		    children.append(child)
		assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
	PYTHON
	[ "$(jq .counters.removed_segments "$mnt/.walfs/status")" -gt 20 ]
	unmount_log
	"$walctl" verify "$store"
}

case_attributes_beside_a_reader_of_a_removed_segment_are_those_of_the_active_one() {
	mount_log keep_segments=1
	echo first >>"$mnt/current"
	exec 3<"$mnt/current"
	turn_over two three
	same segment "$(getfattr --absolute-names --only-values -n user.wal.segment /proc/self/fd/3)" 3
	same "its own" "$(stat -L -c '%s %h' /proc/self/fd/3)" '6 0'
	exec 3<&-
}

# The kernel counts where a descriptor is over all that was written through it, and holds
# that against the limit of a file's size: until the program, or anyone, looks at its size.
case_a_writer_that_looks_at_the_size_never_meets_a_limit_of_it() {
	mount_log
	(
		ulimit -f 4096
		python3 - "$mnt/current" <<-'PYTHON'
			import os, signal, sys
			signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
			fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
			line = b'x' * 1023 + b'\n'
			for i in range(8192):
			    assert os.write(fd, line) == len(line)
			    if i % 512 == 0:
			        os.fstat(fd)
		PYTHON
	)
	same lines "$(events_of)" "$(wc -l <"$mnt/current")"
	same all "$(cat "$mnt"/events/*.log "$mnt/current" | wc -c)" 8388608
}

# splice() and sendfile() read through the page cache, as far as the file's size went when
# somebody last looked at it: then they see all, and nothing that is not there.
case_splice_sees_what_there_was_when_the_size_was_looked_at() {
	mount_log
	python3 - "$mnt/current" <<-'PYTHON'
		import os, sys
		path = sys.argv[1]
		def append(text):
		    with open(path, 'ab') as log:
		        log.write(text)
		def take(fd):
		    got = b''
		    while n := os.splice(fd, out, 65536):
		        got += os.read(into, n)
		    return got
		into, out = os.pipe()
		append(b'first\n')
		fd = os.open(path, os.O_RDONLY)
		assert take(fd) == b'first\n'
		for i in range(2000):
		    append(b'line %d\n' % i)
		    os.fstat(fd)
		    assert take(fd) == b'line %d\n' % i, i
		# without a look at it for each: O_DIRECT goes past the page cache
		fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
		os.lseek(fd, 0, os.SEEK_END)
		for i in range(100):
		    append(b'direct %d\n' % i)
		    assert take(fd) == b'direct %d\n' % i, i
	PYTHON
}

# What documents say of inotify: the file itself is silent, as each open is a node of its own.
case_a_watch_of_the_directory_tells_of_appends_and_one_of_the_file_does_not() {
	mount_log
	exec 3>>"$mnt/current"
	python3 - "$mnt" <<-'PYTHON'
		import ctypes, os, struct, sys
		libc = ctypes.CDLL(None)
		def watch(path):
		    fd = libc.inotify_init1(os.O_NONBLOCK)
		    assert libc.inotify_add_watch(fd, path.encode(), 0x2) >= 0 # IN_MODIFY
		    return fd
		def names(fd):
		    try:
		        got = os.read(fd, 4096)
		    except BlockingIOError:
		        return []
		    found = []
		    while got:
		        length = struct.unpack_from('iIII', got)[3]
		        found.append(got[16:16 + length].rstrip(b'\0').decode())
		        got = got[16 + length:]
		    return found
		directory, file = watch(sys.argv[1]), watch(sys.argv[1] + '/current')
		for i in range(2):
		    with open(sys.argv[1] + '/current', 'a') as log:
		        log.write('x\n')
		    assert set(names(directory)) == {'current'}
		    os.write(3, b'through a descriptor that was open before\n')
		    assert set(names(directory)) == {'current'}
		    os.setxattr(sys.argv[1] + '/current', 'user.wal.rotate', b'')
		    assert names(directory) == []
		assert names(file) == []
	PYTHON
	exec 3>&-
}
