/* SPDX-License-Identifier: MIT */
/* Verifying a segment: each kind of fault, provoked alone, is named with its block and offset. */
#include <string.h>

#include "tests/fixture_verify.h"

static void fix_event(size_t n)
{
	oracle_fix_event(verify_image.bytes + verify_event_offset(n),
			 verify_image.params.prev_chain, 1 + n);
}

static void cut_short(void)
{
	verify_image.size -= 1;
}

static void cut_in_header(void)
{
	verify_image.size = 4095;
}

static void zero_magic(void)
{
	verify_image.bytes[0] = 'w';
	memset(verify_image.bytes + 512, 0, 64);
}

static void newer_version(void)
{
	verify_image.bytes[4] = 9;
	oracle_fix_active_header(verify_image.bytes);
}

static void flip_active(void)
{
	verify_image.bytes[33] ^= 1;
}

static void flip_seal(void)
{
	verify_image.bytes[512 + 40] ^= 1;
}

static void impossible_active(void)
{
	verify_image.bytes[12] = 1; /* block_count of an active header */
	oracle_fix_active_header(verify_image.bytes);
}

static void impossible_seal(void)
{
	verify_image.bytes[512 + 6] = 1;
	oracle_fix_seal_header(verify_image.bytes);
}

static void mismatch_created(void)
{
	verify_image.bytes[512 + 32] ^= 1;
	oracle_fix_seal_header(verify_image.bytes);
}

static void mismatch_first_event(void)
{
	verify_image.bytes[512 + 16] ^= 2;
	oracle_fix_seal_header(verify_image.bytes);
}

static void mismatch_index(void)
{
	verify_image.bytes[512 + 8] ^= 4;
	oracle_fix_seal_header(verify_image.bytes);
}

static void reserved_low(void)
{
	verify_image.bytes[511] = 1;
}

static void reserved_signature(void)
{
	verify_image.bytes[1024] = 1;
}

static void reserved_high(void)
{
	verify_image.bytes[4095] = 1;
}

static void other_index(void)
{
	verify_image.bytes[8] = 2;
	verify_image.bytes[512 + 8] = 2;
	oracle_fix_active_header(verify_image.bytes);
	oracle_fix_seal_header(verify_image.bytes);
}

static void flip_block_header(void)
{
	verify_image.bytes[BLOCK_AT(1) + 60] ^= 1;
}

static void block_flags(void)
{
	verify_image.bytes[BLOCK_AT(1) + 12] = 1;
	oracle_fix_blocks(verify_image.bytes, 1);
}

static void block_index(void)
{
	verify_image.bytes[BLOCK_AT(1) + 24] = 2;
	oracle_fix_blocks(verify_image.bytes, 1);
}

static void block_time(void)
{
	verify_image.bytes[BLOCK_AT(1) + 32] ^= 1;
	oracle_fix_blocks(verify_image.bytes, 1);
}

static void block_checksum(void)
{
	uint8_t *h = verify_image.bytes + BLOCK_AT(1);

	oracle_fix_blocks(verify_image.bytes, 0);
	h[40] ^= 1; /* the data is right, its checksum is not */
	oracle_put64(h + 48,
		     oracle_xxh3(h, 48, oracle_get64(verify_image.bytes + BLOCK_AT(0) + 48)));
	oracle_put64(h + 56, oracle_xxh3(h, 56, verify_image.params.prev_chain));
	oracle_fix_blocks(verify_image.bytes, 2);
}

static void block_chain(void)
{
	uint8_t *h = verify_image.bytes + BLOCK_AT(1);

	h[48] ^= 1;
	oracle_put64(h + 56, oracle_xxh3(h, 56, verify_image.params.prev_chain));
	oracle_fix_blocks(verify_image.bytes, 2); /* goes on from the wrong one */
}

