/* SPDX-License-Identifier: MIT */
/* A whole store: each segment, and what must hold between them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/meta_store.h"
#include "core/segment_reader.h"
#include "core/store.h"
#include "core/verify.h"

struct store_check {
	const struct wal_verify_options *options;
	struct wal_verify_result *result;
	struct wal_verify_progress progress;
	int dirfd;
	struct wal_store_list list;
	struct wal_meta meta;
	bool has_meta;
	bool has_log; /* meta.log is known */
	uint32_t looking_at;
	uint32_t last_sealed; /* the last valid sealed one, when the check began; 0: none */

	/* The segment before. */
	bool known;
	uint32_t index;
	uint64_t chain;
	uint64_t next_event;
	bool ends_unsealed; /* it is not sealed, and nothing was found wrong in it */
	uint64_t end;	    /* its file's, or of its last event if it is not sealed */
	bool saw_durable; /* the segment that D is in was there, and reaches it */
};

__attribute__((format(printf, 5, 6))) static void report(struct store_check *c, uint32_t segment,
							 enum wal_fault_kind kind, uint64_t offset,
							 const char *format, ...)
{
	struct wal_fault fault = {
		.kind = kind, .segment = segment, .block = WAL_NO_BLOCK, .offset = offset};
	char name[WAL_NAME_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(fault.detail, sizeof(fault.detail), format, args);
	va_end(args);
	wal_segment_name(segment, name);
	wal_verify_report(c->options, c->result, name, &fault);
}

static void check_log(struct store_check *c, const struct wal_segment_reader *r)
{
	char uuid[WAL_UUID_TEXT];

	if (r->info.fault.kind && r->info.fault.block == 0)
		return; /* its log is not known */
	if (!c->has_log)
		memcpy(c->meta.log, r->info.log, sizeof(c->meta.log));
	c->has_log = true;
	if (memcmp(c->meta.log, r->info.log, sizeof(c->meta.log)) == 0)
		return;
	wal_uuid_format(r->info.log, uuid);
	report(c, r->info.index, WAL_FAULT_OTHER_LOG, WAL_HEADER_AREA, "log %s", uuid);
}

/*
 * A new chain behind a segment with nothing wrong in it: recovery missed something there. It
 * seals what it finds whole.
 */
static void check_restart(struct store_check *c, const struct wal_segment_reader *r)
{
	if (c->index && r->header.first_event_id > c->next_event)
		report(c, c->index, WAL_FAULT_POSITION, c->end, "segment %" PRIu32
		       " begins with event %" PRIu64 ", the last one before it is %" PRIu64,
		       r->info.index, r->header.first_event_id, c->next_event - 1);
	else if (c->ends_unsealed)
		report(c, c->index, WAL_FAULT_POSITION, c->end,
		       "it is not sealed, and segment %" PRIu32 " begins a new chain",
		       r->info.index);
}

/* Chain and ids go on from the segment before; a new chain only where recovery began one. */
static void check_link(struct store_check *c, const struct wal_segment_reader *r)
{
	if (r->info.index == WAL_FIRST_SEGMENT_INDEX && c->has_log) {
		c->known = true;
		c->index = 0;
		c->chain = wal_chain_start(c->meta.log);
		c->next_event = WAL_FIRST_EVENT_ID;
	}
	if (!c->known || r->info.index != c->index + 1)
		return;
	if (wal_chain_is_restart(c->meta.log, r->info.index, r->header.prev_chain,
				 r->info.recovery)) {
		check_restart(c, r);
		return;
	}
	if (r->header.prev_chain != c->chain)
		report(c, r->info.index, WAL_FAULT_SEQUENCE, 48, "%s",
		       "previous chained checksum is another");
	if (r->header.first_event_id != c->next_event)
		report(c, r->info.index, WAL_FAULT_SEQUENCE, 16,
		       "begins with event %" PRIu64 ", expected %" PRIu64, r->header.first_event_id,
		       c->next_event);
}

/* R37: segments are sealed in order. Return: whether that was kept. */
static bool check_order(struct store_check *c, const struct wal_segment_reader *r)
{
	if (!c->ends_unsealed || r->info.index >= c->last_sealed)
		return true;
	report(c, r->info.index, WAL_FAULT_POSITION, r->tail.offset,
	       "it is not sealed, and segment %" PRIu32 " is", c->last_sealed);
	return false;
}

/* faults: that were found in it. */
static int remember(struct store_check *c, const struct wal_segment_reader *r, uint64_t faults)
{
	const struct wal_durable *d = &c->meta.durable;
	int err = 0;

	c->ends_unsealed = !faults && !r->sealed;
	c->known = check_order(c, r) && r->info.state != WAL_DAMAGED;
	c->index = r->info.index;
	c->next_event = r->info.last_event + 1;
	c->chain = r->info.chain;
	c->end = r->sealed ? r->info.file_bytes : r->tail.offset;
	if (!r->sealed)
		err = wal_segment_reader_end_chain(r, &c->chain);
	if (c->has_meta && d->segment == c->index) {
		c->saw_durable = r->info.last_event >= d->event;
		if (!c->saw_durable && c->known)
			report(c, c->index, WAL_FAULT_POSITION, d->offset,
			       "event %" PRIu64 " was durable, the last one is %" PRIu64, d->event,
			       r->info.last_event);
		if (!c->saw_durable && (r->sealed || wal_tail_is_copied(&r->tail)))
			c->result->hint = WAL_HINT_COPIED_WHILE_WRITTEN;
		c->saw_durable = true;
	}
	return err;
}

/*
 * Bytes behind the last event of the last segment, none of them promised: that is what a
 * crash leaves, and recovery cuts it (FORMAT.md R17). After a clean close no crash explains it.
 */
static void note_torn_tail(struct store_check *c, struct wal_segment_reader *r, const char *name)
{
	const struct wal_durable *d = &c->meta.durable;
	const struct wal_tail *tail = &r->tail;
	struct wal_fault note = {.kind = WAL_FAULT_TAIL,
				 .segment = r->info.index,
				 .block = tail->block,
				 .offset = tail->offset};

	if (r->sealed || r->info.state == WAL_DAMAGED || tail->behind_end == tail->offset ||
	    r->info.index != wal_store_list_last(&c->list) || c->meta.clean ||
	    d->segment > r->info.index || d->event >= tail->next_event ||
	    (d->segment == r->info.index && d->offset > tail->offset))
		return;
	snprintf(note.detail, sizeof(note.detail),
		 "torn tail of %" PRIu64 " bytes behind event %" PRIu64 ", recovery will cut it",
		 tail->behind_end - tail->offset, tail->next_event - 1);
	c->result->notes++;
	if (c->options->note)
		c->options->note(c->options->ctx, name, &note);
	r->tail.behind_end = tail->offset; /* so that it is no fault */
}

static int check_segment(struct store_check *c, uint32_t index)
{
	struct wal_segment_reader *r;
	char name[WAL_NAME_MAX];
	uint64_t before;
	int err;

	c->looking_at = index;
	wal_segment_name(index, name);
	err = wal_verify_open(&r, c->dirfd, name, index, c->options, c->result);
	if (err == -ENOENT && wal_store_is_retired(c->dirfd, index)) {
		c->known = false;
		return 0;
	}
	if (err > 0) {
		c->known = false;
		c->index = index;
		c->saw_durable = c->saw_durable || c->meta.durable.segment == index;
	}
	if (err)
		return err < 0 ? err : 0;
	check_log(c, r);
	check_link(c, r);
	note_torn_tail(c, r, name);
	before = c->result->faults;
	err = wal_verify_reader(r, name, c->options, c->result, &c->progress);
	if (!err)
		err = remember(c, r, c->result->faults - before);
	wal_segment_reader_close(r);
	return err;
}

/* Most often it is plain that there is none, without walking through the segment. */
static bool has_seal(const struct store_check *c, const char *name)
{
	struct wal_disk_segment_header seal = {0};
	struct stat st;
	int fd;

	if (fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return false;
	fd = openat(c->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (wal_pread_full(fd, &seal, sizeof(seal), WAL_SEAL_HEADER_OFFSET) < 0)
		memset(&seal, 0, sizeof(seal));
	close(fd);
	return !wal_is_zero(&seal, sizeof(seal));
}

static bool is_valid_and_sealed(const struct store_check *c, uint32_t index)
{
	struct wal_segment_reader *r;
	char name[WAL_NAME_MAX];
	bool sealed;

	wal_segment_name(index, name);
	if (!has_seal(c, name) ||
	    wal_segment_reader_open(c->options->io, c->dirfd, name, index, 0, &r, NULL))
		return false;
	sealed = r->sealed && r->info.state == WAL_SEALED;
	wal_segment_reader_close(r);
	return sealed;
}

/* Found before the others are looked at: all below it are sealed by then, also beside a daemon. */
static void find_last_sealed(struct store_check *c)
{
	size_t i;

	for (i = c->list.count; i-- > 0 && !c->last_sealed;) {
		if (is_valid_and_sealed(c, c->list.segments[i]))
			c->last_sealed = c->list.segments[i];
	}
}

/* Indexes between two that are there. */
static void report_missing(struct store_check *c, uint32_t from, uint32_t to)
{
	if (from >= to)
		return;
	if (to - from == 1)
		report(c, from, WAL_FAULT_MISSING, 0, "%s", "");
	else
		report(c, from, WAL_FAULT_MISSING, 0, "and %" PRIu32 " more behind it",
		       to - from - 1);
	c->known = false;
}

static void check_end(struct store_check *c)
{
	const struct wal_durable *d = &c->meta.durable;

	if (!c->has_meta || d->event == 0 || c->saw_durable || d->segment <= c->index)
		return;
	report(c, d->segment, WAL_FAULT_MISSING, 0, "event %" PRIu64 " in it was durable",
	       d->event);
	if (c->list.count)
		c->result->hint = WAL_HINT_COPIED_WHILE_WRITTEN;
}

static void sum_sizes(struct store_check *c)
{
	char name[WAL_NAME_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < c->list.count; i++) {
		wal_segment_name(c->list.segments[i], name);
		if (fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			c->progress.total_bytes += (uint64_t)st.st_size;
	}
}

static int check_all(struct store_check *c)
{
	uint32_t first = c->has_meta ? c->meta.first_segment : 0, expected = first;
	size_t i;
	int err = 0;

	for (i = 0; i < c->list.count && !err; i++) {
		uint32_t index = c->list.segments[i];

		/* What lies below first_segment was removed by retention. */
		if (expected && expected < first)
			expected = first < index ? first : index;
		if (expected)
			report_missing(c, expected, index);
		expected = index + 1;
		err = check_segment(c, index);
	}
	if (!err)
		check_end(c);
	return err;
}

static int check_store(struct store_check *c, const char *path, struct wal_error *error)
{
	int err = wal_store_list_read(c->dirfd, &c->list);
	bool is_store = c->list.count || c->list.has_meta;

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", path, strerror(-err));
	wal_store_list_destroy(&c->list);
	if (!is_store)
		return wal_error_set(error, -ENOTEMPTY, "%s: not a walfs store (no segment, no %s)",
				     path, WAL_META_FILE);
	/* D first, then the segments: beside a running daemon it is then behind them. */
	err = wal_meta_read(c->dirfd, &c->meta, NULL);
	c->has_meta = c->has_log = err == 0;
	if (err == -EPROTONOSUPPORT)
		return wal_error_set(error, err, "%s/%s: written by a newer walfs", path,
				     WAL_META_FILE);
	err = wal_store_list_read(c->dirfd, &c->list);
	if (!err && !c->list.has_meta && wal_store_has_stray_current(c->dirfd, &c->list))
		c->result->hint = WAL_HINT_COPY_OF_A_MOUNT;
	if (!err) {
		sum_sizes(c);
		find_last_sealed(c);
		err = check_all(c);
	}
	wal_store_list_destroy(&c->list);
	if (err)
		return wal_error_set(error, err, "%s/%010" PRIu32 ".wal: cannot be checked: %s",
				     path, c->looking_at, strerror(-err));
	return 0;
}

int wal_verify_store(const char *path, const struct wal_verify_options *options,
		     struct wal_verify_result *result, struct wal_error *error)
{
	struct store_check c = {.options = options, .result = result};
	struct wal_error unused;
	int err;

	error = error ? error : &unused;
	*result = (struct wal_verify_result){.direct = true};
	c.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dirfd < 0)
		return wal_error_set(error, -errno, "%s: cannot be opened: %s", path,
				     strerror(errno));
	err = check_store(&c, path, error);
	close(c.dirfd);
	return err;
}
