/* SPDX-License-Identifier: MIT */
/*
 * A struct wal_io that counts what it is asked to do, fails one call, cuts the
 * power at one, and has a clock that the test sets.
 */
#ifndef WALFS_TESTS_FAULT_IO_H
#define WALFS_TESTS_FAULT_IO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/io.h"

enum fault_op {
	FAULT_OP_CREATE, /* open with O_CREAT; other opens are not counted */
	FAULT_OP_MKDIR,
	FAULT_OP_FCHMOD,
	FAULT_OP_ALLOCATE,
	FAULT_OP_PWRITE, /* past the page cache, too */
	FAULT_OP_ZERO,
	FAULT_OP_TRUNCATE,
	FAULT_OP_FDATASYNC,
	FAULT_OP_FSYNC,
	FAULT_OP_RENAME,
	FAULT_OP_UNLINK,
	FAULT_OPS
};

struct fault_io {
	struct wal_io io; /* first: the table is handed out, and cast back */
	pthread_mutex_t lock;
	pthread_rwlock_t running; /* calls hold it shared; the cut waits for them */
	_Atomic uint64_t calls;	  /* persisting calls so far */
	uint64_t count[FAULT_OPS];

	uint64_t fail_at;	     /* this call fails (1: the first); 0: none */
	unsigned fail_ops;	     /* or each of these operations (1 << op), */
	_Atomic uint64_t fail_after; /* once so many of them went well, */
	uint64_t fail_times;	     /* this often; 0: for ever */
	int fail_errno;		     /* negative */
	atomic_bool fail_half;	     /* a failing pwrite writes the first half */
	_Atomic uint64_t failed;     /* calls that were made to fail */

	uint64_t cut_at; /* this call and all later ones do nothing and fail */
	atomic_bool cut; /* it happened */
	/* Told at the cut, when no call is running or will be: to copy the store. */
	void (*at_cut)(void *ctx);
	void *at_cut_ctx;

	atomic_bool fixed_clock; /* now is what the clock says; else the real one */
	uint64_t now;
	uint64_t step_ns;	     /* added after each look */
	_Atomic uint64_t passed_ns;  /* that went by besides what did */
	_Atomic uint64_t looks;	     /* at how much passed: each look at ages is one */
	_Atomic uint64_t free_bytes; /* what is said to be free; UINT64_MAX: what is */
	atomic_uint sync_delay_us;   /* each fdatasync takes at least so long */
	atomic_bool no_direct;	     /* there is no way past the page cache */
	atomic_bool no_populate;     /* as before Linux 5.14 */
	atomic_bool skip_sync;	     /* syncs are counted and may fail, but do nothing: quick */
};

/* Passes everything on to the system until told otherwise. */
void fault_io_init(struct fault_io *fault);
void fault_io_destroy(struct fault_io *fault);
/* Starts to count again and forgets what should fail. The clock stays. */
void fault_io_reset(struct fault_io *fault);
void fault_io_set_clock(struct fault_io *fault, uint64_t now_ns, uint64_t step_ns);
/* The fixed clock goes on as time does; set_clock() is as if somebody set it. */
void fault_io_let_pass(struct fault_io *fault, uint64_t ns);
/* Each op of the set fails with error from now on, `times` times (0: for ever). */
void fault_io_fail_ops(struct fault_io *fault, unsigned ops, int error, uint64_t times);
uint64_t fault_io_count(struct fault_io *fault, enum fault_op op);

#endif
