/* SPDX-License-Identifier: MIT */
/*
 * A few threads for what waits on a disk. Submitting never blocks: the queue is
 * bounded by the requests that the kernel has in flight, and its links are in
 * the jobs themselves.
 */
#include <errno.h>
#include <stdlib.h>

#include "walfs.h"

static void push(struct walfs_job_list *list, struct walfs_job *job)
{
	job->next = NULL;
	if (list->last)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static struct walfs_job *pop(struct walfs_job_list *list)
{
	struct walfs_job *job = list->first;

	if (!job)
		return NULL;
	list->first = job->next;
	if (!list->first)
		list->last = NULL;
	return job;
}

/* The strand's job has ended; called with the lock held, which it may drop. */
static void strand_advance(struct walfs_workers *workers, struct walfs_strand *strand)
{
	struct walfs_job *next = pop(&strand->waiting);

	if (next) {
		/* This thread takes the first of the queue; another one the rest. */
		if (workers->ready.first)
			pthread_cond_signal(&workers->wake);
		push(&workers->ready, next);
		return;
	}
	strand->busy = false;
	if (!strand->idle)
		return;
	pthread_mutex_unlock(&workers->lock);
	strand->idle(strand);
	pthread_mutex_lock(&workers->lock);
}

static void *work(void *arg)
{
	struct walfs_worker *worker = arg;
	struct walfs_workers *workers = worker->workers;
	struct walfs_strand *strand;
	struct walfs_timer timer;
	struct walfs_job *job;

	pthread_mutex_lock(&workers->lock);
	for (;;) {
		job = pop(&workers->ready);
		if (!job && workers->stopping)
			break;
		if (!job) {
			pthread_cond_wait(&workers->wake, &workers->lock);
			continue;
		}
		pthread_mutex_unlock(&workers->lock);
		strand = job->strand;
		timer = job->timer;
		walfs_opstats_taken(workers->opstats, &timer);
		job->run(job, worker->buffer);
		walfs_opstats_answered(workers->opstats, &timer);
		pthread_mutex_lock(&workers->lock);
		if (strand)
			strand_advance(workers, strand);
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

static int start_one(struct walfs_worker *worker, struct walfs_workers *workers)
{
	int error;

	worker->workers = workers;
	worker->buffer = malloc(WALFS_IO_MAX);
	if (!worker->buffer)
		return -ENOMEM;
	error = pthread_create(&worker->thread, NULL, work, worker);
	if (error)
		free(worker->buffer);
	return -error;
}

int walfs_workers_start(struct walfs_workers *workers, struct walfs_opstats *opstats)
{
	int error;

	workers->opstats = opstats;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->wake, NULL);
	for (workers->count = 0; workers->count < WALFS_WORKERS; workers->count++) {
		error = start_one(&workers->workers[workers->count], workers);
		if (error) {
			walfs_workers_stop(workers);
			return error;
		}
	}
	return 0;
}

void walfs_workers_stop(struct walfs_workers *workers)
{
	unsigned i;

	pthread_mutex_lock(&workers->lock);
	workers->stopping = true;
	pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->lock);
	for (i = 0; i < workers->count; i++) {
		pthread_join(workers->workers[i].thread, NULL);
		free(workers->workers[i].buffer);
	}
	workers->count = 0;
	pthread_cond_destroy(&workers->wake);
	pthread_mutex_destroy(&workers->lock);
}

void walfs_workers_submit(struct walfs_workers *workers, struct walfs_job *job,
			  struct walfs_strand *strand)
{
	job->strand = strand;
	job->timer = walfs_opstats_park(workers->opstats);
	pthread_mutex_lock(&workers->lock);
	if (strand && strand->busy) {
		push(&strand->waiting, job);
	} else {
		if (strand)
			strand->busy = true;
		push(&workers->ready, job);
		pthread_cond_signal(&workers->wake);
	}
	pthread_mutex_unlock(&workers->lock);
}

void walfs_strand_end(struct walfs_workers *workers, struct walfs_strand *strand,
		      void (*idle)(struct walfs_strand *strand))
{
	bool busy;

	pthread_mutex_lock(&workers->lock);
	busy = strand->busy;
	if (busy)
		strand->idle = idle;
	pthread_mutex_unlock(&workers->lock);
	if (!busy)
		idle(strand);
}
