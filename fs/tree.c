/* SPDX-License-Identifier: MIT */
/* Names: looking them up, and listing them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "walfs.h"

#define LONG_TIMEOUT 60.0 /* finite: a segment may be retired one day */
#define SHORT_TIMEOUT 1.0

/* Offsets in a directory, stable while segments come and go. */
enum cookie { COOKIE_DOT = 1, COOKIE_DOTDOT, COOKIE_NAMES, COOKIE_SEGMENTS = 16 };

/* The names that are always there. Their cookies are their places in this table. */
static const struct name {
	enum walfs_kind parent;
	const char *name;
	enum walfs_kind kind;
} names[] = {
	{WALFS_ROOT, "current", WALFS_CURRENT},
	{WALFS_ROOT, "events", WALFS_EVENTS_DIR},
	{WALFS_ROOT, ".walfs", WALFS_REPORT_DIR},
	{WALFS_REPORT_DIR, "metrics", WALFS_METRICS},
	{WALFS_REPORT_DIR, "status", WALFS_STATUS},
	{WALFS_REPORT_DIR, "active.wal", WALFS_SNAPSHOT},
};

#define NAMES (sizeof(names) / sizeof(names[0]))

static bool is_directory(enum walfs_kind kind)
{
	return kind == WALFS_ROOT || kind == WALFS_EVENTS_DIR || kind == WALFS_REPORT_DIR;
}

static bool is_report(enum walfs_kind kind)
{
	return kind == WALFS_METRICS || kind == WALFS_STATUS || kind == WALFS_SNAPSHOT;
}

/* --- lookup and getattr ------------------------------------------------------------ */

static double timeout_of(const struct walfs *fs, fuse_ino_t ino,
			 const struct wal_segment_info *info)
{
	if (walfs_ino_kind(ino) == WALFS_CURRENT)
		return 0;
	/* where segments are removed, a name must not outlive its file by much */
	if (info->state != WAL_SEALED || walfs_are_removed(&fs->options))
		return SHORT_TIMEOUT;
	return LONG_TIMEOUT;
}

static void reply_entry(fuse_req_t req, fuse_ino_t ino, const struct stat *st, double timeout)
{
	struct fuse_entry_param entry = {
		.ino = ino,
		.generation = 1,
		.attr = *st,
		.attr_timeout = timeout,
		.entry_timeout = timeout,
	};

	fuse_reply_entry(req, &entry);
}

static struct fuse_entry_param entry_of(const struct walfs *fs, fuse_ino_t ino,
					const struct wal_segment_info *info)
{
	double timeout = timeout_of(fs, ino, info);

	return (struct fuse_entry_param){
		.ino = ino,
		.generation = 1,
		.attr = walfs_stat_segment(fs, ino, info),
		.attr_timeout = timeout,
		.entry_timeout = timeout,
	};
}

static void answer_lookup(const struct walfs_question *question,
			  const struct wal_segment_info *info)
{
	struct fuse_entry_param entry = entry_of(walfs_of(question->req), question->ino, info);

	fuse_reply_entry(question->req, &entry);
}

/* Without O_APPEND, who is told where `current` ends will write there. */
static void tell_end(const struct walfs_question *question, off_t size)
{
	struct walfs *fs = walfs_of(question->req);

	if (fs->options.append_sequential && question->asked)
		walfs_sequential_tell(&fs->sequential, question->asked, question->asked_handle,
				      (uint64_t)size);
}

static void answer_getattr(const struct walfs_question *question,
			   const struct wal_segment_info *info)
{
	const struct walfs *fs = walfs_of(question->req);
	struct stat st = walfs_stat_segment(fs, question->ino, info);

	tell_end(question, st.st_size);
	fuse_reply_attr(question->req, &st, timeout_of(fs, question->ino, info));
}

static void lookup_current(fuse_req_t req)
{
	struct walfs *fs = walfs_of(req);
	fuse_ino_t ino = walfs_ino(WALFS_CURRENT, 0, ++fs->lookups);
	struct walfs_question question;
	struct stat st;

	if (walfs_stat_active(fs, &ino, &st)) {
		reply_entry(req, ino, &st, 0);
		return;
	}
	question = (struct walfs_question){
		.req = req,
		.ino = ino,
		.segment = walfs_ino_segment(ino),
		.answer = answer_lookup,
	};
	walfs_ask(&question);
}

