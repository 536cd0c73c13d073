/* SPDX-License-Identifier: MIT */
/*
 * libwal: the log that walfs mounts, as a library. It knows nothing of FUSE, prints
 * nothing and never exits; what a user should know goes to a callback.
 *
 * Units: sizes and offsets are bytes (_bytes or size), times are nanoseconds
 * since 1970 UTC (_ns) unless named otherwise; event ids start at 1 and have
 * no gap over a log; segment indexes start at 1; block indexes at 0.
 *
 * Errors: 0 or a count on success, a negative errno otherwise:
 *
 *   -EBADMSG          bytes do not match their checksum
 *   -EUCLEAN          a structure that cannot be (bad field, wrong order, cut file)
 *   -EPROTONOSUPPORT  written by a newer format, or with a feature this one lacks
 *   -ENOENT           no such segment, event or file
 *   -EINVAL           an argument out of range
 *   -EMSGSIZE         a record larger than wal_log_record_limit()
 *   -ENOSPC, -EDQUOT  no space; nothing of what failed is ever written later
 *   -EOVERFLOW        no segment index or event id is left: begin a new store
 *   -ENOBUFS          a hold beyond the total that may be held
 *   -EROFS            the log is read-only: asked for, or since a fault; or the store is
 *                     a copy (continue_copy)
 *   -EBUSY            the store is held by another process
 *   -ENOTEMPTY        a directory that is no store and not empty, or a copy of a mount
 *   -EPERM            a file or directory of the store has chattr's flag i or a
 *   -EIO              the system failed to read, write or sync; or a file that is not
 *                     ours has the next segment's name: a notice names it
 *   -ENOMEM, -EMFILE, -ENFILE  no memory, no descriptor
 *
 * Threads: calls on one struct wal_log may come from any thread. A reader
 * belongs to one thread at a time. Callbacks say where they run.
 *
 * Durability: what wal_log_append() took is in the file mapping: it outlives
 * the process, not the machine. What a sync covered outlives power loss.
 */
#ifndef WALFS_WAL_H
#define WALFS_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WAL_VERSION_MAJOR 0
#define WAL_VERSION_MINOR 1
#define WAL_VERSION_PATCH 0
#define WAL_VERSION "0.1.0"

#define WAL_DEFAULT_BLOCK_SIZE (64u << 10)
#define WAL_DEFAULT_SEGMENT_SIZE (64u << 20)
#define WAL_FIXED_FRAME_MAX (1u << 20)		 /* the largest record with framing=fixed:N */
#define WAL_WRITE_FRAME_MAX ((1u << 20) - 4096u) /* the largest with framing=write */

struct wal_io; /* the system calls; core/base/io.h. NULL everywhere: the real ones */

/* How a store may have come to be what it is. The notices of wal_log_open() use the same words. */
enum wal_hint {
	WAL_HINT_NONE,
	WAL_HINT_COPIED_WHILE_WRITTEN, /* its wal.meta is newer than its segments */
	WAL_HINT_COPY_OF_A_MOUNT,      /* and `current` in it holds events */
};

/* Return: a sentence for a person, with the way out; "" for none. Static. Any thread. */
const char *wal_hint_text(enum wal_hint hint);

/* --- what went wrong ---------------------------------------------------- */

/* An error with words for a person: what, which file, and the way out. */
struct wal_error {
	int code; /* negative errno */
	char text[1024];
};

/* What kind of thing a fault in a segment is. wal_fault_kind_name() names each. */
enum wal_fault_kind {
	WAL_FAULT_NONE,
	WAL_FAULT_IO,		   /* could not be read */
	WAL_FAULT_NOT_A_FILE,	   /* a directory, link, FIFO ... with a segment's name */
	WAL_FAULT_TOO_SHORT,	   /* the file ends before its data */
	WAL_FAULT_TOO_LONG,	   /* bytes after the last block of a sealed segment */
	WAL_FAULT_MAGIC,	   /* not a segment */
	WAL_FAULT_VERSION,	   /* newer format or unknown feature */
	WAL_FAULT_HEADER_CHECKSUM, /* segment header */
	WAL_FAULT_HEADER_FIELD,	   /* a segment header field that cannot be */
	WAL_FAULT_HEADER_MISMATCH, /* seal header and active header disagree */
	WAL_FAULT_RESERVED,	   /* reserved bytes that are not zero */
	WAL_FAULT_INDEX,	   /* the file holds another segment than its name says */
	WAL_FAULT_BLOCK_HEADER,	   /* block header checksum */
	WAL_FAULT_BLOCK_FIELD,	   /* a block header field that cannot be */
	WAL_FAULT_BLOCK_CHECKSUM,  /* block checksum */
	WAL_FAULT_CHAIN,	   /* chained checksum */
	WAL_FAULT_EVENT_CHECKSUM,  /* event checksum */
	WAL_FAULT_EVENT_FIELD,	   /* length or flags that cannot be */
	WAL_FAULT_EVENT_TIME,	   /* earlier than the event before it */
	WAL_FAULT_EVENT_GROUP,	   /* MORE without CONT, or CONT without MORE */
	WAL_FAULT_PADDING,	   /* padding, or the rest of a block, is not zero */
	WAL_FAULT_COUNT,	   /* counts of header, blocks and events disagree */
	WAL_FAULT_META,		   /* the first record is not META(SEGMENT), or is malformed */
	WAL_FAULT_TAIL,		   /* unsealed: bytes after the last whole event */
	WAL_FAULT_MISSING,	   /* store: a segment is missing */
	WAL_FAULT_SEQUENCE,	   /* store: does not continue the segment before */
	WAL_FAULT_OTHER_LOG,	   /* store: belongs to another log */
	WAL_FAULT_POSITION,	   /* store: events below the durable position are not there */
	WAL_FAULT_META_FILE,	   /* store: wal.meta is not there, or not whole */
	WAL_FAULT_COMPRESSED,	   /* store: a segment is there as .wal.zst alone */
	WAL_FAULT_KINDS
};

