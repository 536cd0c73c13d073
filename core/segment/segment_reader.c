/* SPDX-License-Identifier: MIT */
/*
 * Events and bytes of one segment. Everything is read with pread: a file that is
 * cut under us is an error and not SIGBUS.
 */
#include "core/segment/segment_reader.h"

#include <inttypes.h>
#include <string.h>

/* --- events ------------------------------------------------------------------------- */

static int event_fault(struct wal_segment_reader *r, enum wal_fault_kind kind)
{
	uint64_t offset = wal_block_offset(r->header.block_size, r->cursor.block) +
			  WAL_BLOCK_HEADER + r->cursor.at;

	return wal_reader_fault(r, kind, wal_in_block(r->cursor.block, offset), "event %" PRIu64,
				r->cursor.id);
}

/* Makes the cursor's block the loaded one. Return: 1; 0 after the last block; -errno. */
static int enter_block(struct wal_segment_reader *r)
{
	struct wal_cursor *cursor = &r->cursor;
	int err;

	while (cursor->block < wal_reader_block_limit(r)) {
		err = wal_reader_load_block(r, cursor->block);
		if (err)
			return err;
		if (!cursor->entered) {
			cursor->id = r->start.first_event_id;
			cursor->payload = r->start.payload_offset;
			cursor->entered = true;
		}
		if (cursor->at < r->start.used_bytes)
			return 1;
		if (cursor->block + 1 >= wal_reader_block_limit(r))
			return 0; /* stays here: the block may grow */
		cursor->block++;
		cursor->at = 0;
		cursor->entered = false;
	}
	return 0;
}

int wal_segment_reader_next(struct wal_segment_reader *r, struct wal_event *event)
{
	struct wal_cursor *cursor = &r->cursor;
	struct wal_found found;
	enum wal_fault_kind kind;
	int entered;

	while ((entered = enter_block(r)) > 0) {
		/* A sealed block's checksum stands for its records; the first proves its id. */
		kind = wal_record_parse(
			&(struct wal_record_query){.data = r->block + WAL_BLOCK_HEADER,
						   .at = cursor->at,
						   .limit = r->start.used_bytes,
						   .unchecked = r->sealed && cursor->at > 0,
						   .prev_chain = r->header.prev_chain,
						   .id = cursor->id},
			&found);
		if (kind)
			return event_fault(r, kind);
		if (found.flags & WAL_EVENT_META) {
			cursor->at += found.span;
			continue;
		}
		*event = (struct wal_event){
			.id = cursor->id,
			.timestamp_ns = found.timestamp_ns,
			.payload = found.payload,
			.size = found.size,
			.flags = found.flags & (WAL_FLAG_MORE | WAL_FLAG_CONT | WAL_FLAG_PART),
			.payload_offset = cursor->payload,
			.file_offset = wal_block_offset(r->header.block_size, cursor->block) +
				       WAL_BLOCK_HEADER + cursor->at,
		};
		cursor->at += found.span;
		cursor->id++;
		cursor->payload += found.size;
		return 1;
	}
	return entered;
}

int wal_segment_reader_skip_block(struct wal_segment_reader *r)
{
	uint32_t block = r->cursor.block + 1;

	if (block >= wal_reader_block_limit(r))
		return 0;
	r->cursor = (struct wal_cursor){.block = block};
	return 1;
}

/* --- seeking -------------------------------------------------------------------------- */

enum seek_key { SEEK_EVENT, SEEK_TIME, SEEK_PAYLOAD };

/* Does the block start at or before the key (before it, for a time: equal ones may precede)? */
static bool starts_before(const struct wal_block_header *start, enum seek_key key, uint64_t value)
{
	switch (key) {
	case SEEK_EVENT:
		return start->first_event_id <= value;
	case SEEK_TIME:
		return start->first_timestamp_ns < value;
	default:
		return start->payload_offset <= value;
	}
}

/* The last block that starts before the value, or 0; damaged headers are passed over. */
static uint32_t find_block_slowly(struct wal_segment_reader *r, enum seek_key key, uint64_t value)
{
	struct wal_block_header start;
	uint32_t i, best = 0;

	for (i = 0; i < wal_reader_block_limit(r); i++) {
		if (wal_reader_block_start(r, i, &start) == 0 && starts_before(&start, key, value))
			best = i;
	}
	return best;
}

