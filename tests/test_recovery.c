/* SPDX-License-Identifier: MIT */
/*
 * The decision table of docs/FORMAT.md 10.2, one store a row (tests/states.c):
 * what recovery makes of it, that appending goes on, that doing it twice or being
 * cut off at any call gives the same log, and that a read-only look changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/states.h"

#define STORE "store"
#define MAX_EVENTS 2000

static struct fault_io fault;
static struct test_log_handle handle;
static const struct state *state;

/* --- a disk that does not give everything back ------------------------------------- */

/* What the log reads; what the test itself reads is always there. */
static bool disk_is_bad;
static int meta_error; /* opening wal.meta fails with this */

/* In front of libc's, for this whole program. */
ssize_t pread64(int fd, void *buf, size_t size, off64_t offset);
int openat64(int dirfd, const char *name, int flags, ...);

static bool is_bad_sector(int fd, size_t size, off64_t offset)
{
	char link[64], path[2 * TEST_PATH_MAX] = "", name[32];
	const char *base;

	if (!disk_is_bad || !state || !state->bad_segment ||
	    (uint64_t)offset >= state->bad_offset + 512 ||
	    (uint64_t)offset + size <= state->bad_offset)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return false;
	snprintf(name, sizeof(name), "%010u.wal", state->bad_segment);
	base = strrchr(path, '/');
	return base && strcmp(base + 1, name) == 0;
}

ssize_t pread64(int fd, void *buf, size_t size, off64_t offset)
{
	if (is_bad_sector(fd, size, offset)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, size, offset);
}

int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	if (meta_error && strcmp(name, "wal.meta") == 0) {
		errno = -meta_error;
		return -1;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

static int open_log(void)
{
	disk_is_bad = true;
	return log_open(&handle);
}

static int close_log(void)
{
	int err = log_close(&handle);

	disk_is_bad = false;
	return err;
}

/* --- what the tests share ------------------------------------------------------------ */

static void begin(void)
{
	fault_io_init(&fault);
	fault.skip_sync = true;
}

static void end(void)
{
	fault_io_destroy(&fault);
}

static void build(int i)
{
	state = &states[i];
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	state->build(test_path(STORE));
}

/* Of every event: ck_assert_msg() would write to Check's file each time that it holds. */
#define ck_state(condition, format, ...) \
	do { \
		if (!(condition)) \
			ck_abort_msg("%s, %s: " format, state->row, state->name, __VA_ARGS__); \
	} while (0)

/* --- the log as a reader sees it --------------------------------------------------- */

struct contents {
	size_t count;
	uint64_t ids[MAX_EVENTS];
};

/* Events are lines that say their id; fillers are zeros. */
static void add_event(struct contents *contents, const struct wal_event *event)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)event->id);

	if (event->payload[0] != 0)
		ck_state(event->size == (uint32_t)n && memcmp(event->payload, line, (size_t)n) == 0,
			 "event %llu has other bytes", (unsigned long long)event->id);
	ck_state(contents->count < MAX_EVENTS, "more than %d events", MAX_EVENTS);
	contents->ids[contents->count++] = event->id;
}

static void read_segment(struct wal_log *log, uint32_t index, struct contents *contents)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	if (wal_log_reader_open(log, index, 0, &reader, NULL))
		return; /* damaged throughout */
	while (wal_segment_reader_next(reader, &event) == 1)
		add_event(contents, &event);
	wal_segment_reader_close(reader);
}

static void read_log(struct wal_log *log, struct contents *contents)
{
	uint32_t indexes[16];
	size_t n = wal_log_segments(log, 0, indexes, 16);

	contents->count = 0;
	for (size_t i = 0; i < n; i++)
		read_segment(log, indexes[i], contents);
	if (wal_log_current(log))
		read_segment(log, wal_log_current(log), contents);
}

static void assert_contents(struct wal_log *log, uint64_t appended)
{
	static struct contents contents;
	size_t at = 0;

	read_log(log, &contents);
	for (size_t i = 0; i < STATE_RANGES && state->kept[i].first; i++) {
		for (uint64_t id = state->kept[i].first; id <= state->kept[i].last; id++, at++)
			ck_state(at < contents.count && contents.ids[at] == id,
				 "event %llu is not there (there is %llu)", (unsigned long long)id,
				 (unsigned long long)(at < contents.count ? contents.ids[at] : 0));
	}
	for (uint64_t id = state->next_event; id < state->next_event + appended; id++, at++)
		ck_state(at < contents.count && contents.ids[at] == id,
			 "appended event %llu is not there", (unsigned long long)id);
	ck_state(at == contents.count, "event %llu should not be there",
		 (unsigned long long)contents.ids[at]);
}

