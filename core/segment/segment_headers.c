/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_headers.h"

#include <inttypes.h>

#include "core/segment/segment_info.h"

/* Do the two headers of a sealed segment tell one story? */
static bool headers_agree(const struct wal_segment_headers *h)
{
	return h->active.index == h->seal.index && h->active.block_size == h->seal.block_size &&
	       h->active.first_event_id == h->seal.first_event_id &&
	       h->active.created_ns == h->seal.created_ns &&
	       h->active.prev_chain == h->seal.prev_chain;
}

struct wal_segment_header wal_segment_headers_sealed(const struct wal_segment_headers *h)
{
	struct wal_segment_header header = h->seal;

	if (h->active_kind)
		return header;
	header.index = h->active.index;
	header.block_size = h->active.block_size;
	header.first_event_id = h->active.first_event_id;
	header.created_ns = h->active.created_ns;
	header.prev_chain = h->active.prev_chain;
	return header;
}

int wal_segment_headers_check_reserved(struct wal_segment_reader *r)
{
	uint32_t at = wal_header_area_reserved(r->area);

	return at ? wal_reader_fault(r, WAL_FAULT_RESERVED, wal_in_file(at), "%s", "") : 0;
}

static int check_headers(struct wal_segment_reader *r, const struct wal_segment_headers *h)
{
	if (h->active_kind)
		return wal_reader_fault(r, h->active_kind, wal_in_file(WAL_ACTIVE_HEADER_OFFSET),
					"active header");
	if (headers_agree(h))
		return 0;
	return wal_reader_fault(r, WAL_FAULT_HEADER_MISMATCH, wal_in_file(WAL_SEAL_HEADER_OFFSET),
				"%s", "");
}

int wal_segment_headers_check_seal(struct wal_segment_reader *r,
				   const struct wal_segment_headers *h)
{
	const void *disk = r->area + WAL_SEAL_HEADER_OFFSET;
	uint64_t expected = wal_block_offset(r->header.block_size, r->header.block_count);
	int headers = check_headers(r, h);
	struct wal_fault fault = r->fault;
	int blocks = wal_segment_info_from_blocks(r);

	if (r->file_bytes < expected)
		return wal_reader_fault(r, WAL_FAULT_TOO_SHORT, wal_in_file(r->file_bytes),
					"%" PRIu64 " bytes, the seal header says %" PRIu64,
					r->file_bytes, expected);
	r->info.file_bytes = expected;
	if (headers) {
		r->fault = fault;
		return headers;
	}
	if (blocks)
		return blocks;
	if (!wal_segment_header_check_seal(disk, r->info.chain))
		return wal_reader_fault(r, WAL_FAULT_HEADER_CHECKSUM,
					wal_in_file(WAL_SEAL_HEADER_OFFSET), "seal header");
	return wal_segment_headers_check_reserved(r);
}

/* Does the walk reach every event that the seal header counts? Then the file is not short. */
static bool walk_reaches_all(const struct wal_segment_reader *r,
			     const struct wal_segment_headers *h)
{
	struct wal_walk_source source = {
		.fd = r->fd, .file_bytes = r->file_bytes, .header = &h->active};
	struct wal_tail tail;

	return wal_walk(&source, &tail) == 0 && tail.event_count >= h->seal.event_count;
}

/*
 * The checksum of a seal header is seeded with the chain in the last block's header.
 * Where that cannot be had (the file is too short, or that header is the damage), the
 * active header must bear the seal header out.
 */
static bool seal_is_believed(struct wal_segment_reader *r, const struct wal_segment_headers *h)
{
	const struct wal_segment_header header = wal_segment_headers_sealed(h);
	uint64_t end = wal_block_offset(header.block_size, header.block_count);
	uint8_t bytes[WAL_DIRECT_ALIGN] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	bool borne_out = !h->active_kind && headers_agree(h);
	struct wal_block_header last;

	if (r->file_bytes < end)
		return borne_out && !walk_reaches_all(r, h);
	if (wal_pread_full(r->fd, bytes, sizeof(bytes), (off_t)(end - header.block_size)) !=
		    (ssize_t)sizeof(bytes) ||
	    wal_block_header_decode((const void *)bytes, header.prev_chain, header.block_size,
				    header.block_count - 1, &last))
		return borne_out;
	return wal_segment_header_check_seal((const void *)(r->area + WAL_SEAL_HEADER_OFFSET),
					     last.chain);
}

/* The version of a seal header is not believed: its checksum cannot be known then. */
static enum wal_fault_kind decode_seal(struct wal_segment_reader *r, struct wal_segment_headers *h)
{
	enum wal_fault_kind kind = wal_segment_header_decode(
		(const void *)(r->area + WAL_SEAL_HEADER_OFFSET), WAL_STATE_SEALED, &h->seal);

	if (kind == WAL_FAULT_VERSION || (kind == WAL_FAULT_NONE && !seal_is_believed(r, h)))
		return WAL_FAULT_HEADER_CHECKSUM;
	return kind;
}

void wal_segment_headers_decode(struct wal_segment_reader *r, struct wal_segment_headers *h)
{
	const uint8_t *seal = r->area + WAL_SEAL_HEADER_OFFSET;

	*h = (struct wal_segment_headers){.has_seal = !wal_is_zero(seal, sizeof(h->seal))};
	h->active_kind = wal_segment_header_decode(
		(const void *)(r->area + WAL_ACTIVE_HEADER_OFFSET), WAL_STATE_ACTIVE, &h->active);
	if (h->active_kind != WAL_FAULT_VERSION && h->has_seal)
		h->seal_kind = decode_seal(r, h);
}