#define WAL_NO_BLOCK UINT32_MAX

/* Where and what. offset is in the segment's file. */
struct wal_fault {
	enum wal_fault_kind kind;
	uint32_t segment;
	uint32_t block; /* or WAL_NO_BLOCK */
	uint64_t offset;
	char detail[160]; /* a phrase, no full stop; may be empty */
};

/* Return: a static phrase such as "chained checksum mismatch". Any thread. */
const char *wal_fault_kind_name(enum wal_fault_kind kind);

/* Return: the errno (negative) that a fault of this kind becomes. Any thread. */
int wal_fault_errno(enum wal_fault_kind kind);

/*
 * "block 17: chained checksum mismatch (detail)", without the file's name.
 * text always ends in a NUL. Any thread.
 */
void wal_fault_format(const struct wal_fault *fault, char *text, size_t size);

enum wal_notice_level { WAL_NOTICE_INFO, WAL_NOTICE_WARNING, WAL_NOTICE_ERROR };

/* Called with what an operator should know; text is one line without a newline. */
typedef void wal_notice_fn(void *ctx, enum wal_notice_level level, const char *text);

/* --- what an event is --------------------------------------------------- */

enum wal_framing_kind {
	WAL_FRAME_NONE = 0, /* in options: as the store has it */
	WAL_FRAME_LINE = 1,
	WAL_FRAME_WRITE = 2,
	WAL_FRAME_FIXED = 3,
};

struct wal_framing {
	enum wal_framing_kind kind;
	uint32_t size; /* WAL_FRAME_FIXED: bytes a record; otherwise 0 */
};

/* "line", "write", "fixed:64". Return: 0 or -EINVAL. Any thread. */
int wal_framing_parse(const char *text, struct wal_framing *framing);
/* text of at least 24 bytes. Any thread. */
void wal_framing_format(struct wal_framing framing, char *text, size_t size);

/* Event flags, as on disk. */
#define WAL_FLAG_MORE 0x01u
#define WAL_FLAG_CONT 0x02u
#define WAL_FLAG_PART 0x04u

#define WAL_NO_OFFSET UINT64_MAX

struct wal_event {
	uint64_t id;
	uint64_t timestamp_ns;
	const uint8_t *payload; /* valid until the next call on the reader */
	uint32_t size;
	uint32_t flags;		 /* WAL_FLAG_* */
	uint64_t payload_offset; /* of the first byte, within the segment's payload */
	uint64_t file_offset;	 /* of the event's header */
};

/* --- a segment ---------------------------------------------------------- */

/* What recovery left behind: bits of wal_segment_info.recovery, as on disk. */
#define WAL_RECOVERY_CHAIN_RESTART 0x01u    /* the segment before is damaged */
#define WAL_RECOVERY_TAIL_DROPPED 0x02u	    /* a torn tail was cut off the segment before */
#define WAL_RECOVERY_CLOCK_STEPPED 0x04u    /* the clock went back in the segment before */
#define WAL_RECOVERY_POSITION_LOST 0x08u    /* wal.meta was missing or unreadable */
#define WAL_RECOVERY_SEGMENTS_DROPPED 0x10u /* whole segments after a hole were set aside */

enum wal_state { WAL_ACTIVE, WAL_SEALING, WAL_SEALED, WAL_DAMAGED };

/* Return: "active", "sealing", "sealed" or "damaged". Any thread. */
const char *wal_state_name(enum wal_state state);

struct wal_segment_info {
	uint32_t index;
	enum wal_state state;
	uint8_t log[16]; /* UUID, big-endian as it is printed */
	uint64_t first_event;
	uint64_t last_event; /* first_event - 1 while there is none */
	uint32_t event_count;
	uint32_t block_count; /* started blocks */
	uint32_t block_size;
	uint64_t payload_bytes;
	uint64_t file_bytes; /* sealed: exact; active: preallocated */
	uint64_t created_ns;
	uint64_t closed_ns; /* 0 while active */
	uint64_t last_ns;   /* time of the last event; created_ns while there is none */
	uint64_t prev_chain;
	uint64_t chain; /* of the last finished block; prev_chain while there is none */
	uint64_t header_checksum;
	uint64_t incarnation; /* as the first record says: the log's when it was begun */
	uint32_t recovery;    /* WAL_RECOVERY_* bits of the first record */
	uint64_t dropped_bytes;
	bool sealed_by_recovery;
	/*
	 * So many segments up to this one, with it, have created_ns and closed_ns in order, and
	 * their events within these; 0: not known. (It stops growing at 2^24 - 1.)
	 */
	uint32_t time_run;
	struct wal_framing framing;
	struct wal_fault fault; /* why damaged; kind NONE otherwise */
};

/*
 * Return: whether the segment says which log it belongs to. A damaged one whose first record
 * cannot be read does not: its log is all zero then. Any thread.
 */
bool wal_segment_says_log(const struct wal_segment_info *info);

