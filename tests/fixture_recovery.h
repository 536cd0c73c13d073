/* SPDX-License-Identifier: MIT */
/*
 * What the tests of recovery share: a store of each state of the table, a disk that does not
 * give everything back, and the log as a reader sees it.
 */
#ifndef WALFS_TESTS_FIXTURE_RECOVERY_H
#define WALFS_TESTS_FIXTURE_RECOVERY_H

#include "tests/states.h"

#define STORE "store"
#define MAX_EVENTS 2000

extern struct fault_io recovery_io;
extern struct test_log_handle recovery_log;
extern const struct state *recovery_state; /* of which the store is */

/* What the log reads; what the test itself reads is always there. */
extern bool recovery_disk_is_bad;
extern int recovery_meta_error; /* opening wal.meta fails with this */

#define ck_state(condition, format, ...) \
	ck_holds(condition, "%s, %s: " format, recovery_state->row, recovery_state->name, \
		 __VA_ARGS__)

/* The fixture: calls are counted and can be cut; syncs are left out. */
void recovery_begin(void);
void recovery_end(void);

/* Makes STORE of states[i]. */
void recovery_build(int i);

/* With the state's bad sector. Return: of wal_log_open, of wal_log_close. */
int recovery_open_log(void);
int recovery_close_log(void);
/* Opens for writing what is in store, or fails the test with the error's text. */
void recovery_open_state(const char *store);
/* Options for a look at STORE that does not know its parameters. */
void recovery_prepare_read_only(void);
/* "event ID\n" from the state's next event on. */
void recovery_append_lines(uint64_t count);

struct recovery_contents {
	size_t count;
	uint64_t ids[MAX_EVENTS];
};

/* The ids of all events that can be read; what they say is checked. */
void recovery_read_log(struct wal_log *log, struct recovery_contents *contents);
/* The state's kept events are there, then so many appended ones, and no other. */
void recovery_assert_contents(struct wal_log *log, uint64_t appended);
void recovery_assert_position(struct wal_log *log, uint64_t appended);

#endif
