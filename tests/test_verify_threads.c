/* SPDX-License-Identifier: MIT */
/*
 * Verifying with several threads (core/verify/verify_feed.c makes them with pthread_create):
 * what is found, its order and its words are those of one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define SEGMENT "0000000001.wal"
#define FAULTS_MAX 2048

struct outcome {
	int err;
	size_t count;
	struct wal_fault faults[FAULTS_MAX];
	struct wal_verify_result result;
	unsigned progress_calls;
	unsigned stop_at; /* this call of progress; 0: none */
	pthread_t caller;
};

static struct outcome one, many;

static void keep_fault(void *ctx, const char *name, const struct wal_fault *fault)
{
	struct outcome *outcome = ctx;

	ck_assert_str_eq(name, SEGMENT);
	ck_assert(pthread_equal(pthread_self(), outcome->caller));
	ck_assert_uint_lt(outcome->count, FAULTS_MAX);
	outcome->faults[outcome->count++] = *fault;
}

static bool on_progress(void *ctx, const struct wal_verify_progress *progress)
{
	struct outcome *outcome = ctx;

	ck_assert_uint_le(progress->done_bytes, progress->total_bytes);
	ck_assert(pthread_equal(pthread_self(), outcome->caller));
	return ++outcome->progress_calls != outcome->stop_at;
}

static void verify(struct outcome *outcome, unsigned threads, unsigned flags, unsigned stop_at)
{
	const struct wal_verify_options options = {.flags = flags,
						   .threads = threads,
						   .ctx = outcome,
						   .fault = keep_fault,
						   .progress = on_progress};

	memset(outcome, 0, sizeof(*outcome));
	outcome->caller = pthread_self();
	outcome->stop_at = stop_at;
	outcome->err = wal_verify_segment(test_dirfd(), SEGMENT, 1, &options, &outcome->result);
}

static void assert_same_outcome(void)
{
	ck_assert_int_eq(one.err, many.err);
	ck_assert_uint_eq(one.count, many.count);
	for (size_t i = 0; i < one.count; i++) {
		ck_kind(many.faults[i].kind, one.faults[i].kind);
		ck_assert_uint_eq(many.faults[i].block, one.faults[i].block);
		ck_assert_uint_eq(many.faults[i].offset, one.faults[i].offset);
		ck_assert_str_eq(many.faults[i].detail, one.faults[i].detail);
	}
	ck_assert_uint_eq(one.progress_calls, many.progress_calls);
	ck_assert_uint_eq(one.result.blocks, many.result.blocks);
	ck_assert_uint_eq(one.result.events, many.result.events);
	ck_assert_uint_eq(one.result.payload_bytes, many.result.payload_bytes);
}

/* A sealed segment of this many full blocks: records of all lengths, some of them groups. */
static void build(struct oracle_image *image, uint32_t block_size, uint32_t blocks)
{
	static uint8_t payload[20000];
	struct oracle_params params = test_params();
	unsigned seed = 1;

	params.block_size = block_size;
	params.blocks = blocks + 8;
	oracle_build(image, &params);
	while (image->block + 1 < blocks) {
		uint32_t size = 1 + (uint32_t)rand_r(&seed) % 900;

		if (rand_r(&seed) % 64 == 0)
			oracle_append_group(image, ++image->last_ns, 0, payload, 9000);
		else
			oracle_append(image, ++image->last_ns, 0, payload, size);
	}
	oracle_seal(image, image->last_ns, 0);
	store_put(test_dir(), image);
}

static const unsigned thread_counts[] = {2, 3, 4, 16, 1000, 0};

START_TEST(many_flipped_bits_are_told_alike_with_any_number_of_threads)
{
	struct oracle_image image;
	unsigned seed = 7;

	build(&image, TEST_BLOCK, 1500);
	for (int round = 0; round < 4; round++) {
		for (int flip = 0; flip < round * 60; flip++)
			file_flip(test_path(SEGMENT),
				  4096 + (uint64_t)rand_r(&seed) % (image.size - 4096),
				  (uint8_t)(1u << rand_r(&seed) % 8));
		verify(&one, 1, 0, 0);
		ck_assert_uint_ge(one.count, (size_t)round * 40);
		verify(&many, thread_counts[_i], 0, 0);
		assert_same_outcome();
	}
	oracle_image_free(&image);
}
END_TEST

START_TEST(direct_reads_give_the_same)
{
	struct oracle_image image;

	build(&image, TEST_BLOCK, 700);
	file_flip(test_path(SEGMENT), 4096 + 300 * TEST_BLOCK + 70, 1);
	verify(&one, 1, WAL_READ_DIRECT, 0);
	ck_assert_uint_ge(one.count, 1);
	verify(&many, thread_counts[_i], WAL_READ_DIRECT, 0);
	assert_same_outcome();
	oracle_image_free(&image);
}
END_TEST

START_TEST(a_cut_file_is_told_alike)
{
	struct oracle_image image;

	build(&image, TEST_BLOCK, 700);
	file_resize(test_path(SEGMENT), 4096 + 333 * TEST_BLOCK + 100);
	verify(&one, 1, 0, 0);
	ck_assert_uint_ge(one.count, 1);
	verify(&many, thread_counts[_i], 0, 0);
	assert_same_outcome();
	oracle_image_free(&image);
}
END_TEST

START_TEST(it_can_be_stopped_in_the_middle)
{
	struct oracle_image image;

	build(&image, TEST_BLOCK, 1500);
	verify(&one, 1, 0, 2);
	ck_assert_int_eq(one.err, -ECANCELED);
	verify(&many, thread_counts[_i], 0, 2);
	assert_same_outcome();
	oracle_image_free(&image);
}
END_TEST

START_TEST(a_segment_of_one_block_needs_no_other_thread)
{
	struct oracle_image image;

	build(&image, TEST_BLOCK, 1);
	verify(&one, 1, 0, 0);
	ck_assert_uint_eq(one.result.blocks, 1);
	verify(&many, thread_counts[_i], 0, 0);
	assert_same_outcome();
	oracle_image_free(&image);
}
END_TEST

START_TEST(the_largest_blocks_are_told_alike)
{
	struct oracle_image image;

	build(&image, 1u << 24, 3);
	file_flip(test_path(SEGMENT), 4096 + (1u << 24) + 5000, 1);
	verify(&one, 1, 0, 0);
	ck_assert_uint_ge(one.count, 2);
	verify(&many, thread_counts[_i], 0, 0);
	assert_same_outcome();
	oracle_image_free(&image);
}
END_TEST

int main(void)
{
	const int counts = (int)(sizeof(thread_counts) / sizeof(thread_counts[0]));
	Suite *suite = suite_create("verify_threads");
	TCase *t = test_case(suite, "threads", 120);

	tcase_add_loop_test(t, many_flipped_bits_are_told_alike_with_any_number_of_threads, 0,
			    counts);
	tcase_add_loop_test(t, direct_reads_give_the_same, 0, counts);
	tcase_add_loop_test(t, a_cut_file_is_told_alike, 0, counts);
	tcase_add_loop_test(t, it_can_be_stopped_in_the_middle, 0, counts);
	tcase_add_loop_test(t, a_segment_of_one_block_needs_no_other_thread, 0, counts);
	tcase_add_loop_test(t, the_largest_blocks_are_told_alike, 0, counts);
	return test_main(suite);
}