static void event_checksum(void)
{
	verify_image.bytes[verify_event_offset(4) + 16] ^= 1;
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void event_flags(void)
{
	verify_image.bytes[verify_event_offset(4) + 7] = 0x10;
	fix_event(4);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void event_length(void)
{
	verify_image.bytes[verify_event_offset(4) + 6] = 1; /* 64 KiB more */
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void event_time(void)
{
	uint64_t at = verify_event_offset(4);

	oracle_put64(verify_image.bytes + at + 8, oracle_get64(verify_image.bytes + at + 8) - 5000);
	fix_event(4);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void cont_without_more(void)
{
	verify_image.bytes[verify_event_offset(4) + 7] = WAL_FLAG_CONT;
	fix_event(4);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void more_without_cont(void)
{
	verify_image.bytes[verify_event_offset(4) + 7] = WAL_FLAG_MORE;
	fix_event(4);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void more_at_the_end(void)
{
	verify_image.bytes[verify_event_offset(133) + 7] = WAL_FLAG_MORE;
	fix_event(133);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void event_padding(void)
{
	verify_image.bytes[verify_event_offset(130) + 16 + 4] = 1; /* "part" and four zeros */
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void block_rest(void)
{
	verify_image.bytes[BLOCK_AT(3) - 1] = 1;
}

static void seal_count(void)
{
	verify_image.bytes[512 + 24] ^= 1;
	oracle_fix_seal_header(verify_image.bytes);
}

static void block_count(void)
{
	verify_image.bytes[BLOCK_AT(2) + 8] ^= 1;
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void block_first_event(void)
{
	/* No event below it fits its id any more. */
	oracle_put64(verify_image.bytes + BLOCK_AT(1), 127);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void block_payload(void)
{
	verify_image.bytes[BLOCK_AT(1) + 16] ^= 1;
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void resume_first(void)
{
	verify_image.bytes[DATA(0) + 16] = 2;
	oracle_fix_event(verify_image.bytes + DATA(0), verify_image.params.prev_chain, 1);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void meta_too_long(void)
{
	verify_image.bytes[DATA(0) + 18] = 69;
	oracle_fix_event(verify_image.bytes + DATA(0), verify_image.params.prev_chain, 1);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void meta_framing(void)
{
	verify_image.bytes[DATA(0) + 16 + 40] = 9;
	oracle_fix_event(verify_image.bytes + DATA(0), verify_image.params.prev_chain, 1);
	oracle_fix_blocks(verify_image.bytes, 0);
}

static void meta_segment_bytes(void)
{
	verify_image.bytes[DATA(0) + 16 + 32] = 1;
	oracle_fix_event(verify_image.bytes + DATA(0), verify_image.params.prev_chain, 1);
	oracle_fix_blocks(verify_image.bytes, 0);
}

#define NONE WAL_NO_BLOCK

static const struct {
	const char *name;
	void (*damage)(void);
	enum wal_fault_kind kind;
	uint32_t block;
	uint64_t offset;
	bool alone; /* it is the only one */
} faults[] = {
	{"cut by a byte", cut_short, WAL_FAULT_TOO_SHORT, NONE, 4096 + 3 * TEST_BLOCK - 1, true},
	{"cut in the header area", cut_in_header, WAL_FAULT_TOO_SHORT, NONE, 4095, true},
	{"no magic", zero_magic, WAL_FAULT_MAGIC, NONE, 0, true},
	{"newer version", newer_version, WAL_FAULT_VERSION, NONE, 4, true},
	{"active header flipped", flip_active, WAL_FAULT_HEADER_CHECKSUM, NONE, 0, true},
	{"seal header flipped", flip_seal, WAL_FAULT_HEADER_CHECKSUM, NONE, 512, true},
	{"active header impossible", impossible_active, WAL_FAULT_HEADER_FIELD, NONE, 0, true},
	{"seal header impossible", impossible_seal, WAL_FAULT_HEADER_FIELD, NONE, 512, true},
	{"headers disagree in time", mismatch_created, WAL_FAULT_HEADER_MISMATCH, NONE, 512, true},
	{"headers disagree in id", mismatch_first_event, WAL_FAULT_HEADER_MISMATCH, NONE, 512,
	 false},
	{"headers disagree in index", mismatch_index, WAL_FAULT_HEADER_MISMATCH, NONE, 512, true},
	{"reserved byte before the seal", reserved_low, WAL_FAULT_RESERVED, NONE, 511, true},
	{"reserved byte of the signature", reserved_signature, WAL_FAULT_RESERVED, NONE, 1024,
	 true},
	{"reserved byte at the end", reserved_high, WAL_FAULT_RESERVED, NONE, 4095, true},
	{"another index", other_index, WAL_FAULT_INDEX, NONE, 8, true},
	{"block header flipped", flip_block_header, WAL_FAULT_BLOCK_HEADER, 1, BLOCK_AT(1), true},
	{"block flags", block_flags, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1), true},
	{"block index", block_index, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1), true},
	{"block time", block_time, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1) + 32, true},
	{"block checksum", block_checksum, WAL_FAULT_BLOCK_CHECKSUM, 1, DATA(1), true},
	{"chained checksum", block_chain, WAL_FAULT_CHAIN, 1, BLOCK_AT(1) + 48, true},
	{"event checksum", event_checksum, WAL_FAULT_EVENT_CHECKSUM, 0, DATA(0) + 88 + 96, true},
	{"event flags", event_flags, WAL_FAULT_EVENT_FIELD, 0, DATA(0) + 88 + 96, true},
	{"event length", event_length, WAL_FAULT_EVENT_FIELD, 0, DATA(0) + 88 + 96, true},
	{"event time", event_time, WAL_FAULT_EVENT_TIME, 0, DATA(0) + 88 + 96, true},
	{"CONT without MORE", cont_without_more, WAL_FAULT_EVENT_GROUP, 0, DATA(0) + 88 + 96, true},
	{"MORE without CONT", more_without_cont, WAL_FAULT_EVENT_GROUP, 0, DATA(0) + 88 + 120,
	 true},
	{"MORE at the end", more_at_the_end, WAL_FAULT_EVENT_GROUP, 2, 0, true},
	{"event padding", event_padding, WAL_FAULT_PADDING, 1, DATA(1) + 160, true},
	{"rest of a block", block_rest, WAL_FAULT_PADDING, 2, 0, true},
	{"count in the seal", seal_count, WAL_FAULT_COUNT, NONE, 512 + 24, true},
	{"count in a block", block_count, WAL_FAULT_COUNT, 2, BLOCK_AT(2) + 8, true},
	{"first id of a block", block_first_event, WAL_FAULT_COUNT, 1, BLOCK_AT(1), false},
	{"payload offset of a block", block_payload, WAL_FAULT_COUNT, 1, BLOCK_AT(1) + 16, false},
	{"first record is RESUME", resume_first, WAL_FAULT_META, 0, DATA(0), false},
	{"first record malformed", meta_too_long, WAL_FAULT_META, 0, DATA(0), false},
	{"framing that is none", meta_framing, WAL_FAULT_META, 0, DATA(0), true},
	{"segment size that is none", meta_segment_bytes, WAL_FAULT_META, 0, DATA(0), true},
};

START_TEST(each_fault_is_named_with_its_block_and_offset)
{
	const struct wal_fault *first = &verify_reported.faults[0];
	char text[256];

	faults[_i].damage();
	verify_segment_image();
	ck_assert_msg(verify_reported.count > 0, "%s: not found", faults[_i].name);
	wal_fault_format(first, text, sizeof(text));
	ck_assert_msg(first->kind == faults[_i].kind, "%s: %s", faults[_i].name, text);
	ck_assert_msg(first->block == faults[_i].block, "%s: block %u", faults[_i].name,
		      first->block);
	if (faults[_i].offset)
		ck_assert_msg(first->offset == faults[_i].offset, "%s: offset %#llx, not %#llx",
			      faults[_i].name, (unsigned long long)first->offset,
			      (unsigned long long)faults[_i].offset);
	ck_assert_msg(!faults[_i].alone || verify_reported.count == 1, "%s: and also %s",
		      faults[_i].name, wal_fault_kind_name(verify_reported.faults[1].kind));
	ck_assert_uint_eq(first->segment, 1);
	ck_assert_str_eq(verify_reported.names[0], SEGMENT);
	ck_assert_str_eq(verify_result.first_name, SEGMENT);
	ck_kind(verify_result.first.kind, first->kind);
}
END_TEST

START_TEST(the_oracle_finds_each_of_them_too)
{
	struct oracle_segment segment;

	faults[_i].damage();
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
	ck_assert_msg(segment.fault != WAL_FAULT_NONE, "%s: not found", faults[_i].name);
	oracle_segment_free(&segment);
}
END_TEST

static Suite *verify_faults_suite(void)
{
	Suite *suite = suite_create("verify_faults");
	TCase *t = test_case(suite, "faults", 60);
	const int rows = (int)(sizeof(faults) / sizeof(faults[0]));

	tcase_add_checked_fixture(t, verify_build_segment, verify_destroy_segment);
	tcase_add_loop_test(t, each_fault_is_named_with_its_block_and_offset, 0, rows);
	tcase_add_loop_test(t, the_oracle_finds_each_of_them_too, 0, rows);
	return suite;
}

int main(void)
{
	return test_main_in_memory(verify_faults_suite());
}
