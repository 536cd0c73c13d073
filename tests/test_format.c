/* SPDX-License-Identifier: MIT */
/* core/format: one header or record at a time, against the oracle's own arithmetic. */
#include "core/format/event_checksum.h"
#include "core/format/record.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

static struct oracle_image image;

static void build(void)
{
	struct oracle_params params = test_params();

	oracle_build(&image, &params);
	append_lines(&image, 300);
	oracle_seal(&image, TEST_TIME + 1000000, 1);
	ck_assert_uint_eq(image.block, 2);
}

static void destroy(void)
{
	oracle_image_free(&image);
}

static const void *active_header(void)
{
	return image.bytes;
}

static const void *seal_header(void)
{
	return image.bytes + 512;
}

START_TEST(conversions_are_little_endian)
{
	const wal_le16 a = wal_to_le16(0x0102);
	const wal_le32 b = wal_to_le32(0x01020304);
	const wal_le64 c = wal_to_le64(UINT64_C(0x0102030405060708));

	ck_assert_mem_eq(&a, "\x02\x01", 2);
	ck_assert_mem_eq(&b, "\x04\x03\x02\x01", 4);
	ck_assert_mem_eq(&c, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	ck_assert_uint_eq(wal_from_le16(a), 0x0102);
	ck_assert_uint_eq(wal_from_le32(b), 0x01020304);
	ck_assert_uint_eq(wal_from_le64(c), UINT64_C(0x0102030405060708));
}
END_TEST

START_TEST(chains_start_and_restart_from_the_uuid)
{
	ck_assert_uint_eq(wal_chain_start(test_log), oracle_chain_start(test_log));
	ck_assert_uint_eq(wal_chain_restart(test_log, 17), oracle_chain_restart(test_log, 17));
	ck_assert_uint_ne(wal_chain_restart(test_log, 17), wal_chain_restart(test_log, 18));
	ck_assert_uint_ne(wal_chain_start(test_log), wal_chain_start(test_other_log));
}
END_TEST

START_TEST(zeros_are_told_from_anything_else_at_every_place_and_length)
{
	uint8_t bytes[100] = {0};

	for (size_t start = 0; start < 9; start++) {
		for (size_t size = 0; size < 80; size++) {
			ck_assert(wal_is_zero(bytes + start, size));
			for (size_t i = 0; i < size; i++) {
				bytes[start + i] = 0x80;
				ck_assert(!wal_is_zero(bytes + start, size));
				bytes[start + i] = 0;
			}
			bytes[start + size] = 1; /* just behind */
			ck_assert(wal_is_zero(bytes + start, size));
			bytes[start + size] = 0;
		}
	}
}
END_TEST

START_TEST(an_active_header_is_encoded_and_decoded_as_the_document_says)
{
	struct wal_segment_header header = {
		.index = 1,
		.block_size = TEST_BLOCK,
		.state = WAL_STATE_ACTIVE,
		.first_event_id = 1,
		.created_ns = TEST_TIME,
		.prev_chain = oracle_chain_start(test_log),
	};
	struct wal_disk_segment_header disk;
	struct wal_segment_header back;

	wal_segment_header_encode(&header, 0, &disk);
	ck_assert_mem_eq(&disk, active_header(), sizeof(disk));
	ck_kind(wal_segment_header_decode(&disk, WAL_STATE_ACTIVE, &back), WAL_FAULT_NONE);
	ck_assert_mem_eq(&back, &header, sizeof(back));
	ck_kind(wal_segment_header_decode(&disk, WAL_STATE_SEALED, &back), WAL_FAULT_HEADER_FIELD);
}
END_TEST

START_TEST(a_seal_header_is_encoded_and_decoded_as_the_document_says)
{
	uint64_t chain = oracle_chain(&image);
	struct wal_segment_header header = {
		.index = 1,
		.block_size = TEST_BLOCK,
		.state = WAL_STATE_SEALED,
		.block_count = image.block + 1,
		.first_event_id = 1,
		.event_count = 300,
		.compat = WAL_COMPAT_SEALED_BY_RECOVERY,
		.created_ns = TEST_TIME,
		.closed_ns = TEST_TIME + 1000000,
		.prev_chain = oracle_chain_start(test_log),
	};
	struct wal_disk_segment_header disk;
	struct wal_segment_header back;

	wal_segment_header_encode(&header, chain, &disk);
	ck_assert_mem_eq(&disk, seal_header(), sizeof(disk));
	ck_kind(wal_segment_header_decode(&disk, WAL_STATE_SEALED, &back), WAL_FAULT_NONE);
	ck_assert_mem_eq(&back, &header, sizeof(back));
	ck_assert(wal_segment_header_check_seal(&disk, chain));
	ck_assert(!wal_segment_header_check_seal(&disk, chain + 1));
}
END_TEST

/* Each is put into a good active header, whose checksum is then made right again. */
static const struct {
	uint32_t offset;
	uint32_t size;
	uint64_t value;
	enum wal_fault_kind expected;
} active_fields[] = {
	{0, 1, 'V', WAL_FAULT_MAGIC},
	{3, 1, 's', WAL_FAULT_MAGIC},
	{4, 1, 0, WAL_FAULT_VERSION},
	{4, 1, 2, WAL_FAULT_VERSION},
	{5, 1, 1, WAL_FAULT_VERSION},
	{5, 1, 0x80, WAL_FAULT_VERSION},
	{6, 1, 0, WAL_FAULT_HEADER_FIELD},
	{6, 1, 2, WAL_FAULT_HEADER_FIELD},
	{6, 1, 3, WAL_FAULT_HEADER_FIELD},
	{7, 1, 0, WAL_FAULT_HEADER_FIELD},
	{7, 1, 11, WAL_FAULT_HEADER_FIELD},
	{7, 1, 25, WAL_FAULT_HEADER_FIELD},
	{7, 1, 32, WAL_FAULT_HEADER_FIELD},
	{7, 1, 255, WAL_FAULT_HEADER_FIELD},
	{7, 1, 24, WAL_FAULT_NONE},
	{8, 4, 0, WAL_FAULT_HEADER_FIELD},
	{8, 4, UINT32_MAX, WAL_FAULT_NONE},
	{12, 4, 1, WAL_FAULT_HEADER_FIELD},
	{16, 8, 0, WAL_FAULT_HEADER_FIELD},
	{16, 8, UINT64_C(1) << 62, WAL_FAULT_HEADER_FIELD},
	{16, 8, (UINT64_C(1) << 62) - 1, WAL_FAULT_NONE},
	{24, 4, 1, WAL_FAULT_HEADER_FIELD},
	{28, 4, 0x80000000, WAL_FAULT_NONE}, /* compat: may be ignored */
	{32, 8, 0, WAL_FAULT_NONE},
	{40, 8, 1, WAL_FAULT_HEADER_FIELD},
};

START_TEST(an_active_header_with_an_impossible_field_is_refused)
{
	uint8_t header[64];
	uint8_t value[8];
	struct wal_segment_header decoded;

	memcpy(header, active_header(), sizeof(header));
	oracle_put64(value, active_fields[_i].value);
	memcpy(header + active_fields[_i].offset, value, active_fields[_i].size);
	oracle_fix_active_header(header);
	ck_kind(wal_segment_header_decode((const void *)header, WAL_STATE_ACTIVE, &decoded),
		active_fields[_i].expected);
}
END_TEST

START_TEST(any_flipped_bit_of_an_active_header_is_a_checksum_or_magic_fault)
{
	struct wal_segment_header decoded;
	uint8_t header[64];

	for (uint32_t bit = 0; bit < 8 * sizeof(header); bit++) {
		enum wal_fault_kind kind;

		memcpy(header, active_header(), sizeof(header));
		header[bit / 8] ^= (uint8_t)(1u << bit % 8);
		kind = wal_segment_header_decode((const void *)header, WAL_STATE_ACTIVE, &decoded);
		ck_kind(kind, bit < 32 ? WAL_FAULT_MAGIC : WAL_FAULT_HEADER_CHECKSUM);
	}
}
END_TEST

START_TEST(a_seal_header_with_impossible_counts_is_refused)
{
	static const struct {
		uint32_t offset;
		uint32_t value;
	} fields[] = {{12, 0}, {12, UINT32_MAX}, {12, 1u << 20}};
	struct wal_segment_header decoded;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint8_t header[64];

		memcpy(header, seal_header(), sizeof(header));
		oracle_put32(header + fields[i].offset, fields[i].value);
		ck_kind(wal_segment_header_decode((const void *)header, WAL_STATE_SEALED, &decoded),
			WAL_FAULT_HEADER_FIELD);
	}
}
END_TEST

