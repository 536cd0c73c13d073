/* SPDX-License-Identifier: MIT */
/* A process that writes one stream, and notes what each call returned. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storm.h"

#define PARTS_MAX 130
#define PAGE 4096u

struct writing {
	const struct storm_writer *writer;
	struct storm_record *record;
	struct storm_stream stream;
	struct storm_random ways;
	int fds[2];	 /* two descriptors of one open file */
	uint8_t *direct; /* bytes for O_DIRECT, at the start of a page */
	size_t direct_size;
	uint64_t frame_start; /* fixed:N: where the record that is unfinished began */
};

static void end(struct writing *writing, const char *what, int error)
{
	struct storm_record *record = writing->record;
	bool cut_off = !writing->writer->stands_alone &&
		       storm_is_cut_off(error, writing->writer->mountpoint);

	if (!cut_off)
		snprintf(record->failure, sizeof(record->failure), "%s: %s", what, strerror(error));
	atomic_store(&record->end, cut_off ? STORM_CUT_OFF : STORM_FAILED);
	_exit(0);
}

static void open_file(struct writing *writing)
{
	const struct storm_writer *writer = writing->writer;
	int fd = writer->inherited;

	if (fd < 0)
		fd = open(writer->path, O_APPEND | O_CLOEXEC | writer->open_flags);
	if (fd < 0)
		end(writing, "open", errno);
	writing->fds[0] = fd;
	writing->fds[1] = dup(fd);
}

/* Closes one descriptor, or both: then what is unfinished is written at once. */
static void play_with_descriptors(struct writing *writing)
{
	if (storm_chance(&writing->ways, 3)) {
		close(writing->fds[1]);
		writing->fds[1] = dup(writing->fds[0]);
	}
	if (writing->writer->inherited < 0 && storm_chance(&writing->ways, 1)) {
		close(writing->fds[0]);
		close(writing->fds[1]);
		writing->frame_start = atomic_load(&writing->record->returned);
		open_file(writing);
	}
}

/* --- what is promised ------------------------------------------------------------ */

static void promise(struct writing *writing, uint64_t bytes)
{
	atomic_store(&writing->record->promised, bytes);
}

static void promise_all(struct writing *writing)
{
	writing->frame_start = atomic_load(&writing->record->returned);
	promise(writing, writing->frame_start);
}

/* write(2) took bytes, up to data + size. */
static void promise_written(struct writing *writing, const uint8_t *data, size_t size)
{
	const struct wal_framing framing = writing->writer->setup->framing;
	uint64_t returned = atomic_load(&writing->record->returned);
	const uint8_t *newline;

	if (framing.kind == WAL_FRAME_WRITE) {
		promise(writing, returned);
	} else if (framing.kind == WAL_FRAME_FIXED) {
		writing->frame_start +=
			(returned - writing->frame_start) / framing.size * framing.size;
		promise(writing, writing->frame_start);
	} else {
		newline = memrchr(data, '\n', size);
		if (newline)
			promise(writing, returned - (uint64_t)(data + size - newline - 1));
	}
}

/* --- writing ------------------------------------------------------------------------ */

static const uint8_t *aligned(struct writing *writing, const uint8_t *data, size_t size)
{
	if (!(writing->writer->open_flags & O_DIRECT))
		return data;
	if (size > writing->direct_size) {
		free(writing->direct);
		writing->direct_size = (size + PAGE - 1) / PAGE * PAGE;
		writing->direct = aligned_alloc(PAGE, writing->direct_size);
		if (!writing->direct)
			storm_die("memory");
	}
	memcpy(writing->direct, data, size);
	return writing->direct;
}

static ssize_t write_parts(int fd, const struct storm_op *op, const uint8_t *data, size_t size)
{
	struct iovec vector[PARTS_MAX];
	size_t part = size / op->parts, at = 0;
	unsigned i;

	for (i = 0; i < op->parts; i++) {
		vector[i].iov_base = (void *)(uintptr_t)(data + at);
		vector[i].iov_len = i + 1 < op->parts ? part : size - at;
		at += vector[i].iov_len;
	}
	return pwritev2(fd, vector, (int)op->parts, -1, op->durable ? RWF_DSYNC : 0);
}

static void write_piece(struct writing *writing, const struct storm_op *op, size_t from, size_t to)
{
	const bool durable = op->durable || writing->writer->open_flags & O_DSYNC ||
			     writing->writer->setup->sync_always;
	const uint8_t *data = aligned(writing, op->bytes + from, to - from);
	int fd = writing->fds[storm_below(&writing->ways, 2)];
	ssize_t taken;

	atomic_fetch_add(&writing->record->started, to - from);
	if (op->parts > 1 || op->durable)
		taken = write_parts(fd, op, data, to - from);
	else
		taken = write(fd, data, to - from);
	if (taken < 0)
		end(writing, "write", errno);
	atomic_fetch_add(&writing->record->returned, (uint64_t)taken);
	atomic_fetch_add(&writing->record->writes, 1);
	if (durable)
		promise_all(writing);
	else
		promise_written(writing, op->bytes + from, (size_t)taken);
	if ((size_t)taken != to - from)
		end(writing, "a short write", writing->writer->stands_alone ? EIO : ENOTCONN);
}

/* Killed with a line begun, or with a large write under way. */
static void die_here(struct writing *writing, const struct storm_op *op)
{
	size_t begun = op->size > 1 ? op->size / 2 : 1;

	atomic_store(&writing->record->end, STORM_KILLED);
	write_piece(writing, op, 0, begun);
	kill(getpid(), SIGKILL);
}

static void do_op(struct writing *writing, const struct storm_op *op)
{
	size_t from = 0;
	unsigned i;

	for (i = 0; i < op->pieces; from = op->ends[i++])
		write_piece(writing, op, from, op->ends[i]);
	if (!op->sync)
		return;
	if (fsync(writing->fds[0]) < 0)
		end(writing, "fsync", errno);
	atomic_fetch_add(&writing->record->syncs, 1);
	promise_all(writing);
}

static void write_stream(const struct storm_writer *writer)
{
	struct writing writing = {
		.writer = writer,
		.record = writer->record,
		.ways.state = writer->setup->seed + writer->number,
	};
	uint64_t done;

	storm_stream_init(&writing.stream, writer->setup, writer->round, writer->number,
			  writer->inherited >= 0);
	open_file(&writing);
	for (done = 0; !writer->ops || done < writer->ops; done++) {
		const struct storm_op *op = storm_stream_next(&writing.stream);

		if (writer->die_at && done + 1 == writer->die_at)
			die_here(&writing, op);
		do_op(&writing, op);
		play_with_descriptors(&writing);
	}
	close(writing.fds[0]);
	close(writing.fds[1]);
	atomic_store(&writer->record->end, STORM_DONE);
}

pid_t storm_writer_start(const struct storm_writer *writer)
{
	pid_t pid = fork();

	if (pid < 0)
		storm_die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_stream(writer);
	_exit(0);
}
