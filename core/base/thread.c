/* SPDX-License-Identifier: MIT */
#include "core/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct start {
	const char *name;
	void *(*run)(void *);
	void *arg;
};

/* A thread that names itself takes one call; for another one the name goes through /proc. */
static void *run_named(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), start.name);
	return start.run(start.arg);
}

int wal_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
	struct start *start = malloc(sizeof(*start));
	sigset_t all, before;
	int err;

	if (!start)
		return -ENOMEM;
	*start = (struct start){.name = name, .run = run, .arg = arg};
	sigfillset(&all);
	/* A fault in a mapping must reach its handler in whichever thread has it. */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(thread, NULL, run_named, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		free(start);
	return -err;
}

void wal_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void wal_deadline(struct timespec *until, unsigned ms)
{
	clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_sec += ms / 1000;
	until->tv_nsec += (long)(ms % 1000) * 1000000;
	if (until->tv_nsec >= 1000000000) {
		until->tv_nsec -= 1000000000;
		until->tv_sec++;
	}
}

#ifdef WAL_CHECKED
void wal_mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

void wal_mutex_assert_locked(pthread_mutex_t *mutex)
{
	static const struct timespec past;

	/* Were it another thread's, the time would be over; were it free, this would take it. */
	WAL_ASSERT(pthread_mutex_timedlock(mutex, &past) == EDEADLK);
}
#else
void wal_mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutex_init(mutex, NULL);
}
#endif
