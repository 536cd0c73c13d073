/* SPDX-License-Identifier: MIT */
/*
 * Holds a store against the writers' records. Every event belongs to a stream, by
 * its bytes; the events of a stream, one behind the other, are the bytes that the
 * stream's writer would write, from the first one on, at least as many as were
 * promised and at most as many as were given to a write(2).
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storm.h"

#define BUFFER (1u << 18)

static bool fail(struct storm_oracle *oracle, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fail(struct storm_oracle *oracle, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(oracle->failure, sizeof(oracle->failure), format, args);
	va_end(args);
	return false;
}

void storm_oracle_init(struct storm_oracle *oracle, const struct storm_setup *setup,
		       struct storm_record *records)
{
	memset(oracle, 0, sizeof(*oracle));
	oracle->setup = setup;
	oracle->records = records;
}

static void forget_expected(struct storm_oracle *oracle)
{
	size_t i;

	for (i = 0; i < STORM_STREAMS; i++) {
		storm_stream_destroy(&oracle->expect[i].stream);
		memset(&oracle->expect[i], 0, sizeof(oracle->expect[i]));
	}
}

void storm_oracle_destroy(struct storm_oracle *oracle)
{
	forget_expected(oracle);
	free(oracle->group);
	oracle->group = NULL;
}

/* --- one record of the log ------------------------------------------------------------ */

/* The stream, ready to tell what comes next. */
static struct storm_expect *expected_of(struct storm_oracle *oracle, unsigned number)
{
	struct storm_expect *expect = &oracle->expect[number];

	if (!expect->begun) {
		storm_stream_init(&expect->stream, oracle->setup, oracle->round, number,
				  oracle->shared[number]);
		expect->begun = true;
	}
	if (!expect->op || expect->at == expect->op->size) {
		expect->op = storm_stream_next(&expect->stream);
		expect->at = 0;
	}
	return expect;
}

/*
 * A newline alone is an empty line of the first stream, or what a cut left of a line that was
 * written.
 */
static unsigned stream_of_newline(struct storm_oracle *oracle)
{
	struct storm_expect *expect;
	unsigned i;

	for (i = 1; i < STORM_STREAMS; i++) {
		expect = &oracle->expect[i];
		if (expect->op && expect->at && expect->at < expect->op->size &&
		    expect->op->bytes[expect->at] == '\n' &&
		    expect->op->bytes[expect->at - 1] != '\n' &&
		    expect->bytes < atomic_load(&oracle->records[i].started))
			return i;
	}
	return 0;
}

/*
 * Two streams may both wait for a newline, the first for an empty line and another for the end of
 * a line that was cut: which of them the newline was is seen when the next record of the one
 * that did not get it comes without. The other still waits for its own then.
 */
static void correct_guess(struct storm_oracle *oracle, struct storm_expect *expect)
{
	struct storm_expect *other;
	unsigned i;

	if (expect->op->bytes[expect->at] != '\n')
		return;
	for (i = 0; i < STORM_STREAMS; i++) {
		other = &oracle->expect[i];
		if (other == expect || !other->guessed || !other->at)
			continue;
		other->guessed = false;
		other->at--;
		other->bytes--;
		expect->at++;
		expect->bytes++;
		return;
	}
}

static bool is_line_start(const struct storm_expect *expect)
{
	return !expect->at || expect->op->bytes[expect->at - 1] == '\n';
}

/* A record that was one write(2), or a line of one, begins and ends as that did. */
static bool has_good_ends(struct storm_oracle *oracle, const struct storm_expect *expect,
			  const uint8_t *bytes, size_t size, bool part)
{
	const struct storm_op *op = expect->op;
	const struct wal_framing framing = oracle->setup->framing;
	uint64_t op_end = expect->bytes - expect->at + op->size;
	uint64_t started = atomic_load(&oracle->records[expect->stream.number].started);
	bool whole = op->whole && op_end <= started; /* else it was cut by a kill */
	const uint8_t *newline;

	switch (framing.kind) {
	case WAL_FRAME_WRITE:
		return !part && !expect->at && (!whole || size == op->size);
	case WAL_FRAME_FIXED:
		return part ? size < framing.size : size == framing.size;
	default:
		newline = memchr(bytes, '\n', size);
		if (part ? newline != NULL : newline != bytes + size - 1)
			return false;
		return !whole || (!part && is_line_start(expect));
	}
}

