# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# append=sequential: programs that open without O_APPEND, and write at the end.

# with_files: Python's program is stdin; path is `current`.
with_files() {
	python3 -c '
import errno, fcntl, mmap, os, sys
path = sys.argv[1]
def refused(call, *args):
    try:
        call(*args)
        return False
    except OSError as error:
        assert error.errno == errno.EPERM, error
        return True
def append(text):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert os.write(fd, text) == len(text)
    os.close(fd)
def rotate():
    os.setxattr(path, "user.wal.rotate", b"")
def end(fd):
    return os.lseek(fd, 0, os.SEEK_END)
exec(sys.stdin.read())' "$mnt/current"
}

content() { { cat "$mnt"/events/*.log 2>/dev/null || true; } | cat - "$mnt/current" | xargs; }

case_sequential_a_writer_goes_on_where_it_sought_the_end() {
	mount_log append=sequential
	echo 1 >>"$mnt/current"
	with_files <<-'PYTHON'
		for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT):
		    fd = os.open(path, flags)
		    assert refused(os.write, fd, b'at 0\n') and refused(os.pwrite, fd, b'at 1\n', 1)
		    assert end(fd) == os.stat(path).st_size
		    assert os.write(fd, b'2\n') == 2
		    assert os.write(fd, b'3\n') == 2
		    # its own lines are not written over, and nothing is left out
		    assert refused(os.pwrite, fd, b'over\n', os.stat(path).st_size - 2)
		    assert refused(os.pwrite, fd, b'beyond\n', os.stat(path).st_size + 1)
		    assert refused(os.pwrite, fd, b'first\n', 0)
		    assert os.write(fd, b'4\n') == 2
		    os.close(fd)
	PYTHON
	same log "$(content)" '1 2 3 4 2 3 4 2 3 4'
	same option "$(jq -r .options.append "$mnt/.walfs/status")" sequential
}

case_sequential_two_writers_read_the_end_before_the_other_appends() {
	mount_log append=sequential
	echo 0 >>"$mnt/current"
	with_files <<-'PYTHON'
		one, other = os.open(path, os.O_WRONLY), os.open(path, os.O_RDWR)
		assert end(one) == end(other) == 2
		for i in range(3):
		    assert os.write(one, b'one\n') == 4
		    assert os.write(other, b'other\n') == 6
		    append(b'appended\n')
		# one that looks at fstat's size, and writes there, whatever was looked at since
		for fd in (one, other):
		    size = os.fstat(fd).st_size
		    for i in range(20):
		        append(b'-\n')
		        os.fstat(fd)
		    assert os.pwrite(fd, b'stat\n', size) == 5
		    assert refused(os.pwrite, fd, b'again\n', size)
	PYTHON
	same log "$(grep -v -- - "$mnt/current" | xargs)" \
		'0 one other appended one other appended one other appended stat stat'
}

case_sequential_a_writer_goes_on_over_rotations() {
	mount_log append=sequential
	with_files <<-'PYTHON'
		held = {flags: os.open(path, flags) for flags in (os.O_WRONLY, os.O_RDWR)}
		for fd in held.values():
		    end(fd)
		for i in range(4):
		    for fd in held.values():
		        assert os.write(fd, b'on\n') == 3
		    rotate()
		    # the end as it is told now: of the active segment, or of the one that is read
		    for flags, fd in held.items():
		        size = end(fd)
		        assert flags == os.O_RDWR or size == 0
		        assert os.write(fd, b'sought\n') == 7
		        size = os.fstat(fd).st_size
		        assert os.pwrite(fd, b'stat\n', size) == 5
		    rotate()
		    for fd in held.values():
		        end(fd)
		new = os.open(path, os.O_WRONLY)
		assert end(new) == 0 and os.write(new, b'new\n') == 4
	PYTHON
	same lines "$(content | tr ' ' '\n' | sort | uniq -c | xargs)" '1 new 8 on 8 sought 8 stat'
}

case_sequential_at_0_only_an_empty_current_is_written() {
	mount_log append=sequential
	printf 'first\n' | dd of="$mnt/current" conv=notrunc status=none
	refuses 'not permitted' dd if=/dev/zero of="$mnt/current" bs=5 count=1 conv=notrunc status=none
	refuses 'not permitted' dd if=/dev/zero of="$mnt/current" bs=1 count=1 seek=3 conv=notrunc \
		status=none
	refuses 'not permitted' bash -c "echo x 1<>'$mnt/current'"
	refuses 'PermissionError' python3 -c 'import sys
with open(sys.argv[1], "r+") as file:
    file.write("over\n")' "$mnt/current"
	python3 -c 'import sys
with open(sys.argv[1], "r+") as file:
    assert file.readline() == "first\n"
    file.seek(0, 2)
    file.write("second\n")
    file.flush()
    file.write("third\n")' "$mnt/current"
	rotate
	echo x 1<>"$mnt/current"
	refuses 'not permitted' bash -c "echo y 1<>'$mnt/current'"
	same log "$(content)" 'first second third x'
	# at the end that was there when it was opened
	printf 'y\n' | dd of="$mnt/current" oflag=seek_bytes seek=2 conv=notrunc status=none
	same log "$(content)" 'first second third x y'
}

case_sequential_what_else_is_refused_stays_so() {
	mount_log append=sequential
	echo kept >>"$mnt/current"
	cd "$mnt"
	gives ok open current wronly
	gives ok open current rdwr,creat
	gives EPERM open current wronly,trunc
	gives EPERM open current rdwr,trunc
	gives EPERM truncate current 0
	gives EPERM ftruncate current
	gives EPERM fallocate current 0 6
	# who said O_APPEND, and took it back, is where it never looked for an end
	gives EPERM write-without-append current
	cd /
	with_files <<-'PYTHON'
		fd = os.open(path, os.O_RDWR)
		try:
		    mmap.mmap(fd, 5)
		    assert False
		except OSError as error:
		    assert error.errno == errno.ENODEV
		# with O_APPEND it is always the end; without it, where that was
		assert refused(os.write, fd, b'no\n')
		fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
		assert os.write(fd, b'appended\n') == 9
		fcntl.fcntl(fd, fcntl.F_SETFL, 0)
		assert refused(os.pwrite, fd, b'no\n', 0)
		assert os.write(fd, b'x' * (3 << 20) + b'\n') > 3 << 20 # in several requests
		os.close(fd)
	PYTHON
	same log "$(cat "$mnt"/events/*.log "$mnt/current" | tr -d x | xargs)" 'kept appended'
	refuses 'expected strict or sequential' "$walfs" "$store" "$dir" -o append=anywhere
	unmount_log
	mount_log append=strict
	gives EPERM open "$mnt/current" wronly
	same option "$(jq -r .options.append "$mnt/.walfs/status")" strict
}

# As a container has it: then all who open it share one inode, and fstat() does not say who asks.
case_root_sequential_works_through_a_mount_of_the_one_file() {
	mount_log append=sequential
	echo 0 >>"$mnt/current"
	touch "$dir/app.log"
	mount --bind "$mnt/current" "$dir/app.log"
	python3 - "$dir/app.log" <<-'PYTHON'
		import os, sys
		path = sys.argv[1]
		files = [os.open(path, os.O_RDWR if i % 2 else os.O_WRONLY) for i in range(6)]
		sizes = [os.fstat(fd).st_size for fd in files]
		for fd, size in zip(files, sizes):
		    assert os.pwrite(fd, b'stat\n', size) == 5
		for fd in files:
		    os.lseek(fd, 0, os.SEEK_END)
		for fd in files:
		    assert os.write(fd, b'sought\n') == 7
	PYTHON
	umount "$dir/app.log"
	same log "$(sort "$mnt/current" | uniq -c | xargs)" '1 0 6 sought 6 stat'
}

# As Java's RandomAccessFile has it: length(), seek(), and an unfinished line now and then.
case_sequential_an_unfinished_line_goes_on() {
	mount_log append=sequential
	echo 0 >>"$mnt/current"
	with_files <<-'PYTHON'
		fd = os.open(path, os.O_RDWR)
		for part in (b'a li', b'ne in ', b'parts\n', b'and ', b'more\n'):
		    os.lseek(fd, os.fstat(fd).st_size, os.SEEK_SET)
		    assert os.write(fd, part) == len(part)
		for byte in b'by bytes\n':
		    assert os.write(fd, bytes([byte])) == 1
		os.fsync(fd)
	PYTHON
	same log "$(content)" '0 a line in parts and more by bytes'
	same events "$(events_of)" 4
}
