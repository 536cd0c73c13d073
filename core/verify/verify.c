/* SPDX-License-Identifier: MIT */
/*
 * Every layer of a segment, each with its own words: header area, block header,
 * chained checksum, block checksum, events, padding, counts. Damage in one block
 * does not hide what is after it.
 */
#include "core/verify/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/io.h"
#include "core/segment/segment_reader.h"
#include "core/store/store.h"
#include "core/verify/verify_feed.h"

#define PROGRESS_BYTES (UINT64_C(1) << 20)

struct verifier {
	const struct wal_verify_options *options;
	struct wal_verify_result *result;
	struct wal_verify_progress *progress;
	const char *name;
	uint32_t segment;
	uint64_t faults; /* of this segment */
	uint64_t reported_bytes;

	const struct wal_segment_reader *r;
	const uint8_t *block;
	struct wal_block_header header; /* of the block that is looked at */
	uint64_t chain;			/* of the block before it */
	bool chain_known;
	uint64_t next_event; /* as the blocks before add up to */
	uint64_t payload;
	bool sums_known;
	uint64_t last_ns;
	bool in_group;
	bool group_known;
	uint64_t events;
	uint64_t payload_bytes;
};

__attribute__((format(printf, 4, 5))) static void report(struct verifier *v,
							 enum wal_fault_kind kind,
							 struct wal_fault_place place,
							 const char *format, ...)
{
	struct wal_fault fault = {
		.kind = kind, .segment = v->segment, .block = place.block, .offset = place.offset};
	va_list args;

	va_start(args, format);
	vsnprintf(fault.detail, sizeof(fault.detail), format, args);
	va_end(args);
	wal_verify_report(v->options, v->result, v->name, &fault);
	v->faults++;
}

void wal_verify_report(const struct wal_verify_options *options, struct wal_verify_result *result,
		       const char *name, const struct wal_fault *fault)
{
	if (result->faults++ == 0) {
		result->first = *fault;
		snprintf(result->first_name, sizeof(result->first_name), "%s", name);
	}
	if (options->fault)
		options->fault(options->ctx, name, fault);
}

void wal_verify_note(const struct wal_verify_options *options, struct wal_verify_result *result,
		     const char *name, const struct wal_fault *note)
{
	result->notes++;
	if (options->note)
		options->note(options->ctx, name, note);
}

bool wal_verify_tail(const struct wal_verify_options *options, struct wal_verify_result *result,
		     const char *name, uint32_t index, const struct wal_tail *tail)
{
	struct wal_fault fault = {.kind = WAL_FAULT_TAIL,
				  .segment = index,
				  .block = tail->block,
				  .offset = tail->offset};

	if (tail->nonzero_end == tail->offset)
		return false;
	snprintf(fault.detail, sizeof(fault.detail),
		 "%" PRIu64 " bytes after event %" PRIu64 ": %s", tail->nonzero_end - tail->offset,
		 tail->next_event - 1, wal_fault_kind_name(tail->stop));
	wal_verify_report(options, result, name, &fault);
	return true;
}

int wal_verify_progressed(const struct wal_verify_options *options,
			  struct wal_verify_progress *progress, uint32_t segment, uint64_t bytes)
{
	progress->done_bytes += bytes;
	progress->segment = segment;
	return !options->progress || options->progress(options->ctx, progress) ? 0 : -ECANCELED;
}

static bool report_progress(struct verifier *v, uint64_t bytes)
{
	v->progress->done_bytes += bytes;
	v->progress->segment = v->segment;
	if (!v->options->progress || v->progress->done_bytes - v->reported_bytes < PROGRESS_BYTES)
		return true;
	v->reported_bytes = v->progress->done_bytes;
	return v->options->progress(v->options->ctx, v->progress);
}

/* --- events ------------------------------------------------------------------------------- */

static uint64_t data_offset(const struct verifier *v, uint32_t index)
{
	return wal_block_offset(v->r->header.block_size, index) + WAL_BLOCK_HEADER;
}

/* The place of a field of the block's header. */
#define IN_HEADER(v, block, member) \
	wal_in_block(block, wal_block_offset((v)->r->header.block_size, block) + \
				    offsetof(struct wal_disk_block_header, member))

