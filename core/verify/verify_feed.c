/* SPDX-License-Identifier: MIT */
/*
 * Threads take chunks of a few blocks in order, read each into a slot of a ring and
 * check its blocks; whoever asks gets them in order, and works on a chunk itself
 * rather than wait for one that nobody has begun. So every thread but the one that
 * asks may be late, or missing.
 */
#include "core/verify/verify_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#include "core/base/io.h"
#include "core/base/thread.h"

#define CHUNK_BYTES (256u << 10)	/* stays in the second cache while it is looked at */
#define DIRECT_CHUNK_BYTES (1u << 20)	/* a disk wants larger requests */
#define BUFFERED_BYTES_MAX (32u << 20)	/* in all slots: bounds threads where blocks are large */
#define WORTH_A_THREAD_BYTES (4u << 20) /* of a segment: starting one takes 0.1 ms */
#define SLOTS_A_THREAD 2u
#define THREADS_CHOSEN 4u

struct slot {
	uint8_t *buffer;
	struct wal_fed_block *blocks;
	bool done; /* under the lock: the blocks are checked, and their asker's */
};

struct wal_block_feed {
	const struct wal_segment_reader *reader;
	uint32_t chunk_blocks;
	uint32_t chunk_count;
	uint32_t slot_count;
	struct slot *slots; /* chunk i is in slot i % slot_count */
	void *buffers;
	struct wal_fed_block *blocks;
	pthread_t threads[WAL_VERIFY_THREADS_MAX];
	unsigned thread_count;

	/* The asker's own: where it is in the chunk that it has. */
	struct slot *slot;
	uint32_t at;
	uint32_t at_end;

	pthread_mutex_t lock; /* of all below, and of done in each slot */
	pthread_cond_t room;  /* slots became free, or stop */
	pthread_cond_t done;  /* the chunk that the asker wants is checked */
	uint32_t asked;	      /* the chunk that the asker has or wants; those before it are free */
	uint32_t claimed;     /* chunks that somebody has begun */
	unsigned waiting;     /* threads that wait for room */
	bool stop;
};

/* --- a chunk -------------------------------------------------------------------------- */

static uint32_t chunk_length(const struct wal_block_feed *feed, uint32_t chunk)
{
	uint32_t rest = feed->reader->header.block_count - chunk * feed->chunk_blocks;

	return rest < feed->chunk_blocks ? rest : feed->chunk_blocks;
}

static void read_chunk(const struct wal_block_feed *feed, uint32_t first, uint32_t count,
		       struct slot *slot)
{
	const uint32_t size = feed->reader->header.block_size;
	const size_t bytes = (size_t)count * size;
	const int fd = feed->reader->fd;
	uint32_t i;
	ssize_t n;

	n = wal_pread_full(fd, slot->buffer, bytes, (off_t)wal_block_offset(size, first));
	for (i = 0; i < count; i++) {
		struct wal_fed_block *fed = &slot->blocks[i];

		fed->block = slot->buffer + (size_t)i * size;
		fed->read = size;
		/* One bad place on a disk, or the end, does not take the others of the chunk. */
		if (n != (ssize_t)bytes)
			fed->read = wal_pread_full(fd, slot->buffer + (size_t)i * size, size,
						   (off_t)wal_block_offset(size, first + i));
	}
}

static void check_chunk(const struct wal_block_feed *feed, uint32_t chunk)
{
	struct slot *slot = &feed->slots[chunk % feed->slot_count];
	const struct wal_segment_header *header = &feed->reader->header;
	uint32_t first = chunk * feed->chunk_blocks, count = chunk_length(feed, chunk), i;

	read_chunk(feed, first, count, slot);
	for (i = 0; i < count; i++) {
		struct wal_fed_block *fed = &slot->blocks[i];

		fed->sound = fed->read == (ssize_t)header->block_size &&
			     wal_block_sum_up(fed->block, header, first + i, &fed->sum);
	}
}

/* --- who does which ------------------------------------------------------------------- */

/* With the lock. */
static bool can_claim(const struct wal_block_feed *feed)
{
	return feed->claimed < feed->chunk_count && feed->claimed - feed->asked < feed->slot_count;
}

/* With the lock, which is let go meanwhile. */
static void work(struct wal_block_feed *feed)
{
	uint32_t chunk = feed->claimed++;

	pthread_mutex_unlock(&feed->lock);
	check_chunk(feed, chunk);
	pthread_mutex_lock(&feed->lock);
	feed->slots[chunk % feed->slot_count].done = true;
	if (chunk == feed->asked)
		pthread_cond_signal(&feed->done);
}

static void *run(void *arg)
{
	struct wal_block_feed *feed = arg;

	pthread_mutex_lock(&feed->lock);
	while (!feed->stop && feed->claimed < feed->chunk_count) {
		if (can_claim(feed)) {
			work(feed);
			continue;
		}
		feed->waiting++;
		pthread_cond_wait(&feed->room, &feed->lock);
		feed->waiting--;
	}
	pthread_mutex_unlock(&feed->lock);
	return NULL;
}

