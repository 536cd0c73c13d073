/* SPDX-License-Identifier: MIT */
/*
 * What the commands of walctl share. walctl sees the library through
 * <walfs/wal.h> alone, as any other program would.
 */
#ifndef WALCTL_H
#define WALCTL_H

#include <jansson.h>
#include <stdio.h>
#include <walfs/wal.h>

/* The exit status of every command; of several paths the largest counts. */
enum status {
	STATUS_SOUND = 0,
	STATUS_DAMAGED = 1,
	STATUS_TROUBLE = 2, /* could not look: usage, missing, permission, interrupted */
	STATUS_LOST = 3,    /* follow: events are not there any more */
};

struct command {
	const char *name;
	const char *summary; /* one line, for the list of commands */
	const char *help;    /* all of it, from "usage:" on */
	enum status (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_verify;
extern const struct command command_cat;
extern const struct command command_info;
extern const struct command command_follow;
extern const struct command command_ls;
extern const struct command command_rotate;
extern const struct command command_status;
extern const struct command command_diff;
extern const struct command command_backup;

/* --- output.c: words for a person ---------------------------------------- */

/* Whichever is worse. */
enum status worse(enum status a, enum status b);
/* What a negative errno of reading a segment means. */
enum status status_of(int err);

/* Writes text; what is not printable (a newline in a file name, ...) is escaped. */
void put_text(FILE *stream, const char *text);
/* "FILE: block 17, offset 1118208: chained checksum mismatch: detail", no newline. */
void put_fault(FILE *stream, const char *file, const struct wal_fault *fault);

/* "walctl: FILE: ..." on stderr, after all that stdout was given. */
void complain(const char *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for an errno (positive), with the way out where one is known. */
void complain_errno(const char *file, int err);
/* For a failed call on a segment (negative errno). Return: the status that it means. */
enum status complain_segment(const char *file, int err, const struct wal_fault *fault);
/* "walctl COMMAND: ..." and where the help is. Return: STATUS_TROUBLE. */
enum status complain_usage(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Decimal digits only: no sign, no space, no overflow. Return: whether it is that. */
bool parse_number(const char *text, uint64_t *number);
/* What getopt_long's ':' or '?' means (opterr is 0). Return: STATUS_TROUBLE. */
enum status complain_option(const struct command *command, int result, char **argv);
/* For a command that knows --json alone: calls show() for each path. Return: the worst. */
enum status show_each(const struct command *command, int argc, char **argv,
		      enum status (*show)(const char *path, bool json));
_Noreturn void die_no_memory(void);

/* To be asked right after a write. Return: whether stdout took something not. */
bool output_failed(void);
/* Flushes stdout. Return: status, or STATUS_TROUBLE after a complaint if it was not written. */
enum status finish_output(enum status status);

#define SIZE_TEXT 24
/* "12.3 MiB". Return: text. */
const char *format_size(double bytes, char text[SIZE_TEXT]);
#define COUNT_TEXT 32
/* "1,234,567". Return: text. */
const char *format_count(uint64_t count, char text[COUNT_TEXT]);
/* CLOCK_MONOTONIC. */
double seconds_now(void);

/* --- json.c: the same for programs ---------------------------------------- */

/* A file's name; one that is not UTF-8 has its bytes escaped as \xNN. */
json_t *json_name(const char *name);
json_t *json_number(uint64_t number);
json_t *json_hex(uint64_t number);
json_t *json_time(uint64_t time_ns);
json_t *json_uuid(const uint8_t uuid[16]);
json_t *json_fault(const char *file, const struct wal_fault *fault);
/* Only what is known: of a segment whose header cannot be read that is little. */
json_t *json_segment(const char *file, const struct wal_segment_info *info);
/* Adds value, which it takes over, to an object. */
void json_put(json_t *object, const char *key, json_t *value);
void json_add(json_t *array, json_t *value);
/* One object, one line, on stdout; takes it over. */
void json_print(json_t *object);

struct bit_name {
	uint32_t bit;
	const char *name;
};

/* Both end with a NULL name. */
extern const struct bit_name event_flags[];
extern const struct bit_name recovery_notes[];
/* The names of the bits that are set. */
json_t *json_bits(const struct bit_name *names, uint32_t bits);

/* --- put_event.c ------------------------------------------------------------- */

/* One JSON object, one line. damaged: it is of a block that does not hold. */
void put_event_json(const struct wal_event *event, bool damaged);
/* Lines: "ok" or "damaged", a tab, the id, a tab, and a line of the payload. */
void put_event_marked(const struct wal_event *event, bool damaged);

/* Local time, a space, and the payload as a line. */
void put_event_short(const struct wal_event *event);
/* A line, in which %i, %t ... are of the event; see the help of cat. */
void put_event_template(const struct wal_event *event, const char *template);
/* Return: whether each % in it is followed by a letter that means something. */
bool template_is_possible(const char *template);

/* --- target.c: what a path is ---------------------------------------------- */

enum target_kind {
	TARGET_SEGMENT, /* a file: dirfd and names[0] */
	TARGET_STORE,	/* a store's directory */
	TARGET_MOUNT,	/* a mounted walfs: its sealed segments, and `.walfs/active.wal` */
};

struct target {
	enum target_kind kind;
	const char *path;		  /* as the user wrote it */
	char *real;			  /* without symbolic links */
	char *store;			  /* TARGET_MOUNT: where its store is, or NULL */
	int dirfd;			  /* of a directory; AT_FDCWD of a segment */
	struct wal_store_info info;	  /* of a directory; of a store without what is set aside */
	struct wal_store_outlook outlook; /* TARGET_STORE */
	size_t count;			  /* of segments */
	struct wal_segment_reader *active; /* TARGET_MOUNT: the last of them, or NULL */
	bool has_log;
	uint8_t log[16]; /* of a directory */
};

/* Finds out what path is. Return: STATUS_SOUND, or STATUS_TROUBLE after a complaint. */
enum status target_open(struct target *target, const char *path);
void target_close(struct target *target);
const char *target_kind_name(enum target_kind kind);
/*
 * Of a mount the active segment as it is at this moment, after its sealed ones. That of an
 * older walfs does not show it: a note on stderr says so. Return: the status that it means.
 */
enum status target_add_active(struct target *target);
/* On stderr: only sealed segments are looked at. Nothing if this is no mount. */
void target_note_mount(const struct target *target);

/* The file of a target as a user would name it; free() it. */
char *target_file(const struct target *target, const char *name);
/* Opens the n-th segment. *file is its name, to be freed, also on error. */
int target_reader(const struct target *target, size_t n, struct wal_segment_reader **reader,
		  char **file, struct wal_fault *fault);
/* NULL is nothing. */
void target_reader_close(const struct target *target, struct wal_segment_reader *reader);
/* After -ENOENT: did retention remove the n-th segment since the store was listed? */
bool target_is_retired(const struct target *target, size_t n);
/*
 * Is the n-th a segment of another log than the store's (as wal.meta has it, or else the first
 * segment that says it)? One that does not say its log is the store's if the chain says so.
 * Otherwise fault says why: no event of it may be given out as the store's.
 */
bool target_foreign_fault(const struct target *target, size_t n,
			  const struct wal_segment_info *info, struct wal_fault *fault);

/* The index that a segment file must have by its name; 0: any. */
uint32_t target_index(const struct target *target);

/* --- mount_point.c ------------------------------------------------------------- */

/* The topmost mount of a store; free() it. NULL: none that can be seen from here. */
char *mount_point_of(const char *store);

/* --- outlook.c: what the next mount does about a store ------------------------ */

/* What it sets aside is taken off the list of segments: it is no part of the log. */
void outlook_read(struct target *target);
/* If it is unsealed: is the n-th damaged, so that what is whole after its end is of the log? */
bool outlook_salvages(const struct target *target, size_t n);
/* What it finds wrong with a segment that shows nothing wrong itself. Return: whether it does. */
bool outlook_fault(const struct target *target, const struct wal_segment_info *info,
		   struct wal_fault *fault);
/* On stderr: what is cut, set aside, left out, and the hint. Return: the status that it means. */
enum status outlook_complain(const struct target *target);
/* The same as rows of a table, or in arrays. */
enum status outlook_print(const struct target *target);
enum status outlook_json(const struct target *target, json_t *notes, json_t *faults);

/* --- sequence.c: what is missing ---------------------------------------------- */

/* Events and segment files that are not there; 0: not known, or none. */
struct gap {
	uint64_t first; /* ids */
	uint64_t last;
	uint32_t first_segment;
	uint32_t last_segment;
};

struct sequence {
	uint64_t next_id;    /* that is expected; 0: any */
	uint64_t given;	     /* ids below it are of segments before, also where they were twice */
	uint32_t next_index; /* likewise */
	struct gap missing;  /* files that were not reported yet */
	const struct wal_store_info *store;
	size_t compressed; /* so many of those of the store were passed: they are not missing */
	bool began;	   /* there was a segment, whatever is known of its events */
};

/* From where the store says that its log begins. */
void sequence_begin(struct sequence *sequence, const struct target *target);
/* Or from the n-th segment on, whatever is before it. */
void sequence_begin_at(struct sequence *sequence, const struct target *target, size_t n);
/* Must be given each file in order. */
void sequence_file(struct sequence *sequence, uint32_t index);
/* The next event there is has this id. Return: whether something before it is missing. */
bool sequence_ids(struct sequence *sequence, uint64_t first_event, struct gap *gap);
#define REPEAT_TEXT 128
/*
 * Does the segment that comes next begin with an event that there was before? Then text is
 * "begins with event 17, events up to 20 are before it".
 */
bool sequence_repeats(const struct sequence *sequence, uint64_t first_event,
		      char text[REPEAT_TEXT]);
/* What the segment there has is not known. */
void sequence_lost(struct sequence *sequence);
/* After the last segment: up to the durable position. Return: likewise. */
bool sequence_end(struct sequence *sequence, const struct target *target, struct gap *gap);

#define GAP_EVENTS_TEXT 64
/* "events 201 to 400 are". Return: text. */
const char *gap_events(const struct gap *gap, char text[GAP_EVENTS_TEXT]);
#define GAP_TEXT 192
/* Its members are null where they are not known, or none is missing. */
json_t *json_gap(const struct gap *gap);
/* "events 201 to 400 are missing, with segment 2". */
void gap_format(const struct gap *gap, char text[GAP_TEXT]);

/* --- listing.c: the segments of a store ----------------------------------------- */

struct listed {
	char *file; /* free() it */
	/* block_size is 0 of one that is too damaged to be opened. */
	struct wal_segment_info info;
	bool wants_first;
	uint64_t first_ns; /* with that, of its first event; 0: none, or not readable */
};

struct listing {
	void *ctx;
	bool wants_first;
	/* Each in order. A file that it wants to keep it takes, and leaves NULL. */
	void (*segment)(void *ctx, struct listed *listed);
	/* What is missing before the next one, or at the end. */
	void (*gap)(void *ctx, const struct gap *gap);
	struct sequence sequence;
	enum status worst;
};

/* Return: the status that all of it means. */
enum status listing_run(struct listing *listing, const struct target *target);
/* The n-th segment as a listing has it, also a lone one. retired: see target_is_retired(). */
enum status listing_read(const struct target *target, size_t n, struct listed *listed,
			 bool *retired);

/* --- stream.c: the events of a path, one after the other ----------------------- */

struct stream {
	/* Given. */
	bool salvage; /* also events of damaged blocks that prove themselves */
	void (*fault)(void *ctx, const char *file, const struct wal_fault *fault);
	void *ctx;

	struct target target;
	size_t next; /* the segment after the one that is read */
	struct wal_segment_reader *reader;
	const struct wal_segment_info *info; /* of the one that is read; NULL: none */
	char *file;			     /* its name */
	enum status worst;
};

/* Opens a path, with the active segment of a mount. Return: the status that it means. */
enum status stream_open(struct stream *stream, const char *path);
void stream_close(struct stream *stream);
/*
 * Goes to the next segment that can be looked at; those that cannot are reported, and so is
 * what is wrong with one as a whole. Return: whether there is one.
 */
bool stream_next_segment(struct stream *stream);
/*
 * The next event of the segment; what is damaged is reported, and passed over. *damaged: see
 * wal_segment_reader_next_salvaged(). Return: whether there is one.
 */
bool stream_next_event(struct stream *stream, struct wal_event *event, bool *damaged);

/* --- interrupt.c: SIGINT and SIGTERM -------------------------------------------- */

void interrupt_catch(void);
/* Return: whether one came since. */
bool interrupted(void);

/* --- progress.c: a bar on stderr --------------------------------------------- */

struct progress {
	bool wanted;
	bool shown;
	double started;
	double updated;
};

/* With wanted, and if stderr is a terminal. */
void progress_start(struct progress *progress, bool wanted);
void progress_update(struct progress *progress, const struct wal_verify_progress *now);
/* Takes the bar off the screen, before something else is written. */
void progress_clear(struct progress *progress);

#endif