static void check_group(struct verifier *v, uint32_t block, uint64_t offset, uint64_t id,
			uint32_t flags)
{
	bool continues = flags & WAL_EVENT_CONT;

	if (v->group_known && continues != v->in_group)
		report(v, WAL_FAULT_EVENT_GROUP, wal_in_block(block, offset), "event %" PRIu64, id);
	v->group_known = true;
	v->in_group = flags & WAL_EVENT_MORE;
}

static bool check_meta(struct verifier *v, uint32_t block, uint32_t at,
		       const struct wal_found *found)
{
	if (v->group_known && v->in_group)
		report(v, WAL_FAULT_EVENT_GROUP, wal_in_block(block, data_offset(v, block) + at),
		       "%s", "a META record in it");
	if (wal_meta_fits(found, block, at, v->r->header.block_size))
		return true;
	report(v, WAL_FAULT_META, wal_in_block(block, data_offset(v, block) + at), "%s", "");
	return false;
}

/* Return: false at the first bad event; what follows it cannot be told apart. */
static bool check_event(struct verifier *v, uint32_t block, uint32_t at, uint64_t id,
			struct wal_found *found)
{
	uint64_t offset = data_offset(v, block) + at;
	enum wal_fault_kind kind;

	kind = wal_record_parse(&(struct wal_record_query){.data = v->block + WAL_BLOCK_HEADER,
							   .at = at,
							   .limit = v->header.used_bytes,
							   .prev_chain = v->r->header.prev_chain,
							   .id = id,
							   .not_before_ns = v->last_ns},
				found);
	if (kind) {
		report(v, kind, wal_in_block(block, offset), "event %" PRIu64, id);
		return kind == WAL_FAULT_EVENT_TIME;
	}
	if (found->flags & WAL_EVENT_META)
		return check_meta(v, block, at, found);
	if (block == 0 && at == 0)
		report(v, WAL_FAULT_META, wal_in_block(block, offset), "%s",
		       "the first record is an event");
	check_group(v, block, offset, id, found->flags);
	return true;
}

/* Of a block whose events are all known. */
static void add_counts(struct verifier *v, uint32_t events, uint64_t payload)
{
	v->events += events;
	v->payload_bytes += payload;
	v->next_event = v->header.first_event_id + events;
	v->payload = v->header.payload_offset + payload;
	v->sums_known = true;
}

static void check_events(struct verifier *v, uint32_t block)
{
	uint64_t id = v->header.first_event_id, payload = 0;
	uint32_t at, count = 0;
	struct wal_found found;

	for (at = 0; at < v->header.used_bytes; at += found.span) {
		if (!check_event(v, block, at, id, &found)) {
			v->sums_known = v->group_known = false;
			return;
		}
		if (at == 0 && found.timestamp_ns != v->header.first_timestamp_ns)
			report(v, WAL_FAULT_BLOCK_FIELD, IN_HEADER(v, block, first_timestamp_ns),
			       "%s", "first timestamp is not that of the first record");
		v->last_ns = found.timestamp_ns;
		if (found.flags & WAL_EVENT_META)
			continue;
		id++;
		count++;
		payload += found.size;
	}
	if (count != v->header.event_count)
		report(v, WAL_FAULT_COUNT, IN_HEADER(v, block, event_count),
		       "%" PRIu32 " events, the block header says %" PRIu32, count,
		       v->header.event_count);
	add_counts(v, count, payload);
}

/* --- blocks --------------------------------------------------------------------------------- */

/* Does the block go on where the one before it ended? */
static void check_continues(struct verifier *v, uint32_t block)
{
	if (v->chain_known && !wal_block_header_check_chain((const void *)v->block, v->chain))
		report(v, WAL_FAULT_CHAIN, IN_HEADER(v, block, chained_checksum), "%s", "");
	if (v->sums_known && v->header.first_event_id != v->next_event)
		report(v, WAL_FAULT_COUNT, IN_HEADER(v, block, first_event_id),
		       "begins with event %" PRIu64 ", expected %" PRIu64, v->header.first_event_id,
		       v->next_event);
	if (v->sums_known && v->header.payload_offset != v->payload)
		report(v, WAL_FAULT_COUNT, IN_HEADER(v, block, payload_offset),
		       "begins at payload byte %" PRIu64 ", expected %" PRIu64,
		       v->header.payload_offset, v->payload);
	v->chain = v->header.chain;
	v->chain_known = true;
}

