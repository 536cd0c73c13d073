/* SPDX-License-Identifier: MIT */
/*
 * One segment that is being written.
 *
 * Not thread-safe: one owner at a time, who may hand it on. append() allocates
 * nothing, takes no lock, and in a mapped segment makes no system call: the bytes
 * are in the file mapping at once. After gather() they are kept in memory for a block
 * at most, and write_out() puts them into the file by pwrite. Either way they outlive
 * the process once they are there, and are durable after flush(sync).
 *
 * The shape follows the SegmentWriter of the recorder design that this project
 * started from; docs/DESIGN.md, D1, says where it departs and why.
 */
#ifndef WALFS_CORE_SEGMENT_WRITER_H
#define WALFS_CORE_SEGMENT_WRITER_H

#include "core/segment/segment.h"
#include "core/segment/segment_pages.h"
#include "core/segment/walk.h"

/*
 * Creates the segment's file under its preparation name, preallocated (real
 * blocks, no hole) and mapped. Never opens an existing file.
 * Return: 0; -EEXIST, -ENOSPC, -EDQUOT, -EINVAL, -EIO ...; then nothing is left behind.
 */
int wal_segment_writer_open_new(struct wal_segment_writer *w, const struct wal_io *io, int dirfd,
				const struct wal_segment_shape *shape);

/* Prefaults what is mapped after the append point; changes no byte. Return: 0 or -errno. */
int wal_segment_writer_prefault(struct wal_segment_writer *w);

/*
 * Writes the active header and the segment record (its timestamp is created_ns). May be
 * called again, with other values, as long as the segment is not published. After a fault on
 * its mapping it is not mapped any more, whether that could be written to by pwrite or not.
 * Return: 0; -ENOSPC, -EDQUOT, -EIO.
 */
int wal_segment_writer_start(struct wal_segment_writer *w, uint64_t first_event,
			     uint64_t prev_chain, uint64_t created_ns,
			     const struct wal_meta_record *meta);

/*
 * Gives the file its final name: from here on it outlives the process.
 * Return: 0; -EEXIST, -ENOSPC, -EDQUOT, -EIO ...; then it has its old name.
 */
int wal_segment_writer_publish(struct wal_segment_writer *w);

/*
 * Syncs the file, and once the directory that has its name: from here on all that was
 * appended before the call outlives power loss, if the segments before it do.
 * Return: 0; -EIO ...
 */
int wal_segment_writer_make_durable(struct wal_segment_writer *w);

/*
 * Does the segment's name still lead to its file, and has that its size? What is synced
 * into a file that somebody removed, moved away or cut is lost at the next start.
 * Return: 0; -EIO.
 */
int wal_segment_writer_check_name(const struct wal_segment_writer *w);

/* A segment's file that was opened for reading and writing. */
struct wal_segment_file {
	int dirfd;
	int fd;
	uint32_t index;
};

/*
 * Goes on at the end of an unsealed segment: walks to the exact append point and restores
 * block index, chain, the partly filled block and the counts. The descriptor is the writer's,
 * also on error. tail (may be NULL) gets what the walk found.
 * Return: 0; -EUCLEAN if it cannot be gone on with (sealed, cut, or bytes after
 * the append point that are not zero); -EBADMSG, -EIO, -ENOMEM.
 */
int wal_segment_writer_open_existing(struct wal_segment_writer *w, const struct wal_io *io,
				     const struct wal_segment_file *file, struct wal_tail *tail);

static inline struct wal_append_point wal_segment_writer_point(const struct wal_segment_writer *w)
{
	return (struct wal_append_point){w->start.index, w->at};
}

/* The largest payload of a single event. */
static inline uint32_t wal_segment_event_limit(uint32_t block_size)
{
	return wal_block_data_size(block_size) - (uint32_t)WAL_EVENT_HEADER;
}

/*
 * A fresh segment's room, less what META records take, is for one half there to be
 * held, and for the other to be appended: so a record up to the limit fits whatever
 * is held.
 */
uint64_t wal_segment_hold_limit(uint32_t block_size, uint64_t file_bytes);
size_t wal_segment_record_limit(uint32_t block_size, uint64_t file_bytes);

/* Moves point after a record of this size. Return: false if it does not fit. */
bool wal_segment_writer_reckon(const struct wal_segment_writer *w, uint32_t size,
			       struct wal_append_point *point);
/* Bytes of data areas after the point. */
uint64_t wal_segment_writer_room(const struct wal_segment_writer *w,
				 const struct wal_append_point *point);