#define WAL_NAME_MAX 32
/* "0000000017.wal". Any thread. */
void wal_segment_name(uint32_t index, char name[WAL_NAME_MAX]);
/* Return: the index of exactly such a name, or 0. Any thread. */
uint32_t wal_segment_name_parse(const char *name);

/*
 * A file that a user names may be anything. It is a segment if its name is one's, if an index
 * was asked for, or if one of its headers begins as one does. Return: whether it is a file, and
 * none of that. Any thread.
 */
bool wal_segment_is_none(int dirfd, const char *name, uint32_t index);

/*
 * Does the chain of this segment begin as the first one of the log does, or as one that
 * recovery began with this index? Any thread.
 */
bool wal_segment_begins_chain(const uint8_t log[16], const struct wal_segment_info *info);

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". Any thread. */
#define WAL_UUID_TEXT 37
void wal_uuid_format(const uint8_t uuid[16], char text[WAL_UUID_TEXT]);
/* RFC 3339, UTC, nanoseconds: "2026-11-22T10:01:02.000000017Z". Any thread. */
#define WAL_TIME_TEXT 40
void wal_time_format(uint64_t time_ns, char text[WAL_TIME_TEXT]);
/*
 * RFC 3339 (with Z or an offset; without one: UTC), a date alone, or @seconds
 * with an optional fraction. Return: 0 or -EINVAL. Any thread.
 */
int wal_time_parse(const char *text, uint64_t *time_ns);

/*
 * JSON text in UTF-8 on its way out. jansson leaves U+0085, U+2028 and U+2029 as they are,
 * and some readers take each for the end of a line: they go to put() as \u0085, \u2028 and
 * \u2029, which mean the same (they stand in strings only). None of them may be split between
 * two calls. Return: 0, or what put() returned that was not 0. Any thread.
 */
int wal_json_escape(const char *text, size_t size,
		    int (*put)(const char *text, size_t size, void *ctx), void *ctx);

/* --- reading one segment ------------------------------------------------ */

struct wal_segment_reader;

#define WAL_READ_DIRECT 0x1u  /* past the page cache (O_DIRECT) where the file system can */
#define WAL_READ_NO_WAIT 0x2u /* wal_log_reader_open() only: -EAGAIN instead of a wait for a seal */

struct wal_segment_source {
	int dirfd; /* dirfd and name as for openat() */
	const char *name;
	uint32_t index; /* as the header must say it; 0: whatever it says */
	unsigned flags; /* WAL_READ_DIRECT or 0 */
};

/*
 * Opens a segment file, active or sealed, and reads its header area. A damaged segment
 * whose header can still be read opens too: its info says WAL_DAMAGED and what is whole
 * can be read. An unsealed segment is walked to its last whole event (all of it is read
 * once).
 * Return: 0; -ENOENT, -EUCLEAN, -EBADMSG, -EPROTONOSUPPORT, -EIO, -ENOMEM.
 * On error fault (may be NULL) says where and why.
 */
int wal_segment_reader_open(const struct wal_segment_source *source,
			    struct wal_segment_reader **reader, struct wal_fault *fault);
void wal_segment_reader_close(struct wal_segment_reader *reader);

/*
 * Looks again at a segment that another process may be writing (of one of an open log:
 * wal_log_reader_refresh()). It goes on where the walk ended, and reads nothing before that
 * block; the info is that of now, and next() goes on where it was. Once the segment is sealed
 * it is a sealed one like any other; of one that is sealed or damaged nothing changes any more.
 * In the info nothing says what is after the last event: salvage() is for a reader that was
 * opened after the writer ended.
 * source: NULL for the file that it has, whatever its name is now; or the file to go on with,
 * which is opened: a later copy of the same segment, such as a mount's `.walfs/active.wal`.
 * Return: 0; -ESTALE: events that it had are not there any more, or it is another segment:
 * close it, and look at what there is; -EINVAL for a reader of wal_log_reader_open(); else as
 * open().
 */
int wal_segment_reader_refresh(struct wal_segment_reader *reader,
			       const struct wal_segment_source *source);

/*
 * Gives back the block that it keeps, most of its memory; it is read and checked again when
 * something is asked of it.
 */
void wal_segment_reader_rest(struct wal_segment_reader *reader);

/* What is known of the segment. Return: valid until close. */
const struct wal_segment_info *wal_segment_reader_info(const struct wal_segment_reader *reader);

/* Where the last error was. */
const struct wal_fault *wal_segment_reader_fault(const struct wal_segment_reader *reader);

/* Return: whether WAL_READ_DIRECT was asked for and is what happens. */
bool wal_segment_reader_is_direct(const struct wal_segment_reader *reader);

/*
 * The next event; META records are skipped. Every byte it returns was checked.
 * Return: 1; 0 at the end; -EBADMSG, -EUCLEAN, -EIO.
 */
int wal_segment_reader_next(struct wal_segment_reader *reader, struct wal_event *event);

/*
 * For an unsealed segment that is known to be damaged (recovery declared it, or a later
 * segment follows it): whole blocks after the hole can be read, too. Of a merely torn
 * tail they are no part of the log, so this is never the default. The info is that of
 * all that can be read, and its state WAL_DAMAGED. Blocks that cannot be read are passed
 * over. No effect on others.
 */
void wal_segment_reader_salvage(struct wal_segment_reader *reader);

/*
 * After next() failed: makes it go on with the block after the one at fault.
 * Return: 1; 0 if there is none.
 */
