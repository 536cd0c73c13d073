/* SPDX-License-Identifier: MIT */
#include "tests/crash/victim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_MAX (UINT64_C(256) << 20)
#define FILE_MAX (UINT64_C(64) << 20)
#define SECONDS_MAX 60u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* --- making one -------------------------------------------------------------- */

static void note_events(struct victim *victim, struct wal_log *log, uint32_t segment)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	if (wal_log_reader_open(log, segment, 0, &reader, NULL))
		crash_die("a fresh store cannot be read");
	while (wal_segment_reader_next(reader, &event) == 1) {
		struct victim_event *noted = &victim->events[event.id - 1];

		if (event.id > VICTIM_EVENTS_MAX)
			crash_die("too many events");
		victim->count = event.id;
		noted->segment = segment;
		noted->block = (uint32_t)((event.file_offset - RUN_BLOCK) / RUN_BLOCK);
		noted->start = event.file_offset;
		noted->end = event.file_offset + (16 + event.size + 7) / 8 * 8;
	}
	wal_segment_reader_close(reader);
	victim->segments = segment;
}

static void append_events(struct run *run, unsigned count)
{
	static const uint32_t sizes[] = {700, 1, 350, 90, 1200, 33};
	uint32_t limit = (uint32_t)wal_log_record_limit(run->log);

	while (count-- > 0) {
		uint32_t size = sizes[rng_below(&run->rng, 6)];

		if (run_append(run, size < limit ? size : limit))
			crash_die("a fresh store takes no event");
	}
}

static void end_as(struct run *run, struct victim *victim, enum victim_end end)
{
	struct image_file *last;
	char name[WAL_NAME_MAX];

	victim->durable_at_end = end != VICTIM_BEHIND;
	victim->sealed = victim->segments - 1;
	if (end != VICTIM_BEHIND && run_sync(run))
		crash_die("a fresh store does not sync");
	if (end == VICTIM_DURABLE || end == VICTIM_BEHIND)
		image_read(&victim->image, run->path);
	run_close(run);
	if (end == VICTIM_CLOSED || end == VICTIM_SEALED || end == VICTIM_SMALL)
		image_read(&victim->image, run->path);
	if (end != VICTIM_SEALED)
		return;
	wal_segment_name(victim->segments, name);
	last = image_find(&victim->image, name);
	free(last->data);
	*last = victim->image.files[--victim->image.count];
	victim->segments--;
}

void victim_make(struct victim *victim, enum victim_end end, uint64_t seed)
{
	unsigned segments = end == VICTIM_SEALED ? 4 : 3, i;
	struct run run;

	memset(victim, 0, sizeof(*victim));
	victim->history.salt = seed;
	run_init(&run, crash_fresh("make"), &victim->history, seed);
	run.options.keep_segments = 0;
	run.options.meta_strict = true;
	if (end == VICTIM_SMALL)
		run.options.segment_size = RUN_BLOCK;
	if (run_open(&run))
		crash_die("a store cannot be made");
	for (i = 0; i < segments; i++) {
		append_events(&run, end == VICTIM_SMALL ? 3 : 30);
		if (i < segments - 1 && run_rotate(&run))
			crash_die("a fresh store does not rotate");
	}
	if (end == VICTIM_SEALED) /* an empty segment behind it, which is taken away */
		run_rotate(&run);
	run_wait_idle(&run);
	for (i = 1; i <= wal_log_current(run.log); i++)
		note_events(victim, run.log, i);
	end_as(&run, victim, end);
	run_destroy(&run);
}

void victim_destroy(struct victim *victim)
{
	image_destroy(&victim->image);
}

/* --- what must be left ------------------------------------------------------- */

void demand_all(const struct victim *victim, struct demand *demand)
{
	size_t i;

	memset(demand, 0, sizeof(*demand));
	for (i = 0; i < victim->count; i++)
		demand->must[i] = true;
}

void demand_nothing_behind(const struct victim *victim, uint32_t segment, uint64_t offset,
			   bool by_block, struct demand *demand)
{
	size_t i;

	for (i = 0; i < victim->count; i++) {
		const struct victim_event *event = &victim->events[i];
		uint64_t end = by_block ? RUN_BLOCK + (event->block + 1) * (uint64_t)RUN_BLOCK
					: event->end;

		if (event->segment == segment && end > offset)
			demand->must[i] = false;
	}
}

void demand_nothing_of(const struct victim *victim, uint32_t segment, struct demand *demand)
{
	demand_nothing_behind(victim, segment, 0, false, demand);
}

static bool is_same(const struct image_file *a, const struct image_file *b, size_t from, size_t to)
{
	return to <= a->size && to <= b->size &&
	       memcmp(a->data + from, b->data + from, to - from) == 0;
}