/* The header fits; does the data? The first bad event says where it does not. */
static void check_data(struct verifier *v, uint32_t block)
{
	const uint8_t *data = v->block + WAL_BLOCK_HEADER;
	uint32_t used = v->header.used_bytes;

	if (wal_checksum(data, used, 0) != v->header.block_checksum)
		report(v, WAL_FAULT_BLOCK_CHECKSUM, wal_in_block(block, data_offset(v, block)),
		       "%s", "");
	check_events(v, block);
	if (!wal_is_zero(data + used, wal_block_data_size(v->r->header.block_size) - used))
		report(v, WAL_FAULT_PADDING, wal_in_block(block, data_offset(v, block) + used),
		       "%s", "after the used bytes");
}

/*
 * A block that is sound by itself: it is, too, after what came before it?
 * Return: false if its events must be looked at one by one to say what is wrong.
 */
static bool add_sound_block(struct verifier *v, const struct wal_block_sum *sum)
{
	if (sum->header.first_timestamp_ns < v->last_ns)
		return false;
	if (sum->has_events && v->group_known && sum->continues != v->in_group)
		return false;
	if (sum->begins_with_meta && v->group_known && v->in_group)
		return false;
	if (sum->has_events) {
		v->group_known = true;
		v->in_group = sum->goes_on;
	}
	v->last_ns = sum->last_ns;
	add_counts(v, sum->header.event_count, sum->payload_bytes);
	return true;
}

/* Nothing of the block is known: the next one cannot be compared with it. */
static void lose_block(struct verifier *v)
{
	v->chain_known = v->sums_known = v->group_known = false;
}

/* Return: 0; 1 if the file ends here. */
static int check_block(struct verifier *v, uint32_t block, const struct wal_fed_block *fed)
{
	const struct wal_segment_header *header = &v->r->header;
	uint64_t offset = wal_block_offset(header->block_size, block);
	enum wal_fault_kind kind;

	if (fed->read < 0) {
		/* One bad place on a disk does not hide the rest. */
		report(v, WAL_FAULT_IO, wal_in_block(block, offset), "%s",
		       strerror((int)-fed->read));
		lose_block(v);
		return 0;
	}
	if (fed->read < (ssize_t)header->block_size)
		return 1; /* the file is too short, which was said */
	v->block = fed->block;
	v->result->blocks++;
	kind = wal_block_header_decode((const void *)v->block, header->prev_chain,
				       header->block_size, block, &v->header);
	if (kind) {
		report(v, kind, wal_in_block(block, offset), "%s", "");
		lose_block(v);
		return 0;
	}
	check_continues(v, block);
	if (!fed->sound || !add_sound_block(v, &fed->sum))
		check_data(v, block);
	return 0;
}

static void check_totals(struct verifier *v)
{
	const struct wal_segment_reader *r = v->r;

	if (v->faults)
		return;
	if (v->in_group)
		report(v, WAL_FAULT_EVENT_GROUP,
		       wal_in_block(r->header.block_count - 1, r->info.file_bytes), "%s",
		       "the last event says that it goes on");
	if (v->events != r->header.event_count)
		report(v, WAL_FAULT_COUNT,
		       wal_in_file(WAL_SEAL_HEADER_OFFSET +
				   offsetof(struct wal_disk_segment_header, event_count)),
		       "%" PRIu64 " events, the seal header says %" PRIu32, v->events,
		       r->header.event_count);
}

static int check_blocks(struct verifier *v)
{
	const struct wal_segment_header *header = &v->r->header;
	struct wal_block_feed *feed;
	uint32_t i;
	int err;

	v->chain = header->prev_chain;
	v->next_event = header->first_event_id;
	v->chain_known = v->sums_known = v->group_known = true;
	err = wal_block_feed_start(v->r, v->options->threads, &feed);
	for (i = 0; i < header->block_count && !err; i++) {
		err = check_block(v, i, wal_block_feed_next(feed));
		if (!err && !report_progress(v, header->block_size))
			err = -ECANCELED;
	}
	wal_block_feed_stop(feed);
	return err;
}

static int check_sealed(struct verifier *v)
{
	const struct wal_segment_reader *r = v->r;
	const struct wal_fault *fault = &r->info.fault;
	int err;

	/* What concerns a block is found again below, with all that is wrong there. */
	if (fault->kind && fault->block == WAL_NO_BLOCK)
		report(v, fault->kind, wal_in_block(fault->block, fault->offset), "%s",
		       fault->detail);
	if (r->file_bytes > r->info.file_bytes)
		report(v, WAL_FAULT_TOO_LONG, wal_in_file(r->info.file_bytes),
		       "%" PRIu64 " bytes too many", r->file_bytes - r->info.file_bytes);
	err = check_blocks(v);
	if (err < 0)
		return err;
	check_totals(v);
	return 0;
}

