/* SPDX-License-Identifier: MIT */
/* Counters and latency histograms: the log's, and the daemon's of requests. */
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/telemetry.h"
#include "fs/opstats.h"
#include "tests/support.h"

#define THREADS 4
#define ADDS 20000

/* Static: each test is a process of its own, and they are large. */
static struct wal_telemetry telemetry;
static struct walfs_opstats opstats;
static struct wal_stats stats;

/* --- buckets -------------------------------------------------------------------- */

START_TEST(bucket_bounds_double_from_128_ns_and_the_last_has_none)
{
	unsigned i;

	ck_assert_uint_eq(wal_latency_bucket_ns(0), 128);
	for (i = 1; i + 1 < WAL_LATENCY_BUCKETS; i++)
		ck_assert_uint_eq(wal_latency_bucket_ns(i), 2 * wal_latency_bucket_ns(i - 1));
	ck_assert_uint_eq(wal_latency_bucket_ns(WAL_LATENCY_BUCKETS - 1), UINT64_MAX);
	ck_assert_uint_eq(wal_latency_bucket_ns(WAL_LATENCY_BUCKETS), UINT64_MAX);
}
END_TEST

START_TEST(a_latency_falls_into_the_first_bucket_whose_bound_it_does_not_exceed)
{
	uint64_t bound = wal_latency_bucket_ns((unsigned)_i);

	ck_assert_uint_eq(wal_latency_bucket(bound - 1), _i);
	ck_assert_uint_eq(wal_latency_bucket(bound), _i);
	if (bound != UINT64_MAX)
		ck_assert_uint_eq(wal_latency_bucket(bound + 1), _i + 1);
}
END_TEST

START_TEST(no_time_at_all_is_in_the_first_bucket)
{
	ck_assert_uint_eq(wal_latency_bucket(0), 0);
	ck_assert_uint_eq(wal_latency_bucket(1), 0);
}
END_TEST

/* --- adding and reading ------------------------------------------------------------- */

START_TEST(a_snapshot_has_what_was_added_where_it_was_added)
{
	const struct wal_histogram *sync = &stats.latencies[WAL_LATENCY_SYNC];
	unsigned i;

	wal_count(&telemetry, WAL_COUNT_EVENTS, 3);
	wal_count(&telemetry, WAL_COUNT_EVENTS, 4);
	wal_latency_add(&telemetry, WAL_LATENCY_SYNC, 100);
	wal_latency_add(&telemetry, WAL_LATENCY_SYNC, 1000);
	wal_latency_add(&telemetry, WAL_LATENCY_SYNC, UINT64_C(200) * 1000000000);
	wal_telemetry_read(&telemetry, &stats);
	for (i = 0; i < WAL_COUNTERS; i++)
		ck_assert_uint_eq(stats.counters[i], i == WAL_COUNT_EVENTS ? 7 : 0);
	for (i = 0; i < WAL_LATENCIES; i++)
		ck_assert_uint_eq(stats.latencies[i].count, i == WAL_LATENCY_SYNC ? 3 : 0);
	ck_assert_uint_eq(sync->sum_ns, UINT64_C(200000001100));
	ck_assert_uint_eq(sync->max_ns, UINT64_C(200) * 1000000000);
	ck_assert_uint_eq(sync->buckets[0], 1);
	ck_assert_uint_eq(sync->buckets[3], 1); /* up to 1024 ns */
	ck_assert_uint_eq(sync->buckets[WAL_LATENCY_BUCKETS - 1], 1);
}
END_TEST

START_TEST(the_largest_latency_stays_the_largest)
{
	wal_latency_add(&telemetry, WAL_LATENCY_SEAL, 500);
	wal_latency_add(&telemetry, WAL_LATENCY_SEAL, 499);
	wal_telemetry_read(&telemetry, &stats);
	ck_assert_uint_eq(stats.latencies[WAL_LATENCY_SEAL].max_ns, 500);
}
END_TEST

static void *add_many(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, i;

	for (i = 0; i < ADDS; i++) {
		wal_count(&telemetry, WAL_COUNT_APPENDS, 1);
		wal_latency_add(&telemetry, WAL_LATENCY_APPEND, 100 + (i * 7919 + seed) % 100000);
	}
	return NULL;
}