/* Whoever asks waits only for a chunk that a thread is at: it can sleep, and all goes on. */
static void ask_for_chunk(struct wal_block_feed *feed, uint32_t chunk)
{
	struct slot *slot = &feed->slots[chunk % feed->slot_count];

	pthread_mutex_lock(&feed->lock);
	if (feed->slot)
		feed->slot->done = false;
	feed->asked = chunk;
	/* Waking a thread can cost as much as a chunk: not for each slot. */
	if (feed->waiting && feed->claimed - chunk <= feed->slot_count / 2)
		pthread_cond_broadcast(&feed->room);
	while (!slot->done) {
		if (can_claim(feed))
			work(feed);
		else
			pthread_cond_wait(&feed->done, &feed->lock);
	}
	pthread_mutex_unlock(&feed->lock);
	feed->slot = slot;
	feed->at = 0;
	feed->at_end = chunk_length(feed, chunk);
}

const struct wal_fed_block *wal_block_feed_next(struct wal_block_feed *feed)
{
	if (feed->at == feed->at_end)
		ask_for_chunk(feed, feed->slot ? feed->asked + 1 : 0);
	return &feed->slot->blocks[feed->at++];
}

/* --- starting and stopping --------------------------------------------------------------- */

static unsigned choose_threads(const struct wal_segment_reader *r)
{
	cpu_set_t cpus;
	unsigned count = 1;

	if (wal_block_offset(r->header.block_size, r->header.block_count) < WORTH_A_THREAD_BYTES)
		return 1;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		count = (unsigned)CPU_COUNT(&cpus);
	return count < THREADS_CHOSEN ? count : THREADS_CHOSEN;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Return: how many threads there is work and memory for. */
static unsigned plan(struct wal_block_feed *feed, unsigned threads)
{
	const struct wal_segment_header *header = &feed->reader->header;
	uint32_t chunk_bytes = feed->reader->direct ? DIRECT_CHUNK_BYTES : CHUNK_BYTES;

	if (chunk_bytes < header->block_size)
		chunk_bytes = header->block_size;
	threads = threads ? smaller(threads, WAL_VERIFY_THREADS_MAX) : choose_threads(feed->reader);
	feed->chunk_blocks = smaller(chunk_bytes / header->block_size, header->block_count);
	feed->chunk_count = (header->block_count - 1) / feed->chunk_blocks + 1;
	feed->slot_count = threads > 1 ? SLOTS_A_THREAD * threads : 1;
	feed->slot_count = smaller(feed->slot_count, BUFFERED_BYTES_MAX / chunk_bytes);
	feed->slot_count = smaller(feed->slot_count, feed->chunk_count);
	return smaller(threads, feed->slot_count);
}

static int allocate(struct wal_block_feed *feed)
{
	size_t blocks = (size_t)feed->slot_count * feed->chunk_blocks;
	size_t size = feed->reader->header.block_size;
	uint32_t i;

	feed->slots = calloc(feed->slot_count, sizeof(*feed->slots));
	feed->blocks = calloc(blocks, sizeof(*feed->blocks));
	if (!feed->slots || !feed->blocks ||
	    posix_memalign(&feed->buffers, WAL_DIRECT_ALIGN, blocks * size)) {
		feed->buffers = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < feed->slot_count; i++) {
		feed->slots[i].buffer =
			(uint8_t *)feed->buffers + (size_t)i * feed->chunk_blocks * size;
		feed->slots[i].blocks = feed->blocks + (size_t)i * feed->chunk_blocks;
	}
	return 0;
}

int wal_block_feed_start(const struct wal_segment_reader *reader, unsigned threads,
			 struct wal_block_feed **started)
{
	struct wal_block_feed *feed = calloc(1, sizeof(*feed));

	*started = feed;
	if (!feed)
		return -ENOMEM;
	feed->reader = reader;
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->room, NULL);
	pthread_cond_init(&feed->done, NULL);
	threads = plan(feed, threads);
	if (allocate(feed)) {
		wal_block_feed_stop(feed);
		*started = NULL;
		return -ENOMEM;
	}
	posix_fadvise(reader->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (feed->thread_count + 1 < threads &&
	       wal_thread_start(&feed->threads[feed->thread_count], "walfs-verify", run, feed) == 0)
		feed->thread_count++;
	return 0;
}

void wal_block_feed_stop(struct wal_block_feed *feed)
{
	if (!feed)
		return;
	pthread_mutex_lock(&feed->lock);
	feed->stop = true;
	pthread_cond_broadcast(&feed->room);
	pthread_mutex_unlock(&feed->lock);
	while (feed->thread_count > 0)
		pthread_join(feed->threads[--feed->thread_count], NULL);
	pthread_cond_destroy(&feed->done);
	pthread_cond_destroy(&feed->room);
	pthread_mutex_destroy(&feed->lock);
	free(feed->buffers);
	free(feed->blocks);
	free(feed->slots);
	free(feed);
}