START_TEST(all_zero_is_no_header_of_any_kind)
{
	static const uint8_t zeros[TEST_BLOCK];
	struct wal_segment_header segment;
	struct wal_block_header block;
	struct wal_found found;

	ck_kind(wal_segment_header_decode((const void *)zeros, WAL_STATE_ACTIVE, &segment),
		WAL_FAULT_MAGIC);
	ck_kind(wal_segment_header_decode((const void *)zeros, WAL_STATE_SEALED, &segment),
		WAL_FAULT_MAGIC);
	ck_assert_int_ne(wal_block_header_decode((const void *)zeros, 1, TEST_BLOCK, 0, &block),
			 WAL_FAULT_NONE);
	ck_kind(wal_record_parse(
			&(struct wal_record_query){
				.data = zeros, .limit = 4032, .prev_chain = 1, .id = 1},
			&found),
		WAL_FAULT_EVENT_FIELD);
}
END_TEST

START_TEST(each_reserved_byte_of_the_header_area_is_looked_at)
{
	uint8_t *area = image.bytes;

	ck_assert_uint_eq(wal_header_area_reserved(area), 0);
	for (uint32_t i = 0; i < 4096; i++) {
		bool header = i < 64 || (i >= 512 && i < 576);

		area[i] ^= 1;
		ck_assert_msg(wal_header_area_reserved(area) == (header ? 0 : i), "byte %u", i);
		area[i] ^= 1;
	}
}
END_TEST

