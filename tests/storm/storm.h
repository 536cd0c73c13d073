/* SPDX-License-Identifier: MIT */
/*
 * What the storm programs share: writers whose every byte can be told again from a
 * seed, their own record of what returned, a real daemon, and an oracle that holds
 * the store against the records.
 *
 * A stream is what one process writes, in order. Each stream has three byte values
 * of its own, so that any piece of the log names its stream, and any byte that
 * nobody wrote shows.
 */
#ifndef WALFS_STORM_H
#define WALFS_STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <walfs/wal.h>

#define STORM_STREAMS 64
#define STORM_FIRST_BYTE 32u
#define STORM_SYMBOLS 3u
#define STORM_LINE_MAX (1500u << 10) /* more than one event, and than one request, takes */
#define STORM_WHOLE_MAX (512u << 10) /* what surely is one request */
#define STORM_PIECES 3

/* Ends the program with status 2: the test itself cannot go on. */
void storm_die(const char *what) __attribute__((noreturn));
uint64_t storm_now_ms(void);
void storm_sleep_us(uint64_t us);

/* --- random numbers, the same from the same seed ------------------------------- */

struct storm_random {
	uint64_t state;
};

uint64_t storm_random(struct storm_random *random);
/* 0 .. below - 1 */
uint64_t storm_below(struct storm_random *random, uint64_t below);
bool storm_chance(struct storm_random *random, unsigned percent);

/* --- stream.c: what is written -------------------------------------------------- */

/* A store and how it is mounted. */
struct storm_setup {
	uint64_t seed;
	struct wal_framing framing;
	uint32_t block_size;
	uint64_t segment_size;
	bool sync_always;
	uint32_t sync_interval_ms; /* 0: sync=none */
	size_t record_limit, event_limit;
	uint32_t keep_segments;	   /* 0: all */
	unsigned largest_permille; /* how often a record is larger than a block or an event */
};

/* Asks the library, with a store of its own in directory. */
void storm_setup_limits(struct storm_setup *setup, const char *directory);

/* One thing a writer does: bytes in one to three writes, perhaps with a sync. */
struct storm_op {
	uint8_t *bytes;
	size_t size;
	unsigned pieces;
	size_t ends[STORM_PIECES]; /* where each piece ends */
	bool whole;		   /* each record in it is one record of the log */
	unsigned parts;		   /* more than 1: by writev(2) of so many */
	bool durable;		   /* RWF_DSYNC */
	bool sync;		   /* then fsync(2) */
};

struct storm_stream {
	const struct storm_setup *setup;
	unsigned number;
	bool shared; /* of a descriptor that several processes write to */
	struct storm_random random;
	struct storm_op op;
	size_t capacity;
};

void storm_stream_init(struct storm_stream *stream, const struct storm_setup *setup, unsigned round,
		       unsigned number, bool shared);
void storm_stream_destroy(struct storm_stream *stream);
/* The next thing to do; valid until the one after. */
const struct storm_op *storm_stream_next(struct storm_stream *stream);

/* --- writer.c: processes that write ---------------------------------------------- */

enum storm_end { STORM_RUNNING, STORM_DONE, STORM_CUT_OFF, STORM_KILLED, STORM_FAILED };

/* In shared memory: what a stream's writer knows. Bytes since the stream's start. */
struct storm_record {
	_Atomic uint64_t started;  /* given to a write(2) */
	_Atomic uint64_t returned; /* that write(2) said it took */
	_Atomic uint64_t promised; /* of these, what outlives the daemon */
	_Atomic uint64_t writes, syncs;
	_Atomic int end; /* enum storm_end */
	char failure[128];
};

struct storm_writer {
	const struct storm_setup *setup;
	struct storm_record *record;
	const char *mountpoint, *path;
	unsigned round, number;
	int open_flags;	   /* besides O_APPEND */
	int inherited;	   /* descriptor, or -1 to open one */
	bool stands_alone; /* an error of the connection is a failure, too */
	uint64_t ops;	   /* 0: until cut off */
	uint64_t die_at;   /* killed in the middle of this one; 0: not */
};

