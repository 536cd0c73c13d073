/* SPDX-License-Identifier: MIT */
/* Reading segments of an open log: each as far as it goes while it is written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/log/closed.h"
#include "core/log/info.h"

/* Where a segment ends that is active, or closed and not sealed yet. */
static bool unsealed_tail(struct wal_log *log, uint32_t index, struct wal_tail *tail)
{
	const struct wal_closed *closed;
	bool active;

	pthread_mutex_lock(&log->lock);
	active = log->writing && index == log->writer.header.index;
	closed = wal_closed_find(log, index);
	if (active)
		wal_segment_writer_tail(&log->writer, tail);
	else if (closed)
		*tail = closed->tail;
	pthread_mutex_unlock(&log->lock);
	return active || closed;
}

static int open_by_name(const struct wal_log *log, uint32_t index)
{
	char name[WAL_NAME_MAX];
	int fd;

	wal_segment_name(index, name);
	fd = openat(log->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * What is being written is read through the writer's file, also when somebody took its
 * name away. Return: a descriptor to read from, or -errno.
 */
static int open_writers_file(const struct wal_log *log)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log->writer.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : open_by_name(log, log->writer.header.index); /* no /proc */
}

/*
 * A file that is about to be cut and sealed is not for reading: the wait is short, unless
 * that has no space; then it is read up to the end that it has.
 * Return: 1 if the segment is unsealed, with its tail and its file opened; 0 if not; -EAGAIN.
 */
static int wait_until_sealed(struct wal_log *log, uint32_t index, unsigned flags,
			     struct wal_tail *tail, int *fd)
{
	const struct wal_closed *closed;
	bool active, waits;

	pthread_mutex_lock(&log->lock);
	while ((waits = wal_closed_sealing(log, index)) && !(flags & WAL_READ_NO_WAIT))
		pthread_cond_wait(&log->closed.moved, &log->lock);
	if (waits) {
		pthread_mutex_unlock(&log->lock);
		return -EAGAIN;
	}
	closed = wal_closed_find(log, index);
	if (closed) {
		*tail = closed->tail;
		*fd = open_by_name(log, index); /* the writer is the maintainer's */
	}
	active = log->writing && index == log->writer.header.index;
	if (active) {
		wal_segment_writer_tail(&log->writer, tail);
		*fd = open_writers_file(log);
	}
	pthread_mutex_unlock(&log->lock);
	return active || closed;
}

bool wal_log_seal_join(struct wal_log *log, uint32_t index, struct wal_seal_wait *wait)
{
	bool sealing;

	pthread_mutex_lock(&log->lock);
	sealing = wal_closed_sealing(log, index) != NULL;
	if (sealing) {
		wait->segment = index;
		wait->next = log->closed.waiting;
		log->closed.waiting = wait;
	}
	pthread_mutex_unlock(&log->lock);
	return sealing;
}

static int open_live(int fd, uint32_t index, const struct wal_tail *tail,
		     struct wal_segment_reader **reader, struct wal_fault *fault)
{
	if (fd >= 0)
		return wal_segment_reader_open_live(fd, index, tail, reader, fault);
	*reader = NULL;
	if (fault)
		*fault = (struct wal_fault){
			.kind = WAL_FAULT_IO, .segment = index, .block = WAL_NO_BLOCK};
	return fd;
}

static int open_any(struct wal_log *log, uint32_t index, unsigned flags,
		    struct wal_segment_reader **reader, struct wal_fault *fault)
{
	struct wal_tail tail;
	int err, fd;

	*reader = NULL;
	err = wait_until_sealed(log, index, flags, &tail, &fd);
	if (err < 0)
		return err;
	if (err)
		return open_live(fd, index, &tail, reader, fault);
	err = wal_log_open_finished(log, index, flags, reader, fault);
	if (err || !wal_log_is_foreign(log, wal_segment_reader_info(*reader)))
		return err;
	/* Events of another log are never given out as this one's. */
	wal_segment_reader_close(*reader);
	*reader = NULL;
	if (fault)
		*fault = wal_log_foreign_fault(index);
	return -EUCLEAN;
}

int wal_log_reader_open(struct wal_log *log, uint32_t index, unsigned flags,
			struct wal_segment_reader **reader, struct wal_fault *fault)
{
	int err = open_any(log, index, flags, reader, fault);

	/* O_DIRECT is the descriptor's: who reads so has one of its own */
	if (err || wal_segment_reader_is_direct(*reader))
		return err;
	err = wal_segment_reader_share(*reader, &log->files);
	if (!err)
		return 0;
	wal_segment_reader_close(*reader);
	*reader = NULL;
	if (fault)
		*fault = (struct wal_fault){
			.kind = WAL_FAULT_IO, .segment = index, .block = WAL_NO_BLOCK};
	return err;
}

int wal_log_reader_refresh(struct wal_log *log, struct wal_segment_reader *reader)
{
	struct wal_tail tail;

	if (reader->sealed || reader->info.state == WAL_DAMAGED)
		return 0;
	if (unsealed_tail(log, reader->info.index, &tail)) {
		wal_segment_reader_set_tail(reader, &tail);
		return 0;
	}
	return reader->live ? wal_segment_reader_reload(reader) : 0;
}