static void assert_same_block(const struct wal_block_header *a, const struct wal_block_header *b)
{
	ck_assert_uint_eq(a->first_event_id, b->first_event_id);
	ck_assert_uint_eq(a->event_count, b->event_count);
	ck_assert_uint_eq(a->index, b->index);
	ck_assert_uint_eq(a->used_bytes, b->used_bytes);
	ck_assert_uint_eq(a->payload_offset, b->payload_offset);
	ck_assert_uint_eq(a->first_timestamp_ns, b->first_timestamp_ns);
	ck_assert_uint_eq(a->block_checksum, b->block_checksum);
	ck_assert_uint_eq(a->chain, b->chain);
}

START_TEST(a_block_header_is_a_pure_function_of_its_records)
{
	uint64_t prev = image.params.prev_chain;
	uint64_t chain = prev;

	for (uint32_t k = 0; k <= image.block; k++) {
		uint8_t *block = image.bytes + 4096 + (size_t)k * TEST_BLOCK;
		struct wal_disk_block_header disk;
		struct wal_block_header header = {
			.first_event_id = oracle_get64(block),
			.event_count = oracle_get32(block + 8),
			.index = k,
			.used_bytes = oracle_get32(block + 28),
			.payload_offset = oracle_get64(block + 16),
			.first_timestamp_ns = oracle_get64(block + 32),
		};
		struct wal_block_header back;

		wal_block_header_finalize(&header, block + 64, chain, prev, &disk);
		ck_assert_mem_eq(&disk, block, sizeof(disk));
		ck_kind(wal_block_header_decode(&disk, prev, TEST_BLOCK, k, &back), WAL_FAULT_NONE);
		assert_same_block(&back, &header);
		ck_assert(wal_block_header_check_chain(&disk, chain));
		ck_assert(!wal_block_header_check_chain(&disk, chain ^ 1));
		chain = header.chain;
	}
}
END_TEST

/* clang-format off */
static const struct {
	uint32_t offset;
	uint32_t size;
	uint64_t value;
	enum wal_fault_kind expected;
} block_fields[] = {
	{0, 8, 0, WAL_FAULT_BLOCK_FIELD},
	{0, 8, UINT64_C(1) << 62, WAL_FAULT_BLOCK_FIELD},
	{8, 4, UINT32_MAX, WAL_FAULT_COUNT},
	{12, 4, 1, WAL_FAULT_BLOCK_FIELD},
	{24, 4, 1, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 0, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 8, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 16, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 25, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 4036, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 4040, WAL_FAULT_BLOCK_FIELD},
	{28, 4, UINT32_MAX - 7, WAL_FAULT_BLOCK_FIELD},
	{28, 4, 4032, WAL_FAULT_NONE},
};
/* clang-format on */

