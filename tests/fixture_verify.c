/* SPDX-License-Identifier: MIT */
/* What the tests of verifying share: a sound segment, and what is reported of it or of a store. */
#include "tests/fixture_verify.h"

#include <string.h>

struct oracle_image verify_image;
struct oracle_image verify_images[3];
struct verify_reported verify_reported;
struct wal_verify_result verify_result;
unsigned verify_noted;
enum wal_fault_kind verify_note_kinds[16];

static uint64_t event_offsets[200]; /* of the image's events, from 0 */

static void keep_fault(void *ctx, const char *name, const struct wal_fault *fault)
{
	(void)ctx;
	if (verify_reported.count < 64) {
		verify_reported.faults[verify_reported.count] = *fault;
		snprintf(verify_reported.names[verify_reported.count],
			 sizeof(verify_reported.names[0]), "%s", name);
	}
	verify_reported.count++;
}

void verify_keep_note(void *ctx, const char *name, const struct wal_fault *note)
{
	(void)ctx;
	(void)name;
	if (verify_noted < sizeof(verify_note_kinds) / sizeof(verify_note_kinds[0]))
		verify_note_kinds[verify_noted] = note->kind;
	verify_noted++;
}

const struct wal_verify_options verify_reporting = {.fault = keep_fault};
const struct wal_verify_options verify_telling = {.fault = keep_fault, .note = verify_keep_note};

void verify_build_segment(void)
{
	static char line[5000];
	struct oracle_params params = test_params();
	struct oracle_segment segment;

	oracle_build(&verify_image, &params);
	append_lines(&verify_image, 130); /* 125 in block 0, 5 in block 1 */
	oracle_append(&verify_image, verify_image.last_ns + 1, WAL_FLAG_PART, "part", 4);
	memset(line, 'g', sizeof(line));
	oracle_append_group(&verify_image, verify_image.last_ns + 1, 0, line, sizeof(line));
	oracle_append(&verify_image, verify_image.last_ns + 1, 0, "last\n", 5);
	oracle_seal(&verify_image, verify_image.last_ns + 1, 0);
	ck_assert_uint_eq(verify_image.block, 2);
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
	ck_assert_uint_eq(segment.event_count, 134);
	for (size_t i = 0; i < segment.event_count; i++)
		event_offsets[i] = segment.events[i].file_offset;
	oracle_segment_free(&segment);
}

void verify_destroy_segment(void)
{
	oracle_image_free(&verify_image);
}

/* The others are read only where count says that they are there. */
static void forget_reported(void)
{
	verify_reported.count = 0;
	memset(&verify_reported.faults[0], 0, sizeof(verify_reported.faults[0]));
}

void verify_segment_file(void)
{
	forget_reported();
	ck_ok(wal_verify_segment(test_dirfd(), SEGMENT, 1, &verify_reporting, &verify_result));
	ck_holds(verify_result.faults == verify_reported.count, "%llu faults, %zu reported",
		 (unsigned long long)verify_result.faults, verify_reported.count);
}

void verify_segment_image(void)
{
	store_put(test_dir(), &verify_image);
	verify_segment_file();
}

uint64_t verify_event_offset(size_t n)
{
	ck_holds(n < 134, "there is no event %zu", n);
	return event_offsets[n];
}

void verify_build_store(void)
{
	struct oracle_params params = test_params();
	struct oracle_slot slot;

	for (size_t i = 0; i < 3; i++) {
		oracle_build(&verify_images[i], &params);
		append_lines(&verify_images[i], 50 * (i + 1));
		oracle_seal(&verify_images[i], verify_images[i].last_ns + 1, 0);
		store_put(test_dir(), &verify_images[i]);
		params = test_params_after(&verify_images[i]);
	}
	slot = test_slot(&verify_images[2]);
	store_put_slot(test_dir(), &slot);
}

void verify_destroy_store(void)
{
	for (size_t i = 0; i < 3; i++)
		oracle_image_free(&verify_images[i]);
}

void verify_store(void)
{
	struct wal_error error = {0};
	int err;

	forget_reported();
	err = wal_verify_store(test_dir(), &verify_reporting, &verify_result, &error);
	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), error.text);
	ck_assert_uint_eq(verify_result.faults, verify_reported.count);
}
