/* SPDX-License-Identifier: MIT */
/* A few threads for what waits on a disk. */
#ifndef WALFS_FS_WORKERS_H
#define WALFS_FS_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <walfs/wal.h>

#include "opstats.h"

#define WALFS_WORKERS 4
#define WALFS_IO_MAX (1u << 20) /* the largest request that is read or written */

struct walfs_strand;
struct walfs_workers;

/* Something that takes time. Embedded in what it works on. */
struct walfs_job {
	/*
	 * Never waits for a seal. buffer: WALFS_IO_MAX bytes. Return: whether it has ended; else it
	 * is run again, once job->segment is sealed. NULL: nothing is to be done.
	 */
	bool (*run)(struct walfs_job *job, void *buffer);
	uint32_t segment; /* not run while this one is being sealed; 0: it does not matter */
	/* The workers': */
	struct walfs_workers *workers;
	struct walfs_strand *strand;
	struct walfs_job *next;
	struct walfs_timer timer;
	struct wal_seal_wait sealed;
};

struct walfs_job_list {
	struct walfs_job *first, *last;
};

/* Jobs of one strand run one at a time, and in order unless one waits for its segment. */
struct walfs_strand {
	struct walfs_job_list waiting;
	bool busy;
	void (*idle)(struct walfs_strand *strand); /* called once, after end */
	struct walfs_job end;
};

struct walfs_worker {
	struct walfs_workers *workers;
	pthread_t thread;
	void *buffer;
};

struct walfs_workers {
	struct walfs_opstats *opstats;
	struct wal_log *log;
	pthread_mutex_t lock; /* protects everything below, and strands */
	pthread_cond_t wake;
	struct walfs_job_list ready;
	size_t unfinished; /* jobs that were submitted */
	bool stopping;
	unsigned count;
	struct walfs_worker workers[WALFS_WORKERS];
};

/* Return: 0 or -errno. */
int walfs_workers_start(struct walfs_workers *workers, struct walfs_opstats *opstats,
			struct wal_log *log);
/* Finishes every job that was submitted, then ends the threads. */
void walfs_workers_stop(struct walfs_workers *workers);
/* strand may be NULL. job->run() answers the request that is being handled, then frees the job. */
void walfs_workers_submit(struct walfs_workers *workers, struct walfs_job *job,
			  struct walfs_strand *strand);
/* No more jobs will come: idle() is called by a worker when the last has ended. */
void walfs_strand_end(struct walfs_workers *workers, struct walfs_strand *strand,
		      void (*idle)(struct walfs_strand *strand));

#endif
