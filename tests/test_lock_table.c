/* SPDX-License-Identifier: MIT */
/*
 * fs/lock_set.c and what it is made of: against Linux's own locks on a file, and that
 * nobody's locks make another one's calls slow. No mount is needed for it.
 */
#include "fs/lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support.h"

#define LAST WALFS_LOCK_LAST_BYTE
#define MANY 100000u
/* Several times what a search among MANY takes; a linear one takes MANY. */
#define FEW 400u

static struct walfs_lock_table table;
static struct walfs_lock_waiter *granted[64];
static int granted_errors[64];
static size_t granted_count;

static void note_granted(struct walfs_lock_waiter *waiter, int error)
{
	if (granted_count < 64) {
		granted[granted_count] = waiter;
		granted_errors[granted_count] = error;
	}
	granted_count++;
}

static void begin(void)
{
	memset(&table, 0, sizeof(table));
	table.granted = note_granted;
	granted_count = 0;
}

static void end(void)
{
	walfs_lock_table_destroy(&table);
}

static struct walfs_lock_wish posix(uint64_t owner, short type, uint64_t start, uint64_t last)
{
	return (struct walfs_lock_wish){.file = 4,
					.type = type,
					.owner = owner,
					.handle = owner,
					.start = start,
					.end = last,
					.uid = (uid_t)(owner % 4)};
}

static struct walfs_lock_wish whole(uint64_t owner, short type)
{
	struct walfs_lock_wish wish = posix(owner, type, 0, LAST);

	wish.flock = true;
	return wish;
}

static int set(struct walfs_lock_wish wish)
{
	return walfs_lock_table_set(&table, &wish);
}

static int wait_for(struct walfs_lock_waiter *waiter, struct walfs_lock_wish wish)
{
	int error = walfs_lock_table_set(&table, &wish);

	return error == -EAGAIN ? walfs_lock_table_wait(&table, waiter, &wish) : error;
}

static void wake_all(void)
{
	while (walfs_lock_table_wake(&table))
		;
}

static uint64_t steps(void)
{
	return table.steps + table.spaces.steps + table.owners.steps + table.users.steps +
	       table.handles.steps + table.waiting.steps;
}

/* --- against the system's ------------------------------------------------------------ */

#define OWNERS 5
#define BYTES 24 /* of the file; the last one stands for all behind it, too */

static int files[OWNERS];

static void open_files(void)
{
	for (int i = 0; i < OWNERS; i++) {
		files[i] = open(test_path("locked"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(files[i], 0);
	}
}

static void close_files(void)
{
	for (int i = 0; i < OWNERS; i++)
		close(files[i]);
}

static struct flock system_lock(short type, uint64_t start, uint64_t last)
{
	return (struct flock){.l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = (off_t)start,
			      .l_len = last == LAST ? 0 : (off_t)(last - start + 1)};
}

static int system_set(int owner, short type, uint64_t start, uint64_t last)
{
	struct flock lock = system_lock(type, start, last);

	return fcntl(files[owner], F_OFD_SETLK, &lock) ? -errno : 0;
}

/* What is in the way of each, of each byte: the same here and there. */
static void compare(void)
{
	struct walfs_lock_wish wish, held;
	struct flock lock;

	for (int owner = 0; owner < OWNERS; owner++) {
		for (uint64_t at = 0; at < 2 * BYTES; at++) {
			short type = at % 2 ? F_WRLCK : F_RDLCK;
			bool found;

			lock = system_lock(type, at / 2, at / 2);
			ck_assert_int_eq(fcntl(files[owner], F_OFD_GETLK, &lock), 0);
			wish = posix((uint64_t)owner, type, at / 2, at / 2);
			found = walfs_lock_table_test(&table, &wish, &held);
			ck_assert_int_eq(found, lock.l_type != F_UNLCK);
			if (!found)
				continue;
			ck_assert_uint_le(held.start, at / 2);
			ck_assert_uint_ge(held.end, at / 2);
			if (held.type != F_WRLCK) /* several may have it: any will do */
				continue;
			ck_assert_int_eq(lock.l_type, F_WRLCK);
			ck_assert_uint_eq(held.start, (uint64_t)lock.l_start);
			ck_assert_uint_eq(held.end, lock.l_len
							    ? held.start + (uint64_t)lock.l_len - 1
							    : LAST);
		}
	}
}

START_TEST(any_sequence_of_locks_has_the_outcome_that_it_has_on_a_local_file)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK, F_RDLCK, F_UNLCK};

	open_files();
	srand((unsigned)_i);
	for (int i = 0; i < 250; i++) {
		int owner = rand() % OWNERS;
		short type = types[rand() % 5];
		uint64_t start = (uint64_t)rand() % BYTES;
		uint64_t last = start + (uint64_t)rand() % (rand() % 3 ? 3 : BYTES);

		if (last >= BYTES)
			last = LAST;
		ck_assert_int_eq(set(posix((uint64_t)owner, type, start, last)),
				 system_set(owner, type, start, last));
		compare();
	}
	close_files();
}
END_TEST