static int check_unsealed(struct verifier *v)
{
	const struct wal_segment_reader *r = v->r;
	const struct wal_fault *fault = &r->info.fault;

	if (fault->kind)
		report(v, fault->kind, wal_in_block(fault->block, fault->offset), "%s",
		       fault->detail);
	if (wal_verify_tail(v->options, v->result, v->name, v->segment, &r->tail))
		v->faults++;
	v->events = r->tail.event_count;
	v->payload_bytes = r->tail.payload_bytes;
	v->result->blocks += r->tail.block + 1;
	return report_progress(v, r->file_bytes) ? 0 : -ECANCELED;
}

/* --- a segment -------------------------------------------------------------------- */

int wal_verify_open(const struct wal_segment_source *source, struct wal_segment_reader **reader,
		    const struct wal_verify_options *options, struct wal_verify_result *result)
{
	struct wal_fault fault;
	int err = wal_segment_reader_open(source, reader, &fault);

	if (!err)
		return 0;
	if (err == -ENOMEM || (fault.kind == WAL_FAULT_IO && err != -EIO))
		return err;
	result->segments++;
	wal_verify_report(options, result, source->name, &fault);
	return 1;
}

int wal_verify_reader(struct wal_segment_reader *r, const char *name,
		      const struct wal_verify_options *options, struct wal_verify_result *result,
		      struct wal_verify_progress *progress)
{
	struct verifier v = {.options = options,
			     .result = result,
			     .progress = progress,
			     .name = name,
			     .segment = r->info.index,
			     .r = r,
			     .reported_bytes = progress->done_bytes};
	int err = r->sealed ? check_sealed(&v) : check_unsealed(&v);

	result->segments++;
	result->events += v.events;
	result->payload_bytes += v.payload_bytes;
	result->file_bytes += r->info.file_bytes;
	result->direct = result->direct && r->direct;
	if (!err && options->segment)
		options->segment(options->ctx, name, &r->info, v.faults);
	return err;
}

bool wal_segment_is_none(int dirfd, const char *name, uint32_t index)
{
	char magic[2][4] = {{0}};
	struct stat st;
	int fd;

	if (index || wal_segment_name_parse(name) || fstatat(dirfd, name, &st, 0) ||
	    !S_ISREG(st.st_mode))
		return false;
	fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (wal_pread_full(fd, magic[0], 4, WAL_ACTIVE_HEADER_OFFSET) < 0 ||
	    wal_pread_full(fd, magic[1], 4, WAL_SEAL_HEADER_OFFSET) < 0)
		memcpy(magic[0], WAL_SEGMENT_MAGIC, 4); /* who knows */
	close(fd);
	return memcmp(magic[0], WAL_SEGMENT_MAGIC, 4) != 0 &&
	       memcmp(magic[1], WAL_SEGMENT_MAGIC, 4) != 0;
}

/* Is the directory that the file is in held by a daemon, which may be writing to the file? */
static bool is_held(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	char *parent = slash ? strndup(name, (size_t)(slash - name) + 1) : NULL;
	int fd = openat(dirfd, parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool held = fd >= 0 && wal_store_is_locked(fd);

	if (fd >= 0)
		close(fd);
	free(parent);
	return held;
}

int wal_verify_segment(int dirfd, const char *name, uint32_t index,
		       const struct wal_verify_options *options, struct wal_verify_result *result)
{
	const struct wal_segment_source source = {
		.dirfd = dirfd, .name = name, .index = index, .flags = options->flags};
	struct wal_verify_progress progress = {0};
	struct wal_segment_reader *r;
	int err;

	*result = (struct wal_verify_result){.direct = true};
	if (wal_segment_is_none(dirfd, name, index))
		return -EMEDIUMTYPE;
	err = wal_verify_open(&source, &r, options, result);
	if (err)
		return err < 0 ? err : 0;
	/* Beside a daemon, what is after the last event is one that is being appended. */
	if (!r->sealed && r->tail.nonzero_end != r->tail.offset && is_held(dirfd, name))
		r->tail.nonzero_end = r->tail.offset;
	progress.total_bytes = r->file_bytes;
	err = wal_verify_reader(r, name, options, result, &progress);
	wal_segment_reader_close(r);
	return err;
}