/* Is the segment's file there, and all of it as it was? */
static bool is_whole(const struct victim *victim, const struct image *changed, uint32_t segment)
{
	char name[WAL_NAME_MAX];
	struct image_file *now, *then;

	wal_segment_name(segment, name);
	now = image_find(changed, name);
	then = image_find(&victim->image, name);
	return now && then && now->size == then->size && is_same(now, then, 0, then->size);
}

/* The same of its header and its events. */
static bool events_are_whole(const struct victim *victim, const struct image *changed,
			     uint32_t segment)
{
	char name[WAL_NAME_MAX];
	struct image_file *now, *then;
	size_t i;

	wal_segment_name(segment, name);
	now = image_find(changed, name);
	then = image_find(&victim->image, name);
	if (!now || !is_same(now, then, 0, 64))
		return false;
	for (i = 0; i < victim->count; i++) {
		const struct victim_event *event = &victim->events[i];

		if (event->segment == segment && !is_same(now, then, event->start, event->end))
			return false;
	}
	return true;
}

void demand_report(const struct victim *victim, const struct image *changed, struct demand *demand)
{
	uint32_t segment;

	for (segment = 1; segment <= victim->segments; segment++) {
		if (segment <= victim->sealed)
			demand->report |= !is_whole(victim, changed, segment);
		else if (victim->durable_at_end)
			demand->report |= !events_are_whole(victim, changed, segment);
	}
}

/* --- judging, in a process of its own ---------------------------------------- */

struct judging {
	const struct victim *victim;
	const char *what;
	const struct demand *demand;
	bool seen[VICTIM_EVENTS_MAX];
	bool met_error; /* in the segment that is to be unreadable */
	bool wrong;
};

static void complain(struct judging *j, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(struct judging *j, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!j->wrong)
		crash_fail("%s: %s", j->what, text);
	j->wrong = true;
}

static void take_event(struct judging *j, const struct wal_event *event, uint64_t added)
{
	static uint8_t expected[WAL_FIXED_FRAME_MAX];
	const struct history *history = &j->victim->history;

	if (event->id >= added) /* what was appended after the change */
		return;
	if (event->id == 0 || event->id > j->victim->count) {
		complain(j, "event %" PRIu64 " was never appended", event->id);
		return;
	}
	history_bytes(history, event->id - 1, expected);
	if (event->size != history->records[event->id - 1].size ||
	    memcmp(event->payload, expected, event->size) != 0)
		complain(j, "event %" PRIu64 " has other bytes", event->id);
	j->seen[event->id - 1] = true;
}

static void note_error(struct judging *j, uint32_t segment, ssize_t result)
{
	if (result < 0 && segment == j->demand->unreadable)
		j->met_error = true;
}

/* The file's bytes: those of a segment that is to be unreadable are right or refused. */
static void read_raw(struct judging *j, struct wal_segment_reader *reader, uint32_t segment)
{
	static uint8_t buf[RUN_BLOCK];
	struct image_file *truth;
	char name[WAL_NAME_MAX];
	uint64_t at;
	ssize_t n;

	wal_segment_name(segment, name);
	truth = image_find(&j->victim->image, name);
	for (at = 0; segment == j->demand->unreadable && at < truth->size; at += sizeof(buf)) {
		n = wal_segment_reader_raw(reader, buf, sizeof(buf), at);
		note_error(j, segment, n);
		if (n > 0 && memcmp(buf, truth->data + at, (size_t)n) != 0)
			complain(j, "raw bytes from %" PRIu64 " on are other ones", at);
	}
}

static void read_segment(struct judging *j, struct wal_log *log, uint32_t segment, uint64_t added)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	struct wal_fault fault;
	unsigned errors = 0;
	int n;

	if (wal_log_reader_open(log, segment, 0, &reader, &fault)) {
		note_error(j, segment, -1);
		return;
	}
	for (;;) {
		n = wal_segment_reader_next(reader, &event);
		note_error(j, segment, n);
		if (n == 1)
			take_event(j, &event, added);
		else if (n == 0 || wal_segment_reader_skip_block(reader) != 1)
			break;
		else if (++errors > 100000)
			complain(j, "reading segment %u does not end", segment);
		if (errors > 100000)
			break;
	}
	read_raw(j, reader, segment);
	wal_segment_reader_close(reader);
}

static void read_all(struct judging *j, struct wal_log *log, uint64_t added)
{
	uint32_t index = 0, current = wal_log_current(log);

	while (wal_log_segments(log, index, &index, 1))
		read_segment(j, log, index, added);
	if (current)
		read_segment(j, log, current, added);
}

