/* SPDX-License-Identifier: MIT */
/*
 * Framing: what one open file is sent, cut into records.
 *
 * Records that lie whole in the caller's buffer go to the log from there; only
 * one that began in an earlier write is put together here. The bytes of an
 * unfinished record are held, and only against space that the log keeps free
 * for them, so that appending them later cannot fail for lack of it.
 *
 * A call either takes bytes or changes nothing: what it held before is held
 * still when the log refuses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "walfs.h"

#define BATCH 256	   /* records in one append */
#define KEEP_CAPACITY 512u /* a larger buffer is given back when it is empty */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t frame_limit(struct wal_framing framing, const struct wal_log *log, size_t max_line)
{
	switch (framing.kind) {
	case WAL_FRAME_FIXED:
		return framing.size;
	case WAL_FRAME_WRITE:
		return min_size(wal_log_event_limit(log), WAL_WRITE_FRAME_MAX);
	default:
		return min_size(wal_log_record_limit(log), max_line);
	}
}

void walfs_frame_init(struct walfs_frame *frame, struct wal_log *log, struct walfs_frames *all)
{
	memset(frame, 0, sizeof(*frame));
	frame->all = all;
	frame->framing = wal_log_framing(log);
	frame->limit = frame_limit(frame->framing, log, all->max_line);
}

/* What counts of a buffer: those that are kept are not in the way of anybody's line. */
static size_t counted(size_t capacity)
{
	return capacity > KEEP_CAPACITY ? capacity : 0;
}

static void set_buffer(struct walfs_frame *frame, uint8_t *bytes, size_t capacity)
{
	frame->all->buffered += counted(capacity) - counted(frame->capacity);
	frame->bytes = bytes;
	frame->capacity = capacity;
}

static void free_buffer(struct walfs_frame *frame)
{
	free(frame->bytes);
	set_buffer(frame, NULL, 0);
}

void walfs_frame_destroy(struct walfs_frame *frame)
{
	free_buffer(frame);
	frame->held = 0;
}

/* The first of capacity, twice that, and so on, which holds size. */
static size_t double_up(size_t capacity, size_t size)
{
	while (capacity < size)
		capacity *= 2;
	return capacity;
}

static size_t capacity_for(const struct walfs_frame *frame, size_t size)
{
	size_t capacity = double_up(frame->capacity ? frame->capacity : 256, size);

	/* no more than a line can have, so that one of max_line is within what all may have */
	return size <= frame->limit ? min_size(capacity, frame->limit) : capacity;
}

/* Return: whether a buffer that holds so much is still within what all may have together. */
static bool may_hold(const struct walfs_frame *frame, size_t size)
{
	size_t more = counted(capacity_for(frame, size)) - counted(frame->capacity);

	return !more || frame->all->buffered + more <= frame->all->buffered_max;
}