int wal_segment_reader_skip_block(struct wal_segment_reader *reader);

/*
 * As next(), but it goes on where that fails. Of a block that does not hold (and of the
 * one in which the walk of a damaged unsealed segment ended, see salvage()) the next calls
 * give those events that prove themselves: records whose own checksum is right for an id
 * that can stand there (FORMAT.md, 8.1). Then *damaged is true: the event was appended with
 * this id, time and payload (a chance of 2^-32 for each try apart), but the block around it is
 * not what was written, and nothing says that no other stood beside it. It must not be
 * handed on without that mark. Its payload_offset is WAL_NO_OFFSET. Ids only grow; those that
 * are left out were not found. What the disk does not give back costs what is in those 4 KiB.
 * Not to be mixed with next() without a seek between. A block takes time that is linear in
 * its size, but in one that is full of what looks like records: at most 1 GiB is hashed.
 * Return: 1; 0 at the end; -EBADMSG, -EUCLEAN, -EIO once for each place at fault, which
 * fault() then names: call again.
 */
int wal_segment_reader_next_salvaged(struct wal_segment_reader *reader, struct wal_event *event,
				     bool *damaged);

/*
 * Makes next() return the first event with at least this id, or at least this
 * time, or the one that holds this payload byte.
 * Return: 0 (also if there is none: next() then returns 0); errors as next().
 */
int wal_segment_reader_seek_event(struct wal_segment_reader *reader, uint64_t id);
int wal_segment_reader_seek_time(struct wal_segment_reader *reader, uint64_t time_ns);
int wal_segment_reader_seek_payload(struct wal_segment_reader *reader, uint64_t offset);

/*
 * Payload bytes, one event's after the other, from offset; quick when offset
 * goes on where the last call ended.
 * Return: bytes (short only at the end, or before a bad block); -EBADMSG, -EUCLEAN, -EIO.
 */
ssize_t wal_segment_reader_payload(struct wal_segment_reader *reader, void *buf, size_t size,
				   uint64_t offset);

/*
 * The file's own bytes. Of a sealed or damaged segment only blocks that pass
 * their checks (or hold nothing but zeros) are returned.
 * Return: bytes (short only at the end, or before a bad block); -EBADMSG, -EUCLEAN, -EIO.
 */
ssize_t wal_segment_reader_raw(struct wal_segment_reader *reader, void *buf, size_t size,
			       uint64_t offset);

/*
 * The same for a copy of the segment as far as this reader knows it: of an unsealed one the
 * blocks up to the last event, and zeros after that. It is a segment file that holds these
 * events and no torn tail, whatever is appended meanwhile; a sealed one is itself.
 * image_bytes(): its size. Return: as raw().
 */
uint64_t wal_segment_reader_image_bytes(const struct wal_segment_reader *reader);
ssize_t wal_segment_reader_image(struct wal_segment_reader *reader, void *buf, size_t size,
				 uint64_t offset);

/* --- verifying ----------------------------------------------------------- */

struct wal_verify_progress {
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint32_t segment;
};

#define WAL_VERIFY_THREADS_MAX 16u

struct wal_verify_options {
	unsigned flags; /* WAL_READ_DIRECT */
	bool is_mount;	/* of wal_verify_store(): a mount, which shows sealed segments only */
	/*
	 * How many threads check the blocks of a sealed segment, the caller's included, at
	 * most WAL_VERIFY_THREADS_MAX; 1: no other; 0: as many as there are processors, at
	 * most 4. They end before the call does. What is found, its order and its words do
	 * not depend on it.
	 */
	unsigned threads;
	void *ctx;
	/* Each fault found; NULL: not wanted. In the caller's thread. */
	void (*fault)(void *ctx, const char *name, const struct wal_fault *fault);
	/*
	 * What is no damage, though an opening will change it: what a crash leaves, a wal.meta
	 * that is not there (of a store only). NULL: not wanted.
	 */
	void (*note)(void *ctx, const char *name, const struct wal_fault *fault);
	/* Now and then; returns false to stop (-ECANCELED). NULL: not wanted. */
	bool (*progress)(void *ctx, const struct wal_verify_progress *progress);
	/* After each segment (faults is how many it has); NULL: not wanted. */
	void (*segment)(void *ctx, const char *name, const struct wal_segment_info *info,
			uint64_t faults);
};

struct wal_verify_result {
	uint64_t segments;
	uint64_t blocks;
	uint64_t events;
	uint64_t payload_bytes;
	uint64_t file_bytes;
	uint64_t faults;
	uint64_t notes;
	bool direct;	    /* all of it was read past the page cache */
	enum wal_hint hint; /* of a store: what may explain its faults */
	/*
	 * Of a store: wal.meta says where it ends, so that segments missing there are found;
	 * everything to anchor_event must be there. What says so is in the store itself: an
	 * older copy of all of it looks the same.
	 */
	bool anchored;
	uint64_t anchor_event;
	/*
	 * Of a store: wal.meta says with which segment it begins, or it begins with the log's
	 * first. Otherwise segments may be missing there, or retention removed them.
	 */
	bool start_anchored;
	struct wal_fault first; /* the first fault, if any */
	char first_name[256];	/* and the file that has it */
};

