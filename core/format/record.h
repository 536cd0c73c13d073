/* SPDX-License-Identifier: MIT */
/*
 * A record in a block's data: what it is, and whether it holds. It comes in steps that are
 * compiled into the loops which look at each event of a segment; wal_record_parse() is all of
 * them in a row. And META records, to structs and back.
 */
#ifndef WALFS_CORE_RECORD_H
#define WALFS_CORE_RECORD_H

#include <string.h>

#include "core/format/format.h"

/* One record found in a block's data. */
struct wal_found {
	const struct wal_disk_event *event;
	const uint8_t *payload; /* after the extension, if any */
	uint32_t size;		/* of it */
	uint32_t flags;
	uint32_t span;
	uint64_t timestamp_ns;
};

/*
 * Where the record at data[at] lies, if limit bytes of data can be used; nothing
 * outside of them is touched by this or the next steps.
 * Return: whether it lies within them. event, payload, size (an extension counts to
 * both), flags and span are set then.
 */
static inline bool wal_record_locate(const uint8_t *data, uint32_t at, uint32_t limit,
				     struct wal_found *found)
{
	const struct wal_disk_event *event = (const void *)(data + at);
	uint32_t length;

	if (at > limit || limit - at < WAL_EVENT_HEADER + WAL_EVENT_ALIGN)
		return false;
	length = wal_event_length(event);
	found->event = event;
	found->payload = (const uint8_t *)event + WAL_EVENT_HEADER;
	found->size = length;
	found->flags = wal_event_flags(event);
	found->span = wal_event_span(length);
	return length > 0 && found->span <= limit - at;
}

/* Of a record that was located. */
static inline bool wal_record_checksum_fits(const struct wal_found *found, uint64_t prev_chain,
					    uint64_t id)
{
	return wal_event_checksum(found->event, found->size, prev_chain, id) ==
	       wal_from_le32(found->event->event_checksum);
}

/* The up to seven bytes after length, as the top of the record's last word. */
static inline bool wal_padding_is_zero(const struct wal_disk_event *event, size_t length,
				       size_t span)
{
	const size_t used = length % WAL_EVENT_ALIGN;
	wal_le64 last;

	memcpy(&last, (const uint8_t *)event + span - sizeof(last), sizeof(last));
	return used == 0 || wal_from_le64(last) >> 8 * used == 0;
}

static inline bool wal_record_padding_is_zero(const struct wal_found *found)
{
	return wal_padding_is_zero(found->event, found->size, found->span);
}

/* wal_record_examine() of a record that has flags. */
enum wal_fault_kind wal_record_examine_flags(struct wal_found *found);

/*
 * Flags, padding and extension of a record that was located; sets timestamp_ns, and
 * payload and size to what is after the extension.
 * Return: NONE, EVENT_FIELD or PADDING.
 */
static inline enum wal_fault_kind wal_record_examine(struct wal_found *found)
{
	found->timestamp_ns = wal_from_le64(found->event->timestamp_ns);
	if (__builtin_expect(found->flags != 0, 0))
		return wal_record_examine_flags(found);
	return wal_record_padding_is_zero(found) ? WAL_FAULT_NONE : WAL_FAULT_PADDING;
}

/* A record that should be there. */
struct wal_record_query {
	const uint8_t *data; /* of its block */
	uint32_t at;	     /* in that */
	uint32_t limit;	     /* bytes of data that can be used */
	bool unchecked;	     /* its checksum is not computed: the block's stands for it */
	uint64_t prev_chain; /* of its segment; with the id it seeds the checksum */
	uint64_t id;
	uint64_t not_before_ns; /* an earlier one is a fault */
};

/*
 * Return: NONE, or EVENT_FIELD, EVENT_CHECKSUM, PADDING, or EVENT_TIME. All zero is
 * EVENT_FIELD.
 */
enum wal_fault_kind wal_record_parse(const struct wal_record_query *query, struct wal_found *found);

/* What the first record of a segment (or a RESUME record) says. */
struct wal_meta_record {
	uint16_t kind;
	uint32_t writer_version;
	uint8_t log[16];
	uint64_t incarnation;
	uint64_t segment_bytes;
	struct wal_framing framing;
	uint32_t recovery; /* WAL_META_* bits */
	uint32_t dropped_segments;
	uint64_t dropped_bytes;
	uint64_t clock_step_ns;
};

void wal_meta_record_encode(const struct wal_meta_record *meta, struct wal_disk_meta_record *disk);
/*
 * Return: NONE; META if malformed. An unknown kind is NONE with kind set and
 * nothing else: it is skipped.
 */
enum wal_fault_kind wal_meta_record_decode(const uint8_t *data, uint32_t size, uint32_t block_size,
					   struct wal_meta_record *meta);

#endif