static void lookup_segment(fuse_req_t req, enum walfs_kind kind, uint32_t segment)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_question question = {
		.req = req,
		.ino = walfs_ino(kind, segment, 0),
		.segment = segment,
		.answer = answer_lookup,
	};

	if (segment == wal_log_current(fs->log) || !wal_log_has_segment(fs->log, segment))
		fuse_reply_err(req, ENOENT);
	else
		walfs_ask(&question);
}

/* "0000000017.log": a segment's name but for the ending. Return: its index or 0. */
static uint32_t parse_events_name(const char *name)
{
	char segment_name[WAL_NAME_MAX];
	size_t length = strlen(name);

	if (length < 4 || length >= sizeof(segment_name) || strcmp(name + length - 4, ".log") != 0)
		return 0;
	memcpy(segment_name, name, length - 4);
	memcpy(segment_name + length - 4, ".wal", 5);
	return wal_segment_name_parse(segment_name);
}

static void format_events_name(uint32_t segment, char name[WAL_NAME_MAX])
{
	wal_segment_name(segment, name);
	memcpy(name + strlen(name) - 4, ".log", 5);
}

/* One of the names that are always there. */
static void lookup_name(fuse_req_t req, enum walfs_kind kind)
{
	struct walfs *fs = walfs_of(req);
	fuse_ino_t ino = walfs_ino(kind, 0, 0);
	struct stat st;

	if (kind == WALFS_CURRENT) {
		lookup_current(req);
	} else if (is_directory(kind)) {
		st = walfs_stat_directory(fs, ino);
		reply_entry(req, ino, &st, SHORT_TIMEOUT);
	} else {
		ino = walfs_ino(kind, 0, ++fs->lookups);
		st = walfs_stat_report(fs, ino);
		reply_entry(req, ino, &st, 0);
	}
}

void walfs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	enum walfs_kind in = walfs_ino_kind(parent);
	uint32_t segment = 0;
	size_t i;

	if (in == WALFS_ROOT)
		segment = wal_segment_name_parse(name);
	else if (in == WALFS_EVENTS_DIR)
		segment = parse_events_name(name);
	if (segment) {
		lookup_segment(req, in == WALFS_ROOT ? WALFS_SEALED : WALFS_EVENTS, segment);
		return;
	}
	for (i = 0; i < NAMES; i++) {
		if (names[i].parent == in && strcmp(names[i].name, name) == 0) {
			lookup_name(req, names[i].kind);
			return;
		}
	}
	fuse_reply_err(req, ENOENT);
}

/* A nodeid says all there is to know of an inode; there is nothing to forget. */
void walfs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)ino;
	(void)count;
	fuse_reply_none(req);
}

/* Of an open file whose segment was removed: what was known when it was last read. */
static void answer_removed(const struct walfs_question *question)
{
	struct stat st = walfs_stat_file(walfs_of(question->req), question->ino,
					 question->open_size, question->open_time_ns);

	st.st_nlink = 0;
	tell_end(question, st.st_size);
	fuse_reply_attr(question->req, &st, 0);
}

void walfs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_question question = {
		.req = req,
		.ino = ino,
		.segment = walfs_ino_segment(ino),
		.answer = answer_getattr,
		.removed = answer_removed,
		.asked = walfs_ino_kind(ino) == WALFS_CURRENT ? ino : 0,
		.asked_handle = fi ? fi->fh : 0,
	};
	fuse_ino_t active = ino;
	struct stat st;

	if (is_directory(walfs_ino_kind(ino))) {
		st = walfs_stat_directory(fs, ino);
		fuse_reply_attr(req, &st, SHORT_TIMEOUT);
		return;
	}
	if (is_report(walfs_ino_kind(ino))) {
		st = walfs_stat_report(fs, ino);
		fuse_reply_attr(req, &st, 0);
		return;
	}
	walfs_question_aim(&question, fi ? walfs_handle_get(fs, fi->fh) : NULL);
	if (walfs_ino_kind(ino) == WALFS_CURRENT && walfs_stat_active(fs, &active, &st) &&
	    (!question.is_open || question.segment == walfs_ino_segment(active))) {
		tell_end(&question, st.st_size);
		fuse_reply_attr(req, &st, 0);
	} else {
		walfs_ask(&question);
	}
}

/* --- readdir --------------------------------------------------------------------------- */

#define PAGE 256 /* segments asked for at once */

struct listing {
	fuse_req_t req;
	struct walfs *fs;
	bool plus; /* with what a lookup of each would say */
	char *bytes;
	size_t size;
	size_t used;
};

/*
 * What a lookup would say of a finished segment. The others keep node 0, at which the
 * kernel asks when it wants to know: each lookup of `current` must be a new node, and
 * what cannot be looked at has an error to report.
 */