/*
 * Every layer of one segment: header area, block headers, block and chained
 * checksums, every event, padding, counts. An unsealed segment is checked up to
 * its last whole event; bytes after that are WAL_FAULT_TAIL, unless a daemon that holds the
 * store may be appending them.
 * Return: 0 if it could be looked at (result->faults says how it is; a block that cannot
 * be read is WAL_FAULT_IO); -ENOENT, -EACCES, -ENOMEM, -ECANCELED if it could not; -EMEDIUMTYPE
 * if neither its name nor its headers are those of a segment.
 */
int wal_verify_segment(int dirfd, const char *name, uint32_t index,
		       const struct wal_verify_options *options, struct wal_verify_result *result);

/*
 * Every segment of a store directory, and between them: chain, ids without gaps,
 * one log, none missing, the durable position. Takes no lock and changes nothing; beside a
 * running daemon it is the store of one moment, what retention removes since is no fault,
 * and nothing is called damaged that is only on its way. What an opening would do
 * about the last segments decides: what it cuts or sets aside as the rest of a crash is a note,
 * not a fault, unless the store says that it was closed in order.
 * Return: as above, and -ENOTEMPTY for a directory that is no store.
 */
int wal_verify_store(const char *path, const struct wal_verify_options *options,
		     struct wal_verify_result *result, struct wal_error *error);

/* --- a store, looked at from outside -------------------------------------- */

struct wal_store_info {
	uint8_t log[16];
	bool meta_valid; /* wal.meta could be read; else the next fields are 0 */
	uint64_t incarnation;
	uint32_t block_size;
	uint64_t segment_size;
	struct wal_framing framing;
	uint32_t durable_segment;
	uint64_t durable_offset;
	uint64_t durable_event;
	bool clean;
	bool copy;		/* made by wal_copy_open(): not to be written to */
	uint32_t kept_from;	/* what is below was removed by retention; 0: not known */
	uint32_t first_segment; /* lowest and highest index there; 0: none */
	uint32_t last_segment;
	size_t segment_count;
	uint32_t *segments; /* sorted; free with wal_store_info_destroy */
	size_t compressed_count;
	uint32_t *compressed; /* sorted: those that are there as .wal.zst alone */
	size_t torn_count;    /* kept torn tails */
	size_t prepared_count;
	char holder[128]; /* "walfs (pid 17)", or "" */
};

/*
 * Changes nothing, takes no lock. Beside a daemon it is one moment's: an index from kept_from
 * on that is neither among the segments nor the compressed, and below the last, is missing.
 * Return: 0; -ENOENT, -ENOTDIR, -ENOTEMPTY, ...
 */
int wal_store_info_read(const char *path, struct wal_store_info *info, struct wal_error *error);
void wal_store_info_destroy(struct wal_store_info *info);
/*
 * A segment of the list is not there any more (-ENOENT): did retention remove it since?
 * Otherwise it is missing. dirfd: of the store, or of a mount, where it may wait a moment for
 * the name to go, too. Any thread.
 */
bool wal_store_is_retired(int dirfd, uint32_t index);

/* What the next opening for writing does about a segment that it does not take as it is. */
enum wal_fate {
	WAL_FATE_CUT,	    /* bytes after its events are cut off */
	WAL_FATE_SET_ASIDE, /* it is renamed, and no part of the log */
	WAL_FATE_DAMAGED,   /* it stays as it is; what is whole in it can be read */
	WAL_FATE_REBUILT,   /* wal.meta: from the segments, or from its other slot */
};

struct wal_verdict {
	uint32_t segment; /* 0: wal.meta */
	enum wal_fate fate;
	bool is_note;		/* a crash explains it: nothing durable is lost */
	struct wal_fault fault; /* why */
};

struct wal_store_outlook {
	struct wal_verdict *verdicts; /* by segment; free with wal_store_outlook_destroy */
	size_t count;
	bool decided;	    /* a segment without a verdict is taken as it is */
	uint32_t sealed_to; /* below it one that is not sealed is damaged; 0: not known */
	enum wal_hint hint;
};

/*
 * Asks recovery's plan for a store, in the words of wal_verify_store(). Takes no lock and
 * changes nothing; beside a daemon it is one moment's, and what is on its way is none of it.
 * It reads all unsealed segments. Where a newer format stands in a segment, no opening
 * decides anything: there are no verdicts then.
 * Return: 0; -errno where an opening would be refused, or nothing can be said. Any thread.
 */
int wal_store_outlook_read(const char *path, struct wal_store_outlook *outlook,
			   struct wal_error *error);
void wal_store_outlook_destroy(struct wal_store_outlook *outlook);

/* --- a copy of a store ------------------------------------------------------ */

/*
 * A copy is a store whose wal.meta says that it is one: it can be read, and nobody writes to it
 * but who copies, since what is appended to two logs of one name gets the same ids. It is locked
 * while it is open. Cut off at any point it is a copy of less, and the next run goes on with it.
 * Not for more than one thread at a time.
 */
struct wal_copy;

struct wal_copy_options {
	const struct wal_io *io;
	const char *path; /* a directory: empty, to be made, or a copy of the same log */
	uint8_t log[16];  /* of the store that is copied */
	void *ctx;
	/* After so many bytes more; returns false to stop (-ECANCELED). NULL: not wanted. */
	bool (*progress)(void *ctx, uint32_t segment, uint64_t bytes);
};

/* Return: 0; -EBUSY, -ENOTEMPTY (it is something else), -EIO ..., with words in error. */
int wal_copy_open(const struct wal_copy_options *options, struct wal_copy **copy,
		  struct wal_error *error);

struct wal_copied {
	uint64_t bytes;			   /* 0: the copy has it already */
	bool set_aside;			   /* another one was in its place: it is .torn- now */
	struct wal_verify_result verified; /* of what was copied; its faults are the source's */
};

