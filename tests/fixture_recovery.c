/* SPDX-License-Identifier: MIT */
/* What the tests of recovery share. The two calls of libc are replaced for the whole program. */
#include "tests/fixture_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fault_io recovery_io;
struct test_log_handle recovery_log;
const struct state *recovery_state;
bool recovery_disk_is_bad;
int recovery_meta_error;

/* In front of libc's, for this whole program. */
ssize_t pread64(int fd, void *buf, size_t size, off64_t offset);
int openat64(int dirfd, const char *name, int flags, ...);

static bool is_bad_sector(int fd, size_t size, off64_t offset)
{
	char link[64], path[2 * TEST_PATH_MAX] = "", name[32];
	const char *base;

	if (!recovery_disk_is_bad || !recovery_state || !recovery_state->bad_segment ||
	    (uint64_t)offset >= recovery_state->bad_offset + 512 ||
	    (uint64_t)offset + size <= recovery_state->bad_offset)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return false;
	snprintf(name, sizeof(name), "%010u.wal", recovery_state->bad_segment);
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
	if (recovery_meta_error && strcmp(name, "wal.meta") == 0) {
		errno = -recovery_meta_error;
		return -1;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

int recovery_open_log(void)
{
	recovery_disk_is_bad = true;
	return log_open(&recovery_log);
}

int recovery_close_log(void)
{
	int err = log_close(&recovery_log);

	recovery_disk_is_bad = false;
	return err;
}

void recovery_begin(void)
{
	fault_io_init(&recovery_io);
	recovery_io.skip_sync = true;
}

void recovery_end(void)
{
	fault_io_destroy(&recovery_io);
}

void recovery_build(int i)
{
	recovery_state = &states[i];
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	recovery_state->build(test_path(STORE));
}

/* Events are lines that say their id; fillers are zeros. */
static void add_event(struct recovery_contents *contents, const struct wal_event *event)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)event->id);

	if (event->payload[0] != 0)
		ck_state(event->size == (uint32_t)n && memcmp(event->payload, line, (size_t)n) == 0,
			 "event %llu has other bytes", (unsigned long long)event->id);
	ck_state(contents->count < MAX_EVENTS, "more than %d events", MAX_EVENTS);
	contents->ids[contents->count++] = event->id;
}

static void read_segment(struct wal_log *log, uint32_t index, struct recovery_contents *contents)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	if (wal_log_reader_open(log, index, 0, &reader, NULL))
		return; /* damaged throughout */
	while (wal_segment_reader_next(reader, &event) == 1)
		add_event(contents, &event);
	wal_segment_reader_close(reader);
}

void recovery_read_log(struct wal_log *log, struct recovery_contents *contents)
{
	uint32_t indexes[16];
	size_t n = wal_log_segments(log, 0, indexes, 16);

	contents->count = 0;
	for (size_t i = 0; i < n; i++)
		read_segment(log, indexes[i], contents);
	if (wal_log_current(log))
		read_segment(log, wal_log_current(log), contents);
}

void recovery_assert_contents(struct wal_log *log, uint64_t appended)
{
	static struct recovery_contents contents;
	size_t at = 0;

	recovery_read_log(log, &contents);
	for (size_t i = 0; i < STATE_RANGES && recovery_state->kept[i].first; i++) {
		for (uint64_t id = recovery_state->kept[i].first;
		     id <= recovery_state->kept[i].last; id++, at++)
			ck_state(at < contents.count && contents.ids[at] == id,
				 "event %llu is not there (there is %llu)", (unsigned long long)id,
				 (unsigned long long)(at < contents.count ? contents.ids[at] : 0));
	}
	for (uint64_t id = recovery_state->next_event; id < recovery_state->next_event + appended;
	     id++, at++)
		ck_state(at < contents.count && contents.ids[at] == id,
			 "appended event %llu is not there", (unsigned long long)id);
	ck_state(at == contents.count, "event %llu should not be there",
		 (unsigned long long)contents.ids[at]);
}

void recovery_assert_position(struct wal_log *log, uint64_t appended)
{
	struct wal_log_position position;

	wal_log_position(log, &position);
	ck_state(position.segment == recovery_state->current, "goes on in segment %u, not %u",
		 position.segment, recovery_state->current);
	ck_state(position.next_event == recovery_state->next_event + appended,
		 "next event %llu, not %llu", (unsigned long long)position.next_event,
		 (unsigned long long)(recovery_state->next_event + appended));
}

void recovery_open_state(const char *store)
{
	int err;

	log_prepare(&recovery_log, store, &recovery_io.io);
	err = recovery_open_log();
	ck_state(err == 0, "%s (%s)", strerror(-err), recovery_log.error.text);
}

void recovery_append_lines(uint64_t count)
{
	log_put_lines(&recovery_log, recovery_state->next_event,
		      recovery_state->next_event + count - 1);
}

void recovery_prepare_read_only(void)
{
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_log.options.read_only = true;
	recovery_log.options.block_size = 0;
	recovery_log.options.segment_size = 0;
	recovery_log.options.framing.kind = WAL_FRAME_NONE;
}
