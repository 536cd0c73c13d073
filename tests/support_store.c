/* SPDX-License-Identifier: MIT */
/* Stores built from images. */
#include "tests/support.h"

#include <string.h>

const uint8_t test_log[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77,
			      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
const uint8_t test_other_log[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77,
				    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xfe};

struct oracle_params test_params(void)
{
	struct oracle_params params = {
		.index = 1,
		.block_size = TEST_BLOCK,
		.blocks = 4,
		.first_event = 1,
		.prev_chain = oracle_chain_start(test_log),
		.created_ns = TEST_TIME,
		.incarnation = 1,
		.writer_version =
			WAL_VERSION_MAJOR << 16 | WAL_VERSION_MINOR << 8 | WAL_VERSION_PATCH,
		.framing = WAL_FRAME_LINE,
	};

	memcpy(params.log, test_log, sizeof(params.log));
	return params;
}

struct oracle_params test_params_after(const struct oracle_image *image)
{
	struct oracle_params params = image->params;

	params.index++;
	params.first_event = image->next_event;
	params.prev_chain = oracle_chain(image);
	params.created_ns = image->last_ns + 1;
	params.recovery = 0;
	return params;
}

void append_lines(struct oracle_image *image, uint64_t last)
{
	while (image->next_event <= last) {
		char line[32];
		int n = snprintf(line, sizeof(line), "event %llu\n",
				 (unsigned long long)image->next_event);

		oracle_append(image, image->last_ns + 1000, 0, line, (uint32_t)n);
	}
}

const char *store_segment_path(const char *store, uint32_t index)
{
	static char paths[4][2 * TEST_PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%010u.wal", store, index);
	return path;
}

static const char *meta_path(const char *store)
{
	static char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/wal.meta", store);
	return path;
}

void store_put(const char *store, const struct oracle_image *image)
{
	file_write(store_segment_path(store, image->params.index), image->bytes, image->size);
}

struct oracle_slot test_slot(const struct oracle_image *image)
{
	struct oracle_slot slot = {
		.sequence = 7,
		.block_size = image->params.block_size,
		.segment_bytes = 4096 + (uint64_t)image->params.blocks * image->params.block_size,
		.framing = image->params.framing,
		.framing_size = image->params.framing_size,
		.incarnation = image->params.incarnation,
		.durable_segment = image->params.index,
		.first_segment = 1,
		.durable_offset = oracle_end(image),
		.durable_event = image->next_event - 1,
	};

	memcpy(slot.log, image->params.log, sizeof(slot.log));
	return slot;
}

void store_put_slot_alone(const char *store, const struct oracle_slot *slot)
{
	uint8_t bytes[ORACLE_SLOT_BYTES];
	const char *path = meta_path(store);

	if (!file_exists(path)) {
		file_write(path, "", 0);
		file_resize(path, 2 * ORACLE_SLOT_BYTES);
	}
	oracle_slot_encode(slot, bytes);
	file_patch(path, slot->sequence % 2 * ORACLE_SLOT_BYTES, bytes, sizeof(bytes));
}

void store_put_slot(const char *store, const struct oracle_slot *slot)
{
	struct oracle_slot older = *slot;

	older.sequence--;
	older.flags = 0;
	if (older.sequence && !file_exists(meta_path(store)))
		store_put_slot_alone(store, &older);
	store_put_slot_alone(store, slot);
}

struct oracle_slot store_slot(const char *store)
{
	struct bytes bytes = file_read(meta_path(store));
	struct oracle_slot slot;

	ck_assert_uint_eq(bytes.size, 2 * ORACLE_SLOT_BYTES);
	ck_assert_int_ge(oracle_slot_choose(bytes.data, bytes.size, &slot), 0);
	bytes_free(&bytes);
	return slot;
}

void store_decode(const char *store, uint32_t index, struct store_decoded *decoded)
{
	decoded->image = file_read(store_segment_path(store, index));
	oracle_decode(decoded->image.data, decoded->image.size, index, &decoded->segment);
}

void store_decoded_free(struct store_decoded *decoded)
{
	oracle_segment_free(&decoded->segment);
	bytes_free(&decoded->image);
}
