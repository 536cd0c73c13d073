/* SPDX-License-Identifier: MIT */
/* Building images and slots: docs/FORMAT.md from the writer's side. */
#include "tests/oracle.h"

#include <stdlib.h>
#include <string.h>

#define AREA 4096u
#define ALIGN8(n) (((n) + 7u) & ~7u)

static uint8_t *block_at(const struct oracle_image *image, uint32_t k)
{
	return image->bytes + AREA + (uint64_t)k * image->params.block_size;
}

static uint32_t data_space(const struct oracle_image *image)
{
	return image->params.block_size - 64;
}

static uint32_t log2_of(uint32_t size)
{
	uint32_t n = 0;

	while (UINT32_C(1) << n < size)
		n++;
	return n;
}

void oracle_fix_active_header(uint8_t *image)
{
	oracle_put64(image + 56, oracle_xxh3(image, 56, 0));
}

void oracle_fix_seal_header(uint8_t *image)
{
	uint8_t *h = image + 512;
	uint64_t block_size = UINT64_C(1) << h[7];
	const uint8_t *last = image + AREA + (oracle_get32(h + 12) - 1) * block_size;

	oracle_put64(h + 56, oracle_xxh3(h, 56, oracle_get64(last + 48)));
}

void oracle_fix_event(uint8_t *record, uint64_t prev_chain, uint64_t id)
{
	uint32_t length = oracle_get32(record + 4) & 0xffffff;

	oracle_put32(record, (uint32_t)oracle_xxh3(record + 4, 12 + length, prev_chain + id));
}

void oracle_fix_blocks(uint8_t *image, uint32_t from)
{
	const uint8_t *seal = image + 512;
	uint64_t block_size = UINT64_C(1) << seal[7];
	uint64_t prev = oracle_get64(image + 48);
	uint64_t chain = prev;

	for (uint32_t k = 0; k < oracle_get32(seal + 12); k++) {
		uint8_t *h = image + AREA + k * block_size;

		if (k >= from) {
			oracle_put64(h + 40, oracle_xxh3(h + 64, oracle_get32(h + 28), 0));
			oracle_put64(h + 48, oracle_xxh3(h, 48, chain));
			oracle_put64(h + 56, oracle_xxh3(h, 56, prev));
		}
		chain = oracle_get64(h + 48);
	}
	oracle_fix_seal_header(image);
}

/* The fields that active header and seal header share. */
static void put_header(const struct oracle_params *p, uint8_t *h, uint8_t state)
{
	memset(h, 0, 64);
	memcpy(h, "WALS", 4);
	h[4] = 1;
	h[6] = state;
	h[7] = (uint8_t)log2_of(p->block_size);
	oracle_put32(h + 8, p->index);
	oracle_put64(h + 16, p->first_event);
	oracle_put64(h + 32, p->created_ns);
	oracle_put64(h + 48, p->prev_chain);
}

static void put_meta(const struct oracle_params *p, uint32_t kind, uint64_t incarnation,
		     uint8_t body[72])
{
	memset(body, 0, 72);
	oracle_put16(body, kind);
	oracle_put16(body + 2, 68);
	oracle_put32(body + 4, p->writer_version);
	memcpy(body + 8, p->log, 16);
	oracle_put64(body + 24, incarnation);
	oracle_put64(body + 32, AREA + (uint64_t)p->blocks * p->block_size);
	oracle_put32(body + 40, p->framing);
	oracle_put32(body + 44, p->framing_size);
	oracle_put32(body + 48, kind == 1 ? p->recovery : 0);
}

void oracle_build(struct oracle_image *image, const struct oracle_params *params)
{
	uint8_t body[72];

	memset(image, 0, sizeof(*image));
	image->params = *params;
	image->size = AREA + (size_t)params->blocks * params->block_size;
	image->bytes = calloc(1, image->size);
	if (!image->bytes)
		abort();
	image->next_event = params->first_event;
	put_header(params, image->bytes, 1);
	oracle_fix_active_header(image->bytes);
	put_meta(params, 1, params->incarnation, body);
	oracle_append(image, params->created_ns, 0x80, body, sizeof(body));
}

void oracle_image_free(struct oracle_image *image)
{
	free(image->bytes);
	memset(image, 0, sizeof(*image));
}