/* --- waiting ----------------------------------------------------------------------------- */

START_TEST(who_waits_gets_it_first_come_first_served)
{
	struct walfs_lock_waiter one, two, three;

	ck_assert_int_eq(set(whole(1, F_WRLCK)), 0);
	ck_assert_int_eq(wait_for(&one, whole(2, F_WRLCK)), 0);
	ck_assert_int_eq(wait_for(&two, whole(3, F_RDLCK)), 0);
	ck_assert_int_eq(wait_for(&three, whole(4, F_RDLCK)), 0);
	wake_all();
	ck_assert_uint_eq(granted_count, 0);
	ck_assert_int_eq(set(whole(1, F_UNLCK)), 0);
	wake_all();
	ck_assert_uint_eq(granted_count, 1);
	ck_assert_ptr_eq(granted[0], &one);
	ck_assert_int_eq(granted_errors[0], 0);
	walfs_lock_table_drop_handle(&table, 2);
	wake_all();
	ck_assert_uint_eq(granted_count, 3);
	ck_assert_ptr_eq(granted[1], &two);
	ck_assert_ptr_eq(granted[2], &three);
}
END_TEST

START_TEST(who_gives_up_waiting_gets_nothing_and_the_others_do)
{
	struct walfs_lock_waiter one, two;
	struct walfs_lock_wish all = posix(1, F_WRLCK, 0, 0);

	ck_assert_int_eq(set(posix(1, F_WRLCK, 10, 20)), 0);
	ck_assert_int_eq(wait_for(&one, posix(2, F_WRLCK, 0, 10)), 0);
	ck_assert_int_eq(wait_for(&two, posix(3, F_WRLCK, 5, 15)), 0);
	walfs_lock_table_drop_owner(&table, &all); /* a round begins */
	walfs_lock_table_cancel(&table, &one);
	wake_all();
	ck_assert_uint_eq(granted_count, 1);
	ck_assert_ptr_eq(granted[0], &two);
}
END_TEST

START_TEST(part_of_a_range_that_becomes_free_or_weaker_is_enough_to_go_on)
{
	struct walfs_lock_waiter one, two;

	ck_assert_int_eq(set(posix(1, F_WRLCK, 0, 99)), 0);
	ck_assert_int_eq(wait_for(&one, posix(2, F_WRLCK, 40, 49)), 0);
	ck_assert_int_eq(wait_for(&two, posix(3, F_RDLCK, 60, 99)), 0);
	ck_assert_int_eq(set(posix(1, F_UNLCK, 40, 49)), 0);
	wake_all();
	ck_assert_uint_eq(granted_count, 1);
	ck_assert_ptr_eq(granted[0], &one);
	ck_assert_int_eq(set(posix(1, F_RDLCK, 60, 99)), 0);
	wake_all();
	ck_assert_uint_eq(granted_count, 2);
	ck_assert_ptr_eq(granted[1], &two);
}
END_TEST

START_TEST(a_cycle_of_those_who_wait_is_a_deadlock)
{
	struct walfs_lock_waiter one, two, three;

	for (uint64_t owner = 1; owner <= 3; owner++)
		ck_assert_int_eq(set(posix(owner, F_WRLCK, owner, owner)), 0);
	ck_assert_int_eq(wait_for(&one, posix(1, F_WRLCK, 2, 2)), 0);
	ck_assert_int_eq(wait_for(&two, posix(2, F_RDLCK, 3, 3)), 0);
	ck_assert_int_eq(wait_for(&three, posix(3, F_WRLCK, 1, 1)), -EDEADLK);
	walfs_lock_table_cancel(&table, &one);
	ck_assert_int_eq(wait_for(&three, posix(3, F_WRLCK, 1, 1)), 0);
	walfs_lock_table_cancel(&table, &two);
	walfs_lock_table_cancel(&table, &three);
}
END_TEST

