/* SPDX-License-Identifier: MIT */
#include "tests/fault_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct fault_io *fault_of(const struct wal_io *io)
{
	return (struct fault_io *)(uintptr_t)io;
}

/* Lock held. Return: the error that this call shall have, or 0. */
static int judge(struct fault_io *f, enum fault_op op)
{
	int error = 0;

	if (f->fail_at && f->calls == f->fail_at) {
		error = f->fail_errno;
	} else if (f->fail_ops & 1u << op) {
		if (f->fail_after > 0)
			f->fail_after--;
		else
			error = f->fail_errno;
		if (error && f->fail_times > 0 && --f->fail_times == 0)
			f->fail_ops = 0;
	}
	return error;
}

/*
 * Before each persisting call. Return: 0, and the call must say done(); or the
 * error that it shall have instead of happening.
 */
static int permit(const struct wal_io *io, enum fault_op op)
{
	struct fault_io *f = fault_of(io);
	bool cut_here = false;
	int error;

	pthread_rwlock_rdlock(&f->running);
	pthread_mutex_lock(&f->lock);
	f->calls++;
	f->count[op]++;
	if (!f->cut && f->cut_at && f->calls >= f->cut_at)
		f->cut = cut_here = true;
	error = f->cut ? -EIO : judge(f, op);
	f->failed += error != 0;
	pthread_mutex_unlock(&f->lock);
	if (!error)
		return 0;
	pthread_rwlock_unlock(&f->running);
	if (cut_here && f->at_cut) {
		pthread_rwlock_wrlock(&f->running);
		f->at_cut(f->at_cut_ctx);
		pthread_rwlock_unlock(&f->running);
	}
	return error;
}

static int done(const struct wal_io *io, int result)
{
	pthread_rwlock_unlock(&fault_of(io)->running);
	return result;
}

static int fault_open(const struct wal_io *io, int dirfd, const char *name, int flags, mode_t mode)
{
	int error = flags & O_CREAT ? permit(io, FAULT_OP_CREATE) : 0;

	if (error)
		return error;
	error = wal_io_system.open(&wal_io_system, dirfd, name, flags, mode);
	return flags & O_CREAT ? done(io, error) : error;
}

static int fault_mkdir(const struct wal_io *io, const char *path, mode_t mode)
{
	int error = permit(io, FAULT_OP_MKDIR);

	return error ? error : done(io, wal_io_system.mkdir(&wal_io_system, path, mode));
}

static int fault_fchmod(const struct wal_io *io, int fd, mode_t mode)
{
	int error = permit(io, FAULT_OP_FCHMOD);

	return error ? error : done(io, wal_io_system.fchmod(&wal_io_system, fd, mode));
}

static int fault_allocate(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int error = permit(io, FAULT_OP_ALLOCATE);

	return error ? error : done(io, wal_io_system.allocate(&wal_io_system, fd, offset, size));
}

static int fault_pwrite(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset)
{
	int error = permit(io, FAULT_OP_PWRITE);

	if (error && fault_of(io)->fail_half && !fault_of(io)->cut)
		wal_io_system.pwrite(&wal_io_system, fd, buf, size / 2, offset);
	if (error)
		return error;
	return done(io, wal_io_system.pwrite(&wal_io_system, fd, buf, size, offset));
}

/* A read: nothing is counted, nothing fails, and what is read is what is there. */
static ssize_t fault_pread_direct(const struct wal_io *io, int fd, void *buf, size_t size,
				  off_t offset)
{
	if (fault_of(io)->no_direct)
		return -EOPNOTSUPP;
	return wal_io_system.pread_direct(&wal_io_system, fd, buf, size, offset);
}

static int fault_pwrite_direct(const struct wal_io *io, int fd, const void *buf, size_t size,
			       off_t offset)
{
	int error = fault_of(io)->no_direct ? -EOPNOTSUPP : permit(io, FAULT_OP_PWRITE);

	if (error && fault_of(io)->fail_half && !fault_of(io)->cut)
		wal_io_system.pwrite(&wal_io_system, fd, buf, size / 2, offset);
	if (error)
		return error;
	return done(io, wal_io_system.pwrite_direct(&wal_io_system, fd, buf, size, offset));
}

/* A directory in memory has no such call: what it would do is then done all the same. */
static int zero_range_anywhere(int fd, off_t offset, off_t size)
{
	static const uint8_t zeros[65536];
	int err = wal_io_system.zero_range(&wal_io_system, fd, offset, size);

	if (err != -EOPNOTSUPP)
		return err;
	for (err = 0; size > 0 && !err;) {
		size_t part = size < (off_t)sizeof(zeros) ? (size_t)size : sizeof(zeros);

		err = wal_io_system.pwrite(&wal_io_system, fd, zeros, part, offset);
		offset += (off_t)part;
		size -= (off_t)part;
	}
	return err;
}

static int fault_zero_range(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int error = permit(io, FAULT_OP_ZERO);

	return error ? error : done(io, zero_range_anywhere(fd, offset, size));
}

static int fault_truncate(const struct wal_io *io, int fd, off_t size)
{
	int error = permit(io, FAULT_OP_TRUNCATE);

	return error ? error : done(io, wal_io_system.truncate(&wal_io_system, fd, size));
}

static int fault_fdatasync(const struct wal_io *io, int fd)
{
	int error = permit(io, FAULT_OP_FDATASYNC);

	if (fault_of(io)->sync_delay_us)
		usleep(fault_of(io)->sync_delay_us);
	if (error)
		return error;
	if (fault_of(io)->skip_sync)
		return done(io, 0);
	return done(io, wal_io_system.fdatasync(&wal_io_system, fd));
}