/*
 * Copies a segment of a store or a mount, in the order of their indexes; which one place->index
 * says. It is verified as the disk gives it back. Of one that is not sealed the events up to
 * its end now, in a file of the same size; with raw, for one that is damaged, its file as it is.
 * Return: 0; -EAGAIN: it changed meanwhile, list the segments again; -ENOENT, -ENOSPC,
 * -ECANCELED, -EIO ...: then the copy is as before.
 */
int wal_copy_segment(struct wal_copy *copy, const struct wal_segment_source *place, bool raw,
		     struct wal_copied *copied);
/* Copies a file that recovery kept, by its name with .torn- in it. Return: likewise. */
int wal_copy_evidence(struct wal_copy *copy, int dirfd, const char *name);

struct wal_copy_end {
	uint64_t last_event;	      /* that must be in the copy from now on */
	uint32_t set_aside;	      /* segments of the copy that the store has lost */
	uint32_t gap_first, gap_last; /* between what earlier runs copied and the store; 0: none */
};

/*
 * After the last segment: the copy says how far it goes. store: as it was when its segments were
 * listed, before they were copied; dirfd: its directory, or that of the mount.
 * Return: 0 or -errno with words in error.
 */
int wal_copy_finish(struct wal_copy *copy, int dirfd, const struct wal_store_info *store,
		    struct wal_copy_end *end, struct wal_error *error);
/* Any time; NULL is nothing. */
void wal_copy_close(struct wal_copy *copy);

/* --- the log --------------------------------------------------------------- */

struct wal_log;

/*
 * How appended bytes get into the file; each outlives the process when the append
 * returns. docs/PERFORMANCE.md has figures.
 */
enum wal_io_method {
	WAL_IO_MAPPING = 0, /* stores into a mapping: no system call; the quickest append */
	WAL_IO_PWRITE = 1,  /* a pwrite an append and block: syncs of small appends are quicker */
	WAL_IO_AUTO = 2,    /* mapped; by pwrite while small appends are synced one by one */
};

struct wal_log_options {
	const struct wal_io *io;
	const char *path;
	bool read_only;	       /* look, and change no byte */
	bool continue_copy;    /* what is a copy is the store from now on: its original is gone */
	uint32_t block_size;   /* a power of two; 0: as the store has it */
	uint64_t segment_size; /* of whole blocks, rounded down; 0: as the store has it */
	struct wal_framing framing; /* noted in every segment */
	uint32_t sync_interval_ms;  /* 0: only when asked */
	enum wal_io_method io_method;
	bool meta_strict;	   /* a sync is answered only when wal.meta knows of it, too */
	uint32_t prepare_segments; /* kept ready ahead, 1..8; 0: 2 */
	uint32_t rotate_age_s;	   /* seal a segment that is older and not empty; 0: never */
	uint32_t keep_segments;	   /* remove the oldest sealed ones beyond these; 0: keep all */
	uint64_t keep_bytes;
	uint32_t keep_age_s;   /* since closing; one sealed segment is kept whatever its age */
	uint32_t read_files;   /* so many segments may have readers at once; 0: any number */
	wal_notice_fn *notice; /* from any thread of the log; NULL: not wanted */
	void *notice_ctx;
};

/*
 * Opens a store, creates one in an empty directory (or makes the directory),
 * recovers what a crash left, and is ready to append. The store stays locked
 * until close: exclusively, or shared with other readers if read_only.
 * A full disk does not keep it from opening: then appends are -ENOSPC until
 * there is space.
 * Return: 0; -EBUSY, -ENOTEMPTY, -EPROTONOSUPPORT, -EINVAL, -EROFS, -ENOSPC
 * (only for a new store), -EIO, -ENOMEM. On error the text says what to do.
 */
int wal_log_open(const struct wal_log_options *options, struct wal_log **result,
		 struct wal_error *error);

/*
 * Syncs, marks the store cleanly closed, ends the threads, frees. Readers must
 * be closed first.
 * Return: 0, or the error that keeps the last events from being durable.
 */
int wal_log_close(struct wal_log *log);

/* The store's directory, for fstatvfs and openat. Until close. */
int wal_log_dirfd(const struct wal_log *log);
bool wal_log_is_read_only(const struct wal_log *log);
void wal_log_uuid(const struct wal_log *log, uint8_t uuid[16]);
struct wal_framing wal_log_framing(const struct wal_log *log);

/*
 * The largest record: what fits in half of a fresh segment (the other half is for what is
 * held). One call may append that much under one hold of the lock.
 */
size_t wal_log_record_limit(const struct wal_log *log);
/* The largest record that is one event and never a group: a block's data area, or as above. */
size_t wal_log_event_limit(const struct wal_log *log);

struct wal_record {
	const void *data;
	uint32_t size;	/* 1 .. wal_log_record_limit() */
	uint32_t flags; /* WAL_FLAG_PART or 0 */
};

/*
 * Space kept free for bytes that the caller took and has not appended yet.
 * Zero it before use; belongs to the log between hold() calls.
 */
struct wal_hold {
	uint64_t cost_bytes;
};