START_TEST(a_block_header_with_an_impossible_field_is_refused)
{
	const uint64_t prev = image.params.prev_chain;
	uint8_t header[64];
	uint8_t value[8];
	struct wal_block_header decoded;

	memcpy(header, image.bytes + 4096 + 2 * TEST_BLOCK, sizeof(header));
	oracle_put64(value, block_fields[_i].value);
	memcpy(header + block_fields[_i].offset, value, block_fields[_i].size);
	ck_kind(wal_block_header_decode((const void *)header, prev, TEST_BLOCK, 2, &decoded),
		WAL_FAULT_BLOCK_HEADER);
	oracle_put64(header + 56, oracle_xxh3(header, 56, prev));
	ck_kind(wal_block_header_decode((const void *)header, prev, TEST_BLOCK, 2, &decoded),
		block_fields[_i].expected);
}
END_TEST

/* No record is that short, also where the header counts no event. */
START_TEST(a_block_header_with_less_than_a_record_is_refused)
{
	const uint64_t prev = image.params.prev_chain;
	uint8_t header[64];
	struct wal_block_header decoded;

	memcpy(header, image.bytes + 4096 + 2 * TEST_BLOCK, sizeof(header));
	oracle_put32(header + 8, 0);
	oracle_put32(header + 28, (uint32_t)_i * 8);
	oracle_put64(header + 56, oracle_xxh3(header, 56, prev));
	ck_kind(wal_block_header_decode((const void *)header, prev, TEST_BLOCK, 2, &decoded),
		_i < 3 ? WAL_FAULT_BLOCK_FIELD : WAL_FAULT_NONE);
}
END_TEST

static uint8_t record_data[4032] __attribute__((aligned(8)));
#define RECORD_SEED 77u
#define RECORD_ID 5u
#define RECORD_TIME 1000u

/* A record of this body at the front of record_data, with a right checksum. */
static void put_record(uint32_t flags, const void *body, uint32_t length)
{
	memset(record_data, 0, sizeof(record_data));
	oracle_put32(record_data + 4, length | flags << 24);
	oracle_put64(record_data + 8, RECORD_TIME);
	memcpy(record_data + 16, body, length);
	oracle_fix_event(record_data, RECORD_SEED, RECORD_ID);
}

static enum wal_fault_kind parse_record(uint32_t limit, struct wal_found *found)
{
	const struct wal_record_query query = {.data = record_data,
					       .limit = limit,
					       .prev_chain = RECORD_SEED,
					       .id = RECORD_ID,
					       .not_before_ns = RECORD_TIME};

	return wal_record_parse(&query, found);
}

START_TEST(a_record_is_found_with_its_payload_flags_and_time)
{
	struct wal_found found;

	put_record(WAL_EVENT_PART, "order", 5);
	ck_kind(parse_record(4032, &found), WAL_FAULT_NONE);
	ck_assert_uint_eq(found.size, 5);
	ck_assert_uint_eq(found.span, 24);
	ck_assert_uint_eq(found.flags, WAL_EVENT_PART);
	ck_assert_uint_eq(found.timestamp_ns, RECORD_TIME);
	ck_assert_mem_eq(found.payload, "order", 5);
	ck_kind(parse_record(24, &found), WAL_FAULT_NONE);
}
END_TEST

START_TEST(a_record_must_fit_in_what_is_left)
{
	struct wal_found found;

	put_record(0, "123456789", 9); /* 32 bytes */
	for (uint32_t limit = 0; limit < 32; limit += 8)
		ck_kind(parse_record(limit, &found), WAL_FAULT_EVENT_FIELD);
	ck_kind(parse_record(32, &found), WAL_FAULT_NONE);
}
END_TEST