/* Return: whether the stream goes on with these bytes, and takes them. */
static bool take_bytes(struct storm_oracle *oracle, unsigned number, const uint8_t *bytes,
		       size_t size)
{
	struct storm_expect *expect;
	size_t part;

	for (; size; bytes += part, size -= part) {
		expect = expected_of(oracle, number);
		part = expect->op->size - expect->at;
		if (part > size)
			part = size;
		if (memcmp(expect->op->bytes + expect->at, bytes, part) != 0)
			return false;
		expect->at += part;
		expect->bytes += part;
	}
	return true;
}

static bool check_record(struct storm_oracle *oracle, uint64_t id, const uint8_t *bytes,
			 size_t size, bool part)
{
	unsigned number = bytes[0] == '\n' ? stream_of_newline(oracle)
					   : (bytes[0] - STORM_FIRST_BYTE) / STORM_SYMBOLS;
	struct storm_expect *expect;
	uint64_t started;

	if (number >= STORM_STREAMS)
		return fail(oracle, "event %" PRIu64 ": byte %u, which nobody wrote", id, bytes[0]);
	expect = expected_of(oracle, number);
	if (bytes[0] != '\n') {
		correct_guess(oracle, expect);
		expect = expected_of(oracle, number);
	}
	expect->guessed = size == 1 && bytes[0] == '\n';
	started = atomic_load(&oracle->records[number].started);
	if (expect->bytes + size > started)
		return fail(oracle,
			    "event %" PRIu64 ": stream %u at byte %" PRIu64
			    " goes on for %zu, but only %" PRIu64 " were written",
			    id, number, expect->bytes, size, started);
	if (!has_good_ends(oracle, expect, bytes, size, part))
		return fail(oracle,
			    "event %" PRIu64 ": stream %u at byte %" PRIu64
			    ": a record of %zu bytes%s begins or ends in the wrong place",
			    id, number, expect->bytes, size, part ? ", flagged PART," : "");
	oracle->parts += part;
	if (!take_bytes(oracle, number, bytes, size))
		return fail(oracle,
			    "event %" PRIu64 ": not what stream %u wrote next, at byte %" PRIu64
			    " (lost, twice, or in another order)",
			    id, number, expect->bytes);
	return true;
}

/* --- events ------------------------------------------------------------------------------ */

static void keep_fragment(struct storm_oracle *oracle, const struct wal_event *event)
{
	size_t size = oracle->group_size + event->size;

	if (size > oracle->group_capacity) {
		oracle->group_capacity = size * 2;
		oracle->group = realloc(oracle->group, oracle->group_capacity);
		if (!oracle->group)
			storm_die("memory");
	}
	memcpy(oracle->group + oracle->group_size, event->payload, event->size);
	oracle->group_size = size;
}

static bool check_fresh(struct storm_oracle *oracle, const struct wal_event *event)
{
	bool part = event->flags & WAL_FLAG_PART, good;

	if (!(event->flags & (WAL_FLAG_MORE | WAL_FLAG_CONT)))
		return check_record(oracle, event->id, event->payload, event->size, part);
	if (!(event->flags & WAL_FLAG_CONT) != !oracle->group_size)
		return fail(oracle, "event %" PRIu64 ": a group without its start or end",
			    event->id);
	keep_fragment(oracle, event);
	if (event->flags & WAL_FLAG_MORE)
		return true;
	good = check_record(oracle, event->id, oracle->group, oracle->group_size, part);
	oracle->group_size = 0;
	return good;
}

static bool check_event(struct storm_oracle *oracle, const struct wal_event *event)
{
	if (event->id != oracle->events + 1)
		return fail(oracle, "event %" PRIu64 " follows event %" PRIu64, event->id,
			    oracle->events);
	oracle->events++;
	oracle->bytes += event->size;
	oracle->digest = XXH3_64bits_withSeed(event->payload, event->size,
					      oracle->digest ^ event->id ^ event->flags);
	if (event->id < oracle->known_events)
		return true;
	if (event->id == oracle->known_events)
		return oracle->digest == oracle->known_digest ||
		       fail(oracle, "events up to %" PRIu64 " are not what they were", event->id);
	return check_fresh(oracle, event);
}

/* --- segments ------------------------------------------------------------------------------ */

/* What the mount shows is what the segment holds. */
static bool check_shown(struct storm_oracle *oracle, int root, const char *name, uint64_t hash)
{
	static uint8_t buffer[BUFFER];
	int fd = openat(root, name, O_RDONLY | O_CLOEXEC);
	static XXH3_state_t state; /* aligned even under the address sanitizer */
	ssize_t got;

	if (fd < 0)
		return fail(oracle, "%s: %s", name, strerror(errno));
	XXH3_64bits_reset(&state);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		XXH3_64bits_update(&state, buffer, (size_t)got);
	close(fd);
	if (got < 0)
		return fail(oracle, "%s: %s", name, strerror(errno));
	return XXH3_64bits_digest(&state) == hash ||
	       fail(oracle, "%s: other bytes than the segment", name);
}