START_TEST(what_threads_add_at_once_sums_up)
{
	const struct wal_histogram *append = &stats.latencies[WAL_LATENCY_APPEND];
	uint64_t expected = 0, last = 0, max = 0, ns;
	pthread_t threads[THREADS];
	unsigned t, i;

	for (t = 0; t < THREADS; t++)
		ck_ok(pthread_create(&threads[t], NULL, add_many, (void *)(uintptr_t)t));
	for (i = 0; i < 100; i++) { /* counters only grow, whoever looks */
		wal_telemetry_read(&telemetry, &stats);
		ck_assert_uint_ge(append->count, last);
		last = append->count;
	}
	for (t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	for (t = 0; t < THREADS; t++) {
		for (i = 0; i < ADDS; i++) {
			ns = 100 + (i * 7919 + t) % 100000;
			expected += ns;
			max = ns > max ? ns : max;
		}
	}
	wal_telemetry_read(&telemetry, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPENDS], THREADS * ADDS);
	ck_assert_uint_eq(append->count, THREADS * ADDS);
	ck_assert_uint_eq(append->sum_ns, expected);
	ck_assert_uint_eq(append->max_ns, max);
}
END_TEST

/* --- names ------------------------------------------------------------------------------- */

static void check_name(const char *name, const char *help)
{
	ck_assert_ptr_nonnull(name);
	ck_assert_ptr_nonnull(help);
	ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
	ck_assert_uint_gt(strlen(name), 0);
	ck_assert_uint_gt(strlen(help), 10);
	ck_assert_ptr_null(strpbrk(help, "\\\n"));
}

START_TEST(each_counter_and_latency_has_a_name_of_its_own_and_a_sentence)
{
	unsigned i, j;

	for (i = 0; i < WAL_COUNTERS; i++) {
		check_name(wal_counter_name(i), wal_counter_help(i));
		for (j = 0; j < i; j++)
			ck_assert_str_ne(wal_counter_name(i), wal_counter_name(j));
	}
	for (i = 0; i < WAL_LATENCIES; i++) {
		check_name(wal_latency_name(i), wal_latency_help(i));
		for (j = 0; j < i; j++)
			ck_assert_str_ne(wal_latency_name(i), wal_latency_name(j));
	}
	ck_assert_str_eq(wal_counter_name(WAL_COUNTERS), "unknown");
	ck_assert_str_eq(wal_latency_name(WAL_LATENCIES), "unknown");
}
END_TEST

static const struct {
	enum wal_fault_kind kind;
	enum wal_counter counter;
} layers[] = {
	{WAL_FAULT_MAGIC, WAL_COUNT_FAULTS_HEADER},
	{WAL_FAULT_HEADER_CHECKSUM, WAL_COUNT_FAULTS_HEADER},
	{WAL_FAULT_BLOCK_HEADER, WAL_COUNT_FAULTS_BLOCK},
	{WAL_FAULT_BLOCK_CHECKSUM, WAL_COUNT_FAULTS_BLOCK},
	{WAL_FAULT_CHAIN, WAL_COUNT_FAULTS_CHAIN},
	{WAL_FAULT_EVENT_CHECKSUM, WAL_COUNT_FAULTS_EVENT},
	{WAL_FAULT_IO, WAL_COUNT_FAULTS_OTHER},
	{WAL_FAULT_MISSING, WAL_COUNT_FAULTS_OTHER},
};

START_TEST(a_fault_is_counted_by_its_layer)
{
	wal_count_fault(&telemetry, layers[_i].kind);
	wal_telemetry_read(&telemetry, &stats);
	ck_assert_uint_eq(stats.counters[layers[_i].counter], 1);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPENDS], 0);
}
END_TEST

/* --- a log's -------------------------------------------------------------------------------- */

START_TEST(a_log_counts_what_it_does)
{
	struct test_log_handle handle;

	log_open_ok(&handle, test_path("store"), NULL);
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_sync(handle.log));
	ck_ok(wal_log_rotate(handle.log));
	log_put_lines(&handle, 11, 12);
	wal_log_stats(handle.log, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_EVENTS], 12);
	ck_assert_uint_eq(stats.latencies[WAL_LATENCY_APPEND].count,
			  stats.counters[WAL_COUNT_APPENDS]);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_REQUESTS], 1);
	ck_assert_uint_eq(stats.latencies[WAL_LATENCY_SYNC_WAIT].count, 1);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_ROTATIONS], 1);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SEALED], 1);
	ck_assert_uint_eq(stats.next_event, 13);
	ck_assert_uint_ge(stats.durable_event, 10);
	ck_assert_uint_eq(stats.active_segment, 2);
	ck_assert_uint_eq(stats.sealed_segments, 1);
	ck_assert_int_eq(stats.failed, 0);
	ck_assert(!stats.no_space);
	ck_ok(log_close(&handle));
}
END_TEST

/* --- requests ------------------------------------------------------------------ */

static uint64_t count_of(unsigned operation)
{
	struct wal_histogram histogram;

	walfs_latency_read(&opstats.operations[operation], &histogram);
	return histogram.count;
}