/* The first in the way goes, and the next one waits for who is tried: Linux looks again, too. */
START_TEST(a_cycle_that_closes_while_they_wait_is_a_deadlock)
{
	struct walfs_lock_waiter one, three;

	ck_assert_int_eq(set(posix(1, F_WRLCK, 20, 20)), 0);
	ck_assert_int_eq(set(posix(2, F_WRLCK, 0, 0)), 0);
	ck_assert_int_eq(set(posix(3, F_WRLCK, 10, 10)), 0);
	ck_assert_int_eq(wait_for(&one, posix(1, F_WRLCK, 0, 10)), 0);
	ck_assert_int_eq(wait_for(&three, posix(3, F_WRLCK, 20, 20)), 0);
	ck_assert_int_eq(set(posix(2, F_UNLCK, 0, 0)), 0);
	wake_all();
	ck_assert_uint_eq(granted_count, 1);
	ck_assert_ptr_eq(granted[0], &one);
	ck_assert_int_eq(granted_errors[0], -EDEADLK);
	walfs_lock_table_cancel(&table, &three);
}
END_TEST

START_TEST(a_file_that_is_unlocked_all_the_time_does_not_keep_others_waiting)
{
	static struct walfs_lock_waiter busy[100];
	struct walfs_lock_waiter one;
	struct walfs_lock_wish other = posix(1, F_WRLCK, 0, 0);

	other.file = 5;
	ck_assert_int_eq(walfs_lock_table_set(&table, &other), 0);
	other.owner = 2;
	ck_assert_int_eq(wait_for(&one, other), 0);
	ck_assert_int_eq(set(posix(1, F_WRLCK, 0, 9)), 0);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_int_eq(wait_for(&busy[i], posix(10 + i, F_WRLCK, 0, 5)), 0);
	ck_assert_int_eq(set(posix(1, F_UNLCK, 6, 6)), 0);
	other.owner = 1;
	other.type = F_UNLCK;
	ck_assert_int_eq(walfs_lock_table_set(&table, &other), 0);
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert_int_eq(set(posix(1, F_WRLCK, 7, 7)), 0);
		ck_assert_int_eq(set(posix(1, F_UNLCK, 7, 7)), 0);
		ck_assert(walfs_lock_table_wake(&table));
	}
	ck_assert_uint_eq(granted_count, 1);
	ck_assert_ptr_eq(granted[0], &one);
	for (uint64_t i = 0; i < 100; i++)
		walfs_lock_table_cancel(&table, &busy[i]);
}
END_TEST

/* --- bounds ---------------------------------------------------------------------------------- */

START_TEST(an_owner_has_so_many_locks_and_no_more)
{
	for (uint64_t i = 0; i < WALFS_LOCKS_OF_OWNER; i++)
		ck_assert_int_eq(set(posix(1, F_RDLCK, 4 * i, 4 * i + 2)), 0);
	ck_assert_int_eq(set(posix(1, F_RDLCK, 1000000, 1000000)), -ENOLCK);
	ck_assert_int_eq(set(posix(1, F_UNLCK, 1, 1)), -ENOLCK); /* two of one */
	ck_assert_int_eq(set(posix(2, F_RDLCK, 1000000, 1000000)), 0);
	/* what makes no more of them goes on */
	ck_assert_int_eq(set(posix(1, F_WRLCK, 0, 2)), 0);
	ck_assert_int_eq(set(posix(1, F_RDLCK, 3, 3)), 0);
	ck_assert_int_eq(set(posix(1, F_UNLCK, 8, 8 + 4)), 0);
	ck_assert_int_eq(set(posix(1, F_UNLCK, 0, 1000)), 0);
	ck_assert_int_eq(set(posix(1, F_RDLCK, 2000000, 2000000)), 0);
}
END_TEST

START_TEST(a_user_has_so_many_locks_and_waits_and_no_more)
{
	struct walfs_lock_waiter one;

	for (uint64_t i = 0; i < WALFS_LOCKS_OF_USER; i++)
		ck_assert_int_eq(set(posix(4 * (1 + i / 1000), F_RDLCK, 2 * i, 2 * i)), 0);
	ck_assert_int_eq(set(posix(4, F_RDLCK, 1000001, 1000001)), -ENOLCK);
	ck_assert_int_eq(set(posix(400000, F_RDLCK, 1000001, 1000001)), -ENOLCK);
	ck_assert_int_eq(wait_for(&one, posix(400000, F_WRLCK, 0, 0)), -ENOLCK);
	ck_assert_int_eq(set(posix(1, F_RDLCK, 1000001, 1000001)), 0);
	ck_assert_int_eq(set(posix(4, F_UNLCK, 0, 0)), 0);
	ck_assert_int_eq(set(posix(400000, F_RDLCK, 1000001, 1000001)), 0);
}
END_TEST