static int reserve(struct walfs_frame *frame, size_t size)
{
	size_t capacity = capacity_for(frame, size);
	uint8_t *bytes;

	if (size <= frame->capacity)
		return 0;
	bytes = realloc(frame->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	set_buffer(frame, bytes, capacity);
	return 0;
}

static void emptied(struct walfs_frame *frame)
{
	frame->held = 0;
	if (frame->capacity > KEEP_CAPACITY)
		free_buffer(frame);
}

/* What could not be taken is not kept either: a buffer is as large as what is held. */
static void shrink(struct walfs_frame *frame)
{
	size_t capacity = double_up(KEEP_CAPACITY, frame->held);
	uint8_t *bytes;

	if (!frame->held) {
		emptied(frame);
		return;
	}
	if (capacity >= frame->capacity)
		return;
	bytes = realloc(frame->bytes, capacity);
	if (bytes)
		set_buffer(frame, bytes, capacity);
}

/*
 * Return: how many bytes of data end the record that has `before` bytes already;
 * 0 if they do not end it. flags says how it ends.
 */
static size_t next_cut(const struct walfs_frame *frame, size_t before, const uint8_t *data,
		       size_t size, uint32_t *flags)
{
	size_t room = frame->limit - before;
	const uint8_t *newline;

	*flags = 0;
	if (frame->framing.kind == WAL_FRAME_FIXED)
		return size >= room ? room : 0;
	newline = memchr(data, '\n', min_size(size, room));
	if (newline)
		return (size_t)(newline - data) + 1;
	*flags = WAL_FLAG_PART;
	return size >= room ? room : 0;
}

/* Appends the held bytes and `size` more, which follow them in the buffer. */
static int append_held(struct walfs_frame *frame, struct wal_log *log, size_t size, uint32_t flags)
{
	struct wal_record record = {
		.data = frame->bytes,
		.size = (uint32_t)(frame->held + size),
		.flags = flags,
	};
	ssize_t taken = wal_log_append(log, &record, 1, &frame->hold);

	if (taken != 1)
		return taken < 0 ? (int)taken : -EIO;
	emptied(frame);
	return 0;
}

/* Ends the held record. Return: bytes of data it took; 0 if they do not end it; -errno. */
static ssize_t end_held(struct walfs_frame *frame, struct wal_log *log, const uint8_t *data,
			size_t size)
{
	uint32_t flags;
	size_t cut = next_cut(frame, frame->held, data, size, &flags);
	int err;

	if (!cut)
		return 0;
	err = reserve(frame, frame->held + cut);
	if (err)
		return err;
	memcpy(frame->bytes + frame->held, data, cut);
	err = append_held(frame, log, cut, flags);
	return err ? err : (ssize_t)cut;
}

/* Appends whole records of data. Return: bytes they have; 0 if there is none; -errno. */
static ssize_t append_whole(struct walfs_frame *frame, struct wal_log *log, const uint8_t *data,
			    size_t size)
{
	struct wal_record records[BATCH];
	size_t count = 0, bytes = 0, cut;
	ssize_t taken, i;
	uint32_t flags;

	while (count < BATCH && bytes < size) {
		cut = next_cut(frame, 0, data + bytes, size - bytes, &flags);
		if (!cut)
			break;
		records[count++] = (struct wal_record){
			.data = data + bytes,
			.size = (uint32_t)cut,
			.flags = flags,
		};
		bytes += cut;
	}
	if (!count)
		return 0;
	taken = wal_log_append(log, records, count, NULL);
	if (taken <= 0)
		return taken < 0 ? taken : -EIO;
	for (bytes = 0, i = 0; i < taken; i++)
		bytes += records[i].size;
	return (ssize_t)bytes;
}

/* Holds data after what is held, or appends it all as unfinished. */
static int keep_rest(struct walfs_frame *frame, struct wal_log *log, const uint8_t *data,
		     size_t size, bool finish)
{
	bool hold = !finish && may_hold(frame, frame->held + size);
	int err = reserve(frame, frame->held + size);

	if (err)
		return err;
	memcpy(frame->bytes + frame->held, data, size);
	if (hold) {
		err = wal_log_hold(log, &frame->hold, frame->held + size);
		if (!err)
			frame->held += size;
		if (err != -ENOBUFS)
			return err;
	}
	return append_held(frame, log, size, WAL_FLAG_PART);
}

static ssize_t write_one(struct walfs_frame *frame, struct wal_log *log, const void *data,
			 size_t size)
{
	struct wal_record record = {.data = data, .size = (uint32_t)size};
	ssize_t taken;

	if (size > frame->limit)
		return -EMSGSIZE;
	taken = wal_log_append(log, &record, 1, NULL);
	if (taken != 1)
		return taken < 0 ? taken : -EIO;
	return (ssize_t)size;
}

ssize_t walfs_frame_write(struct walfs_frame *frame, struct wal_log *log, const void *data,
			  size_t size, bool finish)
{
	const uint8_t *bytes = data;
	ssize_t taken = 0;
	size_t done = 0;
	int err;

	if (!size)
		return 0;
	if (frame->framing.kind == WAL_FRAME_WRITE)
		return write_one(frame, log, data, size);
	if (frame->held) {
		taken = end_held(frame, log, bytes, size);
		if (taken < 0) {
			shrink(frame);
			return taken;
		}
		done = (size_t)taken;
	}
	/* While something is held its end is not in data: all of that is the rest. */
	while (!frame->held && done < size) {
		taken = append_whole(frame, log, bytes + done, size - done);
		if (taken <= 0)
			break;
		done += (size_t)taken;
	}
	if (taken < 0)
		return done ? (ssize_t)done : taken;
	if (done == size)
		return (ssize_t)size;
	err = keep_rest(frame, log, bytes + done, size - done, finish);
	if (!err)
		return (ssize_t)size;
	shrink(frame);
	return done ? (ssize_t)done : err;
}

int walfs_frame_finish(struct walfs_frame *frame, struct wal_log *log)
{
	return frame->held ? append_held(frame, log, 0, WAL_FLAG_PART) : 0;
}
