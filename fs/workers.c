/* SPDX-License-Identifier: MIT */
/*
 * A few threads for what waits on a disk. Submitting never blocks: the queue is
 * bounded by the requests that the kernel has in flight, and its links are in
 * the jobs themselves.
 *
 * Any number of jobs may want a segment that is being sealed, which takes long on a slow disk.
 * They would have all workers wait for that, and everybody else for a worker: so they are
 * handed to the log, which hands them back when it is done.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "workers.h"

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

/* Lock held. */
static void make_ready(struct walfs_workers *workers, struct walfs_job *job)
{
	struct walfs_strand *strand = job->strand;

	if (strand && strand->busy) {
		push(&strand->waiting, job);
		return;
	}
	if (strand)
		strand->busy = true;
	push(&workers->ready, job);
	pthread_cond_signal(&workers->wake);
}

/* In the log's thread: what the job waited for is sealed. */
static void take_back(struct wal_seal_wait *sealed)
{
	struct walfs_job *job =
		(struct walfs_job *)((char *)sealed - offsetof(struct walfs_job, sealed));
	struct walfs_workers *workers = job->workers;

	pthread_mutex_lock(&workers->lock);
	make_ready(workers, job);
	pthread_mutex_unlock(&workers->lock);
}

/* Return: whether the job was handed to the log, and is not to be touched any more. */
static bool put_off(struct walfs_workers *workers, struct walfs_job *job)
{
	job->sealed.done = take_back;
	return job->segment && wal_log_seal_join(workers->log, job->segment, &job->sealed);
}

/* Runs a job, or puts it off. Return: whether it has ended. */
static bool run_job(struct walfs_worker *worker, struct walfs_job *job)
{
	struct walfs_workers *workers = worker->workers;
	struct walfs_timer timer = job->timer;

	if (!job->run) /* the end of a strand */
		return true;
	if (put_off(workers, job))
		return false;
	walfs_opstats_taken(workers->opstats, &timer);
	while (!job->run(job, worker->buffer))
		if (put_off(workers, job))
			return false;
	walfs_opstats_answered(workers->opstats, &timer);
	return true;
}

/* The strand's job has ended, or was put off; called with the lock held, which it may drop. */
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
	struct walfs_job *job;
	bool ended;

	pthread_mutex_lock(&workers->lock);
	while (workers->unfinished || !workers->stopping) {
		job = pop(&workers->ready);
		if (!job) {
			pthread_cond_wait(&workers->wake, &workers->lock);
			continue;
		}
		pthread_mutex_unlock(&workers->lock);
		strand = job->strand;
		ended = run_job(worker, job);
		pthread_mutex_lock(&workers->lock);
		workers->unfinished -= ended;
		if (strand)
			strand_advance(workers, strand);
	}
	/* It ended what the others had to wait for. */
	pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

static int start_one(struct walfs_worker *worker, struct walfs_workers *workers)
{
	int err;

	worker->workers = workers;
	worker->buffer = malloc(WALFS_IO_MAX);
	if (!worker->buffer)
		return -ENOMEM;
	err = pthread_create(&worker->thread, NULL, work, worker);
	if (err)
		free(worker->buffer);
	return -err;
}

int walfs_workers_start(struct walfs_workers *workers, struct walfs_opstats *opstats,
			struct wal_log *log)
{
	int err;

	workers->opstats = opstats;
	workers->log = log;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->wake, NULL);
	for (workers->count = 0; workers->count < WALFS_WORKERS; workers->count++) {
		err = start_one(&workers->workers[workers->count], workers);
		if (err) {
			walfs_workers_stop(workers);
			return err;
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
	job->workers = workers;
	job->strand = strand;
	job->timer = walfs_opstats_park(workers->opstats);
	pthread_mutex_lock(&workers->lock);
	workers->unfinished++;
	make_ready(workers, job);
	pthread_mutex_unlock(&workers->lock);
}

void walfs_strand_end(struct walfs_workers *workers, struct walfs_strand *strand,
		      void (*idle)(struct walfs_strand *strand))
{
	strand->end = (struct walfs_job){.workers = workers, .strand = strand};
	pthread_mutex_lock(&workers->lock);
	strand->idle = idle;
	if (!strand->busy) {
		workers->unfinished++;
		make_ready(workers, &strand->end);
	}
	pthread_mutex_unlock(&workers->lock);
}
