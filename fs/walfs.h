/* SPDX-License-Identifier: MIT */
/*
 * The walfs daemon: FUSE requests to calls of libwal and back. Nothing here
 * knows how a log is stored; <walfs/wal.h> is all it sees of it.
 *
 * Threads: one thread at a time reads every request in order, and whoever does
 * never waits for a disk (loop.c). What must wait is parked: reads and checks go to
 * a few workers (workers.c); a sync is done by the thread that read it, once the
 * other reads on, or by whoever is at one. Whoever finishes a parked request
 * replies to it, exactly once. Unless a comment says otherwise, a function is
 * called by the thread that reads ("the loop") only.
 *
 * Errors are 0 or a negative errno; the sign is turned at the reply.
 */
#ifndef WALFS_FS_WALFS_H
#define WALFS_FS_WALFS_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <walfs/wal.h>

#include "busy_poll.h"
#include "lock_table.h"
#include "notice.h"
#include "opstats.h"
#include "probes.h"
#include "sequential.h"
#include "workers.h"

struct walfs;
struct walfs_parked_sync; /* current.c */

/* --- command_line.c, options.c -------------------------------------------- */

enum walfs_sync { WALFS_SYNC_NONE, WALFS_SYNC_INTERVAL, WALFS_SYNC_ALWAYS };

struct walfs_options {
	char *store;	  /* as given; absolute once checked */
	char *mountpoint; /* likewise */
	bool foreground;
	bool debug;
	bool read_only;
	bool continue_copy;
	bool allow_other;
	uid_t uid;
	gid_t gid;
	mode_t mode; /* of current; the others follow from it */
	enum walfs_sync sync;
	uint32_t sync_interval_ms;
	uint32_t block_size;   /* 0: as the store has it */
	uint64_t segment_size; /* 0: as the store has it */
	struct wal_framing framing;
	uint64_t max_line;
	bool meta_strict;
	uint32_t prepare;	/* segments; 0: as the log likes */
	uint32_t rotate_age_s;	/* 0: never */
	uint32_t keep_segments; /* 0 in the three: nothing is removed */
	uint64_t keep_bytes;
	uint32_t keep_age_s;
	enum wal_io_method io_method;
	uint32_t busy_poll_us; /* 0: sleep at once */
	bool append_sequential;
	bool remount;
	char *mount_options; /* for libfuse and the kernel; may be NULL */
};

enum walfs_parse { WALFS_PARSE_RUN, WALFS_PARSE_DONE, WALFS_PARSE_BAD };

/* Prints help, version or what is wrong. Return: what to do next. */
enum walfs_parse walfs_options_parse(int argc, char **argv, struct walfs_options *options);
/* As if none were given. */
void walfs_options_defaults(struct walfs_options *options);
void walfs_options_destroy(struct walfs_options *options);
/* Return: whether an option says that segments are removed. Any thread. */
bool walfs_are_removed(const struct walfs_options *options);

/* --- places.c --------------------------------------------------------------- */

/*
 * Makes both paths absolute, clears a stale mount of our own, and refuses what
 * could not work or would hide something; says why and what to do.
 * Return: 0 or -errno.
 */
int walfs_check_places(struct walfs_options *options);
/* A mount would hide what is in its mount point: that is said, and -ENOTEMPTY. */
int walfs_check_empty(const char *path);

/* --- remount.c -------------------------------------------------------------- */

/* Changes what can be of a mounted log; says what not. Return: 0 or -errno. */
int walfs_remount(const struct walfs_options *options);

/* --- privileges.c ----------------------------------------------------------- */

/*
 * Gives up what a daemon that root started does not use. Before there is another thread.
 * Return: 0 or -errno.
 */
int walfs_privileges_drop(const char *store);
/* The capabilities that this thread has, as "dac_override,sys_admin"; "" for none. */
void walfs_privileges_text(char *text, size_t size);

/* --- frame.c ---------------------------------------------------------------- */

#define WALFS_LINE_DEFAULT (16u << 20) /* max_line */
#define WALFS_BUFFERED_MAX (64u << 20) /* of unfinished lines together, or one if that is longer */

/* What the frames of all open files share. The loop's. */
struct walfs_frames {
	size_t max_line;
	size_t buffered_max;
	size_t buffered; /* bytes of their buffers, but for small ones */
};

/* Cuts what one open file is sent into records, and keeps the unfinished one. */
struct walfs_frame {
	struct walfs_frames *all;
	struct wal_framing framing;
	size_t limit; /* a record's bytes */
	uint8_t *bytes;
	size_t held;
	size_t capacity;
	struct wal_hold hold; /* space in the log for the held bytes */
};

