/* SPDX-License-Identifier: MIT */
/* core/log/info, table and stats: what a log says of its segments and of itself. */
#include <errno.h>

#include "tests/fixture_log.h"

/* --- segments -------------------------------------------------------------------- */

START_TEST(a_finished_segment_is_known_once_it_was_read)
{
	struct wal_segment_info known, info;

	open_log();
	log_put_lines(&handle, 1, 7);
	ck_ok(wal_log_rotate(wal));
	close_log();
	open_log();
	ck_fails(wal_log_segment_known(wal, 1, &known), -EAGAIN);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_ok(wal_log_segment_known(wal, 1, &known));
	ck_assert_uint_eq(known.last_event, 7);
	ck_assert_uint_eq(known.payload_bytes, info.payload_bytes);
	ck_assert_uint_eq(known.file_bytes, info.file_bytes);
	ck_assert_uint_eq(known.closed_ns, info.closed_ns);
	ck_kind(known.fault.kind, WAL_FAULT_NONE);
	ck_ok(wal_log_segment_known(wal, wal_log_current(wal), &known));
	ck_assert_int_eq(known.state, WAL_ACTIVE);
	ck_fails(wal_log_segment_known(wal, 9, &known), -ENOENT);
}
END_TEST

START_TEST(an_active_segment_is_known_as_it_is_now)
{
	struct wal_segment_info info;

	open_log();
	for (uint64_t id = 1; id <= 200; id++) {
		log_put_lines(&handle, id, id);
		ck_ok(wal_log_segment_info(wal, 1, &info));
		ck_assert_uint_eq(info.last_event, id);
		ck_assert_uint_eq(info.event_count, id);
		ck_assert_uint_eq(info.payload_bytes, position().payload_bytes);
	}
}
END_TEST

START_TEST(a_segment_found_damaged_is_damaged_from_then_on)
{
	struct wal_segment_info info;
	struct wal_fault found = {.kind = WAL_FAULT_CHAIN,
				  .segment = 1,
				  .block = 3,
				  .offset = 4711,
				  .detail = "of that kind"};

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_rotate(wal));
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_SEALED);
	ck_assert(wal_log_mark_damaged(wal, 1, &found));
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_DAMAGED);
	ck_kind(info.fault.kind, WAL_FAULT_CHAIN);
	ck_assert_uint_eq(info.fault.segment, 1);
	ck_assert_uint_eq(info.fault.block, 3);
	ck_assert_uint_eq(info.fault.offset, 4711);
	ck_assert_str_eq(info.fault.detail, found.detail);
	found.kind = WAL_FAULT_MAGIC;
	ck_assert(!wal_log_mark_damaged(wal, 1, &found)); /* the first stays */
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_kind(info.fault.kind, WAL_FAULT_CHAIN);
}
END_TEST

/* In whichever order and however often they are read. */
START_TEST(each_bad_block_is_news_and_counted_once)
{
	static const uint32_t blocks[] = {7, 3, 4000, WAL_NO_BLOCK, 3, 7, 8, 4000, WAL_NO_BLOCK};
	static const bool is_news[] = {true, true, true, true, false, false, true, false, false};
	struct wal_fault found = {.kind = WAL_FAULT_BLOCK_CHECKSUM, .segment = 1};
	struct wal_stats stats;
	size_t i;

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_rotate(wal));
	for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		found.block = blocks[i];
		ck_assert(wal_log_mark_damaged(wal, 1, &found) == is_news[i]);
	}
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_FAULTS_BLOCK], 5);
	ck_assert_uint_eq(stats.damaged_segments, 1);
	ck_assert(!wal_log_mark_damaged(wal, 9, &found)); /* there is none */
}
END_TEST

/* --- counters -------------------------------------------------------------------- */

START_TEST(the_counters_say_what_happened)
{
	struct wal_stats s;

	open_as_prepared();
	log_put_lines(&handle, 1, 25);
	ck_ok(wal_log_sync(wal));
	ck_ok(wal_log_rotate(wal));
	ck_fails(wal_log_append(wal, &(struct wal_record){"x", 0, 0}, 1, NULL), -EINVAL);
	ck_fails(wal_log_append(wal, &(struct wal_record){"x", 1u << 25, 0}, 1, NULL), -EMSGSIZE);
	s = stats_now();
	ck_assert_uint_eq(s.counters[WAL_COUNT_APPENDS], 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_EVENTS], 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_PAYLOAD_BYTES], 9 * 8 + 16 * 9);
	ck_assert_uint_eq(s.counters[WAL_COUNT_ROTATIONS], 1);
	ck_assert_uint_eq(s.counters[WAL_COUNT_SEALED], 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_APPEND].count, 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_CLOSED_SYNCS], 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_CLOSED_SYNC].count, 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_ROTATE].count, 1);
	ck_assert_uint_eq(s.counters[WAL_COUNT_SYNC_ERRORS], 0);
	ck_assert_uint_ge(s.counters[WAL_COUNT_SYNCS], 1);
	ck_assert_uint_eq(s.next_event, 26);
	ck_assert_uint_eq(s.active_segment, 2);
	ck_assert_int_eq(s.failed, 0);
	for (int i = 0; i < WAL_COUNTERS; i++) {
		ck_assert_str_ne(wal_counter_name((enum wal_counter)i), "");
		ck_assert_str_ne(wal_counter_help((enum wal_counter)i), "");
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(wal_counter_name((enum wal_counter)i),
					 wal_counter_name((enum wal_counter)j));
	}
	for (unsigned i = 1; i < WAL_LATENCY_BUCKETS; i++)
		ck_assert_uint_gt(wal_latency_bucket_ns(i), wal_latency_bucket_ns(i - 1));
	ck_assert_uint_eq(wal_latency_bucket_ns(WAL_LATENCY_BUCKETS - 1), UINT64_MAX);
}
END_TEST

static Suite *log_stats_suite(void)
{
	Suite *suite = suite_create("log_stats");
	TCase *t;

	t = log_case(suite, "segments", 60);
	tcase_add_test(t, a_finished_segment_is_known_once_it_was_read);
	tcase_add_test(t, an_active_segment_is_known_as_it_is_now);
	tcase_add_test(t, a_segment_found_damaged_is_damaged_from_then_on);
	tcase_add_test(t, each_bad_block_is_news_and_counted_once);
	t = log_case(suite, "counters", 60);
	tcase_add_test(t, the_counters_say_what_happened);
	return suite;
}

int main(void)
{
	return test_main(log_stats_suite());
}
