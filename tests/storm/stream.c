/* SPDX-License-Identifier: MIT */
/* What is written: sizes, ways and bytes, all from the seed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storm.h"

void storm_die(const char *what)
{
	fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
	exit(2);
}

uint64_t storm_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void storm_sleep_us(uint64_t us)
{
	const struct timespec time = {
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000) * 1000,
	};

	nanosleep(&time, NULL); /* the pace of a load, or a poll interval: the callers say */
}

/* splitmix64 */
uint64_t storm_random(struct storm_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t storm_below(struct storm_random *random, uint64_t below)
{
	return below ? storm_random(random) % below : 0;
}

bool storm_chance(struct storm_random *random, unsigned percent)
{
	return storm_below(random, 100) < percent;
}

void storm_setup_limits(struct storm_setup *setup, const char *directory)
{
	const struct wal_log_options options = {
		.path = directory,
		.block_size = setup->block_size,
		.segment_size = setup->segment_size,
		.framing = setup->framing,
	};
	struct wal_error error = {.code = 0};
	struct wal_log *log;

	if (wal_log_open(&options, &log, &error)) {
		fprintf(stderr, "storm: %s\n", error.text);
		exit(2);
	}
	setup->record_limit = wal_log_record_limit(log);
	setup->event_limit = wal_log_event_limit(log);
	wal_log_close(log);
}

/* --- sizes ------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Mostly small, now and then more than a block, or than the largest event. */
static size_t any_size(struct storm_stream *stream)
{
	const struct storm_setup *setup = stream->setup;
	struct storm_random *random = &stream->random;
	unsigned kind = (unsigned)storm_below(random, 1000);

	if (kind < setup->largest_permille)
		return 1 +
		       storm_below(random, smaller(setup->record_limit * 13 / 10, STORM_LINE_MAX));
	if (kind < 2 * setup->largest_permille)
		return 1 + storm_below(random, smaller(3 * (size_t)setup->block_size, 200000));
	if (kind < 150)
		return 1 + storm_below(random, smaller(setup->block_size, 8192));
	if (kind < 350)
		return 1 + storm_below(random, 1000);
	return 1 + storm_below(random, 100);
}

/* With its newline. Only the first stream writes empty lines: they have no other sign. */
static size_t line_size(struct storm_stream *stream)
{
	const size_t limit = stream->setup->record_limit;
	size_t size = any_size(stream);

	if (size == 1 && stream->number != 0)
		size = 2;
	if (stream->shared)
		size = smaller(size, smaller(limit, 65536));
	/* a piece of a cut line that is the newline alone would have no sign either */
	return size > limit && size % limit == 1 ? size + 1 : size;
}

static size_t fixed_size(struct storm_stream *stream)
{
	const size_t n = stream->setup->framing.size;
	size_t size = smaller(any_size(stream), 262144);

	return stream->shared ? (size + n - 1) / n * n : size;
}

/* --- bytes ------------------------------------------------------------------------- */

static void grow(struct storm_stream *stream, size_t size)
{
	if (size <= stream->capacity)
		return;
	stream->capacity = size * 2;
	stream->op.bytes = realloc(stream->op.bytes, stream->capacity);
	if (!stream->op.bytes)
		storm_die("memory");
}

static void add_bytes(struct storm_stream *stream, size_t size)
{
	const unsigned first = STORM_FIRST_BYTE + stream->number * STORM_SYMBOLS;
	uint64_t bits = 0;
	size_t i;

	grow(stream, stream->op.size + size);
	for (i = 0; i < size; i++, bits >>= 2) {
		if (i % 32 == 0)
			bits = storm_random(&stream->random);
		stream->op.bytes[stream->op.size + i] =
			(uint8_t)(first + (bits & 3) % STORM_SYMBOLS);
	}
	stream->op.size += size;
}

static void add_line(struct storm_stream *stream, size_t size)
{
	add_bytes(stream, size);
	stream->op.bytes[stream->op.size - 1] = '\n';
}

/* --- ways -------------------------------------------------------------------------- */

static void one_piece(struct storm_op *op)
{
	op->pieces = 1;
	op->ends[0] = op->size;
}

/* Into two or three, none of them the newline alone. */
static void cut_in_pieces(struct storm_stream *stream)
{
	struct storm_op *op = &stream->op;
	size_t at = 0;

	one_piece(op);
	while (op->pieces < STORM_PIECES && op->size - at >= 4) {
		at += 1 + storm_below(&stream->random, op->size - at - 2);
		op->ends[op->pieces - 1] = at;
		op->ends[op->pieces++] = op->size;
	}
	op->whole = op->pieces == 1 && op->whole;
}

static void make_lines(struct storm_stream *stream)
{
	const size_t limit = stream->setup->record_limit;
	struct storm_op *op = &stream->op;
	size_t size = line_size(stream);
	unsigned count = 1;

	add_line(stream, size);
	op->whole = size <= limit;
	if (storm_chance(&stream->random, 15))
		count = 2 + (unsigned)storm_below(&stream->random, 40);
	for (; count > 1 && op->size < STORM_WHOLE_MAX / 2; count--) {
		size = smaller(line_size(stream), STORM_WHOLE_MAX / 4);
		add_line(stream, size);
		op->whole = op->whole && size <= limit;
	}
	op->whole = op->whole && op->size <= STORM_WHOLE_MAX;
	if (!stream->shared && storm_chance(&stream->random, 10))
		cut_in_pieces(stream);
	else
		one_piece(op);
}

static void make_write(struct storm_stream *stream)
{
	add_bytes(stream, smaller(any_size(stream), stream->setup->event_limit));
	stream->op.whole = true;
	one_piece(&stream->op);
}

static void make_fixed(struct storm_stream *stream)
{
	add_bytes(stream, fixed_size(stream));
	stream->op.whole = stream->shared;
	one_piece(&stream->op);
}

void storm_stream_init(struct storm_stream *stream, const struct storm_setup *setup, unsigned round,
		       unsigned number, bool shared)
{
	memset(stream, 0, sizeof(*stream));
	stream->setup = setup;
	stream->number = number;
	stream->shared = shared;
	stream->random.state = setup->seed ^ (uint64_t)round << 40 ^ (uint64_t)number << 20;
	storm_random(&stream->random);
}

void storm_stream_destroy(struct storm_stream *stream)
{
	free(stream->op.bytes);
	stream->op.bytes = NULL;
}

/*
 * Up to 128 parts are one request and one event; more may become several, between which
 * another process that writes to the same open file may come.
 */
static unsigned choose_parts(struct storm_stream *stream, size_t size)
{
	bool may_be_several = !stream->shared && stream->setup->framing.kind != WAL_FRAME_WRITE;
	unsigned parts = 2 + (unsigned)storm_below(&stream->random, 60);

	if (storm_chance(&stream->random, 30))
		parts = 127 + (unsigned)storm_below(&stream->random, may_be_several ? 4 : 2);
	return size < parts ? (unsigned)size : parts;
}

const struct storm_op *storm_stream_next(struct storm_stream *stream)
{
	struct storm_op *op = &stream->op;

	op->size = 0;
	switch (stream->setup->framing.kind) {
	case WAL_FRAME_WRITE:
		make_write(stream);
		break;
	case WAL_FRAME_FIXED:
		make_fixed(stream);
		break;
	default:
		make_lines(stream);
	}
	op->parts = 1;
	if (op->size > 1 && op->size <= STORM_WHOLE_MAX && storm_chance(&stream->random, 10))
		op->parts = choose_parts(stream, op->size);
	op->durable = storm_chance(&stream->random, 1);
	op->sync = storm_chance(&stream->random, 1);
	return op;
}
