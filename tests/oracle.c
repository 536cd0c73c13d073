/* SPDX-License-Identifier: MIT */
/* Decoding: docs/FORMAT.md sections 3 to 9, rule by rule. Numbers in comments are its own. */
#include "tests/oracle.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define AREA 4096u
#define ALIGN8(n) (((n) + 7u) & ~7u)

enum { MORE = 0x01, CONT = 0x02, PART = 0x04, EXT = 0x40, META = 0x80 };

uint32_t oracle_get16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

uint32_t oracle_get32(const uint8_t *p)
{
	return oracle_get16(p) | oracle_get16(p + 2) << 16;
}

uint64_t oracle_get64(const uint8_t *p)
{
	return (uint64_t)oracle_get32(p) | (uint64_t)oracle_get32(p + 4) << 32;
}

void oracle_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void oracle_put32(uint8_t *p, uint32_t v)
{
	oracle_put16(p, v);
	oracle_put16(p + 2, v >> 16);
}

void oracle_put64(uint8_t *p, uint64_t v)
{
	oracle_put32(p, (uint32_t)v);
	oracle_put32(p + 4, (uint32_t)(v >> 32));
}

uint64_t oracle_xxh3(const void *bytes, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, size, seed);
}

bool oracle_is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

uint64_t oracle_chain_start(const uint8_t log[16])
{
	return oracle_xxh3(log, 16, 0);
}

uint64_t oracle_chain_restart(const uint8_t log[16], uint32_t index)
{
	return oracle_xxh3(log, 16, index);
}

/* Keeps the first. Return: false, for the caller to pass on. */
static bool fail(struct oracle_segment *s, enum wal_fault_kind kind, uint32_t block,
		 uint64_t offset)
{
	if (s->fault == WAL_FAULT_NONE) {
		s->fault = kind;
		s->fault_block = block;
		s->fault_offset = offset;
	}
	return false;
}

/* Section 1: an event id that can be. */
static bool id_possible(const uint8_t *p)
{
	return oracle_get64(p) >= 1 && oracle_get64(p) < UINT64_C(1) << 62;
}

/* 3.2 and rule 2: the active header. */
static bool decode_active(struct oracle_segment *s, const uint8_t *h)
{
	if (memcmp(h, "WALS", 4) != 0)
		return fail(s, WAL_FAULT_MAGIC, WAL_NO_BLOCK, 0);
	if (oracle_get64(h + 56) != oracle_xxh3(h, 56, 0))
		return fail(s, WAL_FAULT_HEADER_CHECKSUM, WAL_NO_BLOCK, 0);
	if (h[4] != 1 || h[5] != 0)
		return fail(s, WAL_FAULT_VERSION, WAL_NO_BLOCK, 0);
	if (h[6] != 1 || h[7] < 12 || h[7] > 24 || oracle_get32(h + 8) == 0 ||
	    oracle_get32(h + 12) != 0 || !id_possible(h + 16) || oracle_get32(h + 24) != 0 ||
	    oracle_get64(h + 40) != 0)
		return fail(s, WAL_FAULT_HEADER_FIELD, WAL_NO_BLOCK, 0);
	s->block_size = 1u << h[7];
	s->index = oracle_get32(h + 8);
	s->first_event = oracle_get64(h + 16);
	s->next_event = s->first_event;
	s->created_ns = oracle_get64(h + 32);
	s->prev_chain = oracle_get64(h + 48);
	s->header_checksum = oracle_get64(h + 56);
	s->chain = s->prev_chain;
	return true;
}

/* Rules 3, 4 and 7. The last block's chain is taken from its header here; rule 8 checks it. */
static bool decode_seal(struct oracle_segment *s, const uint8_t *image, size_t size)
{
	const uint8_t *h = image + 512;
	uint32_t count = oracle_get32(h + 12);
	uint64_t need = AREA + (uint64_t)count * s->block_size;
	uint64_t chain;

	if (memcmp(h, "WALS", 4) != 0)
		return fail(s, WAL_FAULT_MAGIC, WAL_NO_BLOCK, 512);
	if (h[4] != 1 || h[5] != 0) /* a version is believed of the active header alone */
		return fail(s, WAL_FAULT_HEADER_CHECKSUM, WAL_NO_BLOCK, 512);
	if (h[6] != 2 || h[7] < 12 || h[7] > 24 || oracle_get32(h + 8) == 0 ||
	    !id_possible(h + 16) || count == 0 || need > UINT64_C(1) << 32)
		return fail(s, WAL_FAULT_HEADER_FIELD, WAL_NO_BLOCK, 512);
	if (size < need)
		return fail(s, WAL_FAULT_TOO_SHORT, WAL_NO_BLOCK, size);
	chain = oracle_get64(image + need - s->block_size + 48);
	if (oracle_get64(h + 56) != oracle_xxh3(h, 56, chain))
		return fail(s, WAL_FAULT_HEADER_CHECKSUM, WAL_NO_BLOCK, 512);
	if (h[7] != image[7] || memcmp(h + 8, image + 8, 4) != 0 ||
	    memcmp(h + 16, image + 16, 8) != 0 || memcmp(h + 32, image + 32, 8) != 0 ||
	    memcmp(h + 48, image + 48, 8) != 0)
		return fail(s, WAL_FAULT_HEADER_MISMATCH, WAL_NO_BLOCK, 512);
	s->sealed = true;
	s->block_count = count;
	s->compat = oracle_get32(h + 28);
	s->closed_ns = oracle_get64(h + 40);
	s->header_checksum = oracle_get64(h + 56);
	if (size > need)
		fail(s, WAL_FAULT_TOO_LONG, WAL_NO_BLOCK, need);
	return true;
}