static uint32_t find_block(struct wal_segment_reader *r, enum seek_key key, uint64_t value)
{
	uint32_t low = 0, high = wal_reader_block_limit(r);
	struct wal_block_header start;

	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (wal_reader_block_start(r, mid, &start))
			return find_block_slowly(r, key, value);
		if (starts_before(&start, key, value))
			low = mid;
		else
			high = mid;
	}
	return low;
}

static bool is_at_or_after(const struct wal_event *event, enum seek_key key, uint64_t value)
{
	switch (key) {
	case SEEK_EVENT:
		return event->id >= value;
	case SEEK_TIME:
		return event->timestamp_ns >= value;
	default:
		return event->payload_offset + event->size > value;
	}
}

static int seek(struct wal_segment_reader *r, enum seek_key key, uint64_t value)
{
	struct wal_cursor before;
	struct wal_event event;
	int found;

	r->salvage = (struct wal_salvage){0};
	r->cursor = (struct wal_cursor){.block = find_block(r, key, value)};
	do {
		before = r->cursor;
		found = wal_segment_reader_next(r, &event);
	} while (found > 0 && !is_at_or_after(&event, key, value));
	if (found > 0)
		r->cursor = before;
	return found < 0 ? found : 0;
}

int wal_segment_reader_seek_event(struct wal_segment_reader *r, uint64_t id)
{
	return seek(r, SEEK_EVENT, id);
}

int wal_segment_reader_seek_time(struct wal_segment_reader *r, uint64_t time_ns)
{
	return seek(r, SEEK_TIME, time_ns);
}

int wal_segment_reader_seek_payload(struct wal_segment_reader *r, uint64_t offset)
{
	return seek(r, SEEK_PAYLOAD, offset);
}

/* --- bytes ------------------------------------------------------------------------------ */

/*
 * Whole events of a checked block, as far as they fit: most of what is read. It stops at
 * anything else, which is for wal_segment_reader_next(). Return: bytes copied.
 */
static size_t copy_whole_events(struct wal_segment_reader *r, uint8_t *buf, size_t size)
{
	struct wal_cursor *cursor = &r->cursor;
	struct wal_record_query query = {.limit = r->start.used_bytes, .unchecked = true};
	struct wal_found found;
	size_t done = 0;

	/* (The first event of a block is the one whose own checksum is looked at.) */
	if (!r->sealed || r->loaded != cursor->block || !cursor->entered || cursor->at == 0)
		return 0;
	query.data = r->block + WAL_BLOCK_HEADER;
	query.at = cursor->at;
	while (wal_record_parse(&query, &found) == WAL_FAULT_NONE &&
	       !(found.flags & WAL_EVENT_META) && found.size <= size - done) {
		memcpy(buf + done, found.payload, found.size);
		done += found.size;
		query.at = cursor->at += found.span;
		cursor->id++;
	}
	cursor->payload += done;
	return done;
}

/*
 * Copies payload from the cursor on. *offset is where the caller wants to go on;
 * a gap before the next event means that a damaged block was passed over.
 */
static int copy_payload(struct wal_segment_reader *r, uint8_t *buf, size_t size, uint64_t *offset)
{
	size_t done = 0;

	while (done < size) {
		struct wal_cursor before = r->cursor;
		struct wal_event event;
		size_t skip, n;
		int found;

		if (before.payload == *offset) {
			n = copy_whole_events(r, buf + done, size - done);
			*offset += n;
			done += n;
			before = r->cursor;
		}
		found = done < size ? wal_segment_reader_next(r, &event) : 0;
		if (found <= 0)
			return found;
		if (event.payload_offset > *offset || *offset - event.payload_offset >= event.size)
			return wal_reader_fault(r, WAL_FAULT_BLOCK_HEADER,
						wal_in_block(before.block, event.file_offset),
						"the payload before it is lost");
		skip = (size_t)(*offset - event.payload_offset);
		n = event.size - skip < size - done ? event.size - skip : size - done;
		memcpy(buf + done, event.payload + skip, n);
		done += n;
		*offset += n;
		if (skip + n < event.size)
			r->cursor = before;
	}
	return 0;
}

ssize_t wal_segment_reader_payload(struct wal_segment_reader *r, void *buf, size_t size,
				   uint64_t offset)
{
	struct wal_cursor saved = r->cursor;
	uint64_t at = offset;
	int err = 0;

	if (offset >= r->info.payload_bytes || size == 0)
		return 0;
	if (offset == r->payload_at)
		r->cursor = r->payload_cursor;
	else
		err = wal_segment_reader_seek_payload(r, offset);
	if (!err)
		err = copy_payload(r, buf, size, &at);
	r->payload_cursor = r->cursor;
	r->payload_at = at;
	if (err)
		r->payload_at = UINT64_MAX; /* the next call looks for its place again */
	r->cursor = saved;
	return at > offset ? (ssize_t)(at - offset) : err;
}

