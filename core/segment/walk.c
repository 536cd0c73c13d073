/* SPDX-License-Identifier: MIT */
#include "core/segment/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/io.h"

struct walk {
	const struct wal_walk_source *source;
	uint32_t block_size;
	uint32_t data_size;
	uint32_t block_limit; /* whole blocks that the file can hold */
	void *buffers;	      /* both of the next, one after the other */
	uint8_t *current;     /* the block that tail is in */
	uint8_t *next;	      /* and the one after it */
	uint32_t asked;	      /* the block that was read last, or could not be */
	struct wal_tail tail;
	struct wal_tail left;  /* as it was before entering the current block */
	struct wal_tail group; /* as it was before an open MORE group */
	bool in_group;
};

static int read_block(struct walk *w, uint32_t index, uint8_t *block)
{
	ssize_t n = wal_pread_full(w->source->fd, block, w->block_size,
				   (off_t)wal_block_offset(w->block_size, index));

	w->asked = index;
	if (n < 0)
		return (int)n;
	/* A file that is being cut reads as zeros, which no record is. */
	memset(block + n, 0, w->block_size - (size_t)n);
	return 0;
}

static void begin_block(struct wal_tail *tail, uint32_t index)
{
	tail->block = index;
	tail->at = 0;
	tail->start = (struct wal_block_header){
		.first_event_id = tail->next_event,
		.index = index,
		.payload_offset = tail->payload_bytes,
	};
}

/* Return: NONE if a MORE/CONT group goes on as it must. */
static enum wal_fault_kind follow_group(struct walk *w, uint32_t flags)
{
	bool continues = flags & WAL_EVENT_CONT;

	if (continues != w->in_group)
		return WAL_FAULT_EVENT_GROUP;
	if ((flags & WAL_EVENT_MORE) && !w->in_group)
		w->group = w->tail.at == 0 ? w->left : w->tail;
	w->in_group = flags & WAL_EVENT_MORE;
	return WAL_FAULT_NONE;
}

static enum wal_fault_kind take_meta(struct walk *w, const struct wal_found *found)
{
	struct wal_tail *tail = &w->tail;
	struct wal_meta_record meta;
	bool first = tail->block == 0 && tail->at == 0;

	if (wal_meta_record_decode(found->payload, found->size, w->block_size, &meta))
		return WAL_FAULT_META;
	if (first != (meta.kind == WAL_META_SEGMENT))
		return WAL_FAULT_META;
	if (first)
		tail->meta = meta;
	if (meta.kind == WAL_META_SEGMENT || meta.kind == WAL_META_RESUME)
		tail->incarnation = meta.incarnation;
	return WAL_FAULT_NONE;
}

/* One record at data[at] in the block that tail is in. */
static enum wal_fault_kind take_record(struct walk *w, const uint8_t *data, uint32_t at)
{
	struct wal_tail *tail = &w->tail;
	struct wal_found found;
	enum wal_fault_kind kind;

	kind = wal_record_parse(&(struct wal_record_query){.data = data,
							   .at = at,
							   .limit = w->data_size,
							   .prev_chain =
								   w->source->header->prev_chain,
							   .id = tail->next_event,
							   .not_before_ns = tail->last_ns},
				&found);
	if (kind)
		return kind;
	if (found.flags & WAL_EVENT_META)
		kind = w->in_group ? WAL_FAULT_EVENT_GROUP : take_meta(w, &found);
	else if (tail->block == 0 && tail->at == 0)
		kind = WAL_FAULT_META;
	else
		kind = follow_group(w, found.flags);
	if (kind)
		return kind;
	if (tail->at == 0)
		tail->start.first_timestamp_ns = found.timestamp_ns;
	if (!(found.flags & WAL_EVENT_META)) {
		tail->next_event++;
		tail->event_count++;
		tail->start.event_count++;
		tail->payload_bytes += found.size;
	}
	tail->last_ns = found.timestamp_ns;
	tail->at += found.span;
	return WAL_FAULT_NONE;
}

/* Computes the header of the block that the walk is about to leave. */
static int finish_block(struct walk *w)
{
	struct wal_disk_block_header disk;
	struct wal_tail *tail = &w->tail;

	tail->start.used_bytes = tail->at;
	wal_block_header_finalize(&tail->start, w->current + WAL_BLOCK_HEADER, tail->chain,
				  w->source->header->prev_chain, &disk);
	tail->chain = tail->start.chain;
	if (!w->source->block)
		return 0;
	return w->source->block(w->source->ctx, &tail->start, &disk, w->current);
}