int64_t oracle_room(const struct oracle_image *image)
{
	uint32_t left = data_space(image) - image->at;

	return left < 24 ? -1 : (int64_t)left - 16;
}

void oracle_next_block(struct oracle_image *image)
{
	image->block++;
	image->at = 0;
	if (image->block >= image->params.blocks)
		abort(); /* the test asked for more than the image holds */
}

uint64_t oracle_end(const struct oracle_image *image)
{
	return (uint64_t)(block_at(image, image->block) + 64 + image->at - image->bytes);
}

uint64_t oracle_append(struct oracle_image *image, uint64_t timestamp_ns, uint32_t flags,
		       const void *data, uint32_t size)
{
	uint8_t *record;

	if (oracle_room(image) < (int64_t)size)
		oracle_next_block(image);
	record = block_at(image, image->block) + 64 + image->at;
	oracle_put32(record + 4, size | flags << 24);
	oracle_put64(record + 8, timestamp_ns);
	memcpy(record + 16, data, size);
	oracle_fix_event(record, image->params.prev_chain, image->next_event);
	image->at += ALIGN8(16 + size);
	image->last_ns = timestamp_ns;
	if (!(flags & 0x80))
		image->next_event++;
	return (uint64_t)(record - image->bytes);
}

void oracle_append_group(struct oracle_image *image, uint64_t timestamp_ns, uint32_t flags,
			 const void *data, uint32_t size)
{
	const uint8_t *p = data;
	uint32_t cont = 0;

	while (size > 0) {
		int64_t room = oracle_room(image);
		uint32_t n;

		if (room < 0) {
			oracle_next_block(image);
			room = oracle_room(image);
		}
		n = (int64_t)size <= room ? size : (uint32_t)room;
		oracle_append(image, timestamp_ns, cont | (n < size ? 0x01 : flags), p, n);
		cont = 0x02;
		p += n;
		size -= n;
	}
}

void oracle_append_resume(struct oracle_image *image, uint64_t timestamp_ns, uint64_t incarnation)
{
	uint8_t body[72];

	put_meta(&image->params, 2, incarnation, body);
	oracle_append(image, timestamp_ns, 0x80, body, sizeof(body));
}

uint64_t oracle_block_header(const struct oracle_image *image, uint32_t k, uint64_t previous,
			     uint8_t h[64])
{
	uint64_t first = image->params.first_event;
	uint64_t payload = 0;
	uint32_t events = 0;
	uint32_t used = 0;

	for (uint32_t b = 0; b <= k; b++) {
		const uint8_t *data = block_at(image, b) + 64;

		first += events;
		events = 0;
		/* Until the block's records end; payload counts those of the blocks before. */
		for (used = 0; data_space(image) - used >= 24;) {
			uint32_t length = oracle_get32(data + used + 4) & 0xffffff;

			if (length == 0 || ALIGN8(16 + length) > data_space(image) - used)
				break; /* (a test may have broken it) */
			if (!(data[used + 7] & 0x80)) {
				events++;
				payload += b < k ? length : 0;
				if (b < k && data[used + 7] & 0x40)
					payload -= 2 + oracle_get16(data + used + 16);
			}
			used += ALIGN8(16 + length);
		}
	}
	memset(h, 0, 64);
	oracle_put64(h, first);
	oracle_put32(h + 8, events);
	oracle_put64(h + 16, payload);
	oracle_put32(h + 24, k);
	oracle_put32(h + 28, used);
	oracle_put64(h + 32, oracle_get64(block_at(image, k) + 64 + 8));
	oracle_put64(h + 40, oracle_xxh3(block_at(image, k) + 64, used, 0));
	oracle_put64(h + 48, oracle_xxh3(h, 48, previous));
	oracle_put64(h + 56, oracle_xxh3(h, 56, image->params.prev_chain));
	return oracle_get64(h + 48);
}

uint64_t oracle_write_block_headers(struct oracle_image *image, uint32_t count)
{
	uint64_t chain = image->params.prev_chain;

	for (uint32_t k = 0; k < count; k++) {
		uint8_t h[64];

		chain = oracle_block_header(image, k, chain, h);
		memcpy(block_at(image, k), h, sizeof(h));
	}
	return chain;
}

uint64_t oracle_chain(const struct oracle_image *image)
{
	uint64_t chain = image->params.prev_chain;
	uint8_t h[64];

	for (uint32_t k = 0; k <= image->block; k++)
		chain = oracle_block_header(image, k, chain, h);
	return chain;
}

