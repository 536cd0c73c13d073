/* SPDX-License-Identifier: MIT */
/*
 * A copy-on-write disk can lack the space to overwrite what it has: then a pwrite fails
 * half-way, or a store into the mapping raises SIGBUS, in a file all of whose blocks are
 * there. What of it got into the file is nobody's to know but the file's: so that is read.
 * Reading needs no space, and writing something over it may.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/segment/segment_writer.h"

static uint64_t append_offset(const struct wal_segment_writer *w)
{
	return wal_block_offset(w->header.block_size, w->start.index) + WAL_BLOCK_HEADER + w->at;
}

static bool has_its_size(const struct wal_segment_writer *w)
{
	struct stat st;

	return fstat(w->fd, &st) == 0 && (uint64_t)st.st_size == w->file_bytes;
}

/* Of the current block: the file's bytes up to the append point, and zeros. */
static int load_block(struct wal_segment_writer *w)
{
	uint8_t *block = w->data - WAL_BLOCK_HEADER;
	ssize_t n = wal_pread_full(w->fd, block, WAL_BLOCK_HEADER + w->at,
				   (off_t)wal_block_offset(w->header.block_size, w->start.index));
	size_t got = n > 0 ? (size_t)n : 0;

	memset(block + got, 0, w->header.block_size - got);
	return n < 0 ? (int)n : 0;
}

static void go_back_to(struct wal_segment_writer *w, const struct wal_append_state *state)
{
	w->at = state->at;
	w->next_event = state->next_event;
	w->payload_bytes = state->payload_bytes;
	w->chain = state->chain;
	w->start = state->start;
}

static struct wal_append_state start_of_block(const struct wal_segment_writer *w)
{
	return (struct wal_append_state){
		.next_event = w->start.first_event_id,
		.payload_bytes = w->start.payload_offset,
		.chain = w->chain,
		.start = {.first_event_id = w->start.first_event_id,
			  .index = w->start.index,
			  .payload_offset = w->start.payload_offset},
	};
}

/* After the last record, or whole group, that the block has; at = 0: after none. */
static struct wal_append_state end_of_whole_records(const struct wal_segment_writer *w)
{
	struct wal_append_state now = start_of_block(w), whole = now;
	struct wal_found found;

	while (!wal_record_parse(&(struct wal_record_query){.data = w->data,
							    .at = now.at,
							    .limit = w->at,
							    .prev_chain = w->header.prev_chain,
							    .id = now.next_event},
				 &found)) {
		if (now.at == 0)
			now.start.first_timestamp_ns = found.timestamp_ns;
		now.at += found.span;
		if (!(found.flags & WAL_EVENT_META)) {
			now.next_event++;
			now.start.event_count++;
			now.payload_bytes += found.size;
		}
		if (!(found.flags & WAL_EVENT_MORE))
			whole = now;
	}
	return whole;
}

/* Did a group begin in a block before, that goes on at the start of this one? */
static bool is_in_group(const struct wal_segment_writer *w)
{
	return w->group.next_event < w->start.first_event_id &&
	       w->start.first_event_id < w->group_end;
}

static bool is_below_floor(const struct wal_segment_writer *w, const struct wal_append_state *state)
{
	uint32_t block = state->start.index;

	return block < w->floor.block || (block == w->floor.block && state->at < w->floor.at);
}

/* known: of the block's data, what the file is known to have. */
static int keep_what_is_there(struct wal_segment_writer *w, uint32_t known)
{
	struct wal_append_state whole;
	int err = load_block(w);

	if (err)
		return err;
	whole = end_of_whole_records(w);
	if (whole.at < known)
		return -EIO;
	if (whole.at == 0) /* no block is without a record */
		whole = is_in_group(w) ? w->group : w->left;
	/* An id that somebody was given is not given to another event. */
	if (whole.at == 0 || is_below_floor(w, &whole))
		return -EIO;
	go_back_to(w, &whole);
	return load_block(w);
}

int wal_segment_writer_settle(struct wal_segment_writer *w, uint64_t *lost_bytes)
{
	/* Of a group that was not taken the beginning is not counted. */
	uint64_t taken = w->group_end == UINT64_MAX ? w->group.payload_bytes : w->payload_bytes;
	uint64_t end = append_offset(w);
	uint32_t known = w->written;
	int cause = w->err, err = w->map ? wal_segment_writer_gather(w) : 0;

	if (!err)
		err = keep_what_is_there(w, known);
	*lost_bytes = taken - w->payload_bytes;
	if (err)
		return err == -ENOMEM ? err : -EIO;
	w->err = 0;
	w->finished = false;
	w->written = w->at;
	w->group_end = 0;
	if (end > append_offset(w) && end > w->leftover_end)
		w->leftover_end = end;
	if (cause)
		return cause;
	/* SIGBUS does not say why: a pwrite does, if it is not over by now. */
	err = wal_segment_writer_clear(w);
	return err ? err : -ENOSPC;
}

int wal_segment_writer_clear(struct wal_segment_writer *w)
{
	static const uint8_t zeros[65536];
	uint64_t from = append_offset(w), to = w->leftover_end;
	int err = 0;

	if (!has_its_size(w)) /* a write would make a file longer that somebody cut */
		return -EIO;
	if (to <= from) /* zeros over zeros: is there space? */
		to = from + WAL_EVENT_ALIGN < w->file_bytes ? from + WAL_EVENT_ALIGN : from;
	while (from < to && !err) {
		size_t size = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);

		err = w->io->pwrite(w->io, w->fd, zeros, size, (off_t)from);
		from += size;
	}
	if (!err)
		w->leftover_end = 0;
	return err;
}