/* Section 6: values that cannot be in kinds 1 and 2. */
static bool meta_possible(const struct oracle_meta_record *m, uint32_t block_size)
{
	bool framing = m->framing == 3 ? m->framing_size > 0
				       : m->framing >= 1 && m->framing <= 2 && !m->framing_size;

	return framing && m->segment_bytes >= AREA + (uint64_t)block_size &&
	       m->segment_bytes <= UINT64_C(1) << 32 && (m->segment_bytes - AREA) % block_size == 0;
}

static bool decode_meta(const uint8_t *body, uint32_t length, uint32_t block_size,
			struct oracle_meta_record *meta)
{
	memset(meta, 0, sizeof(*meta));
	if (length < 4 || oracle_get16(body + 2) != length - 4)
		return false;
	meta->kind = oracle_get16(body);
	if (meta->kind != 1 && meta->kind != 2)
		return true;
	if (length != 72)
		return false;
	meta->writer_version = oracle_get32(body + 4);
	memcpy(meta->log, body + 8, 16);
	meta->incarnation = oracle_get64(body + 24);
	meta->segment_bytes = oracle_get64(body + 32);
	meta->framing = oracle_get32(body + 40);
	meta->framing_size = oracle_get32(body + 44);
	meta->recovery = oracle_get32(body + 48);
	meta->dropped_segments = oracle_get32(body + 52);
	meta->dropped_bytes = oracle_get64(body + 56);
	meta->clock_step_ns = oracle_get64(body + 64);
	return meta_possible(meta, block_size);
}

/* Section 5: a valid record. left: bytes of the data area that may be used. */
static enum wal_fault_kind decode_record(const uint8_t *record, uint64_t left, uint64_t seed,
					 uint64_t not_before, struct oracle_event *event)
{
	uint32_t length;
	uint32_t flags;
	uint32_t skip = 0;

	memset(event, 0, sizeof(*event));
	if (left < 24)
		return WAL_FAULT_EVENT_FIELD;
	length = oracle_get32(record + 4) & 0xffffff;
	flags = record[7];
	event->span = ALIGN8(16 + length);
	if (length == 0 || event->span > left)
		return WAL_FAULT_EVENT_FIELD;
	if (oracle_get32(record) != (uint32_t)oracle_xxh3(record + 4, 12 + length, seed))
		return WAL_FAULT_EVENT_CHECKSUM;
	if ((flags & (META | EXT | PART | CONT | MORE)) != flags ||
	    ((flags & META) && flags != META) || ((flags & PART) && (flags & MORE)))
		return WAL_FAULT_EVENT_FIELD;
	if (!oracle_is_zero(record + 16 + length, event->span - 16 - length))
		return WAL_FAULT_PADDING;
	if (flags & EXT) {
		if (length < 2 || 2 + oracle_get16(record + 16) >= length)
			return WAL_FAULT_EVENT_FIELD;
		skip = 2 + oracle_get16(record + 16);
	}
	event->timestamp_ns = oracle_get64(record + 8);
	event->flags = flags;
	event->payload = record + 16 + skip;
	event->size = length - skip;
	return event->timestamp_ns < not_before ? WAL_FAULT_EVENT_TIME : WAL_FAULT_NONE;
}

static void add_event(struct oracle_segment *s, const struct oracle_event *event)
{
	if (s->event_count == s->event_room) {
		s->event_room = s->event_room ? 2 * s->event_room : 64;
		s->events = realloc(s->events, s->event_room * sizeof(*s->events));
		if (!s->events)
			abort();
	}
	s->events[s->event_count++] = *event;
}

/* What is known while records are taken one after the other. */
struct cursor {
	uint64_t last_ns;
	bool in_group;
	bool first_seen;
	uint64_t end_before_group;
	uint32_t blocks_before_group;
	uint32_t blocks; /* in which a record was taken */
};