uint64_t oracle_seal(struct oracle_image *image, uint64_t closed_ns, uint32_t compat)
{
	uint32_t count = image->block + 1;
	uint8_t *h = image->bytes + 512;
	uint64_t chain = oracle_write_block_headers(image, count);

	put_header(&image->params, h, 2);
	oracle_put32(h + 12, count);
	oracle_put32(h + 24, (uint32_t)(image->next_event - image->params.first_event));
	oracle_put32(h + 28, compat);
	oracle_put64(h + 40, closed_ns);
	oracle_put64(h + 56, oracle_xxh3(h, 56, chain));
	image->size = AREA + (size_t)count * image->params.block_size;
	return chain;
}

void oracle_slot_encode(const struct oracle_slot *slot, uint8_t b[ORACLE_SLOT_BYTES])
{
	memset(b, 0, ORACLE_SLOT_BYTES);
	memcpy(b, "WALM", 4);
	b[4] = 1;
	b[6] = (uint8_t)log2_of(slot->block_size);
	oracle_put64(b + 8, slot->sequence);
	memcpy(b + 16, slot->log, 16);
	oracle_put64(b + 32, slot->segment_bytes);
	oracle_put32(b + 40, slot->framing);
	oracle_put32(b + 44, slot->framing_size);
	oracle_put64(b + 48, slot->incarnation);
	oracle_put32(b + 56, slot->durable_segment);
	oracle_put32(b + 60, slot->first_segment);
	oracle_put64(b + 64, slot->durable_offset);
	oracle_put64(b + 72, slot->durable_event);
	oracle_put32(b + 80, slot->flags);
	oracle_put64(b + 88, oracle_xxh3(b, 88, 0));
}

/* Section 7: what a slot can say. */
static bool slot_possible(const struct oracle_slot *slot)
{
	const uint64_t blocks = slot->segment_bytes - AREA;
	const bool framing = slot->framing == 3 ? slot->framing_size > 0
						: (slot->framing == 1 || slot->framing == 2) &&
							  slot->framing_size == 0;

	return slot->sequence > 0 && framing && slot->segment_bytes > AREA &&
	       slot->segment_bytes <= UINT64_C(1) << 32 && blocks % slot->block_size == 0 &&
	       slot->durable_segment < UINT32_MAX && slot->durable_event < UINT64_C(1) << 62;
}

bool oracle_slot_decode(const uint8_t b[ORACLE_SLOT_BYTES], struct oracle_slot *slot)
{
	memset(slot, 0, sizeof(*slot));
	if (memcmp(b, "WALM", 4) != 0 || b[4] != 1 || b[5] != 0 || b[6] < 12 || b[6] > 24)
		return false;
	if (b[7] != 0 || oracle_get32(b + 84) != 0 || (oracle_get32(b + 80) & ~ORACLE_CLEAN) ||
	    !oracle_is_zero(b + 96, ORACLE_SLOT_BYTES - 96))
		return false;
	if (oracle_get64(b + 88) != oracle_xxh3(b, 88, 0))
		return false;
	slot->block_size = UINT32_C(1) << b[6];
	slot->sequence = oracle_get64(b + 8);
	memcpy(slot->log, b + 16, 16);
	slot->segment_bytes = oracle_get64(b + 32);
	slot->framing = oracle_get32(b + 40);
	slot->framing_size = oracle_get32(b + 44);
	slot->incarnation = oracle_get64(b + 48);
	slot->durable_segment = oracle_get32(b + 56);
	slot->first_segment = oracle_get32(b + 60);
	slot->durable_offset = oracle_get64(b + 64);
	slot->durable_event = oracle_get64(b + 72);
	slot->flags = oracle_get32(b + 80);
	return slot_possible(slot);
}

int oracle_slot_choose(const uint8_t *bytes, size_t size, struct oracle_slot *slot)
{
	int chosen = -1;

	for (int i = 0; i < 2 && size >= (size_t)(i + 1) * ORACLE_SLOT_BYTES; i++) {
		struct oracle_slot found;

		if (!oracle_slot_decode(bytes + i * ORACLE_SLOT_BYTES, &found))
			continue;
		if (chosen < 0 || found.sequence > slot->sequence) {
			*slot = found;
			chosen = i;
		}
	}
	return chosen;
}