void walfs_frame_init(struct walfs_frame *frame, struct wal_log *log, struct walfs_frames *all);
void walfs_frame_destroy(struct walfs_frame *frame);
/*
 * finish: leave nothing unfinished. Return: bytes taken (> 0; short: up to the
 * end of the last record that fitted), 0 for none asked; or -errno and none taken.
 */
ssize_t walfs_frame_write(struct walfs_frame *frame, struct wal_log *log, const void *data,
			  size_t size, bool finish);
/* Appends what is held as an unfinished record. Return: 0, or -errno and it is still held. */
int walfs_frame_finish(struct walfs_frame *frame, struct wal_log *log);

/* --- handles.c -------------------------------------------------------------- */

/* What an inode is. The first bits of a nodeid. */
enum walfs_kind {
	WALFS_ROOT = 0,
	WALFS_EVENTS_DIR = 1,
	WALFS_SEALED = 2, /* NNNNNNNNNN.wal */
	WALFS_EVENTS = 3, /* events/NNNNNNNNNN.log */
	WALFS_CURRENT = 4,
	WALFS_REPORT_DIR = 5, /* .walfs */
	WALFS_METRICS = 6,
	WALFS_STATUS = 7,
	WALFS_SNAPSHOT = 8, /* .walfs/active.wal */
};

/* Bytes that were made when a file was opened, and belong to its handle. */
struct walfs_report {
	char *text;
	size_t size;
};

/* An open file description. */
struct walfs_handle {
	struct walfs *fs;
	uint64_t id; /* what the kernel calls fh */
	fuse_ino_t ino;
	struct walfs_table_node by_ino; /* if it can be read */
	enum walfs_kind kind;
	/* Of `current`: the one that was active at the open. Fixed once that is answered. */
	_Atomic uint32_t segment;
	bool readable;
	bool writable;
	bool ends_in_error; /* a damaged segment's payload */
	struct walfs_frame frame;
	struct walfs_writer *sequential; /* NULL: it writes with O_APPEND, or not at all */
	/* What fstat() says when the segment is gone, or never was one. */
	_Atomic uint64_t size;
	_Atomic uint64_t time_ns;
	struct walfs_strand strand;	   /* orders opening and reads: */
	struct wal_segment_reader *reader; /* used by the strand's job only, or readers.c */
	/* readers.c: */
	bool keeps_block;
	struct walfs_handle *read_before, *read_after;
	struct walfs_report report; /* constant once opened */
	struct walfs_handle *next_unopened;
};

/* fh is slot and generation, so that a stale one is refused, not followed. */
struct walfs_handle_slot {
	struct walfs_handle *handle;
	uint32_t generation;
	uint32_t next_free;
};

struct walfs_handles {
	struct walfs_handle_slot *slots;
	size_t count;
	uint32_t first_free;
	struct walfs_table by_ino;
	/* Handles that workers could not open: the loop takes them back. */
	_Atomic(struct walfs_handle *) unopened;
};

/* flags: of open(2). Return: NULL without memory. */
struct walfs_handle *walfs_handle_new(struct walfs *fs, fuse_ino_t ino, int flags);
/* Return: NULL if there is no such handle. */
struct walfs_handle *walfs_handle_get(struct walfs *fs, uint64_t id);
/* Takes it out of the table; freed once its last read is done. */
void walfs_handle_put(struct walfs_handle *handle);
/* Return: of the handles of this inode that can be read, the one opened last; or NULL. */
struct walfs_handle *walfs_handle_find(struct walfs *fs, fuse_ino_t ino);
/* It was not opened after all, and will get no RELEASE. Any thread. */
void walfs_handle_reject(struct walfs_handle *handle);
/* Puts what was rejected. Called by the loop between requests. */
void walfs_handles_reap(struct walfs *fs);
/* At the end: appends what each still holds, frees all. Return: 0 or the first error. */
int walfs_handles_end(struct walfs *fs);

/* --- readers.c -------------------------------------------------------------- */

/* Blocks that readers keep together, or four of the largest if those are more. */
#define WALFS_READ_BLOCKS (8u << 20)

struct walfs_readers {
	pthread_mutex_t lock; /* protects what follows, and what is readers.c's of handles */
	struct walfs_handle *first, *last; /* that keep a block; the first was read longest ago */
	uint64_t bytes;
};

void walfs_readers_init(struct walfs_readers *readers);
void walfs_readers_destroy(struct walfs_readers *readers);
/* Before and after handle->reader is used, closed or made. Any thread, one at a time. */
void walfs_reader_begin(struct walfs_handle *handle);
void walfs_reader_end(struct walfs_handle *handle);