/*
 * Appends records in order, under one hold of the lock and with one timestamp.
 * A record is all there or not at all; one larger than wal_log_event_limit()
 * becomes a MORE/CONT group within one segment. Rotates when the segment is full.
 * hold, if not NULL, is released for the first record: a record no larger than
 * what was held cannot fail for lack of space, unless the file system does not overwrite
 * in place. The records' bytes must not change
 * during the call: their checksum is taken where they are.
 * Durability: outlives the process; see wal_log_sync() for more.
 * Return: how many were appended (> 0; fewer than count: the next one did not
 * fit); or, if none was, -ENOSPC, -EDQUOT, -EROFS, -EMSGSIZE, -EINVAL, -EIO,
 * -EOVERFLOW.
 * If none was appended the hold is as before.
 */
ssize_t wal_log_append(struct wal_log *log, const struct wal_record *records, size_t count,
		       struct wal_hold *hold);

/*
 * Changes a hold to size bytes (0 releases it). May rotate.
 * Return: 0; -ENOBUFS beyond the total that may be held at once (append what is
 * held instead); -ENOSPC, -EDQUOT, -EROFS, -EOVERFLOW. On error the hold is as before.
 */
int wal_log_hold(struct wal_log *log, struct wal_hold *hold, size_t size);

/* One request to make everything appended before it durable. */
struct wal_sync {
	void (*done)(struct wal_sync *sync, int err); /* in the thread that commits */
	/*
	 * It answers for an append that was done: that must not be tried again, so -ENOSPC and
	 * -EDQUOT, which say so, become -EIO.
	 */
	bool of_append;
	struct wal_sync *next; /* the log's, and so are the next */
	uint64_t start_ns;
	uint64_t event; /* the last one that was appended before */
};

/*
 * Starts a sync and returns at once; done() is called exactly once, after every
 * event that was appended before this call is durable (within the call, where they
 * are already), or with a negative errno if that failed. Requests that come while one
 * runs, and about events that came meanwhile, share the next (group commit). done() must
 * not call the log. A failed sync makes the log read-only.
 */
void wal_log_sync_start(struct wal_log *log, struct wal_sync *sync);
/*
 * The same, for a thread that can wait but has something to do first. Return: whether
 * nobody is committing and the caller must, by calling wal_log_sync_lead() soon; it
 * is then the one that answers, and saves the wake-up of another thread.
 */
bool wal_log_sync_join(struct wal_log *log, struct wal_sync *sync);
/* Commits until nobody waits any more. Only after a join that returned true, and once. */
void wal_log_sync_lead(struct wal_log *log);
/* Or leaves that to the log's own thread, because something else came up. Returns at once. */
void wal_log_sync_pass(struct wal_log *log);
/*
 * Syncs and waits. Return: 0; -ENOSPC, -EDQUOT while recovery waits for space; -EIO ...
 * Not from done().
 */
int wal_log_sync(struct wal_log *log);

/*
 * Goes on in a new segment and waits until the old one is sealed; nothing if the
 * active one is empty. Return: 0; -ENOSPC, -EDQUOT, -EROFS, -EIO, -EOVERFLOW.
 */
int wal_log_rotate(struct wal_log *log);

/* The segment that `current` is: the active one, or the last of a read-only log; 0: none. */
uint32_t wal_log_current(const struct wal_log *log);

/*
 * Indexes of finished segments (all but current) larger than after, ascending.
 * Return: how many were stored, at most max.
 */
size_t wal_log_segments(struct wal_log *log, uint32_t after, uint32_t *indexes, size_t max);
bool wal_log_has_segment(struct wal_log *log, uint32_t index);

/*
 * What is known of a segment; of the active one as it is now. The first call for
 * a finished segment reads its header area and last block, later ones nothing.
 * Return: 0 (a damaged one too: see state and fault); -ENOENT, -EIO, -ENOMEM.
 */
int wal_log_segment_info(struct wal_log *log, uint32_t index, struct wal_segment_info *info);
/* The same without reading. Return: 0; -EAGAIN if it takes reading; -ENOENT. */
int wal_log_segment_known(struct wal_log *log, uint32_t index, struct wal_segment_info *info);

/* Of the active segment, without reading anything: for stat(). Any thread. */
struct wal_log_position {
	uint32_t segment;
	uint64_t payload_bytes;
	uint64_t next_event;
	uint64_t last_ns; /* of the last append, or the segment's creation */
	uint64_t durable_event;
};
void wal_log_position(struct wal_log *log, struct wal_log_position *position);

/*
 * Notes that a read or check found a segment damaged; its state is that from now on,
 * and its fault the one that was found first. Return: whether that is news: the first
 * fault of this block, or the first in no block. Those are counted.
 */
bool wal_log_mark_damaged(struct wal_log *log, uint32_t index, const struct wal_fault *fault);

/* One request to be told that a segment is not being sealed any more. */
struct wal_seal_wait {
	/* Must not block or call the log: its lock is held. */
	void (*done)(struct wal_seal_wait *wait);
	uint32_t segment; /* the log's, and so is the next */
	struct wal_seal_wait *next;
};

/*
 * For who must not wait in wal_log_reader_open() (WAL_READ_NO_WAIT). Return: whether it would
 * wait now; then done() is called once, when it would not: the segment is sealed, or has no
 * space for that, or the log failed.
 */
bool wal_log_seal_join(struct wal_log *log, uint32_t index, struct wal_seal_wait *wait);

/*
 * A reader on a segment of the log. On the active one it sees what was appended
 * until the last refresh; after a rotation it goes on to that segment's end. One
 * that is being sealed is waited for, or, with WAL_READ_NO_WAIT, -EAGAIN. Return: as
 * wal_segment_reader_open() else.
 */