static void assert_position(struct wal_log *log, uint64_t appended)
{
	struct wal_log_position position;

	wal_log_position(log, &position);
	ck_state(position.segment == state->current, "goes on in segment %u, not %u",
		 position.segment, state->current);
	ck_state(position.next_event == state->next_event + appended, "next event %llu, not %llu",
		 (unsigned long long)position.next_event,
		 (unsigned long long)(state->next_event + appended));
}

/* After a cut the log is the same; it may go on in the segment below, if its tail is zero now. */
static void assert_position_after_cut(struct wal_log *log)
{
	struct wal_log_position position;

	wal_log_position(log, &position);
	if (position.segment + 1 == state->current && !state->resumed && state->bits)
		ck_state(position.next_event == state->next_event, "next event %llu, not %llu",
			 (unsigned long long)position.next_event,
			 (unsigned long long)state->next_event);
	else
		assert_position(log, 0);
}

static void open_state(const char *store)
{
	int err;

	log_prepare(&handle, store, &fault.io);
	err = open_log();
	ck_state(err == 0, "%s (%s)", strerror(-err), handle.error.text);
}

static void append_lines_to_log(uint64_t count)
{
	log_put_lines(&handle, state->next_event, state->next_event + count - 1);
}

/* --- what the table says --------------------------------------------------------------- */

static struct bytes read_if_file(uint32_t index)
{
	const char *path = store_segment_path(test_path(STORE), index);
	struct bytes bytes = {NULL, 0};
	struct stat st;