/* --- locks.c ---------------------------------------------------------------- */

struct walfs_lock_request;

struct walfs_locks {
	struct walfs_lock_table table;
	struct walfs_lock_request *waiting;
	struct walfs_lock_request *interrupted; /* of those */
};

/* For the table: a wait is over. */
void walfs_locks_granted(struct walfs_lock_waiter *waiter, int err);

/* Drops POSIX locks of this owner on the handle's file. */
void walfs_locks_flush(struct walfs *fs, const struct walfs_handle *handle, uint64_t owner);
/* Drops all locks that were taken through this handle. */
void walfs_locks_release(struct walfs *fs, const struct walfs_handle *handle);
/*
 * Answers waiters that were interrupted, and some of those that can have what they wait for.
 * Called by the loop between requests. Return: whether more are to be looked at.
 */
bool walfs_locks_reap(struct walfs *fs);
/* At the end: answers all waiters, frees all. */
void walfs_locks_end(struct walfs *fs);

/* --- reply.c ---------------------------------------------------------------- */

/* Replies with a value, its size, or ERANGE. Any thread. */
void walfs_reply_value(fuse_req_t req, const void *value, size_t length, size_t size);
/* Return: the errno (positive) a user gets for a failed read. Any thread. */
int walfs_read_errno(int err);

/* --- integrity.c ------------------------------------------------------------ */

struct walfs_check_result;

/* What checks of this mount's time said. */
struct walfs_checked {
	pthread_mutex_t lock;		     /* protects all but the strand */
	struct walfs_check_result **results; /* sorted by segment */
	size_t count;
	uint32_t reported_removed;  /* of a removed segment: the last damage reported */
	struct walfs_strand strand; /* one check at a time */
};

/* "never", or the result of the last check and its time. Any thread. */
void walfs_checked_text(struct walfs *fs, uint32_t segment, char text[WALFS_VALUE_MAX]);
/* Replies to getxattr of user.wal.verify and user.wal.xxh128, later. */
void walfs_verify_start(fuse_req_t req, uint32_t segment, size_t size);
void walfs_xxh128_start(fuse_req_t req, uint32_t segment, size_t size);
/* Notes what made a read or check fail, and says so the first time. Any thread. */
void walfs_report_damage(struct walfs *fs, uint32_t segment, int err,
			 const struct wal_fault *fault);
void walfs_checked_destroy(struct walfs_checked *checked);

/* --- the daemon ---------------------------------------------------------------- */

struct walfs {
	struct walfs_options options;
	struct wal_log *log;
	struct fuse_session *session;
	int signal_fd;
	pid_t holder;	     /* of the store, at the start; 0: none that can be seen */
	pid_t elsewhere_pid; /* has its mount in another mount namespace; 0: none */
	char elsewhere_name[64];
	uint32_t lookups; /* of current; makes each nodeid a new one */
	struct walfs_handles handles;
	struct walfs_sequential sequential;
	struct walfs_frames frames;
	struct walfs_readers readers;
	uint32_t read_files; /* so many files may be open for reading */
	struct walfs_locks locks;
	struct walfs_workers workers;
	struct walfs_strand rotations; /* one at a time: each waits for a seal */
	struct walfs_checked checked;
	struct walfs_probes probes;
	struct walfs_opstats opstats;
	struct walfs_busy_poll busy_poll; /* the loop's */
	uint64_t started_ns;		  /* CLOCK_REALTIME */
	uint64_t started_clock_ns;	  /* CLOCK_MONOTONIC */
	_Atomic bool stopping;
	/* The loop's: held by the thread that reads requests. It protects the next four. */
	pthread_mutex_t reading;
	struct walfs_parked_sync *to_join; /* what the request in hand waits for; NULL: nothing */
	bool over;
	int loop_error;
	unsigned turns;
	/* Syncs that the log has not answered. */
	pthread_mutex_t sync_lock;
	pthread_cond_t sync_done;
	size_t syncs; /* protected by sync_lock */
};

static inline struct walfs *walfs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* --- session.c -------------------------------------------------------------------- */

/* Mounts it; says why not, and what to do. Return: 0 and fs->session, or -errno. */
int walfs_session_mount(struct walfs *fs);

/* --- loop.c -------------------------------------------------------------------- */

extern const struct fuse_lowlevel_ops walfs_operations;
/* Until unmounted or told to stop. Return: 0 or -errno. */
int walfs_loop(struct walfs *fs);

/* --- node.c -------------------------------------------------------------------- */