START_TEST(what_is_unlocked_leaves_nothing_behind)
{
	for (uint64_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(set(posix(i, F_RDLCK, i, 3 * i)), 0);
		ck_assert_int_eq(set(whole(i, F_RDLCK)), 0);
	}
	for (uint64_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(set(posix(i, F_UNLCK, 0, LAST)), 0);
		walfs_lock_table_drop_handle(&table, i);
		ck_assert_int_eq(set(whole(i, F_UNLCK)), 0);
	}
	ck_assert_uint_eq(table.spaces.keys + table.owners.keys + table.users.keys +
				  table.handles.keys + table.waiting.keys,
			  0);
}
END_TEST

/* --- what it costs ---------------------------------------------------------------------------- */

static uint64_t before;

static void begin_counting(void)
{
	before = steps();
}

static void took_few_steps(const char *what)
{
	uint64_t took = steps() - before;

	ck_assert_msg(took <= FEW, "%s: %lu steps", what, (unsigned long)took);
	begin_counting();
}

/* What the daemon does for a program that opens, appends and closes, and has no locks. */
static void append(void)
{
	struct walfs_lock_wish all = posix(999999, F_UNLCK, 0, LAST);

	begin_counting();
	walfs_lock_table_drop_owner(&table, &all);
	walfs_lock_table_drop_handle(&table, 999999);
	walfs_lock_table_wake(&table);
	took_few_steps("an append");
}

/* What a program does that has a lock of its own. */
static void lock_and_unlock(void)
{
	struct walfs_lock_wish held, wish = posix(777777, F_WRLCK, 900000, 900001);

	begin_counting();
	ck_assert_int_eq(set(wish), 0);
	took_few_steps("a lock");
	wish.owner++;
	ck_assert(walfs_lock_table_test(&table, &wish, &held));
	took_few_steps("a test");
	ck_assert_int_eq(set(posix(777777, F_UNLCK, 900000, 900001)), 0);
	walfs_lock_table_wake(&table);
	took_few_steps("an unlock");
	append();
}

START_TEST(many_locks_of_others_cost_an_append_nothing)
{
	uint64_t i;

	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(set(posix(i / 1000, F_RDLCK, 2 * i, 2 * i)), 0);
	lock_and_unlock();
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(set(whole(i + 1000, F_RDLCK)), 0);
	begin_counting();
	ck_assert_int_eq(set(whole(1, F_WRLCK)), -EAGAIN);
	took_few_steps("a refused flock");
	lock_and_unlock();
}
END_TEST

/* Whole files, and ranges of which no two are the same, held by one and by the next. */
START_TEST(many_who_wait_cost_an_append_nothing)
{
	struct walfs_lock_waiter *waiters = calloc(2 * MANY, sizeof(*waiters));
	uint64_t i, rounds;

	ck_assert_int_eq(set(whole(3, F_WRLCK)), 0);
	ck_assert_int_eq(set(posix(3, F_WRLCK, 0, 0)), 0);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(wait_for(&waiters[2 * i], whole(i + 10, F_WRLCK)), 0);
		begin_counting();
		ck_assert_int_eq(wait_for(&waiters[2 * i + 1], posix(i + 10, F_WRLCK, 0, i)), 0);
		took_few_steps("a wait");
	}
	append();
	for (rounds = 0; rounds < 50; rounds++) {
		begin_counting();
		walfs_lock_table_drop_handle(&table, rounds == 0 ? 3 : 10 + rounds - 1);
		took_few_steps("an unlock of what many wait for");
		append();
	}
	lock_and_unlock();
	ck_assert_uint_gt(granted_count, 0);
	for (i = 0; i < 2 * MANY; i++) {
		size_t n = 0;

		while (n < granted_count && n < 64 && granted[n] != &waiters[i])
			n++;
		if (n == granted_count)
			walfs_lock_table_cancel(&table, &waiters[i]);
	}
	free(waiters);
}
END_TEST

/* --- what it is made of ------------------------------------------------------------------- */

struct item {
	struct walfs_table_node node;
	uint64_t key;
};