/*
 * The current block has no further record. It ended there if the rest of it is zero
 * and the next block begins with the very next record.
 * Return: 1 if the walk is in the next block now, 0 if it is at its end, -errno.
 */
static int enter_next_block(struct walk *w)
{
	const uint8_t *data = w->current + WAL_BLOCK_HEADER;
	struct wal_tail before = w->tail, group = w->group;
	bool in_group = w->in_group;
	uint8_t *swap;
	int err;

	if (w->tail.at == 0 || w->tail.block + 1 >= w->block_limit ||
	    !wal_is_zero(data + w->tail.at, w->data_size - w->tail.at))
		return 0;
	err = read_block(w, w->tail.block + 1, w->next);
	if (err)
		return err;
	w->left = before;
	begin_block(&w->tail, before.block + 1);
	if (take_record(w, w->next + WAL_BLOCK_HEADER, 0) != WAL_FAULT_NONE) {
		w->tail = before;
		w->group = group;
		w->in_group = in_group;
		return 0;
	}
	/* It is real: finish the old block, then enter the new one again from its start. */
	w->tail = before;
	w->group = group;
	w->in_group = in_group;
	err = finish_block(w);
	if (err)
		return err;
	begin_block(&w->tail, before.block + 1);
	swap = w->current;
	w->current = w->next;
	w->next = swap;
	return 1;
}

/* Goes on from the tail as far as records lead. */
static int walk_on(struct walk *w)
{
	int entered;

	do {
		const uint8_t *data = w->current + WAL_BLOCK_HEADER;

		do {
			w->tail.stop = take_record(w, data, w->tail.at);
		} while (w->tail.stop == WAL_FAULT_NONE);
		entered = enter_next_block(w);
	} while (entered > 0);
	return entered;
}

/*
 * The first block from i on that is not all in a hole, which reads as zeros: where a segment was
 * preallocated and not written yet, or is sparse, that may be gigabytes. Where a file system does
 * not know of holes, all is data.
 */