/* Return: whether all its events are as they should be; hash is that of their bytes. */
static bool check_events(struct storm_oracle *oracle, struct wal_segment_reader *reader,
			 uint64_t *hash)
{
	uint32_t index = wal_segment_reader_info(reader)->index;
	struct wal_event event;
	static XXH3_state_t state; /* aligned even under the address sanitizer */
	char text[256];
	int result;

	XXH3_64bits_reset(&state);
	while ((result = wal_segment_reader_next(reader, &event)) == 1) {
		if (!check_event(oracle, &event))
			return false;
		XXH3_64bits_update(&state, event.payload, event.size);
	}
	*hash = XXH3_64bits_digest(&state);
	wal_fault_format(wal_segment_reader_fault(reader), text, sizeof(text));
	if (result < 0)
		return fail(oracle, "segment %u: %s", index, text);
	return !oracle->group_size || fail(oracle, "segment %u ends within a group", index);
}

static bool check_segment(struct storm_oracle *oracle, int store, int root, bool last)
{
	uint32_t index = ++oracle->segments;
	struct wal_segment_reader *reader;
	char name[WAL_NAME_MAX], shown[64], text[256];
	struct wal_fault fault;
	uint64_t hash = 0;
	bool good;

	wal_segment_name(index, name);
	if (wal_segment_reader_open(
		    &(struct wal_segment_source){.dirfd = store, .name = name, .index = index},
		    &reader, &fault)) {
		wal_fault_format(&fault, text, sizeof(text));
		return fail(oracle, "segment %u: %s", index, text);
	}
	if (wal_segment_reader_info(reader)->state == WAL_DAMAGED)
		good = fail(oracle, "segment %u is damaged", index);
	else
		good = check_events(oracle, reader, &hash);
	wal_segment_reader_close(reader);
	if (!good || root < 0)
		return good;
	snprintf(shown, sizeof(shown), last ? "current" : "events/%010u.log", index);
	return check_shown(oracle, root, shown, hash);
}

static bool check_segments(struct storm_oracle *oracle, const char *path, const char *mountpoint)
{
	int store = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), root = -1;
	struct wal_store_info info;
	struct wal_error error;
	bool good = true;
	size_t i;

	if (store < 0)
		return fail(oracle, "%s: %s", path, strerror(errno));
	if (mountpoint)
		root = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (wal_store_info_read(path, &info, &error)) {
		close(store);
		return fail(oracle, "%s", error.text);
	}
	for (i = 0; good && i < info.segment_count; i++) {
		if (info.segments[i] != i + 1)
			good = fail(oracle, "segment %zu is missing", i + 1);
		else
			good = check_segment(oracle, store, root, i + 1 == info.segment_count);
	}
	wal_store_info_destroy(&info);
	close(store);
	if (root >= 0)
		close(root);
	return good;
}

/* --- what has to be there --------------------------------------------------------------------- */

static bool check_promises(struct storm_oracle *oracle, enum storm_required required)
{
	const struct storm_record *record;
	uint64_t least;
	unsigned i;

	for (i = 0; i < STORM_STREAMS; i++) {
		record = &oracle->records[i];
		least = required == STORM_PROMISED ? atomic_load(&record->promised)
						   : atomic_load(&record->returned);
		if (oracle->expect[i].begun && oracle->expect[i].bytes < least)
			correct_guess(oracle, expected_of(oracle, i));
		if (oracle->expect[i].bytes < least)
			return fail(oracle,
				    "stream %u: %" PRIu64 " bytes are there, %" PRIu64
				    " were promised",
				    i, oracle->expect[i].bytes, least);
	}
	return true;
}

bool storm_oracle_check(struct storm_oracle *oracle, const char *store, const char *mountpoint,
			enum storm_required required)
{
	forget_expected(oracle);
	oracle->group_size = 0;
	oracle->events = oracle->digest = oracle->bytes = oracle->parts = 0;
	oracle->segments = 0;
	if (!check_segments(oracle, store, mountpoint))
		return false;
	if (oracle->events < oracle->known_events)
		return fail(oracle, "events from %" PRIu64 " on are lost; there were %" PRIu64,
			    oracle->events + 1, oracle->known_events);
	return check_promises(oracle, required);
}