static void look_for(struct judging *j, const struct demand *demand, const char *when)
{
	size_t i;

	for (i = 0; i < j->victim->count; i++) {
		if (demand->must[i] && !j->seen[i])
			complain(j, "%s: event %zu is lost", when, i + 1);
	}
}

static void append_one(struct judging *j, struct wal_log *log)
{
	struct wal_record record = {.data = "after\n", .size = 6};
	ssize_t n = wal_log_append(log, &record, 1, NULL);
	int err = n == 1 ? wal_log_sync(log) : (int)n;

	if (err)
		complain(j, "it opens, and takes no event: %s", strerror(-err));
}

static void verify(struct judging *j, const char *path, const char *when)
{
	struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct wal_error error;
	int err = wal_verify_store(path, &options, &result, &error);

	if (j->demand->report && !err && !result.faults)
		complain(j, "%s: verify finds no fault", when);
}

/* Return: whether it opened; then what it has is noted. */
static bool open_and_read(struct judging *j, const char *path, bool read_only, uint64_t *added)
{
	struct wal_log_options options = {.path = path, .read_only = read_only};
	struct wal_log_position position;
	struct wal_error error;
	struct wal_log *log;
	int err = wal_log_open(&options, &log, &error);

	memset(j->seen, 0, sizeof(j->seen));
	j->met_error = false;
	if (err) {
		if (error.text[0] == '\0' || error.code != err)
			complain(j, "refused without words: %s", strerror(-err));
		return false;
	}
	wal_log_position(log, &position);
	if (*added > position.next_event && !read_only)
		*added = position.next_event;
	read_all(j, log, *added);
	if (j->demand->unreadable && !j->met_error)
		complain(j, "segment %u can be read", j->demand->unreadable);
	if (!read_only)
		append_one(j, log);
	if (wal_log_close(log))
		complain(j, "does not close");
	return true;
}

/* What was whole and sealed still is. */
static void look_for_sealed(struct judging *j, const struct image *changed, const char *path)
{
	struct image image;
	uint32_t segment;

	image_read(&image, path);
	for (segment = 1; segment <= j->victim->sealed; segment++) {
		if (is_whole(j->victim, changed, segment) && !is_whole(j->victim, &image, segment))
			complain(j, "segment %u was changed", segment);
	}
	image_destroy(&image);
}

static void judge(struct judging *j, const char *path, const struct image *changed)
{
	const struct demand *demand = j->demand;
	uint64_t added = UINT64_MAX;

	verify(j, path, "before");
	if (open_and_read(j, path, true, &added))
		look_for(j, demand, "read-only");
	if (open_and_read(j, path, false, &added)) {
		look_for(j, demand, "opened");
		if (!open_and_read(j, path, false, &added))
			complain(j, "does not open a second time");
		else
			look_for(j, demand, "opened again");
	}
	verify(j, path, "after");
	look_for_sealed(j, changed, path);
}

static void bound_this_process(void)
{
	struct rlimit memory = {MEMORY_MAX, MEMORY_MAX}, file = {FILE_MAX, FILE_MAX};
	struct rlimit core = {0, 0};

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &file);
	if (IS_SANITIZED) /* maps far more than it uses */
		return;
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_AS, &memory);
	alarm(SECONDS_MAX);
}

static void judge_in_a_child(struct judging *j, const char *path, const struct image *changed)
{
	struct rusage usage;
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child < 0)
		crash_die("fork: %s", strerror(errno));
	if (child == 0) {
		bound_this_process();
		judge(j, path, changed);
		fflush(stdout);
		_exit(j->wrong);
	}
	if (wait4(child, &status, 0, &usage) != child)
		crash_die("wait: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		crash_failed_elsewhere(); /* it has said so */
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		crash_fail("%s: ended by signal %d", j->what, WTERMSIG(status));
	else if ((uint64_t)usage.ru_maxrss * 1024 > MEMORY_MAX)
		crash_fail("%s: took %ld KiB", j->what, usage.ru_maxrss);
}

void victim_judge(const struct victim *victim, const struct image *changed,
		  const struct demand *demand, const char *what)
{
	static struct judging j;
	const char *path = crash_path("victim");
	unsigned failures = crash_failures();

	j = (struct judging){.victim = victim, .what = what, .demand = demand};
	image_write(changed, path);
	if (IS_SANITIZED) { /* a report ends the program; a fork takes it long */
		bound_this_process();
		judge(&j, path, changed);
	} else {
		judge_in_a_child(&j, path, changed);
	}
	if (crash_failures() == failures)
		return;
	image_write(changed, path);
	crash_keep(path);
}