/* segment: of `current`, the one that was active at the lookup; see walfs_question_aim(). */
fuse_ino_t walfs_ino(enum walfs_kind kind, uint32_t segment, uint64_t lookup);
enum walfs_kind walfs_ino_kind(fuse_ino_t ino);
uint32_t walfs_ino_segment(fuse_ino_t ino);
uint64_t walfs_ino_lookup(fuse_ino_t ino);
/* The same after a restart, and different for current and the segment it becomes. */
ino_t walfs_stat_ino(fuse_ino_t ino);

/* --- ask.c --------------------------------------------------------------------- */

struct walfs_attribute;

/* A question about a segment, answered now or, if that may read a disk, by a worker. */
struct walfs_question {
	struct walfs_job job;
	fuse_req_t req;
	fuse_ino_t ino;
	uint32_t segment;
	/* Any thread; replies. */
	void (*answer)(const struct walfs_question *question, const struct wal_segment_info *info);
	/*
	 * Answers if the file is open and its segment gone; may be NULL: then it is about the
	 * active one if it is of `current`, else ENOENT.
	 */
	void (*removed)(const struct walfs_question *question);
	fuse_ino_t asked;      /* by the kernel; 0: it is not for the size */
	uint64_t asked_handle; /* 0: for the inode */
	bool is_open; /* it is about an open file, of which this was known when it was read: */
	uint64_t open_size, open_time_ns;
	const struct walfs_attribute *attribute; /* xattr.c */
	size_t size;				 /* xattr.c */
};

/* Asks a copy of question; replies with an error if there is no answer. */
void walfs_ask(const struct walfs_question *question);
/*
 * Makes the question one about what the inode shows: of `current` the segment that the
 * file which was opened last is read from, else the one that is active now.
 */
void walfs_question_aim(struct walfs_question *question, const struct walfs_handle *handle);

/* --- tree.c -------------------------------------------------------------------- */

void walfs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void walfs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void walfs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void walfs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi);
void walfs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi);

/* --- stat.c ------------------------------------------------------------------------ */

/* Type and permissions. */
mode_t walfs_stat_mode(const struct walfs *fs, fuse_ino_t ino);
struct stat walfs_stat_file(const struct walfs *fs, fuse_ino_t ino, uint64_t size,
			    uint64_t time_ns);
struct stat walfs_stat_directory(struct walfs *fs, fuse_ino_t ino);
struct stat walfs_stat_report(struct walfs *fs, fuse_ino_t ino);
struct stat walfs_stat_segment(const struct walfs *fs, fuse_ino_t ino,
			       const struct wal_segment_info *info);
/*
 * Makes ino a nodeid of the segment that `current` is now. Return: whether st is filled,
 * because its state is in memory.
 */
bool walfs_stat_active(const struct walfs *fs, fuse_ino_t *ino, struct stat *st);

/* --- open.c ------------------------------------------------------------------------ */

void walfs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* --- report.c ---------------------------------------------------------------------- */

/* What a file of `.walfs/` says now. A worker's. Return: 0 or -errno. */
int walfs_report_make(struct walfs *fs, enum walfs_kind kind, struct walfs_report *report);
void walfs_report_destroy(struct walfs_report *report);

/* --- current.c, read.c: files -------------------------------------------------- */

void walfs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void walfs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		 struct fuse_file_info *fi);
void walfs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void walfs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void walfs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void walfs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		   struct fuse_file_info *fi);
/*
 * After a request was handled: has the log make durable what it waits for, if it does. Return:
 * whether this thread is now the one that commits: wal_log_sync_lead(), or _pass().
 */
bool walfs_sync_join(struct walfs *fs);
/* Waits until the log has answered every sync. */
void walfs_syncs_wait(struct walfs *fs);
/*
 * Makes handle->reader one as of now. For the strand's job. Return: 0; -EAGAIN if that would
 * wait for the seal of handle->segment; -errno.
 */
int walfs_reader_ensure(struct walfs_handle *handle);
void walfs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi);

/* --- xattr.c --------------------------------------------------------------------- */

void walfs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void walfs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void walfs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		    size_t size, int flags);
void walfs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* --- locks.c: requests ------------------------------------------------------------- */

void walfs_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void walfs_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
		 int sleep);
void walfs_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);

/* --- init.c, statfs.c ------------------------------------------------------------- */

void walfs_init(void *userdata, struct fuse_conn_info *conn);
void walfs_statfs(fuse_req_t req, fuse_ino_t ino);
void walfs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
		 unsigned flags, const void *in, size_t in_size, size_t out_size);

/* --- refuse.c ------------------------------------------------------------------------ */

void walfs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		     struct fuse_file_info *fi);
void walfs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void walfs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void walfs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void walfs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void walfs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void walfs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		  const char *new_name, unsigned flags);
void walfs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void walfs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi);

#endif
