/* SPDX-License-Identifier: MIT */
/* core/log/committer: syncs, alone and shared, and what they answer. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* --- syncing --------------------------------------------------------------------- */

START_TEST(a_sync_makes_everything_before_it_durable)
{
	open_log();
	log_put_lines(&handle, 1, 20);
	ck_assert_uint_eq(position().durable_event, 0);
	fault_io_reset(&fault);
	ck_ok(wal_log_sync(wal));
	ck_assert_uint_eq(position().durable_event, 20);
	ck_assert_uint_ge(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	fault_io_reset(&fault);
	ck_ok(wal_log_sync(wal)); /* nothing new: nothing to do */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 0);
}
END_TEST

START_TEST(closing_makes_everything_durable_and_says_so)
{
	struct oracle_slot slot;

	open_log();
	log_put_lines(&handle, 1, 20);
	close_log();
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, ORACLE_CLEAN);
	ck_assert_uint_eq(slot.durable_segment, 1);
	ck_assert_uint_eq(slot.durable_event, 20);
	ck_assert_uint_eq(slot.incarnation, 1);
	open_log();
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, 0); /* open: not clean, before the first append */
	ck_assert_uint_eq(slot.incarnation, 1);
}
END_TEST

START_TEST(the_position_on_disk_is_never_ahead_and_soon_there)
{
	open_log();
	log_put_lines(&handle, 1, 20);
	ck_assert_uint_eq(store_slot(test_path(STORE)).durable_event, 0);
	ck_ok(wal_log_sync(wal));
	wait_until(store_slot(test_path(STORE)).durable_event >= 20);
	ck_assert_uint_eq(store_slot(test_path(STORE)).durable_event, 20);
}
END_TEST

START_TEST(an_interval_syncs_without_being_asked)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.sync_interval_ms = 20;
	ck_ok(log_open(&handle));
	wal = handle.log;
	log_put_lines(&handle, 1, 5);
	wait_until(position().durable_event >= 5);
	ck_assert_uint_eq(position().durable_event, 5);
	fault_io_reset(&fault);
	usleep(200000); /* ten intervals, of each of which nothing is to be seen */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 0); /* nothing was appended */
}
END_TEST

struct counted_sync {
	struct wal_sync sync; /* first */
	atomic_int calls;
	atomic_int error;
};

static void count_done(struct wal_sync *sync, int error)
{
	struct counted_sync *counted = (struct counted_sync *)sync;

	atomic_store(&counted->error, error);
	atomic_fetch_add(&counted->calls, 1);
}

#define SYNCS 64

static void wait_for_syncs(struct counted_sync *syncs)
{
	for (int i = 0; i < SYNCS; i++) {
		wait_until(atomic_load(&syncs[i].calls) > 0);
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
	}
}

START_TEST(syncs_that_come_while_one_runs_share_the_next)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault_io_reset(&fault);
	fault.sync_delay_us = 20000;
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	ck_assert_uint_eq(position().durable_event, SYNCS);
	/* The first alone, the rest together; one more for a slow machine, and wal.meta's own. */
	ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FDATASYNC), 6);
	fault.sync_delay_us = 0;
}
END_TEST

static void *lead_in_thread(void *arg)
{
	wal_log_sync_lead(wal);
	return arg;
}

static void *close_in_thread(void *arg)
{
	close_log();
	return arg;
}

START_TEST(who_joins_first_leads_and_answers_for_all)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		ck_assert_int_eq(wal_log_sync_join(wal, &syncs[i].sync), i == 0);
	}
	/* Nobody else commits meanwhile, however many ask. */
	ck_assert_uint_eq(position().durable_event, 0);
	wal_log_sync_lead(wal);
	for (int i = 0; i < SYNCS; i++) {
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	}
	ck_assert_uint_eq(position().durable_event, SYNCS);
	/* The next one finds nobody at it again. */
	log_put(&handle, "line\n");
	ck_assert(wal_log_sync_join(wal, &syncs[0].sync));
	wal_log_sync_lead(wal);
}
END_TEST

static uint64_t syncs_done(void)
{
	return stats_now().counters[WAL_COUNT_SYNCS];
}

START_TEST(a_sync_of_what_is_durable_already_is_answered_at_once)
{
	static struct counted_sync syncs[2];
	uint64_t before;

	open_log();
	log_put(&handle, "line\n");
	ck_ok(wal_log_sync(wal));
	before = syncs_done();
	syncs[0].sync.done = syncs[1].sync.done = count_done;
	ck_assert(!wal_log_sync_join(wal, &syncs[0].sync));
	wal_log_sync_start(wal, &syncs[1].sync);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	}
	ck_assert_uint_eq(syncs_done(), before);
}
END_TEST