static uint32_t skip_hole(const struct walk *w, uint32_t i)
{
	uint64_t offset = wal_block_offset(w->block_size, i);
	off_t data = lseek(w->source->fd, (off_t)offset, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? WAL_NO_BLOCK : i; /* a hole to the end, or not known */
	return i + (uint32_t)(((uint64_t)data - offset) / w->block_size);
}

/* Finds the end of the last byte after the tail that is not zero. */
static int find_nonzero_end(struct walk *w, uint64_t *end)
{
	uint32_t from = (uint32_t)WAL_BLOCK_HEADER + w->tail.at;
	uint32_t i = w->tail.block, size;
	int err;

	*end = wal_block_offset(w->block_size, i) + from;
	for (; wal_block_offset(w->block_size, i) < w->source->file_bytes;
	     i = skip_hole(w, i + 1)) {
		err = read_block(w, i, w->next);
		if (err)
			return err;
		if (!wal_is_zero(w->next + from, w->block_size - from)) {
			for (size = w->block_size; w->next[size - 1] == 0; size--)
				;
			*end = wal_block_offset(w->block_size, i) + size;
		}
		from = 0;
	}
	return 0;
}

/* The file cut a group in half: the group goes as a whole. */
static void drop_open_group(struct walk *w)
{
	enum wal_fault_kind stop = w->tail.stop;

	if (!w->in_group)
		return;
	w->tail = w->group;
	w->tail.stop = stop == WAL_FAULT_NONE ? WAL_FAULT_EVENT_GROUP : stop;
	w->in_group = false;
}

/*
 * What lies after the tail may be an event that a daemon was writing when its block was
 * read, and a group may not have been all there: read again, and see whether the walk gets
 * further.
 */
#define LOOK_AGAIN 3

static bool is_at(const struct walk *w, uint32_t block, uint32_t at)
{
	return w->tail.block == block && w->tail.at == at;
}

/* Is there something that no record ends, or a group without its end? */
static int is_unfinished(struct walk *w, uint64_t *after)
{
	uint64_t end =
		wal_block_offset(w->block_size, w->tail.block) + WAL_BLOCK_HEADER + w->tail.at;
	int err = find_nonzero_end(w, after);

	return err ? err : *after != end || w->in_group;
}

static int walk_and_look(struct walk *w, uint64_t *after)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int err, idle = 0, unfinished = 0;

	err = read_block(w, 0, w->current);
	if (!err)
		err = walk_on(w);
	while (!err && w->tail.at > 0 && (unfinished = is_unfinished(w, after)) > 0) {
		uint32_t block = w->tail.block, at = w->tail.at;

		err = read_block(w, block, w->current);
		if (!err)
			err = walk_on(w);
		if (!is_at(w, block, at)) {
			idle = 0;
			continue;
		}
		if (++idle >= LOOK_AGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return unfinished < 0 ? unfinished : err;
}

/* The tail where the walk ended, after the last whole group. */
static int end_walk(struct walk *w)
{
	bool dropped = w->in_group;
	int err = 0;

	drop_open_group(w);
	w->tail.offset =
		wal_block_offset(w->block_size, w->tail.block) + WAL_BLOCK_HEADER + w->tail.at;
	w->tail.start.used_bytes = w->tail.at;
	if (dropped) /* it may have begun some blocks before */
		err = read_block(w, w->tail.block, w->current);
	w->tail.data_checksum = wal_checksum(w->current + WAL_BLOCK_HEADER, w->tail.at, 0);
	return err;
}

static int walk_run(struct walk *w, struct wal_tail *tail)
{
	uint64_t after = 0;
	int err;

	w->tail.next_event = w->source->header->first_event_id;
	w->tail.chain = w->source->header->prev_chain;
	begin_block(&w->tail, 0);
	err = walk_and_look(w, &after);
	if (err)
		return err;
	err = end_walk(w);
	if (err)
		return err;
	w->tail.nonzero_end = after > w->tail.offset ? after : w->tail.offset;
	*tail = w->tail;
	return tail->at == 0 ? -EUCLEAN : 0;
}

static int walk_run_on(struct walk *w, struct wal_tail *tail)
{
	uint32_t at = tail->at;
	int err;

	w->tail = *tail;
	err = read_block(w, tail->block, w->current);
	if (err)
		return err;
	if (wal_checksum(w->current + WAL_BLOCK_HEADER, at, 0) != tail->data_checksum)
		return -ESTALE;
	err = walk_on(w);
	if (!err)
		err = end_walk(w);
	if (err)
		return err;
	if (w->tail.nonzero_end < w->tail.offset)
		w->tail.nonzero_end = w->tail.offset;
	*tail = w->tail;
	return 0;
}

/* Return: 0; -ENOMEM. The buffers are w->current and the one after it: free(w->buffers). */
static int begin_walk(struct walk *w, const struct wal_walk_source *source)
{
	*w = (struct walk){
		.source = source,
		.block_size = source->header->block_size,
		.data_size = wal_block_data_size(source->header->block_size),
	};
	w->block_limit = (uint32_t)((source->file_bytes - WAL_HEADER_AREA) / w->block_size);
	/* Aligned, for descriptors with O_DIRECT. */
	if (posix_memalign(&w->buffers, WAL_HEADER_AREA, 2 * (size_t)w->block_size))
		return -ENOMEM;
	w->current = w->buffers;
	w->next = w->current + w->block_size;
	return 0;
}

static bool is_too_short(const struct wal_walk_source *source, uint32_t block)
{
	uint32_t size = source->header->block_size;

	return source->file_bytes < wal_block_offset(size, block) + size;
}

int wal_walk_on(const struct wal_walk_source *source, struct wal_tail *tail)
{
	struct walk w;
	int err;

	if (is_too_short(source, tail->block))
		return -ESTALE;
	err = begin_walk(&w, source);
	if (err)
		return err;
	err = walk_run_on(&w, tail);
	free(w.buffers);
	return err;
}

int wal_walk(const struct wal_walk_source *source, struct wal_tail *tail)
{
	struct walk w;
	int err;

	memset(tail, 0, sizeof(*tail));
	if (is_too_short(source, 0)) {
		tail->stop = WAL_FAULT_TOO_SHORT;
		return -EUCLEAN;
	}
	err = begin_walk(&w, source);
	if (err)
		return err;
	err = walk_run(&w, tail);
	if (err && err != -EUCLEAN)
		tail->block = w.asked;
	free(w.buffers);
	return err;
}
