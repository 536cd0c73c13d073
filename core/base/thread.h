/* SPDX-License-Identifier: MIT */
/* What every thread of libwal needs: a name, no signals, monotonic deadlines. */
#ifndef WALFS_CORE_THREAD_H
#define WALFS_CORE_THREAD_H

#include <pthread.h>
#include <time.h>

#include "core/base/assert.h"

/*
 * All signals stay with the threads of the program. name: up to 15 characters, of static storage.
 * Return: 0 or -errno.
 */
int wal_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);
/* A condition whose timed waits use wal_deadline(). */
void wal_cond_init(pthread_cond_t *cond);
void wal_deadline(struct timespec *until, unsigned ms);

/* A mutex of which, where WAL_CHECKED is defined, it is known which thread has it. */
void wal_mutex_init(pthread_mutex_t *mutex);

/* The calling thread has the mutex. Nothing where WAL_CHECKED is not defined. */
#ifdef WAL_CHECKED
void wal_mutex_assert_locked(pthread_mutex_t *mutex);
#else
static inline void wal_mutex_assert_locked(pthread_mutex_t *mutex)
{
	(void)mutex;
}
#endif

#endif