/* Return: the process. */
pid_t storm_writer_start(const struct storm_writer *writer);

/* --- reader.c: processes that look ------------------------------------------------ */

struct storm_reader {
	const char *mountpoint;
	uint64_t seed;
	bool stands_alone; /* an error of the connection is a failure, too */
	bool retention;	   /* a finished segment may be gone when it is looked at */
};

/* Reads all there is, again and again, until killed or cut off. Status 1: it saw nonsense. */
pid_t storm_reader_start(const struct storm_reader *reader);

/* --- daemon.c --------------------------------------------------------------------- */

/* Return: whether a call failed because no daemon is there any more. */
bool storm_is_cut_off(int error, const char *mountpoint);

struct storm_daemon {
	const char *walfs;
	char store[512], mountpoint[512], log[512];
	pid_t pid;
};

void storm_daemon_init(struct storm_daemon *daemon, const char *walfs, const char *directory);
void storm_daemon_start(struct storm_daemon *daemon, const struct storm_setup *setup);
/* Return: whether it is mounted and answers within a minute. */
bool storm_daemon_wait_ready(struct storm_daemon *daemon);
/* Return: its wait status. */
int storm_daemon_kill(struct storm_daemon *daemon, int signal_number);
/* Return: whether it ended by itself (and says so). */
bool storm_daemon_has_ended(struct storm_daemon *daemon);
/* Unmounts. Return: whether the daemon then ended well. */
bool storm_daemon_unmount(struct storm_daemon *daemon);
/* Ends whatever is there, dead or alive. */
void storm_daemon_clean_up(struct storm_daemon *daemon);
/* Return: whether walctl finds the store sound; what it says goes to the daemon's log. */
bool storm_daemon_store_is_sound(const struct storm_daemon *daemon, const char *walctl);
/* Return: whether its log tells of damage, or of what a sanitizer found. Prints that. */
bool storm_daemon_complained(const struct storm_daemon *daemon);
/* The most memory it has had so far. */
uint64_t storm_daemon_memory_kb(const struct storm_daemon *daemon);
/* Runs a program without a word. Return: its exit status, or -1. */
int storm_run(const char *log, char *const argv[]);

/* --- oracle.c ----------------------------------------------------------------------- */

struct storm_expect {
	struct storm_stream stream;
	bool begun;
	const struct storm_op *op;
	size_t at; /* within op */
	uint64_t bytes;
	bool guessed; /* what it took last was a newline alone, which may be another's */
};

/* The store so far, and what the round that ended last may have added to it. */
struct storm_oracle {
	const struct storm_setup *setup;
	struct storm_record *records; /* STORM_STREAMS */
	bool shared[STORM_STREAMS];
	unsigned round;
	uint64_t known_events, known_digest; /* all that was checked before */
	/* of the look that is under way, or was the last */
	struct storm_expect expect[STORM_STREAMS];
	uint8_t *group; /* a record of several events */
	size_t group_size, group_capacity;
	uint64_t events, digest, bytes, parts;
	uint32_t segments;
	char failure[512];
};

enum storm_required {
	STORM_PROMISED, /* the daemon was killed */
	STORM_RETURNED, /* it ended cleanly */
};

void storm_oracle_init(struct storm_oracle *oracle, const struct storm_setup *setup,
		       struct storm_record *records);
void storm_oracle_destroy(struct storm_oracle *oracle);
/*
 * Looks at every segment of the store, and at what the mount shows of it (if not
 * NULL). Return: whether all is as the records say; if not, failure says what is not.
 */
bool storm_oracle_check(struct storm_oracle *oracle, const char *store, const char *mountpoint,
			enum storm_required required);

/* --- snapshot.c ----------------------------------------------------------------------- */

/* All that can be seen in the working directory, the top of a mount. To be freed. */
char *storm_snapshot(void);

#endif