START_TEST(a_table_finds_all_of_a_key_and_one_key_does_not_slow_down_another)
{
	struct item *items = calloc(2 * MANY, sizeof(*items));
	struct walfs_table numbers = {.buckets = NULL};
	struct walfs_table_node *first, *node;
	uint64_t i, found = 0;

	for (i = 0; i < 2 * MANY; i++) { /* every other one has the key 7 */
		items[i].key = i % 2 ? 7 : 1000 + i;
		walfs_table_add(&numbers, &items[i].node, items[i].key);
	}
	first = walfs_table_find(&numbers, 7);
	for (node = first; node; node = walfs_table_next(first, node))
		found += ((struct item *)node)->key == 7;
	ck_assert_uint_eq(found, MANY);
	numbers.steps = 0;
	for (i = 0; i < 2 * MANY; i += 2)
		ck_assert_ptr_eq(walfs_table_find(&numbers, 1000 + i), &items[i].node);
	for (i = 0; i < 2 * MANY; i++)
		walfs_table_remove(&numbers, &items[(i * 7919) % (2 * MANY)].node);
	ck_assert_uint_lt(numbers.steps, 3 * 3 * MANY);
	ck_assert_uint_eq(numbers.keys, 0);
	ck_assert_ptr_null(walfs_table_find(&numbers, 7));
	walfs_table_destroy(&numbers, NULL);
	free(items);
}
END_TEST

static bool is_odd(const struct walfs_interval *node, const void *ctx)
{
	(void)ctx;
	return node->end % 2;
}

START_TEST(a_set_of_ranges_finds_what_looking_at_each_finds)
{
	enum { COUNT = 300 };
	struct walfs_interval nodes[COUNT];
	struct walfs_intervals set = {.root = NULL};
	bool in[COUNT] = {false};

	srand((unsigned)_i);
	for (int turn = 0; turn < 3000; turn++) {
		int n = rand() % COUNT, i, first = -1, first_odd = -1;
		uint64_t start = (uint64_t)rand() % 1000, last = start + (uint64_t)rand() % 20;

		if (in[n]) {
			walfs_intervals_remove(&set, &nodes[n]);
		} else {
			nodes[n] = (struct walfs_interval){.start = start, .end = last};
			walfs_intervals_add(&set, &nodes[n]);
		}
		in[n] = !in[n];
		for (i = 0; i < COUNT; i++) {
			if (!in[i] || nodes[i].start > last || nodes[i].end < start)
				continue;
			if (first < 0 || nodes[i].start < nodes[first].start)
				first = i;
			if (nodes[i].end % 2 &&
			    (first_odd < 0 || nodes[i].start < nodes[first_odd].start))
				first_odd = i;
		}
		struct walfs_interval *found = walfs_intervals_find(&set, start, last, NULL, NULL);
		struct walfs_interval *odd = walfs_intervals_find(&set, start, last, is_odd, NULL);

		ck_assert_int_eq(found != NULL, first >= 0);
		ck_assert_int_eq(odd != NULL, first_odd >= 0);
		ck_assert(!found || found->start == nodes[first].start);
		ck_assert(!odd || (odd->start == nodes[first_odd].start && odd->end % 2));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock_table");
	TCase *locks = test_case(suite, "locks", 60), *cost = test_case(suite, "cost", 300);
	TCase *parts = test_case(suite, "parts", 60);

	tcase_add_checked_fixture(locks, begin, end);
	tcase_add_loop_test(
		locks, any_sequence_of_locks_has_the_outcome_that_it_has_on_a_local_file, 0, 6);
	tcase_add_test(locks, who_waits_gets_it_first_come_first_served);
	tcase_add_test(locks, who_gives_up_waiting_gets_nothing_and_the_others_do);
	tcase_add_test(locks, part_of_a_range_that_becomes_free_or_weaker_is_enough_to_go_on);
	tcase_add_test(locks, a_cycle_of_those_who_wait_is_a_deadlock);
	tcase_add_test(locks, a_cycle_that_closes_while_they_wait_is_a_deadlock);
	tcase_add_test(locks, a_file_that_is_unlocked_all_the_time_does_not_keep_others_waiting);
	tcase_add_test(locks, an_owner_has_so_many_locks_and_no_more);
	tcase_add_test(locks, a_user_has_so_many_locks_and_waits_and_no_more);
	tcase_add_test(locks, what_is_unlocked_leaves_nothing_behind);
	tcase_add_checked_fixture(cost, begin, end);
	tcase_add_test(cost, many_locks_of_others_cost_an_append_nothing);
	tcase_add_test(cost, many_who_wait_cost_an_append_nothing);
	tcase_add_test(parts, a_table_finds_all_of_a_key_and_one_key_does_not_slow_down_another);
	tcase_add_loop_test(parts, a_set_of_ranges_finds_what_looking_at_each_finds, 0, 5);
	return test_main(suite);
}