static ssize_t raw_header(struct wal_segment_reader *r, uint8_t *buf, size_t size, uint64_t offset)
{
	size_t n = WAL_HEADER_AREA - offset < size ? WAL_HEADER_AREA - (size_t)offset : size;
	const struct wal_fault *fault = &r->info.fault;

	if (fault->kind != WAL_FAULT_NONE && fault->block == WAL_NO_BLOCK &&
	    fault->offset < WAL_HEADER_AREA) {
		r->fault = *fault;
		return wal_fault_errno(fault->kind);
	}
	memcpy(buf, r->area + offset, n);
	return (ssize_t)n;
}

static ssize_t raw_block(struct wal_segment_reader *r, uint8_t *buf, size_t size, uint64_t offset)
{
	uint64_t in_blocks = offset - WAL_HEADER_AREA;
	uint32_t index = (uint32_t)(in_blocks / r->header.block_size);
	uint32_t at = (uint32_t)(in_blocks % r->header.block_size);
	size_t n = r->header.block_size - at < size ? r->header.block_size - at : size;
	int err = wal_reader_load_raw(r, index);

	if (err)
		return err;
	memcpy(buf, r->block + at, n);
	return (ssize_t)n;
}

ssize_t wal_segment_reader_raw(struct wal_segment_reader *r, void *buf, size_t size,
			       uint64_t offset)
{
	size_t done = 0;
	ssize_t n;

	if (offset >= r->info.file_bytes)
		return 0;
	if (size > r->info.file_bytes - offset)
		size = (size_t)(r->info.file_bytes - offset);
	while (done < size) {
		uint8_t *to = (uint8_t *)buf + done;

		n = offset + done < WAL_HEADER_AREA ? raw_header(r, to, size - done, offset + done)
						    : raw_block(r, to, size - done, offset + done);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* --- a copy of what is there so far --------------------------------------------------------- */

uint64_t wal_segment_reader_image_bytes(const struct wal_segment_reader *r)
{
	if (r->sealed)
		return r->info.file_bytes;
	return wal_block_offset(r->header.block_size, r->tail.block + 1);
}

/* The block that the last event is in; what is after that may be half an event. */
static ssize_t image_of_last_block(struct wal_segment_reader *r, uint8_t *buf, size_t size,
				   uint64_t offset)
{
	uint64_t start = wal_block_offset(r->header.block_size, r->tail.block);
	size_t used = WAL_BLOCK_HEADER + r->tail.at, at = (size_t)(offset - start), n = 0;
	int err = wal_reader_load_block(r, r->tail.block);

	if (err)
		return err;
	if (size > r->header.block_size - at)
		size = r->header.block_size - at;
	if (at < used)
		n = used - at < size ? used - at : size;
	memcpy(buf, r->block + at, n);
	memset(buf + n, 0, size - n);
	if (at < WAL_BLOCK_HEADER) /* it changes until the block is full, and nobody needs it */
		memset(buf, 0, size < WAL_BLOCK_HEADER - at ? size : WAL_BLOCK_HEADER - at);
	return (ssize_t)size;
}

bool wal_segment_says_log(const struct wal_segment_info *info)
{
	return info->state != WAL_DAMAGED || !wal_is_zero(info->log, sizeof(info->log));
}

ssize_t wal_segment_reader_image(struct wal_segment_reader *r, void *buf, size_t size,
				 uint64_t offset)
{
	uint64_t bytes = wal_segment_reader_image_bytes(r);
	uint64_t last = r->sealed ? bytes : wal_block_offset(r->header.block_size, r->tail.block);
	ssize_t n, more;

	if (offset >= bytes)
		return 0;
	if (size > bytes - offset)
		size = (size_t)(bytes - offset);
	if (offset >= last)
		return image_of_last_block(r, buf, size, offset);
	n = wal_segment_reader_raw(r, buf, size < last - offset ? size : (size_t)(last - offset),
				   offset);
	if (n < 0 || (size_t)n == size || offset + (uint64_t)n < last)
		return n;
	more = image_of_last_block(r, (uint8_t *)buf + n, size - (size_t)n, last);
	return more < 0 ? n : n + more;
}