static void look_up(const struct listing *listing, fuse_ino_t ino, struct fuse_entry_param *entry)
{
	enum walfs_kind kind = walfs_ino_kind(ino);
	struct wal_segment_info info;

	if (!listing->plus || (kind != WALFS_SEALED && kind != WALFS_EVENTS))
		return;
	if (wal_log_segment_info(listing->fs->log, walfs_ino_segment(ino), &info) == 0)
		*entry = entry_of(listing->fs, ino, &info);
}

/* Return: false when it does not fit. cookie is that of the entry itself. */
static bool add(struct listing *listing, const char *name, fuse_ino_t ino, off_t cookie)
{
	struct fuse_entry_param entry = {
		.attr.st_ino = walfs_stat_ino(ino),
		.attr.st_mode = is_directory(walfs_ino_kind(ino)) ? S_IFDIR : S_IFREG,
	};
	char *to = listing->bytes + listing->used;
	size_t room = listing->size - listing->used;
	size_t need;

	look_up(listing, ino, &entry);
	if (listing->plus)
		need = fuse_add_direntry_plus(listing->req, to, room, name, &entry, cookie);
	else
		need = fuse_add_direntry(listing->req, to, room, name, &entry.attr, cookie);
	if (need > room)
		return false;
	listing->used += need;
	return true;
}

static bool add_fixed(struct listing *listing, fuse_ino_t ino, off_t after)
{
	uint32_t segment;
	off_t cookie;
	size_t i;

	if (after < COOKIE_DOT && !add(listing, ".", ino, COOKIE_DOT))
		return false;
	if (after < COOKIE_DOTDOT && !add(listing, "..", FUSE_ROOT_ID, COOKIE_DOTDOT))
		return false;
	for (i = 0; i < NAMES; i++) {
		cookie = COOKIE_NAMES + (off_t)i;
		segment = names[i].kind == WALFS_CURRENT ? wal_log_current(listing->fs->log) : 0;
		if (names[i].parent == walfs_ino_kind(ino) && after < cookie &&
		    !add(listing, names[i].name, walfs_ino(names[i].kind, segment, 0), cookie))
			return false;
	}
	return true;
}

static void add_segments(struct listing *listing, fuse_ino_t ino, off_t after)
{
	enum walfs_kind kind = ino == FUSE_ROOT_ID ? WALFS_SEALED : WALFS_EVENTS;
	uint32_t indexes[PAGE], last = 0;
	char name[WAL_NAME_MAX];
	size_t count, i;

	if (after > COOKIE_SEGMENTS)
		last = (uint32_t)(after - COOKIE_SEGMENTS);
	do {
		count = wal_log_segments(listing->fs->log, last, indexes, PAGE);
		for (i = 0; i < count; i++) {
			last = indexes[i];
			if (kind == WALFS_SEALED)
				wal_segment_name(last, name);
			else
				format_events_name(last, name);
			if (!add(listing, name, walfs_ino(kind, last, 0),
				 COOKIE_SEGMENTS + (off_t)last))
				return;
		}
	} while (count == PAGE);
}

static void list(struct listing *listing, fuse_ino_t ino, off_t after)
{
	listing->bytes = malloc(listing->size);
	if (!listing->bytes) {
		fuse_reply_err(listing->req, ENOMEM);
		return;
	}
	if (add_fixed(listing, ino, after) && walfs_ino_kind(ino) != WALFS_REPORT_DIR)
		add_segments(listing, ino, after);
	fuse_reply_buf(listing->req, listing->bytes, listing->used);
	free(listing->bytes);
}

void walfs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	struct listing listing = {.req = req, .fs = walfs_of(req), .size = size};

	(void)fi;
	list(&listing, ino, offset);
}

struct list_job {
	struct walfs_job job; /* the first member */
	struct listing listing;
	fuse_ino_t ino;
	off_t after;
};

static bool run_list(struct walfs_job *job, void *buffer)
{
	struct list_job *listed = (struct list_job *)job;

	(void)buffer;
	list(&listed->listing, listed->ino, listed->after);
	free(listed);
	return true;
}

/* A worker's: what is not known of a segment yet is read from the disk. */
void walfs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct list_job *listed = malloc(sizeof(*listed));

	(void)fi;
	if (!listed) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*listed = (struct list_job){
		.job = {.run = run_list},
		.listing = {.req = req, .fs = fs, .plus = true, .size = size},
		.ino = ino,
		.after = offset,
	};
	walfs_workers_submit(&fs->workers, &listed->job, NULL);
}
