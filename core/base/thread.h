/* SPDX-License-Identifier: MIT */
/* What every thread of libwal needs: a name, no signals, monotonic deadlines. */
#ifndef WALFS_CORE_THREAD_H
#define WALFS_CORE_THREAD_H

#include <pthread.h>
#include <time.h>

/* All signals stay with the threads of the program. Return: 0 or -errno. */
int wal_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);
/* A condition whose timed waits use wal_deadline(). */
void wal_cond_init(pthread_cond_t *cond);
void wal_deadline(struct timespec *until, unsigned ms);

#endif