	if (index && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		bytes = file_read(path);
	return bytes;
}

static void assert_untouched(uint32_t index, const struct bytes *before)
{
	struct bytes after = read_if_file(index);

	ck_state(after.size == before->size, "segment %u has another size", index);
	ck_state(before->size == 0 || memcmp(before->data, after.data, after.size) == 0,
		 "segment %u was changed", index);
	bytes_free(&after);
}

static void assert_damaged(uint32_t index)
{
	struct wal_segment_info info;

	if (index == 0)
		return;
	ck_ok(wal_log_segment_info(handle.log, index, &info));
	ck_state(info.state == WAL_DAMAGED, "segment %u is %s", index, wal_state_name(info.state));
	ck_state(info.fault.kind != WAL_FAULT_NONE, "segment %u: no fault", index);
}

static void assert_notices(void)
{
	const struct notices *notices = &handle.notices;

	if (!state->notice)
		ck_state(notices->warnings == 0, "an operator is warned: %s", notices->text[0]);
	else if (strcmp(state->notice, STATE_ANY_NOTICE) != 0)
		ck_state(notices->warnings > 0 && log_noticed(&handle, state->notice),
			 "nobody is told of %s", state->notice);
}

static void assert_files(void)
{
	struct listing listing;

	disk_is_bad = false;
	list_dir(test_path(STORE), &listing);
	disk_is_bad = true;
	ck_state(listing_count(&listing, ".torn-") == state->torn, "%zu .torn- files, not %u",
		 listing_count(&listing, ".torn-"), state->torn);
	/* Those above it are being prepared again. */
	for (size_t i = 0; i < listing.count; i++)
		ck_state(!strstr(listing.files[i].name, ".wal.new") || !listing.files[i].regular ||
				 strtoul(listing.files[i].name, NULL, 10) > state->current,
			 "%s is still there", listing.files[i].name);
}

/* The record that tells what recovery did: of a new segment the first, else RESUME. */
static void assert_recovery_bits(void)
{
	struct store_decoded decoded;
	uint32_t bits;

	store_decode(test_path(STORE), state->current, &decoded);
	ck_assert(decoded.segment.readable);
	if (!state->resumed)
		bits = decoded.segment.meta.recovery;
	else
		bits = decoded.segment.resumes ? decoded.segment.resume.recovery : 0;
	ck_state((decoded.segment.meta.dropped_bytes != 0) ==
			 ((decoded.segment.meta.recovery & 0x02 /* TAIL_DROPPED */) != 0),
		 "%llu bytes dropped", (unsigned long long)decoded.segment.meta.dropped_bytes);
	ck_state(bits == state->bits, "recovery bits %#x, not %#x", bits, state->bits);
	store_decoded_free(&decoded);
}

START_TEST(recovery_makes_of_it_what_the_table_says)
{
	static const uint8_t no_log[16];
	struct listing before;
	struct listing after;
	struct bytes damaged;
	struct bytes other;
	struct bytes untouched;
	struct oracle_slot slot;
	int err;

	build(_i);
	list_dir(test_path(STORE), &before);
	damaged = read_if_file(state->damaged);
	other = read_if_file(state->damaged_too);
	untouched = read_if_file(state->untouched);
	log_prepare(&handle, test_path(STORE), &fault.io);
	err = open_log();
	ck_state(err == state->error, "%s (%s)", strerror(-err), handle.error.text);
	if (err) {
		disk_is_bad = false;
		ck_state(handle.error.text[0] != 0, "no word of it (%d)", err);
		list_dir(test_path(STORE), &after);
		assert_same_listing(&before, &after);
		return;
	}
	assert_position(handle.log, 0);
	assert_contents(handle.log, 0);
	assert_notices();
	assert_files();
	assert_damaged(state->damaged);
	assert_damaged(state->damaged_too);
	append_lines_to_log(1);
	assert_recovery_bits();
	ck_ok(close_log());
	assert_untouched(state->damaged, &damaged);
	assert_untouched(state->damaged_too, &other);
	assert_untouched(state->untouched, &untouched);
	slot = store_slot(test_path(STORE));
	ck_state(memcmp(slot.log, no_log, sizeof(no_log)) != 0, "the log has %s", "no UUID");
	ck_state(slot.flags == ORACLE_CLEAN, "flags %u", slot.flags);
	ck_state(slot.durable_segment == state->current, "D in segment %u", slot.durable_segment);
	ck_state(slot.durable_event == state->next_event, "D at event %llu",
		 (unsigned long long)slot.durable_event);
	if (state->incarnation)
		ck_state(slot.incarnation == state->incarnation, "incarnation %llu",
			 (unsigned long long)slot.incarnation);
	bytes_free(&damaged);
	bytes_free(&other);
	bytes_free(&untouched);
}
END_TEST

static void note_segment(void *ctx, const char *name, const struct wal_fault *found)
{
	uint32_t *segments = ctx;

	(void)name;
	if (found->segment < 32)
		*segments |= UINT32_C(1) << found->segment;
}

/* What the log calls damaged, a check of the store does too. */
static void assert_verify_names_damage(void)
{
	uint32_t segments = 0;
	const struct wal_verify_options options = {.ctx = &segments, .fault = note_segment};
	struct wal_verify_result result;

	disk_is_bad = true;
	ck_ok(wal_verify_store(test_path(STORE), &options, &result, NULL));
	disk_is_bad = false;
	ck_state(segments & UINT32_C(1) << state->damaged, "verify does not name segment %u",
		 state->damaged);
	ck_state(!state->damaged_too || segments & UINT32_C(1) << state->damaged_too,
		 "verify does not name segment %u", state->damaged_too);
}

/* Damage is not forgotten when the segments behind it are sealed, and none of them tells of it. */
START_TEST(damage_stays_damage_behind_sealed_segments)
{
	char name[32];

	build(_i);
	if (state->error || !state->damaged)
		return;
	open_state(test_path(STORE));
	append_lines_to_log(1);
	ck_ok(wal_log_rotate(handle.log));
	ck_ok(close_log());
	open_state(test_path(STORE));
	assert_contents(handle.log, 1);
	assert_damaged(state->damaged);
	assert_damaged(state->damaged_too);
	snprintf(name, sizeof(name), "%010u.wal: damaged", state->damaged);
	ck_state(log_noticed(&handle, name), "nobody is told of %s again", name);
	ck_ok(close_log());
	assert_verify_names_damage();
}
END_TEST

START_TEST(what_is_set_aside_or_cut_is_kept_byte_for_byte)
{
	struct listing before;
	struct listing after;

	build(_i);
	if (state->error || state->torn == 0)
		return;
	list_dir(test_path(STORE), &before);
	open_state(test_path(STORE));
	ck_ok(close_log());
	list_dir(test_path(STORE), &after);
	for (size_t i = 0; i < after.count; i++) {
		const struct listed *torn = &after.files[i];
		bool found = false;

		if (!strstr(torn->name, ".torn-"))
			continue;
		for (size_t k = 0; k < before.count; k++) {
			size_t n = strlen(before.files[k].name);

			if (strncmp(torn->name, before.files[k].name, n) != 0)
				continue;
			/* A tail's copy has the size; a file set aside has the bytes too. */
			found = torn->size == before.files[k].size;
			if (file_exists(test_path(STORE)) &&
			    !listing_find(&after, before.files[k].name))
				found = found && torn->hash == before.files[k].hash;
		}
		ck_state(found, "%s is not what was there", torn->name);
	}
}
END_TEST

START_TEST(appending_goes_on_after_it)
{
	build(_i);
	if (state->error)
		return;
	open_state(test_path(STORE));
	append_lines_to_log(30);
	ck_ok(wal_log_sync(handle.log));
	assert_contents(handle.log, 30);
	ck_ok(close_log());
	open_state(test_path(STORE));
	assert_position(handle.log, 30);
	assert_contents(handle.log, 30);
	ck_state(handle.notices.warnings == 0 || state->damaged || state->notice,
		 "warned again: %s", handle.notices.text[0]);
	ck_ok(close_log());
}
END_TEST

/* Opens in a child that dies without closing; appends so many lines first. */
static void crash(const char *store, uint64_t appended)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		log_prepare(&handle, store, &fault.io);
		if (open_log())
			_exit(1);
		for (uint64_t i = 0; i < appended; i++) {
			char line[32];

			snprintf(line, sizeof(line), "event %llu\n",
				 (unsigned long long)(state->next_event + i));
			if (log_put(&handle, line) != 1)
				_exit(2);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_state(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %#x", status);
}

START_TEST(recovering_twice_gives_the_same_log)
{
	struct listing listing;

	build(_i);
	if (state->error)
		return;
	crash(test_path(STORE), 0);
	crash(test_path(STORE), 0);
	list_dir(test_path(STORE), &listing);
	ck_state(listing_count(&listing, ".torn-") == state->torn, "%zu .torn- files, not %u",
		 listing_count(&listing, ".torn-"), state->torn);
	open_state(test_path(STORE));
	assert_position(handle.log, 0);
	assert_contents(handle.log, 0);
	ck_ok(close_log());
}
END_TEST

START_TEST(nothing_old_comes_back_behind_what_was_appended_after_it)
{
	build(_i);
	if (state->error)
		return;
	crash(test_path(STORE), 1);
	open_state(test_path(STORE));
	assert_position(handle.log, 1);
	assert_contents(handle.log, 1);
	ck_ok(close_log());
}
END_TEST

static void copy_store(void *ctx)
{
	bool bad = disk_is_bad;

	disk_is_bad = false;
	copy_tree(ctx, test_path("after"));
	disk_is_bad = bad;
}

/* Return: whether there was a call with this number; then "after" is what was left. */
static bool open_and_cut_at(uint64_t call)
{
	bool cut;

	copy_tree(test_path(STORE), test_path("work"));
	fault_io_reset(&fault);
	fault.cut_at = call;
	fault.at_cut = copy_store;
	fault.at_cut_ctx = strdup(test_path("work"));
	log_prepare(&handle, test_path("work"), &fault.io);
	if (open_log() == 0)
		close_log();
	disk_is_bad = false;
	cut = fault.cut;
	fault_io_reset(&fault);
	free(fault.at_cut_ctx);
	remove_tree(test_path("work"));
	return cut;
}

static bool cut_at(uint64_t call)
{
	if (!open_and_cut_at(call))
		return false;
	open_state(test_path("after"));
	assert_position_after_cut(handle.log);
	assert_contents(handle.log, 0);
	ck_ok(close_log());
	remove_tree(test_path("after"));
	return true;
}

/* For each state: with a way past the page cache, and without one. */
START_TEST(recovery_cut_off_at_any_call_gives_the_same_log)
{
	uint64_t call = 1;

	fault.no_direct = _i % 2;
	build(_i / 2);
	if (state->error)
		return;
	while (cut_at(call))
		call++;
	ck_state(call > 2, "only %llu calls", (unsigned long long)call);
}
END_TEST

#define PROMISED 200

static void append_sync_and_die(void)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		log_prepare(&handle, test_path(STORE), &fault.io);
		if (open_log())
			_exit(1);
		for (unsigned id = 1; id <= PROMISED; id++) {
			char line[32];

			snprintf(line, sizeof(line), "event %u\n", id);
			if (log_put(&handle, line) != 1)
				_exit(2);
		}
		_exit(wal_log_sync(handle.log) ? 3 : 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

static void assert_promised(uint64_t call)
{
	static struct contents contents;

	log_open_ok(&handle, test_path("after"), &fault.io);
	read_log(handle.log, &contents);
	ck_assert_msg(contents.count == PROMISED, "cut at call %llu: %zu events",
		      (unsigned long long)call, contents.count);
	for (size_t i = 0; i < PROMISED; i++)
		ck_assert_uint_eq(contents.ids[i], i + 1);
	ck_ok(close_log());
	remove_tree(test_path("after"));
}

/* D is behind what was synced, or gone with wal.meta (2): with O_DIRECT, and without it (1). */
START_TEST(recovery_cut_off_at_any_call_keeps_what_was_synced_above_d)
{
	uint64_t call;

	fault.no_direct = _i & 1;
	append_sync_and_die();
	if (_i & 2)
		ck_ok(unlink(test_path(STORE "/wal.meta")));
	for (call = 1; open_and_cut_at(call); call++)
		assert_promised(call);
	ck_assert_uint_gt(call, 2);
}
END_TEST

/* --- errors of write-backs that an earlier life did not see -------------------------- */

static ino_t old_errors[64];
static atomic_size_t old_error_count;

static void each_segment_has_an_old_error(void)
{
	struct listing listing;
	struct stat st;
	size_t i;

	list_dir(test_path(STORE), &listing);
	old_error_count = 0;
	for (i = 0; i < listing.count; i++) {
		char path[2 * TEST_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", test_path(STORE), listing.files[i].name);
		if (!listing.files[i].regular || strcmp(listing.files[i].name, "wal.meta") == 0)
			continue;
		ck_ok(stat(path, &st));
		old_errors[old_error_count++] = st.st_ino;
	}
}

static int (*real_fdatasync)(const struct wal_io *io, int fd);

/* As the kernel does: the first who asks is told, and nobody afterwards. */
static int fdatasync_tells_once(const struct wal_io *io, int fd)
{
	struct stat st;
	size_t i;

	for (i = 0; fstat(fd, &st) == 0 && i < old_error_count; i++) {
		if (old_errors[i] != st.st_ino)
			continue;
		old_errors[i] = old_errors[--old_error_count];
		return -EIO;
	}
	return real_fdatasync(io, fd);
}

/* For each state: with a way past the page cache, and without one. */
START_TEST(an_error_of_an_earlier_life_fails_no_opening)
{
	fault.no_direct = _i % 2;
	build(_i / 2);
	/* A clean end has synced it all: nothing is looked at again then. */
	if (state->error || strcmp(state->name, "closed in order") == 0)
		return;
	each_segment_has_an_old_error();
	real_fdatasync = fault.io.fdatasync;
	fault.io.fdatasync = fdatasync_tells_once;
	open_state(test_path(STORE));
	assert_position(handle.log, 0);
	assert_contents(handle.log, 0);
	ck_ok(close_log());
}
END_TEST

static void prepare_read_only(void)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	handle.options.block_size = 0;
	handle.options.segment_size = 0;
	handle.options.framing.kind = WAL_FRAME_NONE;
}

START_TEST(a_read_only_look_shows_the_same_log_and_changes_nothing)
{
	struct listing before;
	struct listing after;
	int err;

	build(_i);
	list_dir(test_path(STORE), &before);
	prepare_read_only();
	err = open_log();
	if (!err && !state->error) {
		assert_contents(handle.log, 0);
		ck_fails(log_put(&handle, "no\n"), -EROFS);
	}
	if (!err)
		close_log();
	else
		ck_state(before.count == 0 || state->error || !state->kept[0].first, "%s (%s)",
			 strerror(-err), handle.error.text);
	disk_is_bad = false;
	ck_state(fault.calls == 0, "%llu persisting calls", (unsigned long long)fault.calls);
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

/* --- what an opening for writing refuses can be looked at ---------------------------- */

static void build_named(const char *name)
{
	int i = 0;

	while (strcmp(states[i].name, name) != 0)
		ck_assert_int_lt(++i, (int)state_count);
	build(i);
}

/* The state's own kept[] is for an opening for writing, which these refuse. */
static void assert_read_only_shows(uint64_t last, const char *notice)
{
	static struct contents contents;
	struct listing before;
	struct listing after;

	list_dir(test_path(STORE), &before);
	prepare_read_only();
	ck_ok(open_log());
	read_log(handle.log, &contents);
	ck_assert_uint_eq(contents.count, last);
	for (uint64_t id = 1; id <= last; id++)
		ck_assert_uint_eq(contents.ids[id - 1], id);
	ck_assert_msg(!notice || log_noticed(&handle, notice), "nobody is told of %s", notice);
	ck_ok(close_log());
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
	ck_assert_uint_eq(fault.calls, 0);
}

START_TEST(read_only_shows_a_store_with_the_meta_of_another_log)
{
	build_named("wal.meta of another log");
	assert_read_only_shows(20, "of another log");
}
END_TEST

START_TEST(read_only_shows_a_store_whose_meta_is_a_directory)
{
	build_named("wal.meta is a directory");
	assert_read_only_shows(20, "not a regular file");
}
END_TEST

START_TEST(read_only_shows_a_store_without_a_free_index)
{
	build_named("a directory with the last name there is");
	assert_read_only_shows(20, "4294967294.wal");
}
END_TEST

START_TEST(read_only_shows_a_store_whose_meta_may_not_be_opened)
{
	build_named("closed in order");
	meta_error = -EACCES;
	assert_read_only_shows(200, "cannot be read");
	meta_error = 0;
}
END_TEST

START_TEST(read_only_needs_no_framing_that_fits)
{
	build_named("closed in order");
	prepare_read_only();
	handle.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 1u << 30};
	ck_ok(open_log());
	ck_ok(close_log());
}
END_TEST

/* An index that is taken by what is no segment is named; "begin a new store" is no help. */
START_TEST(the_error_names_what_takes_the_last_index)
{
	build_named("a directory with the last name there is");
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_fails(open_log(), -EOVERFLOW);
	ck_assert_ptr_nonnull(strstr(handle.error.text, "4294967294.wal"));
	ck_assert_ptr_nonnull(strstr(handle.error.text, "move it away"));
}
END_TEST

/* What a segment above took would never be found again. */
START_TEST(nothing_is_taken_behind_the_last_index)
{
	static struct contents contents;
	uint64_t taken = 0;
	ssize_t n = 1;

	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_open_ok(&handle, test_path(STORE), &fault.io);
	ck_ok(log_close(&handle));
	ck_assert_int_eq(mkdir(store_segment_path(test_path(STORE), 4294967293u), 0700), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.segment_size = 8 * TEST_BLOCK; /* so that it goes on in a new one */
	ck_ok(open_log());
	ck_assert_uint_eq(wal_log_current(handle.log), 4294967294u);
	while (n == 1) {
		char line[32];

		snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)taken + 1);
		n = log_put(&handle, line);
		taken += n == 1;
	}
	ck_assert_int_eq(n, -EOVERFLOW);
	ck_fails(wal_log_rotate(handle.log), -EOVERFLOW);
	ck_ok(wal_log_sync(handle.log));
	ck_ok(close_log());
	ck_assert_int_ne(access(store_segment_path(test_path(STORE), UINT32_MAX), F_OK), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.segment_size = 8 * TEST_BLOCK;
	ck_ok(open_log());
	read_log(handle.log, &contents);
	ck_assert_uint_eq(contents.count, taken);
	ck_ok(close_log());
}
END_TEST

/* R27, at a size that nobody could read through. */
START_TEST(a_sealed_segment_grown_by_a_hole_of_any_size_is_cut_again)
{
	const char *path;
	struct stat before;
	struct stat st;

	build_named("the last segment sealed");
	path = store_segment_path(test_path(STORE), 1);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(open_log());
	ck_assert_uint_eq(handle.notices.warnings, 0);
	path = store_segment_path(test_path(STORE), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, before.st_size);
	assert_contents(handle.log, 0);
	ck_ok(close_log());
}
END_TEST

/* R33: only the block with the bad sector is lost. */
START_TEST(whole_blocks_behind_a_bad_sector_can_be_read)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	uint64_t last = 0;

	build_named("a bad sector between whole blocks");
	open_state(test_path(STORE));
	ck_ok(wal_log_reader_open(handle.log, 1, 0, &reader, NULL));
	ck_kind(wal_segment_reader_info(reader)->fault.kind, WAL_FAULT_IO);
	ck_assert_uint_eq(wal_segment_reader_info(reader)->last_event, 330);
	while (wal_segment_reader_next(reader, &event) == 1)
		ck_assert_uint_eq(event.id, ++last);
	ck_assert_uint_eq(last, 125);
	ck_fails(wal_segment_reader_next(reader, &event), -EIO);
	ck_assert_int_eq(wal_segment_reader_skip_block(reader), 1);
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
	ck_assert_uint_gt(event.id, 126);
	for (last = event.id; wal_segment_reader_next(reader, &event) == 1;)
		ck_assert_uint_eq(event.id, ++last);
	ck_assert_uint_eq(last, 330);
	wal_segment_reader_close(reader);
	ck_ok(close_log());
}
END_TEST

/* At such a size, too. */
START_TEST(R40_an_unsealed_segment_longer_than_any_is_damaged_and_its_events_count)
{
	const off_t size = (off_t)1 << 40;
	struct wal_segment_info info;
	struct stat st;

	build_named("the daemon was killed"); /* behind event 200, D at event 20 */
	ck_assert_int_eq(truncate(store_segment_path(test_path(STORE), 1), size), 0);
	for (int times = 0; times < 2; times++) {
		open_state(test_path(STORE));
		ck_assert_uint_eq(wal_log_current(handle.log), 2);
		assert_contents(handle.log, times ? 1 : 0);
		ck_ok(wal_log_segment_info(handle.log, 1, &info));
		ck_assert_int_eq(info.state, WAL_DAMAGED);
		ck_kind(info.fault.kind, WAL_FAULT_TOO_LONG);
		ck_assert(log_noticed(&handle, "no segment is that long"));
		ck_ok(wal_log_segment_info(handle.log, 2, &info));
		ck_assert_uint_eq(info.recovery, 0); /* the chain goes on */
		if (!times)
			append_lines_to_log(1);
		ck_ok(close_log());
	}
	ck_assert_int_eq(stat(store_segment_path(test_path(STORE), 1), &st), 0);
	ck_assert_int_eq(st.st_size, size);
}
END_TEST

/* The framing is the store's, the sizes come later. */
START_TEST(R36_a_stored_framing_that_no_longer_fits_is_refused)
{
	struct listing before;
	struct listing after;

	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 3000};
	ck_ok(open_log());
	ck_ok(close_log());
	list_dir(test_path(STORE), &before);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.framing.kind = WAL_FRAME_NONE;
	handle.options.segment_size = TEST_BLOCK;
	ck_fails(open_log(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(handle.error.text, "records of 3000 bytes do not fit"));
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
	handle.options.read_only = true;
	ck_ok(open_log());
	ck_ok(close_log());
}
END_TEST

static mode_t mode_of_store(void)
{
	struct stat st;

	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	return st.st_mode & 07777;
}

START_TEST(an_empty_directory_that_becomes_a_store_is_closed_to_others)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	ck_assert_int_eq(chmod(test_path(STORE), 0755), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(open_log());
	ck_assert_uint_eq(mode_of_store(), 0700);
	ck_assert_uint_eq(handle.notices.warnings, 0);
	ck_ok(close_log());
}
END_TEST

START_TEST(a_store_keeps_its_mode_and_an_operator_is_told_if_everybody_may_look)
{
	build_named("closed in order");
	ck_assert_int_eq(chmod(test_path(STORE), 0755), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(open_log());
	ck_assert_uint_eq(mode_of_store(), 0755);
	ck_assert(log_noticed(&handle, "mode 0755"));
	ck_ok(close_log());
	ck_assert_int_eq(chmod(test_path(STORE), 0750), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(open_log());
	ck_assert_uint_eq(mode_of_store(), 0750);
	ck_assert_uint_eq(handle.notices.warnings, 0);
	ck_ok(close_log());
}
END_TEST

START_TEST(a_directory_of_another_user_becomes_a_store_with_its_mode)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	ck_assert_int_eq(chmod(test_path(STORE), 0770), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FCHMOD, -EPERM, 0);
	ck_ok(open_log());
	ck_assert_uint_eq(mode_of_store(), 0770);
	ck_assert(log_noticed(&handle, "keeps its mode 0770"));
	ck_ok(close_log());
}
END_TEST

static const int meta_errors[] = {-EACCES, -EPERM, -EMFILE, -ENFILE, -EIO};

/* R35. It is there, and D in it: it is neither missing nor damaged. */
START_TEST(wal_meta_that_cannot_be_opened_is_not_taken_for_damaged)
{
	struct listing before;
	struct listing after;

	build_named("the daemon was killed");
	list_dir(test_path(STORE), &before);
	log_prepare(&handle, test_path(STORE), &fault.io);
	meta_error = meta_errors[_i];
	ck_fails(open_log(), meta_errors[_i]);
	meta_error = 0;
	ck_assert_ptr_nonnull(strstr(handle.error.text, "wal.meta: cannot be read"));
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

/* What the disk gives back of a segment's events above D, byte for byte but one. */
static ssize_t pread_direct_with_another_byte(const struct wal_io *io, int fd, void *buf,
					      size_t size, off_t offset)
{
	const off_t at = 9000; /* wal.meta ends before */
	ssize_t n = wal_io_system.pread_direct(io, fd, buf, size, offset);

	if (n > 0 && at >= offset && at < offset + n)
		((uint8_t *)buf)[at - offset] ^= 1;
	return n;
}

START_TEST(R43_where_the_disk_does_not_take_it_the_opening_ends)
{
	struct wal_store_info before, after;
	struct wal_error error;

	build_named("the daemon was killed"); /* after event 200, D at event 20 */
	ck_ok(wal_store_info_read(test_path(STORE), &before, &error));
	log_prepare(&handle, test_path(STORE), &fault.io);
	if (_i)
		fault.io.pread_direct = pread_direct_with_another_byte;
	else
		fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -EIO, 0);
	ck_fails(open_log(), -EIO);
	ck_ok(wal_store_info_read(test_path(STORE), &after, &error));
	ck_assert_uint_eq(after.durable_event, before.durable_event);
	wal_store_info_destroy(&before);
	wal_store_info_destroy(&after);
	fault_io_destroy(&fault);
	begin();
	open_state(test_path(STORE));
	assert_contents(handle.log, 0);
	ck_ok(close_log());
}
END_TEST

static Suite *recovery_suite(void)
{
	Suite *suite = suite_create("recovery");
	TCase *t = test_case(suite, "recovery", 60);
	const int rows = (int)state_count;

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, recovery_makes_of_it_what_the_table_says, 0, rows);
	tcase_add_loop_test(t, damage_stays_damage_behind_sealed_segments, 0, rows);
	tcase_add_loop_test(t, what_is_set_aside_or_cut_is_kept_byte_for_byte, 0, rows);
	tcase_add_loop_test(t, appending_goes_on_after_it, 0, rows);
	tcase_add_loop_test(t, recovering_twice_gives_the_same_log, 0, rows);
	tcase_add_loop_test(t, nothing_old_comes_back_behind_what_was_appended_after_it, 0, rows);
	tcase_add_loop_test(t, recovery_cut_off_at_any_call_gives_the_same_log, 0, 2 * rows);
	tcase_add_loop_test(t, recovery_cut_off_at_any_call_keeps_what_was_synced_above_d, 0, 4);
	tcase_add_loop_test(t, an_error_of_an_earlier_life_fails_no_opening, 0, 2 * rows);
	tcase_add_loop_test(t, a_read_only_look_shows_the_same_log_and_changes_nothing, 0, rows);
	tcase_add_test(t, read_only_shows_a_store_with_the_meta_of_another_log);
	tcase_add_test(t, read_only_shows_a_store_whose_meta_is_a_directory);
	tcase_add_test(t, read_only_shows_a_store_without_a_free_index);
	tcase_add_test(t, read_only_shows_a_store_whose_meta_may_not_be_opened);
	tcase_add_test(t, read_only_needs_no_framing_that_fits);
	tcase_add_test(t, R36_a_stored_framing_that_no_longer_fits_is_refused);
	tcase_add_test(t, an_empty_directory_that_becomes_a_store_is_closed_to_others);
	tcase_add_test(t, a_store_keeps_its_mode_and_an_operator_is_told_if_everybody_may_look);
	tcase_add_test(t, a_directory_of_another_user_becomes_a_store_with_its_mode);
	tcase_add_test(t, the_error_names_what_takes_the_last_index);
	tcase_add_test(t, a_sealed_segment_grown_by_a_hole_of_any_size_is_cut_again);
	tcase_add_test(t, R40_an_unsealed_segment_longer_than_any_is_damaged_and_its_events_count);
	tcase_add_loop_test(t, R43_where_the_disk_does_not_take_it_the_opening_ends, 0, 2);
	tcase_add_test(t, whole_blocks_behind_a_bad_sector_can_be_read);
	tcase_add_test(t, nothing_is_taken_behind_the_last_index);
	tcase_add_loop_test(t, wal_meta_that_cannot_be_opened_is_not_taken_for_damaged, 0,
			    (int)(sizeof(meta_errors) / sizeof(meta_errors[0])));
	return suite;
}

int main(void)
{
	return test_main_in_memory(recovery_suite());
}
