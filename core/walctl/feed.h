/* SPDX-License-Identifier: MIT */
/*
 * The events of a log one after the other, while it is written: of a store's directory, or of a
 * mount. It holds one segment open, and goes on where its walk ended.
 */
#ifndef WALCTL_FEED_H
#define WALCTL_FEED_H

#include <sys/stat.h>

#include "walctl.h"

struct feed {
	const char *path; /* as the user wrote it */
	bool is_mount;
	int dirfd; /* -1: the mount is gone for now */
	int watch; /* inotify on the directory; -1: none */
	bool has_log;
	uint8_t log[16];
	uint64_t next_id;  /* of the event that comes next */
	uint64_t since_ns; /* of feed_since() */
	uint64_t given;	   /* the last one that was given out, now or before; 0: none */
	struct wal_segment_reader *reader; /* NULL: to be looked for */
	uint32_t index;			   /* of its segment; 0: none yet */
	bool is_active;			   /* of a mount: it is `.walfs/active.wal` */
	struct stat seen;		   /* its name then; of a mount's active one `current` */
	bool at_fault;			   /* it has a block that could not be read */
	struct timespec listed;		   /* the directory's time when it was listed */
	double looked;			   /* when others after it were looked for */
	bool has_pending;		   /* after a gap: the event that was found then */
	struct wal_event pending;
	struct gap gap;
};

enum feed_result {
	FEED_EVENT,
	FEED_WAIT,    /* that is all so far */
	FEED_LOST,    /* gap: events that are not there any more, or cannot be read; it goes on
			 after them */
	FEED_DAMAGED, /* the same, and damage that was reported is why */
	FEED_AGAIN,   /* the log does not have what was given out: it lost its end */
	FEED_TROUBLE, /* after a complaint */
};

/* next_id is to be set then. Return: STATUS_SOUND, or STATUS_TROUBLE after a complaint. */
enum status feed_open(struct feed *feed, const char *path);
void feed_close(struct feed *feed);
/* The id of the next event to come. Return: false after a complaint. */
bool feed_end(struct feed *feed, uint64_t *next_id);
/* The first event there is, or what feed_end() gives. Return: likewise. */
bool feed_first(struct feed *feed, uint64_t *id);
/* The first event at or after a time, or what feed_end() gives. Return: likewise. */
bool feed_since(struct feed *feed, uint64_t since_ns, uint64_t *id);
/* An event's payload is valid until the next call. */
enum feed_result feed_next(struct feed *feed, struct wal_event *event);

/* --- feed_open.c, for feed.c and feed_start.c --------------------------------------------- */

void feed_let_go(struct feed *feed);
/* Does this errno (positive) say that the daemon of a mount ended? Another may come. */
bool feed_is_gone(const struct feed *feed, int err);
void feed_leave_mount(struct feed *feed);
/* Return: whether a walfs is mounted there. */
bool feed_enter_mount(struct feed *feed);
/* What is wrong with a segment, but not what only is not there. */
enum feed_result feed_complain(struct feed *feed, uint32_t index, int err,
			       const struct wal_fault *fault);
struct wal_segment_source feed_active_source(const struct feed *feed);
/* Sorted; of a mount the finished ones. Return: 0 or -errno. */
int feed_list(const struct feed *feed, struct wal_store_info *info);
/*
 * In place of the segment that is open, which stays if it fails: of a mount that with this index
 * may be the active one. Return: 0; -ENOENT ...
 */
int feed_open_index(struct feed *feed, uint32_t index, struct wal_fault *fault);
int feed_open_active(struct feed *feed, struct wal_fault *fault);

#endif