/* Room that a record of this size needs in the worst case, whatever is appended first. */
uint64_t wal_segment_worst_cost(uint32_t block_size, size_t size);
/* At least the sum of that over records of so many bytes together, of any block size. */
uint64_t wal_segment_worst_batch_cost(size_t count, uint64_t bytes);

/*
 * Appends one record; one larger than the event limit becomes a MORE/CONT group.
 * timestamp_ns is raised to the last event's. Return: 0; -ENOSPC if it does not
 * fit (nothing is changed). A fault on the mapping shows in has_failed(), as does an
 * error of writing out, which happens here where a block is full.
 */
int wal_segment_writer_append(struct wal_segment_writer *w, const void *data, uint32_t size,
			      uint32_t flags, uint64_t timestamp_ns);
/* The same for a META(RESUME) record. */
int wal_segment_writer_append_meta(struct wal_segment_writer *w, const struct wal_meta_record *meta,
				   uint64_t timestamp_ns);

/*
 * The mapping failed (SIGBUS was survived), or a pwrite: what came since may be lost, and
 * settle() finds out. Nothing may be appended before that.
 */
static inline bool wal_segment_writer_has_failed(const struct wal_segment_writer *w)
{
	return w->err || wal_guard_was_hit(w->guard);
}

/*
 * No fault showed: what was appended so far is in the file, and others may have been told.
 * settle() does not go back beyond it.
 */
static inline void wal_segment_writer_acknowledge(struct wal_segment_writer *w)
{
	w->floor = wal_segment_writer_point(w);
}

/*
 * After a fault: reads what the file has, and goes back to the end of the last record that
 * is whole there. What was appended after it is not in the segment, and never will be, though
 * parts of it may be in the file, up to leftover_end: those are no records, and clear() has
 * to go before the next append. From here on events are gathered. lost_bytes gets the payload
 * of what append() took and is not there.
 * Return: -ENOSPC, -EDQUOT: it lacked space, and may be gone on with; -EIO: it may
 * not, but what is there can be read: what was acknowledged, too, is missing, say, or the file
 * was cut; -ENOMEM: nothing has changed.
 */
int wal_segment_writer_settle(struct wal_segment_writer *w, uint64_t *lost_bytes);
/*
 * Writes zeros over what is left over, and where nothing is, over a few zeros, to see whether
 * there is space. Return: 0; -ENOSPC, -EDQUOT; -EIO ...
 */
int wal_segment_writer_clear(struct wal_segment_writer *w);

/* Writes the last block's header: appending is over, the chain is known (start.chain). */
void wal_segment_writer_finish(struct wal_segment_writer *w);
/* There was no segment to go on in: appending may go on here. */
void wal_segment_writer_go_on(struct wal_segment_writer *w);

/* Writes the header of the partly filled block; appending may go on. */
void wal_segment_writer_flush_partial(struct wal_segment_writer *w);
/* Starts write-back, or with sync waits until all is durable. Return: 0; -EIO ... */
int wal_segment_writer_flush(struct wal_segment_writer *w, bool sync);

/*
 * Seals: last block header, sync, unmap, cut to its blocks, seal header, sync.
 * Ends the writer, also on error (the segment is then left for recovery), but not where
 * the cut or the header found no space: then it may be sealed again, or closed.
 * Return: 0; -ENOSPC, -EDQUOT; -EIO ...
 */
int wal_segment_writer_seal(struct wal_segment_writer *w, uint64_t closed_ns);
/* What the seal says of the times (FORMAT.md, 3.2); before it. */
void wal_segment_writer_set_time_run(struct wal_segment_writer *w, uint32_t time_run);

/*
 * Ends the writer and leaves the segment active. One that never got its final
 * name is new and empty: it is removed. Bytes after the append point that found no space to
 * be written over stay, and so does leftover_end. Return: 0, or the error of the sync.
 */
int wal_segment_writer_close(struct wal_segment_writer *w, bool sync);

/* As a reader needs it. */
void wal_segment_writer_tail(const struct wal_segment_writer *w, struct wal_tail *tail);

/*
 * Cuts the file to its blocks, writes the seal header and syncs. Shared with recovery. What is
 * in the blocks is on the disk before the call: the caller has synced it, since a seal header
 * that got there first would say so of what is not.
 * Return: 0; -ENOSPC, -EDQUOT: not synced yet, may be tried again; -EIO ...
 */
int wal_segment_seal_synced(const struct wal_io *io, int fd, struct wal_segment_header *header,
			    uint64_t chain);

#endif