/*
 * The record at offset `at` of block k's data, of which limit bytes count, as
 * the next of the segment. Return: NONE and it is taken, or what is wrong.
 */
static enum wal_fault_kind take_record(struct oracle_segment *s, struct cursor *c,
				       const uint8_t *image, uint32_t k, uint32_t at,
				       uint32_t limit, uint32_t *span)
{
	uint64_t offset = AREA + (uint64_t)k * s->block_size + 64 + at;
	struct oracle_event event;
	enum wal_fault_kind kind = decode_record(image + offset, limit - at,
						 s->prev_chain + s->next_event, c->last_ns, &event);
	struct oracle_meta_record meta;

	if (kind != WAL_FAULT_NONE)
		return kind;
	if (!(event.flags & META) && !c->first_seen)
		return WAL_FAULT_META;
	if (event.flags & META) {
		if (!decode_meta(event.payload, event.size, s->block_size, &meta))
			return WAL_FAULT_META;
		if ((meta.kind == 1) == c->first_seen)
			return WAL_FAULT_META;
		if (c->in_group)
			return WAL_FAULT_EVENT_GROUP;
		if (meta.kind == 1)
			s->meta = meta;
		if (meta.kind == 2) {
			s->resume = meta;
			s->resumes++;
		}
		c->first_seen = true;
	} else {
		if (((event.flags & CONT) != 0) != c->in_group)
			return WAL_FAULT_EVENT_GROUP;
		if (!c->in_group) {
			c->end_before_group = s->end;
			c->blocks_before_group = c->blocks;
		}
		c->in_group = (event.flags & MORE) != 0;
		event.id = s->next_event++;
		event.block = k;
		event.payload_offset = s->payload_bytes;
		event.file_offset = offset;
		s->payload_bytes += event.size;
		add_event(s, &event);
	}
	c->last_ns = event.timestamp_ns;
	c->blocks = k + 1;
	*span = event.span;
	s->end = offset + event.span;
	return WAL_FAULT_NONE;
}

/* A group whose last event is not there is not there at all. */
static void drop_group(struct oracle_segment *s)
{
	bool first = false;

	while (!first) {
		const struct oracle_event *last = &s->events[--s->event_count];

		s->next_event--;
		s->payload_bytes -= last->size;
		first = !(last->flags & CONT);
	}
}

/* Section 9.2. */
static void walk(struct oracle_segment *s, const uint8_t *image, size_t size)
{
	const uint32_t space = s->block_size - 64;
	const uint64_t n = (size - AREA) / s->block_size;
	struct cursor c = {0};
	uint32_t k = 0;
	uint32_t at = 0;
	uint32_t span;

	s->end = AREA + 64;
	while (k < n) {
		const uint8_t *data = image + AREA + (uint64_t)k * s->block_size + 64;

		if (take_record(s, &c, image, k, at, space, &span) == WAL_FAULT_NONE) {
			at += span;
		} else if (at > 0 && oracle_is_zero(data + at, space - at) && k + 1 < n &&
			   take_record(s, &c, image, k + 1, 0, space, &span) == WAL_FAULT_NONE) {
			k++;
			at = span;
		} else {
			break;
		}
	}
	if (c.in_group) {
		drop_group(s);
		s->end = c.end_before_group;
		c.blocks = c.blocks_before_group;
	}
	s->block_count = c.blocks;
	if (!c.first_seen)
		fail(s, WAL_FAULT_META, 0, AREA + 64);
	s->readable = s->fault == WAL_FAULT_NONE;
	if (s->end < size && !oracle_is_zero(image + s->end, size - s->end))
		fail(s, WAL_FAULT_TAIL, (uint32_t)((s->end - 1 - AREA) / s->block_size), s->end);
}