/* The first sync covers what was appended before it began, whoever asks for that meanwhile. */
START_TEST(who_asks_during_a_sync_that_covers_him_needs_no_other)
{
	static struct counted_sync syncs[3];
	pthread_t leader;
	uint64_t before;

	open_log();
	before = syncs_done();
	log_put_lines(&handle, 1, 2);
	for (int i = 0; i < 3; i++)
		syncs[i].sync.done = count_done;
	fault.sync_delay_us = 300000;
	ck_assert(wal_log_sync_join(wal, &syncs[0].sync));
	ck_assert_int_eq(pthread_create(&leader, NULL, lead_in_thread, NULL), 0);
	wait_until(stats_now().sync_waiters == 0); /* until the leader has taken it, and begins */
	ck_assert(!wal_log_sync_join(wal, &syncs[1].sync));
	log_put_lines(&handle, 3, 3);
	ck_assert(!wal_log_sync_join(wal, &syncs[2].sync));
	ck_assert_int_eq(atomic_load(&syncs[1].calls), 0);
	wait_until(atomic_load(&syncs[1].calls) > 0);
	ck_assert_int_eq(atomic_load(&syncs[1].calls), 1);
	ck_assert_int_eq(atomic_load(&syncs[1].error), 0);
	ck_assert_int_eq(atomic_load(&syncs[2].calls), 0);
	pthread_join(leader, NULL);
	ck_assert_int_eq(atomic_load(&syncs[2].calls), 1);
	ck_assert_uint_eq(position().durable_event, 3);
	ck_assert_uint_eq(syncs_done(), before + 2);
	fault.sync_delay_us = 0;
}
END_TEST

START_TEST(a_lead_that_is_passed_on_is_taken_up_by_the_logs_own_thread)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		if (wal_log_sync_join(wal, &syncs[i].sync))
			wal_log_sync_pass(wal);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	ck_assert_uint_eq(position().durable_event, SYNCS);
}
END_TEST

START_TEST(a_lead_that_was_not_taken_up_yet_is_waited_for_at_close)
{
	static struct counted_sync sync;
	pthread_t closer;

	open_log();
	log_put(&handle, "line\n");
	sync.sync.done = count_done;
	ck_assert(wal_log_sync_join(wal, &sync.sync));
	ck_assert_int_eq(pthread_create(&closer, NULL, close_in_thread, NULL), 0);
	usleep(20000); /* for a close that would not wait, and that is not to be seen */
	ck_assert_int_eq(atomic_load(&sync.calls), 0);
	wal_log_sync_lead(wal);
	pthread_join(closer, NULL);
	ck_assert_int_eq(atomic_load(&sync.calls), 1);
	ck_assert_int_eq(atomic_load(&sync.error), 0);
}
END_TEST

START_TEST(closing_answers_every_sync_that_was_started)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault.sync_delay_us = 5000;
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	close_log();
	wait_for_syncs(syncs);
	fault.sync_delay_us = 0;
}
END_TEST

START_TEST(a_failed_sync_makes_the_log_read_only_and_is_never_a_success_later)
{
	struct oracle_slot slot;
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 5);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 6, 10);
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 1);
	ck_fails(wal_log_sync(wal), -EIO);
	fault_io_reset(&fault); /* the next fdatasync would say 0 */
	ck_assert_int_lt(wal_log_sync(wal), 0);
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_ERRORS], 1);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_REFUSALS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_REQUESTS], 1);
	ck_assert_str_eq(stats.failure, "0000000001.wal: sync failed: Input/output error");
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_fails(wal_log_rotate(wal), -EROFS);
	ck_assert_uint_eq(position().durable_event, 5);
	ck_assert_uint_gt(handle.notices.warnings, 0);
	assert_log_lines(10); /* still readable */
	ck_assert_int_lt(log_close(&handle), 0);
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, 0);
	ck_assert_uint_eq(slot.durable_event, 5); /* what was promised is not forgotten */
	open_log();				  /* mounted again: what the disk has */
	ck_assert_uint_eq(position().next_event, 11);
	ck_assert_uint_eq(store_slot(test_path(STORE)).incarnation, 2);
}
END_TEST

START_TEST(every_sync_of_a_failed_group_fails)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault.sync_delay_us = 20000;
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 0);
	for (int i = 0; i < SYNCS; i++) {
		log_put(&handle, "line\n");
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_lt(atomic_load(&syncs[i].error), 0);
	fault.sync_delay_us = 0;
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

struct syncer {
	pthread_t thread;
	unsigned number;
	unsigned answers;
};

static void *append_and_sync(void *arg)
{
	struct syncer *syncer = arg;

	for (int i = 0; i < 40; i++) {
		char line[64];
		struct wal_record record = {line, 0, 0};

		record.size = (uint32_t)snprintf(line, sizeof(line), "%u %d\n", syncer->number, i);
		if (wal_log_append(wal, &record, 1, NULL) != 1 || wal_log_sync(wal))
			return arg;
		syncer->answers++;
	}
	return NULL;
}

START_TEST(syncs_of_several_threads_share_the_disk)
{
	struct syncer syncers[8] = {{0}};
	unsigned answers = 0;
	void *failed;

	handle.options.segment_size = 64 * TEST_BLOCK;
	open_as_prepared();
	wait_until_ready();
	fault_io_reset(&fault);
	fault.sync_delay_us = 2000;
	for (unsigned i = 0; i < 8; i++) {
		syncers[i].number = i;
		pthread_create(&syncers[i].thread, NULL, append_and_sync, &syncers[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(syncers[i].thread, &failed);
		ck_assert_ptr_null(failed);
		answers += syncers[i].answers;
	}
	ck_assert_uint_eq(answers, 320);
	ck_assert_uint_lt(stats_now().counters[WAL_COUNT_SYNCS], 160);
	ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FDATASYNC), 180);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SYNC_REQUESTS], 320);
	fault.sync_delay_us = 0;
}
END_TEST