int wal_log_reader_open(struct wal_log *log, uint32_t index, unsigned flags,
			struct wal_segment_reader **reader, struct wal_fault *fault);
/* Return: 0, or as wal_log_segment_info(). */
int wal_log_reader_refresh(struct wal_log *log, struct wal_segment_reader *reader);

/* --- what it did so far ------------------------------------------------------ */

/* Counters only grow, over the life of one struct wal_log. */
enum wal_counter {
	WAL_COUNT_APPENDS, /* wal_log_append() calls that appended something */
	WAL_COUNT_EVENTS,
	WAL_COUNT_PAYLOAD_BYTES,
	WAL_COUNT_APPEND_ERRORS,
	WAL_COUNT_BLOCKS,	 /* finished */
	WAL_COUNT_SYNC_REQUESTS, /* answered: durable */
	WAL_COUNT_SYNC_REFUSALS, /* answered with an error */
	WAL_COUNT_SYNCS,	 /* fdatasync of an active segment */
	WAL_COUNT_CLOSED_SYNCS,	 /* of one that a rotation closed */
	WAL_COUNT_SYNC_ERRORS,	 /* of both that failed, and sealings that did */
	WAL_COUNT_ROTATIONS,
	WAL_COUNT_PREPARED,
	WAL_COUNT_PREPARE_ERRORS,
	WAL_COUNT_PREPARE_WAITS, /* an append waited because no segment was ready */
	WAL_COUNT_SEAL_WAITS,	 /* an append waited because too many were unsealed */
	WAL_COUNT_SEALED,
	WAL_COUNT_REMOVED_SEGMENTS, /* by retention */
	WAL_COUNT_REMOVED_BYTES,
	WAL_COUNT_META_WRITES,
	WAL_COUNT_FAULTS_HEADER, /* checks that failed: segment headers */
	WAL_COUNT_FAULTS_BLOCK,	 /* block headers and block checksums */
	WAL_COUNT_FAULTS_CHAIN,
	WAL_COUNT_FAULTS_EVENT,
	WAL_COUNT_FAULTS_OTHER,
	WAL_COUNT_DROPPED_BYTES,    /* torn tails that recovery cut */
	WAL_COUNT_DROPPED_SEGMENTS, /* and segments that it set aside */
	WAL_COUNTERS
};

enum wal_latency {
	WAL_LATENCY_APPEND,	  /* a wal_log_append() call, waiting included */
	WAL_LATENCY_FINALIZE,	  /* checksums of a finished block */
	WAL_LATENCY_SYNC,	  /* a sync of the active segment */
	WAL_LATENCY_CLOSED_SYNC,  /* of one that a rotation closed */
	WAL_LATENCY_SYNC_WAIT,	  /* a sync request, from start to answer */
	WAL_LATENCY_ROTATE,	  /* a change to a new segment, the next two not in it */
	WAL_LATENCY_PREPARE,	  /* making a segment ready */
	WAL_LATENCY_PREPARE_WAIT, /* an append's wait for one */
	WAL_LATENCY_SEAL_WAIT,	  /* and for one of too many unsealed ones to be sealed */
	WAL_LATENCY_SEAL,	  /* from rotation to sealed */
	WAL_LATENCY_META,	  /* writing wal.meta */
	WAL_LATENCIES
};

/* Bucket i counts up to 2^(i + 7) ns (128 ns ... 68 s); the last one all above. */
#define WAL_LATENCY_BUCKETS 31

struct wal_histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t buckets[WAL_LATENCY_BUCKETS]; /* each its own, not cumulative */
};

#define WAL_FAILURE_TEXT 128

struct wal_stats {
	uint64_t counters[WAL_COUNTERS];
	struct wal_histogram latencies[WAL_LATENCIES];
	/* As it is now. */
	uint64_t next_event;
	uint64_t durable_event;
	uint64_t incarnation;
	uint32_t active_segment;
	uint64_t active_payload_bytes;
	uint64_t active_room_bytes; /* left in the active segment */
	uint64_t held_bytes;	    /* reserved for unfinished records */
	uint32_t ready_segments;    /* prepared and waiting */
	uint32_t sealing_segments;
	uint32_t sealed_segments;  /* finished ones in the store */
	uint32_t damaged_segments; /* known to be */
	uint32_t sync_waiters;
	int failed;			/* the error that made the log read-only; 0 */
	char failure[WAL_FAILURE_TEXT]; /* "0000000004.wal: sync failed: ..."; or "" */
	bool no_space;			/* a segment to write, a seal or wal.meta waits for space */
};

/* A consistent enough snapshot: counters are read one by one. Any thread. */
void wal_log_stats(struct wal_log *log, struct wal_stats *stats);

/* "appends", and a sentence about it. Return: static text. Any thread. */
const char *wal_counter_name(enum wal_counter counter);
const char *wal_counter_help(enum wal_counter counter);
const char *wal_latency_name(enum wal_latency latency);
const char *wal_latency_help(enum wal_latency latency);
/* The upper bound of a bucket; UINT64_MAX for the last. */
uint64_t wal_latency_bucket_ns(unsigned bucket);

/*
 * Makes the process survive SIGBUS on a segment's mapping (a truncated file, a
 * disk that fails to read): the log becomes read-only instead. Installs a signal
 * handler; other SIGBUS still kill. Call once, at start. Return: 0 or -errno.
 */
int wal_fault_handler_install(void);

#ifdef __cplusplus
}
#endif

#endif
