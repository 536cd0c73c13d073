/* SPDX-License-Identifier: MIT */
/*
 * Whole events of blocks that do not hold. An event's checksum is seeded with the
 * segment's chain and the event's id: it proves both, whatever is wrong around it.
 * What is looked for is an id that can stand there, at each place where a record can.
 */
#include "core/segment/segment_reader.h"

#include <errno.h>
#include <string.h>

#include "core/base/io.h"
#include "core/format/record.h"

/*
 * Bytes that are hashed in one block at most while places and ids are tried: far more than
 * accidents take. Who makes bytes that look like records everywhere gets that far.
 */
#define HASHED_MAX (UINT64_C(1) << 30)

#define PIECE 4096u /* what is read at once where a whole block cannot be */

/* --- what can stand in the block ----------------------------------------------------- */

/* The next block after the cursor's whose header holds: its events are later ones. */
static void find_upper_bound(struct wal_segment_reader *r)
{
	struct wal_salvage *s = &r->salvage;
	struct wal_block_header start;
	uint32_t block = r->cursor.block + 1;

	if (block <= s->upper_block)
		return; /* looked for before, and still ahead */
	s->end_id = r->sealed ? r->info.last_event + 1 : WAL_EVENT_ID_LIMIT;
	s->until_ns = UINT64_MAX;
	for (; block < wal_reader_block_limit(r); block++) {
		if (wal_reader_block_start(r, block, &start))
			continue;
		s->end_id = start.first_event_id;
		s->until_ns = start.first_timestamp_ns;
		break;
	}
	s->upper_block = block;
}

/* How far ids and times have come before the cursor's block. */
static void find_lower_bound(struct wal_segment_reader *r)
{
	struct wal_salvage *s = &r->salvage;
	struct wal_block_header start;
	uint32_t block = r->cursor.block;

	if (s->next_id < r->info.first_event)
		s->next_id = r->info.first_event;
	if (s->next_block < block)
		s->lost_bytes += (uint64_t)(block - s->next_block) *
				 wal_block_data_size(r->header.block_size);
	if (block > 0 && wal_reader_block_start(r, block - 1, &start) == 0 &&
	    start.first_event_id + start.event_count >= s->next_id) {
		s->next_id = start.first_event_id + start.event_count;
		s->lost_bytes = 0;
	}
}

/* Its own header may hold, and then says exactly what was in it. */
static void use_own_header(struct wal_segment_reader *r)
{
	struct wal_salvage *s = &r->salvage;
	struct wal_block_header start;

	s->limit = wal_block_data_size(r->header.block_size);
	s->block_end_id = s->end_id;
	if ((!r->sealed && r->cursor.block <= r->tail.block) || /* that is the walk's, no header */
	    wal_reader_block_start(r, r->cursor.block, &start))
		return;
	s->limit = start.used_bytes;
	if (start.first_timestamp_ns > s->last_ns)
		s->last_ns = start.first_timestamp_ns;
	if (start.first_event_id >= s->next_id) {
		s->next_id = start.first_event_id;
		s->lost_bytes = 0;
	}
	if (start.first_event_id + start.event_count < s->block_end_id)
		s->block_end_id = start.first_event_id + start.event_count;
}

/* --- reading ------------------------------------------------------------------------- */

/* What the disk does not give back of the block is zeros. Return: bytes that it gave. */
static size_t read_pieces(struct wal_segment_reader *r)
{
	uint64_t offset = wal_block_offset(r->header.block_size, r->cursor.block);
	size_t got = 0;

	r->loaded = WAL_NO_BLOCK;
	if (wal_reader_make_block(r))
		return 0;
	memset(r->block, 0, r->header.block_size);
	for (uint32_t at = 0; at < r->header.block_size; at += PIECE) {
		ssize_t n = wal_pread_full(r->fd, r->block + at, PIECE, (off_t)(offset + at));

		if (n > 0)
			got += (size_t)n;
		else if (n < 0)
			memset(r->block + at, 0, PIECE);
	}
	return got;
}

/* Return: whether there is anything of the cursor's block. */
static bool begin_block(struct wal_segment_reader *r)
{
	const struct wal_fault fault = r->fault;
	struct wal_cursor *cursor = &r->cursor;
	struct wal_salvage *s = &r->salvage;

	s->at = cursor->entered ? cursor->at : 0;
	s->hashed = 0;
	find_upper_bound(r);
	find_lower_bound(r);
	if (cursor->entered && cursor->at) { /* what stands in front was whole */
		s->next_id = cursor->id;
		s->lost_bytes = 0;
	}
	use_own_header(r);
	s->next_block = cursor->block + 1;
	r->fault = fault;
	return read_pieces(r) > 0;
}

/* --- records --------------------------------------------------------------------------- */