static void begin(uint32_t opcode)
{
	struct fuse_in_header header = {.opcode = opcode};

	walfs_opstats_begin(&opstats, &header);
}

/* It is what is measured. */
static void sleep_a_millisecond(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	nanosleep(&moment, NULL);
}

START_TEST(a_request_is_counted_when_its_handling_ends)
{
	begin(FUSE_WRITE);
	ck_assert_uint_eq(count_of(FUSE_WRITE), 0);
	walfs_opstats_end(&opstats);
	ck_assert_uint_eq(count_of(FUSE_WRITE), 1);
	ck_assert_uint_eq(count_of(FUSE_READ), 0);
}
END_TEST

START_TEST(a_parked_request_is_counted_once_and_timed_to_its_answer)
{
	struct wal_histogram histogram;
	struct walfs_timer parked;

	begin(FUSE_FSYNC);
	parked = walfs_opstats_park(&opstats);
	walfs_opstats_end(&opstats);
	ck_assert_uint_eq(count_of(FUSE_FSYNC), 0);
	begin(FUSE_WRITE);
	walfs_opstats_end(&opstats);
	sleep_a_millisecond();
	walfs_opstats_taken(&opstats, &parked);
	walfs_opstats_answered(&opstats, &parked);
	walfs_latency_read(&opstats.operations[FUSE_FSYNC], &histogram);
	ck_assert_uint_eq(histogram.count, 1);
	ck_assert_uint_ge(histogram.max_ns, 1000000);
	walfs_latency_read(&opstats.waits, &histogram);
	ck_assert_uint_eq(histogram.count, 1);
	ck_assert_uint_ge(histogram.sum_ns, 1000000);
}
END_TEST

START_TEST(requests_without_a_name_are_counted_together)
{
	begin(63);
	walfs_opstats_end(&opstats);
	begin(CUSE_INIT);
	walfs_opstats_end(&opstats);
	begin(UINT32_MAX);
	walfs_opstats_end(&opstats);
	ck_assert_uint_eq(count_of(0), 3);
	ck_assert_str_eq(walfs_operation_name(0), "other");
	ck_assert_str_eq(walfs_operation_name(FUSE_WRITE), "write");
	ck_assert_ptr_null(walfs_operation_name(WALFS_OPERATIONS));
}
END_TEST

START_TEST(requests_fall_into_the_buckets_that_the_log_uses)
{
	struct wal_histogram histogram;
	struct walfs_timer timer = {.operation = FUSE_READ};
	uint64_t before, after;
	struct timespec now;

	/* as long ago as the bucket is wide, so that the clock's own time does not matter */
	before = wal_latency_bucket_ns((unsigned)_i) - wal_latency_bucket_ns((unsigned)_i) / 4;
	clock_gettime(CLOCK_MONOTONIC, &now);
	after = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (after <= before)
		return; /* the machine has not been up for so long */
	timer.start_ns = after - before;
	walfs_opstats_answered(&opstats, &timer);
	walfs_latency_read(&opstats.operations[FUSE_READ], &histogram);
	ck_assert_uint_eq(histogram.buckets[wal_latency_bucket(histogram.max_ns)], 1);
	ck_assert_uint_ge(histogram.max_ns, before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("telemetry");
	TCase *buckets = test_case(suite, "buckets", 20);
	TCase *adding = test_case(suite, "adding", 60);
	TCase *requests = test_case(suite, "requests", 20);

	tcase_add_test(buckets, bucket_bounds_double_from_128_ns_and_the_last_has_none);
	tcase_add_loop_test(buckets,
			    a_latency_falls_into_the_first_bucket_whose_bound_it_does_not_exceed, 0,
			    WAL_LATENCY_BUCKETS);
	tcase_add_test(buckets, no_time_at_all_is_in_the_first_bucket);

	tcase_add_test(adding, a_snapshot_has_what_was_added_where_it_was_added);
	tcase_add_test(adding, the_largest_latency_stays_the_largest);
	tcase_add_test(adding, what_threads_add_at_once_sums_up);
	tcase_add_test(adding, each_counter_and_latency_has_a_name_of_its_own_and_a_sentence);
	tcase_add_loop_test(adding, a_fault_is_counted_by_its_layer, 0,
			    sizeof(layers) / sizeof(layers[0]));
	tcase_add_test(adding, a_log_counts_what_it_does);

	tcase_add_test(requests, a_request_is_counted_when_its_handling_ends);
	tcase_add_test(requests, a_parked_request_is_counted_once_and_timed_to_its_answer);
	tcase_add_test(requests, requests_without_a_name_are_counted_together);
	tcase_add_loop_test(requests, requests_fall_into_the_buckets_that_the_log_uses, 10,
			    WAL_LATENCY_BUCKETS - 1);
	return test_main(suite);
}