static const struct {
	const char *name;
	uint32_t flags;
	const char *body;
	uint32_t length;
	enum wal_fault_kind expected;
} record_flags[] = {
	{"plain", 0, "x", 1, WAL_FAULT_NONE},
	{"MORE", 0x01, "x", 1, WAL_FAULT_NONE},
	{"CONT", 0x02, "x", 1, WAL_FAULT_NONE},
	{"MORE|CONT", 0x03, "x", 1, WAL_FAULT_NONE},
	{"PART", 0x04, "x", 1, WAL_FAULT_NONE},
	{"CONT|PART", 0x06, "x", 1, WAL_FAULT_NONE},
	{"MORE|PART", 0x05, "x", 1, WAL_FAULT_EVENT_FIELD},
	{"reserved 0x08", 0x08, "x", 1, WAL_FAULT_EVENT_FIELD},
	{"reserved 0x10", 0x10, "x", 1, WAL_FAULT_EVENT_FIELD},
	{"reserved 0x20", 0x20, "x", 1, WAL_FAULT_EVENT_FIELD},
	{"META", 0x80, "\x99\0\0\0", 4, WAL_FAULT_NONE},
	{"META|MORE", 0x81, "\x99\0\0\0", 4, WAL_FAULT_EVENT_FIELD},
	{"META|CONT", 0x82, "\x99\0\0\0", 4, WAL_FAULT_EVENT_FIELD},
	{"META|PART", 0x84, "\x99\0\0\0", 4, WAL_FAULT_EVENT_FIELD},
	{"META|EXT", 0xc0, "\x99\0\0\0", 4, WAL_FAULT_EVENT_FIELD},
	{"EXT of no bytes", 0x40, "\0\0x", 3, WAL_FAULT_NONE},
	{"EXT of two bytes", 0x40, "\2\0abx", 5, WAL_FAULT_NONE},
	{"EXT of one byte", 0x40, "\0", 1, WAL_FAULT_EVENT_FIELD},
	{"EXT without payload", 0x40, "\0\0", 2, WAL_FAULT_EVENT_FIELD},
	{"EXT that takes all", 0x40, "\2\0ab", 4, WAL_FAULT_EVENT_FIELD},
	{"EXT beyond the record", 0x40, "\3\0ab", 4, WAL_FAULT_EVENT_FIELD},
	{"EXT far beyond", 0x40,
	 "\xff\xff"
	 "ab",
	 4, WAL_FAULT_EVENT_FIELD},
	{"EXT with PART", 0x44, "\1\0ab", 4, WAL_FAULT_NONE},
};

/* XXH3-64 as the library has it, whatever the length and wherever the payload is. */
START_TEST(an_event_has_one_checksum_whichever_way_it_is_taken)
{
	static uint8_t source[700];
	struct {
		struct wal_disk_event event;
		uint8_t payload[sizeof(source)];
	} record = {.event.timestamp_ns = wal_to_le64(TEST_TIME)};
	const uint64_t chain = UINT64_C(0x8877665544332211), id = 4242;
	uint32_t length, i;

	for (i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)(i * 167 + (i >> 3));
	for (length = 1; length <= sizeof(source); length++) {
		const uint8_t *hashed = (const uint8_t *)&record.event + 4;
		uint32_t from;

		record.event.length_flags = wal_to_le32(length | (uint32_t)WAL_EVENT_PART << 24);
		memcpy(record.payload, source, length);
		from = wal_event_checksum_from(&record.event, source, length, chain, id);
		ck_assert_uint_eq(from,
				  (uint32_t)XXH3_64bits_withSeed(hashed, 12 + length, chain + id));
		ck_assert_uint_eq(from, wal_event_checksum(&record.event, length, chain, id));
	}
}
END_TEST

START_TEST(flags_that_cannot_be_are_refused)
{
	struct wal_found found;
	enum wal_fault_kind kind;

	put_record(record_flags[_i].flags, record_flags[_i].body, record_flags[_i].length);
	kind = parse_record(4032, &found);
	ck_assert_msg(kind == record_flags[_i].expected, "%s: %s", record_flags[_i].name,
		      wal_fault_kind_name(kind));
}
END_TEST

START_TEST(an_extension_is_not_payload)
{
	struct wal_found found;

	put_record(WAL_EVENT_EXT, "\3\0abcpayload", 12);
	ck_kind(parse_record(4032, &found), WAL_FAULT_NONE);
	ck_assert_uint_eq(found.size, 7);
	ck_assert_mem_eq(found.payload, "payload", 7);
	ck_assert_uint_eq(found.span, 32);
}
END_TEST

/* So that all readers agree on what is in the log, whatever they know of extensions. */
START_TEST(what_an_extension_says_makes_no_event_invalid)
{
	static const struct {
		const char *body;
		uint32_t length;
	} extensions[] = {
		{"\6\0\1\4\7\0\0\0x", 9}, /* ORIGIN 7 */
		{"\3\0\1\1\7x", 6},	  /* ORIGIN of another length */
		{"\5\0\2\0\3\1yx", 8},	  /* types that are reserved */
		{"\4\0\200\2yyx", 7},	  /* private */
		{"\1\0\1x", 4},		  /* half an item */
		{"\3\0\1\4yx", 6},	  /* an item that would be longer than all */
	};
	struct wal_found found;

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		put_record(WAL_EVENT_EXT, extensions[i].body, extensions[i].length);
		ck_kind(parse_record(4032, &found), WAL_FAULT_NONE);
		ck_assert_uint_eq(found.size, 1);
		ck_assert_int_eq(found.payload[0], 'x');
	}
}
END_TEST