/* The ids that a record can have there; each event in what was lost took one. */
static uint64_t last_candidate(const struct wal_salvage *s)
{
	uint64_t last = s->next_id + s->lost_bytes / (WAL_EVENT_HEADER + WAL_EVENT_ALIGN);

	return last < s->block_end_id ? last : s->block_end_id;
}

/* Return: whether a record at s->at proves itself; then *id is its id. */
static bool try_here(struct wal_segment_reader *r, struct wal_found *found, uint64_t *id)
{
	struct wal_salvage *s = &r->salvage;
	uint64_t last = last_candidate(s);

	if (!wal_record_locate(r->block + WAL_BLOCK_HEADER, s->at, s->limit, found))
		return false;
	/* The extension is after the checksum: a copy keeps what is hashed. */
	for (*id = s->next_id; *id <= last && s->hashed < HASHED_MAX; ++*id) {
		struct wal_found examined = *found;

		if (wal_record_examine(&examined) || examined.timestamp_ns < s->last_ns ||
		    examined.timestamp_ns > s->until_ns)
			return false;
		s->hashed += found->span;
		if (!wal_record_checksum_fits(found, r->header.prev_chain, *id))
			continue;
		*found = examined;
		return *id < s->block_end_id || found->flags & WAL_EVENT_META;
	}
	return false;
}

static void take(struct wal_segment_reader *r, const struct wal_found *found, uint64_t id,
		 struct wal_event *event)
{
	struct wal_salvage *s = &r->salvage;

	*event = (struct wal_event){
		.id = id,
		.timestamp_ns = found->timestamp_ns,
		.payload = found->payload,
		.size = found->size,
		.flags = found->flags & (WAL_FLAG_MORE | WAL_FLAG_CONT | WAL_FLAG_PART),
		.payload_offset = WAL_NO_OFFSET,
		.file_offset = wal_block_offset(r->header.block_size, r->cursor.block) +
			       WAL_BLOCK_HEADER + s->at,
	};
	s->at += found->span;
	s->last_ns = found->timestamp_ns;
	s->lost_bytes = 0;
	s->next_id = found->flags & WAL_EVENT_META ? id : id + 1;
}

/* The next event of the block at fault that proves itself. */
static bool next_in_block(struct wal_segment_reader *r, struct wal_event *event)
{
	struct wal_salvage *s = &r->salvage;
	struct wal_found found;
	uint64_t id;

	while (s->at < s->limit && s->hashed < HASHED_MAX) {
		if (!try_here(r, &found, &id)) {
			s->at += WAL_EVENT_ALIGN;
			s->lost_bytes += WAL_EVENT_ALIGN;
			continue;
		}
		take(r, &found, id, event);
		if (!(found.flags & WAL_EVENT_META))
			return true;
	}
	return false;
}

/* --- the iterator ------------------------------------------------------------------------ */

static void note_whole(struct wal_segment_reader *r, const struct wal_event *event)
{
	struct wal_salvage *s = &r->salvage;

	s->next_id = event->id + 1;
	s->last_ns = event->timestamp_ns;
	s->lost_bytes = 0;
	s->next_block = r->cursor.block + 1;
}

/*
 * In a damaged unsealed segment the walk ended here, and bytes stand after that place:
 * of this block they are what a block at fault is of another.
 */
static bool is_at_torn_end(const struct wal_segment_reader *r)
{
	return !r->sealed && r->info.state == WAL_DAMAGED && r->cursor.block == r->tail.block &&
	       r->cursor.entered && r->cursor.at >= r->tail.at &&
	       r->tail.nonzero_end > r->tail.offset;
}

/* Where not even a byte of the block is there, none is after it. */
static void leave_block(struct wal_segment_reader *r, bool at_end)
{
	if (at_end || !wal_segment_reader_skip_block(r))
		r->cursor = (struct wal_cursor){.block = wal_reader_block_limit(r)};
}

static int enter_fault(struct wal_segment_reader *r, int err)
{
	r->salvage.in_block = begin_block(r);
	if (!r->salvage.in_block)
		leave_block(r, r->fault.kind == WAL_FAULT_TOO_SHORT);
	return err;
}

int wal_segment_reader_next_salvaged(struct wal_segment_reader *r, struct wal_event *event,
				     bool *damaged)
{
	int found;

	*damaged = r->salvage.in_block;
	if (r->salvage.in_block) {
		if (next_in_block(r, event))
			return 1;
		*damaged = r->salvage.in_block = false;
		leave_block(r, false);
	}
	if (is_at_torn_end(r))
		return enter_fault(r, wal_reader_fault(r, WAL_FAULT_TAIL,
						       wal_in_block(r->tail.block, r->tail.offset),
						       "%s", wal_fault_kind_name(r->tail.stop)));
	found = wal_segment_reader_next(r, event);
	if (found > 0)
		note_whole(r, event);
	return found < 0 ? enter_fault(r, found) : found;
}