static int fault_fsync(const struct wal_io *io, int fd)
{
	int error = permit(io, FAULT_OP_FSYNC);

	if (error)
		return error;
	if (fault_of(io)->skip_sync)
		return done(io, 0);
	return done(io, wal_io_system.fsync(&wal_io_system, fd));
}

static int fault_rename(const struct wal_io *io, int dirfd, const char *from, const char *to)
{
	int error = permit(io, FAULT_OP_RENAME);

	return error ? error : done(io, wal_io_system.rename(&wal_io_system, dirfd, from, to));
}

static int fault_replace(const struct wal_io *io, int dirfd, const char *from, const char *to)
{
	int error = permit(io, FAULT_OP_RENAME);

	return error ? error : done(io, wal_io_system.replace(&wal_io_system, dirfd, from, to));
}

static ssize_t fault_copy_range(const struct wal_io *io, int from, int to, off_t offset,
				size_t size)
{
	int error = permit(io, FAULT_OP_PWRITE);
	ssize_t n;

	if (error)
		return error;
	n = wal_io_system.copy_range(&wal_io_system, from, to, offset, size);
	done(io, 0);
	return n;
}

static int fault_unlink(const struct wal_io *io, int dirfd, const char *name)
{
	int error = permit(io, FAULT_OP_UNLINK);

	return error ? error : done(io, wal_io_system.unlink(&wal_io_system, dirfd, name));
}

static uint64_t fault_now_ns(const struct wal_io *io)
{
	struct fault_io *f = fault_of(io);
	uint64_t now;

	if (!f->fixed_clock)
		return wal_io_system.now_ns(&wal_io_system);
	pthread_mutex_lock(&f->lock);
	now = f->now;
	f->now += f->step_ns;
	pthread_mutex_unlock(&f->lock);
	return now;
}

static int fault_populate(const struct wal_io *io, void *start, size_t size)
{
	return fault_of(io)->no_populate ? -EINVAL
					 : wal_io_system.populate(&wal_io_system, start, size);
}

static uint64_t fault_passed_ns(const struct wal_io *io)
{
	fault_of(io)->looks++;
	return wal_io_system.passed_ns(&wal_io_system) + fault_of(io)->passed_ns;
}

static uint64_t fault_free_bytes(const struct wal_io *io, int dirfd)
{
	uint64_t bytes = fault_of(io)->free_bytes;

	return bytes == UINT64_MAX ? wal_io_system.free_bytes(&wal_io_system, dirfd) : bytes;
}

void fault_io_init(struct fault_io *f)
{
	memset(f, 0, sizeof(*f));
	f->io = (struct wal_io){
		.open = fault_open,
		.mkdir = fault_mkdir,
		.fchmod = fault_fchmod,
		.allocate = fault_allocate,
		.pwrite = fault_pwrite,
		.pread_direct = fault_pread_direct,
		.pwrite_direct = fault_pwrite_direct,
		.zero_range = fault_zero_range,
		.truncate = fault_truncate,
		.fdatasync = fault_fdatasync,
		.fsync = fault_fsync,
		.rename = fault_rename,
		.replace = fault_replace,
		.copy_range = fault_copy_range,
		.unlink = fault_unlink,
		.now_ns = fault_now_ns,
		.populate = fault_populate,
		.passed_ns = fault_passed_ns,
		.free_bytes = fault_free_bytes,
	};
	f->free_bytes = UINT64_MAX;
	pthread_mutex_init(&f->lock, NULL);
	pthread_rwlock_init(&f->running, NULL);
}

void fault_io_destroy(struct fault_io *f)
{
	pthread_rwlock_destroy(&f->running);
	pthread_mutex_destroy(&f->lock);
}

void fault_io_reset(struct fault_io *f)
{
	pthread_mutex_lock(&f->lock);
	f->calls = 0;
	memset(f->count, 0, sizeof(f->count));
	f->fail_at = 0;
	f->fail_ops = 0;
	f->fail_after = 0;
	f->fail_times = 0;
	f->fail_half = false;
	f->failed = 0;
	f->cut_at = 0;
	f->cut = false;
	f->at_cut = NULL;
	f->free_bytes = UINT64_MAX;
	pthread_mutex_unlock(&f->lock);
}

void fault_io_set_clock(struct fault_io *f, uint64_t now_ns, uint64_t step_ns)
{
	pthread_mutex_lock(&f->lock);
	f->fixed_clock = true;
	f->now = now_ns;
	f->step_ns = step_ns;
	pthread_mutex_unlock(&f->lock);
}

void fault_io_let_pass(struct fault_io *f, uint64_t ns)
{
	pthread_mutex_lock(&f->lock);
	f->now += ns;
	f->passed_ns += ns;
	pthread_mutex_unlock(&f->lock);
}

void fault_io_fail_ops(struct fault_io *f, unsigned ops, int error, uint64_t times)
{
	pthread_mutex_lock(&f->lock);
	f->fail_ops = ops;
	f->fail_errno = error;
	f->fail_times = times;
	pthread_mutex_unlock(&f->lock);
}

uint64_t fault_io_count(struct fault_io *f, enum fault_op op)
{
	uint64_t count;

	pthread_mutex_lock(&f->lock);
	count = f->count[op];
	pthread_mutex_unlock(&f->lock);
	return count;
}