/* --- strict ---------------------------------------------------------------------- */

START_TEST(with_meta_strict_the_position_is_on_disk_before_the_answer)
{
	handle.options.meta_strict = true;
	open_as_prepared();
	for (uint64_t id = 1; id <= 20; id++) {
		log_put_lines(&handle, id, id);
		ck_ok(wal_log_sync(wal));
		ck_assert_uint_eq(store_slot(test_path(STORE)).durable_event, id);
	}
}
END_TEST

START_TEST(with_meta_strict_a_position_that_cannot_be_written_is_no_success)
{
	handle.options.meta_strict = true;
	open_as_prepared();
	log_put_lines(&handle, 1, 1);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 2, 2);
	fault_io_fail_ops(&fault, OP(PWRITE), -EIO, 0);
	ck_assert_int_lt(wal_log_sync(wal), 0);
	fault_io_reset(&fault);
	ck_assert_int_lt(wal_log_sync(wal), 0);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

struct answer {
	struct wal_sync sync; /* first */
	atomic_int error;     /* 1: not yet */
};

static void take_answer(struct wal_sync *sync, int error)
{
	((struct answer *)sync)->error = error;
}

static int sync_of_append(bool of_append)
{
	struct answer answer = {.sync = {.done = take_answer, .of_append = of_append}, .error = 1};

	wal_log_sync_start(wal, &answer.sync);
	wait_until(answer.error != 1);
	return answer.error;
}

/* wal.meta can find no space on a copy-on-write disk. */
static void a_write_is_not_refused_for_space_after_the_fact(int error)
{
	handle.options.meta_strict = true;
	open_as_prepared();
	log_put_lines(&handle, 1, 1);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 2, 2);
	fault_io_fail_ops(&fault, OP(PWRITE), error, 0);
	ck_assert_int_eq(sync_of_append(false), error);
	ck_assert_int_eq(sync_of_append(true), -EIO);
	fault_io_reset(&fault);
	ck_assert_int_eq(sync_of_append(true), 0);
	ck_assert_uint_eq(stats_now().next_event, 3); /* the second is there once */
}

START_TEST(an_append_that_was_done_never_asks_to_be_tried_again_for_lack_of_space)
{
	a_write_is_not_refused_for_space_after_the_fact(_i ? -EDQUOT : -ENOSPC);
}
END_TEST

static Suite *log_committer_suite(void)
{
	Suite *suite = suite_create("log_committer");
	TCase *t;

	t = log_case(suite, "syncing", 60);
	tcase_add_test(t, a_sync_makes_everything_before_it_durable);
	tcase_add_test(t, closing_makes_everything_durable_and_says_so);
	tcase_add_test(t, the_position_on_disk_is_never_ahead_and_soon_there);
	tcase_add_test(t, an_interval_syncs_without_being_asked);
	tcase_add_test(t, syncs_that_come_while_one_runs_share_the_next);
	tcase_add_test(t, who_joins_first_leads_and_answers_for_all);
	tcase_add_test(t, a_sync_of_what_is_durable_already_is_answered_at_once);
	tcase_add_test(t, who_asks_during_a_sync_that_covers_him_needs_no_other);
	tcase_add_test(t, a_lead_that_is_passed_on_is_taken_up_by_the_logs_own_thread);
	tcase_add_test(t, a_lead_that_was_not_taken_up_yet_is_waited_for_at_close);
	tcase_add_test(t, closing_answers_every_sync_that_was_started);
	tcase_add_test(t, a_failed_sync_makes_the_log_read_only_and_is_never_a_success_later);
	tcase_add_test(t, every_sync_of_a_failed_group_fails);
	tcase_add_test(t, syncs_of_several_threads_share_the_disk);
	t = log_case(suite, "strict", 60);
	tcase_add_test(t, with_meta_strict_the_position_is_on_disk_before_the_answer);
	tcase_add_test(t, with_meta_strict_a_position_that_cannot_be_written_is_no_success);
	tcase_add_loop_test(
		t, an_append_that_was_done_never_asks_to_be_tried_again_for_lack_of_space, 0, 2);
	return suite;
}

int main(void)
{
	return test_main(log_committer_suite());
}