START_TEST(an_extension_may_be_as_long_as_its_length_can_say)
{
	static uint8_t body[3000];
	struct wal_found found;

	oracle_put16(body, 2997);
	put_record(WAL_EVENT_EXT, body, 3000);
	ck_kind(parse_record(4032, &found), WAL_FAULT_NONE);
	ck_assert_uint_eq(found.size, 1);
}
END_TEST

START_TEST(every_flipped_bit_of_a_record_is_found)
{
	const uint32_t span = 40; /* 16 + 19, padded */

	put_record(0, "nineteen bytes here", 19);
	for (uint32_t bit = 0; bit < 8 * span; bit++) {
		enum wal_fault_kind kind;
		struct wal_found found;

		record_data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		kind = parse_record(4032, &found);
		if (bit / 8 >= 35)
			ck_kind(kind, WAL_FAULT_PADDING);
		else if (bit / 8 >= 4 && bit / 8 < 7) /* length: too long, or its checksum */
			ck_assert_int_ne(kind, WAL_FAULT_NONE);
		else
			ck_kind(kind, WAL_FAULT_EVENT_CHECKSUM);
		record_data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}
END_TEST

START_TEST(a_record_counts_only_with_its_own_id_chain_and_time)
{
	const struct wal_record_query right = {
		.data = record_data, .limit = 4032, .prev_chain = RECORD_SEED, .id = RECORD_ID};
	struct wal_record_query query = right;
	struct wal_found found;

	put_record(0, "x", 1);
	query.id++;
	ck_kind(wal_record_parse(&query, &found), WAL_FAULT_EVENT_CHECKSUM);
	query = right;
	query.prev_chain++;
	ck_kind(wal_record_parse(&query, &found), WAL_FAULT_EVENT_CHECKSUM);
	query.unchecked = true;
	ck_kind(wal_record_parse(&query, &found), WAL_FAULT_NONE);
	query = right;
	query.not_before_ns = RECORD_TIME + 1;
	ck_kind(wal_record_parse(&query, &found), WAL_FAULT_EVENT_TIME);
}
END_TEST

START_TEST(segment_and_resume_records_are_encoded_as_the_document_says)
{
	const uint8_t *body = image.bytes + 4096 + 64 + 16;
	struct wal_disk_meta_record disk;
	struct wal_disk_meta_record again;
	struct wal_meta_record meta;
	struct wal_meta_record back;

	ck_kind(wal_meta_record_decode(body, 72, 4096, &meta), WAL_FAULT_NONE);
	ck_assert_uint_eq(meta.kind, WAL_META_SEGMENT);
	ck_assert_mem_eq(meta.log, test_log, 16);
	ck_assert_uint_eq(meta.segment_bytes, 4096 + 4 * TEST_BLOCK);
	ck_assert_uint_eq(meta.framing.kind, WAL_FRAME_LINE);
	wal_meta_record_encode(&meta, &disk);
	ck_assert_mem_eq(&disk, body, sizeof(disk));
	meta = (struct wal_meta_record){
		.kind = WAL_META_RESUME,
		.writer_version = 0x00020304,
		.incarnation = 17,
		.segment_bytes = 1 << 20,
		.framing = {WAL_FRAME_FIXED, 64},
		.recovery = WAL_META_TAIL_DROPPED | WAL_META_SEGMENTS_DROPPED,
		.dropped_segments = 3,
		.dropped_bytes = UINT64_C(1) << 33,
		.clock_step_ns = 99,
	};
	wal_meta_record_encode(&meta, &disk);
	ck_kind(wal_meta_record_decode((const void *)&disk, sizeof(disk), 4096, &back),
		WAL_FAULT_NONE);
	wal_meta_record_encode(&back, &again);
	ck_assert_mem_eq(&again, &disk, sizeof(again));
	ck_assert_uint_eq(back.dropped_bytes, UINT64_C(1) << 33);
}
END_TEST

START_TEST(a_malformed_segment_record_is_refused_and_unknown_kinds_are_skipped)
{
	uint8_t body[80];
	struct wal_meta_record meta;

	memset(body, 0, sizeof(body));
	memcpy(body, image.bytes + 4096 + 64 + 16, 72);
	for (uint32_t size = 0; size < 72; size++)
		ck_kind(wal_meta_record_decode(body, size, 4096, &meta), WAL_FAULT_META);
	ck_kind(wal_meta_record_decode(body, 73, 4096, &meta), WAL_FAULT_META);
	oracle_put16(body + 2, 69); /* its own length is right, but no kind 1 is so long */
	ck_kind(wal_meta_record_decode(body, 73, 4096, &meta), WAL_FAULT_META);
	oracle_put16(body, 999);
	ck_kind(wal_meta_record_decode(body, 73, 4096, &meta), WAL_FAULT_NONE);
	ck_assert_uint_eq(meta.kind, 999);
	ck_kind(wal_meta_record_decode(body, 72, 4096, &meta), WAL_FAULT_META);
}
END_TEST

START_TEST(a_whole_block_is_checked_from_header_to_last_byte)
{
	uint8_t *block = image.bytes + 4096 + TEST_BLOCK;
	const uint32_t used = oracle_get32(block + 28);
	const struct wal_block_place place = {.segment_prev_chain = image.params.prev_chain,
					      .block_size = TEST_BLOCK,
					      .index = 1};

	for (uint32_t i = 0; i < TEST_BLOCK; i++) {
		enum wal_fault_kind expected = WAL_FAULT_BLOCK_HEADER;
		struct wal_block_header header;
		enum wal_fault_kind kind;
		uint32_t offset = 0;

		if (i >= 64)
			expected = i < 64 + used ? WAL_FAULT_BLOCK_CHECKSUM : WAL_FAULT_PADDING;
		block[i] ^= 0x10;
		kind = wal_block_check(block, &place, &header, &offset);
		ck_assert_msg(kind == expected, "byte %u: %s", i, wal_fault_kind_name(kind));
		block[i] ^= 0x10;
	}
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *format_suite(void)
{
	Suite *suite = suite_create("format");
	TCase *t = test_case(suite, "format", 30);

	tcase_add_checked_fixture(t, build, destroy);
	tcase_add_test(t, conversions_are_little_endian);
	tcase_add_test(t, chains_start_and_restart_from_the_uuid);
	tcase_add_test(t, zeros_are_told_from_anything_else_at_every_place_and_length);
	tcase_add_test(t, an_active_header_is_encoded_and_decoded_as_the_document_says);
	tcase_add_test(t, a_seal_header_is_encoded_and_decoded_as_the_document_says);
	tcase_add_loop_test(t, an_active_header_with_an_impossible_field_is_refused, 0,
			    ROWS(active_fields));
	tcase_add_test(t, any_flipped_bit_of_an_active_header_is_a_checksum_or_magic_fault);
	tcase_add_test(t, a_seal_header_with_impossible_counts_is_refused);
	tcase_add_test(t, all_zero_is_no_header_of_any_kind);
	tcase_add_test(t, each_reserved_byte_of_the_header_area_is_looked_at);
	tcase_add_test(t, a_block_header_is_a_pure_function_of_its_records);
	tcase_add_loop_test(t, a_block_header_with_an_impossible_field_is_refused, 0,
			    ROWS(block_fields));
	tcase_add_loop_test(t, a_block_header_with_less_than_a_record_is_refused, 1, 4);
	tcase_add_test(t, a_record_is_found_with_its_payload_flags_and_time);
	tcase_add_test(t, a_record_must_fit_in_what_is_left);
	tcase_add_loop_test(t, flags_that_cannot_be_are_refused, 0, ROWS(record_flags));
	tcase_add_test(t, an_extension_is_not_payload);
	tcase_add_test(t, what_an_extension_says_makes_no_event_invalid);
	tcase_add_test(t, an_extension_may_be_as_long_as_its_length_can_say);
	tcase_add_test(t, an_event_has_one_checksum_whichever_way_it_is_taken);
	tcase_add_test(t, every_flipped_bit_of_a_record_is_found);
	tcase_add_test(t, a_record_counts_only_with_its_own_id_chain_and_time);
	tcase_add_test(t, segment_and_resume_records_are_encoded_as_the_document_says);
	tcase_add_test(t, a_malformed_segment_record_is_refused_and_unknown_kinds_are_skipped);
	tcase_add_test(t, a_whole_block_is_checked_from_header_to_last_byte);
	return suite;
}

int main(void)
{
	return test_main(format_suite());
}