/* Rules 8 to 11 for one block. */
static bool check_block(struct oracle_segment *s, struct cursor *c, const uint8_t *image,
			uint32_t k)
{
	const uint64_t offset = AREA + (uint64_t)k * s->block_size;
	const uint8_t *h = image + offset;
	const uint32_t used = oracle_get32(h + 28);
	const uint64_t first_event = s->next_event;
	const uint64_t payload = s->payload_bytes;
	uint32_t at = 0;

	if (oracle_get64(h + 56) != oracle_xxh3(h, 56, s->prev_chain))
		return fail(s, WAL_FAULT_BLOCK_HEADER, k, offset);
	if (oracle_get32(h + 24) != k || oracle_get32(h + 12) != 0 || used % 8 != 0 || used < 24 ||
	    used > s->block_size - 64 || !id_possible(h))
		return fail(s, WAL_FAULT_BLOCK_FIELD, k, offset);
	if (oracle_get64(h + 40) != oracle_xxh3(h + 64, used, 0))
		return fail(s, WAL_FAULT_BLOCK_CHECKSUM, k, offset);
	if (oracle_get64(h + 48) != oracle_xxh3(h, 48, s->chain))
		return fail(s, WAL_FAULT_CHAIN, k, offset);
	if (oracle_get64(h + 32) != oracle_get64(h + 64 + 8))
		return fail(s, WAL_FAULT_BLOCK_FIELD, k, offset + 32);
	while (at < used) {
		uint32_t span = 0;
		enum wal_fault_kind kind = take_record(s, c, image, k, at, used, &span);

		if (kind != WAL_FAULT_NONE)
			return fail(s, kind, k, offset + 64 + at);
		at += span;
	}
	if (!oracle_is_zero(h + 64 + used, s->block_size - 64 - used))
		return fail(s, WAL_FAULT_PADDING, k, offset + 64 + used);
	if (oracle_get64(h) != first_event || oracle_get32(h + 8) != s->next_event - first_event ||
	    oracle_get64(h + 16) != payload)
		return fail(s, WAL_FAULT_COUNT, k, offset);
	s->chain = oracle_get64(h + 48);
	return true;
}

static void check_sealed(struct oracle_segment *s, const uint8_t *image)
{
	struct cursor c = {0};

	for (uint32_t k = 0; k < s->block_count; k++) {
		if (!check_block(s, &c, image, k))
			return;
	}
	if (c.in_group)
		fail(s, WAL_FAULT_EVENT_GROUP, s->block_count - 1, s->end);
	s->readable = s->fault == WAL_FAULT_NONE || s->fault == WAL_FAULT_TOO_LONG;
	if (s->event_count != oracle_get32(image + 512 + 24))
		fail(s, WAL_FAULT_COUNT, WAL_NO_BLOCK, 512);
}

/* The chain that an unsealed segment's records lead to: its headers are only hints. */
static uint64_t recompute_chain(const struct oracle_segment *s, const uint8_t *image)
{
	uint64_t chain = s->prev_chain;
	size_t e = 0;

	for (uint32_t k = 0; k < s->block_count; k++) {
		const uint8_t *data = image + AREA + (uint64_t)k * s->block_size + 64;
		const uint32_t space = s->block_size - 64;
		uint8_t h[64] = {0};
		uint32_t used = 0;
		size_t first = e;

		while (e < s->event_count && s->events[e].block == k)
			e++;
		/* Records are back to back from 0, and end before T. */
		while (space - used >= 24 && (uint64_t)(data + used - image) < s->end) {
			uint32_t length = oracle_get32(data + used + 4) & 0xffffff;

			if (length == 0)
				break;
			used += ALIGN8(16 + length);
		}
		oracle_put64(h, s->first_event + first);
		oracle_put32(h + 8, (uint32_t)(e - first));
		oracle_put64(h + 16, first < s->event_count ? s->events[first].payload_offset
							    : s->payload_bytes);
		oracle_put32(h + 24, k);
		oracle_put32(h + 28, used);
		oracle_put64(h + 32, oracle_get64(data + 8));
		oracle_put64(h + 40, oracle_xxh3(data, used, 0));
		chain = oracle_xxh3(h, 48, chain);
	}
	return chain;
}

void oracle_decode(const uint8_t *image, size_t size, uint32_t index, struct oracle_segment *s)
{
	memset(s, 0, sizeof(*s));
	s->fault_block = WAL_NO_BLOCK;
	if (size < AREA)
		fail(s, WAL_FAULT_TOO_SHORT, WAL_NO_BLOCK, size);
	else if (!decode_active(s, image))
		return;
	else if (s->index != index)
		fail(s, WAL_FAULT_INDEX, WAL_NO_BLOCK, 0);
	else if (size < AREA + (size_t)s->block_size)
		fail(s, WAL_FAULT_TOO_SHORT, WAL_NO_BLOCK, size);
	else if (!oracle_is_zero(image + 64, 448))
		fail(s, WAL_FAULT_RESERVED, WAL_NO_BLOCK, 64);
	else if (!oracle_is_zero(image + 576, AREA - 576))
		fail(s, WAL_FAULT_RESERVED, WAL_NO_BLOCK, 576);
	if (s->fault != WAL_FAULT_NONE)
		return;
	if (!oracle_is_zero(image + 512, 64)) {
		if (decode_seal(s, image, size))
			check_sealed(s, image);
		return;
	}
	walk(s, image, size);
	s->chain = recompute_chain(s, image);
}

void oracle_segment_free(struct oracle_segment *s)
{
	free(s->events);
	memset(s, 0, sizeof(*s));
}
