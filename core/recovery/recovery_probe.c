/* SPDX-License-Identifier: MIT */
/* What is there: the segments from the last down to the first that is sealed and whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/recovery/recovery_probe.h"
#include "core/segment/segment_reader.h"

static int probe_open(struct wal_probe *probe, const struct wal_segment_reader *r)
{
	if (fstat(r->fd, &probe->stat))
		return -errno;
	probe->info = r->info;
	probe->header = r->header;
	probe->tail = r->tail;
	probe->direct = r->direct;
	if (r->sealed) {
		probe->finding = r->info.state == WAL_SEALED ? FOUND_SEALED : FOUND_DAMAGED;
		probe->fault = r->info.fault;
		probe->excess = r->file_bytes - r->info.file_bytes;
		probe->chain = r->info.chain;
		probe->next_event = r->info.last_event + 1;
		probe->end = wal_block_offset(r->header.block_size, r->header.block_count - 1) +
			     WAL_BLOCK_HEADER + r->start.used_bytes;
		return 0;
	}
	probe->finding = FOUND_UNSEALED;
	if (r->info.state == WAL_DAMAGED) {
		probe->finding = FOUND_SEAL_LOST;
		probe->fault = r->info.fault;
	}
	probe->next_event = r->tail.next_event;
	probe->end = r->tail.offset;
	return wal_segment_reader_end_chain(r, &probe->chain);
}

/* Before the log's UUID is known, the first segment to have one decides. */
static void learn_log(struct wal_recovery *rec, const struct wal_probe *probe)
{
	if (wal_is_zero(rec->meta.log, sizeof(rec->meta.log)))
		memcpy(rec->meta.log, probe->info.log, sizeof(rec->meta.log));
}

static bool is_of_this_log(const struct wal_recovery *rec, const struct wal_probe *probe)
{
	return memcmp(rec->meta.log, probe->info.log, sizeof(rec->meta.log)) == 0;
}

/* R33: of what can still be read, the header, so that whole blocks can prove their ids. */
static void probe_unreadable(const struct wal_plan *plan, const char *name, struct wal_probe *probe)
{
	struct wal_disk_segment_header disk;
	struct wal_segment_header header;
	int fd = openat(plan->rec->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	probe->finding = FOUND_IO;
	if (fd < 0)
		return;
	if (wal_pread_full(fd, &disk, sizeof(disk), WAL_ACTIVE_HEADER_OFFSET) ==
		    (ssize_t)sizeof(disk) &&
	    wal_segment_header_decode(&disk, WAL_STATE_ACTIVE, &header) == WAL_FAULT_NONE &&
	    header.index == probe->index)
		probe->header = header;
	close(fd);
}

/*
 * An error that a bad sector explains; and when only looking, any that is the file's. One that
 * was in the list and is gone was taken away since.
 */
static bool is_unreadable(const struct wal_plan *plan, int err)
{
	return wal_is_media_error(err) ||
	       (plan->rec->read_only && err != -ENOENT && !wal_is_out_of_resources(err));
}

/* What an unsealed segment with a bad sector still shows is for readers, not to decide by (R33). */
static int open_to_probe(const struct wal_recovery *rec, const char *name, uint32_t index,
			 struct wal_segment_reader **r, struct wal_fault *fault)
{
	const struct wal_segment_source source = {
		.dirfd = rec->dirfd, .name = name, .index = index, .flags = rec->read_flags};
	int err = wal_segment_reader_open(&source, r, fault);

	if (err || (*r)->sealed || (*r)->info.fault.kind != WAL_FAULT_IO)
		return err;
	*fault = (*r)->info.fault;
	wal_segment_reader_close(*r);
	return -EIO;
}

static int probe_segment(struct wal_plan *plan, uint32_t index, struct wal_probe *probe)
{
	struct wal_recovery *rec = plan->rec;
	struct wal_segment_reader *r;
	char name[WAL_NAME_MAX];
	int err;

	*probe = (struct wal_probe){.index = index};
	wal_segment_name(index, name);
	err = open_to_probe(rec, name, index, &r, &probe->fault);
	if (err == -EPROTONOSUPPORT)
		return wal_error_set(
			plan->error, err,
			"%s/%s: written by a newer walfs; use that one, or a newer, to mount it",
			rec->path, name);
	if (err == -ENOMEM)
		return err;
	if (err && probe->fault.kind == WAL_FAULT_IO && is_unreadable(plan, err)) {
		probe_unreadable(plan, name, probe);
		return 0;
	}
	if (err && probe->fault.kind == WAL_FAULT_IO)
		return wal_error_set(plan->error, err, "%s/%s: cannot be read: %s", rec->path, name,
				     probe->fault.detail);
	if (err) {
		probe->finding = probe->fault.kind == WAL_FAULT_NOT_A_FILE ? FOUND_NOT_A_FILE
									   : FOUND_UNREADABLE;
		return 0;
	}
	err = probe_open(probe, r);
	wal_segment_reader_close(r);
	/* A damaged one whose first record is lost does not say whose it is: it counts as ours. */
	if (err || !wal_segment_says_log(&probe->info))
		return err;
	learn_log(rec, probe);
	if (!is_of_this_log(rec, probe)) {
		probe->finding = FOUND_UNREADABLE;
		probe->fault = (struct wal_fault){
			.kind = WAL_FAULT_OTHER_LOG, .segment = index, .block = WAL_NO_BLOCK};
	}
	return 0;
}

/*
 * wal.meta alone says another log than every segment there: a copy in the wrong place.
 * To go on as that log would take everything in the store for foreign.
 */
static bool meta_is_foreign(const struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	size_t i, foreign = 0;

	for (i = 0; i < plan->count; i++) {
		if (plan->probes[i].fault.kind == WAL_FAULT_OTHER_LOG)
			foreign++;
		else if (is_of_this_log(rec, &plan->probes[i]))
			return false;
	}
	return foreign && rec->has_meta;
}

static void reverse(struct wal_probe *probes, size_t count)
{
	struct wal_probe swap;
	size_t i;

	for (i = 0; i < count / 2; i++) {
		swap = probes[i];
		probes[i] = probes[count - 1 - i];
		probes[count - 1 - i] = swap;
	}
}

int wal_plan_probe_down(struct wal_plan *plan, size_t i, wal_plan_is_end *is_end,
			struct wal_probe **probes, size_t *count)
{
	size_t room = *count = 0;
	int err = 0;

	while (i > 0 && !err) {
		if (*count == room) {
			struct wal_probe *grown;

			room = room ? room * 2 : 4;
			grown = realloc(*probes, room * sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			*probes = grown;
		}
		err = probe_segment(plan, plan->rec->list.segments[--i], &(*probes)[*count]);
		if (!err && is_end(plan, &(*probes)[(*count)++]))
			break;
	}
	reverse(*probes, *count);
	return err;
}

static bool is_sealed_and_whole(const struct wal_plan *plan, const struct wal_probe *probe)
{
	(void)plan;
	return probe->finding == FOUND_SEALED;
}

static int probe_all(struct wal_plan *plan)
{
	return wal_plan_probe_down(plan, plan->rec->list.count, is_sealed_and_whole, &plan->probes,
				   &plan->count);
}

int wal_plan_probe(struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	int err = probe_all(plan);

	if (err || !meta_is_foreign(plan))
		return err;
	if (!rec->read_only) /* R32 */
		return wal_error_set(
			plan->error, -EUCLEAN,
			"%s/%s: is of another log than the segments beside it; move it away "
			"and mount again: it is rebuilt from them",
			rec->path, WAL_META_FILE);
	wal_plan_forget_meta(plan, "of another log than the segments beside it",
			     "move it away, and it is rebuilt from them");
	return probe_all(plan);
}

/*
 * Whole blocks from the tail of a damaged segment on prove that their ids were given.
 * One that cannot be read is passed over; *bad is the first such, or WAL_NO_BLOCK.
 */
static int prove_blocks(struct wal_plan *plan, const struct wal_probe *probe, int fd, uint32_t *bad)
{
	uint32_t size = probe->header.block_size, i, at;
	struct wal_block_place place = {.segment_prev_chain = probe->header.prev_chain,
					.block_size = size};
	uint8_t *block = malloc(size);
	struct wal_block_header header;

	*bad = WAL_NO_BLOCK;
	if (!block)
		return -ENOMEM;
	for (i = probe->tail.block; wal_block_offset(size, i) < WAL_SEGMENT_SIZE_MAX; i++) {
		ssize_t n = wal_pread_full(fd, block, size, (off_t)wal_block_offset(size, i));

		if (n >= 0 && n < (ssize_t)size)
			break;
		if (n < 0 && !wal_is_media_error((int)n)) {
			free(block);
			return (int)n;
		}
		if (n < 0 && *bad == WAL_NO_BLOCK)
			*bad = i;
		place.index = i;
		if (n > 0 && wal_block_check(block, &place, &header, &at) == WAL_FAULT_NONE)
			wal_plan_prove(plan, header.first_event_id + header.event_count - 1);
	}
	free(block);
	return 0;
}

/* So do records before a block that cannot be read. */
static int prove_by_walk(struct wal_plan *plan, const struct wal_probe *probe, int fd, uint32_t bad)
{
	const struct wal_walk_source source = {
		.fd = fd,
		.header = &probe->header,
		.file_bytes = wal_block_offset(probe->header.block_size, bad),
	};
	struct wal_tail tail;
	int err = wal_walk(&source, &tail);

	if (!err)
		wal_plan_prove(plan, tail.next_event - 1);
	return err == -EUCLEAN ? 0 : err; /* not even its first record */
}

int wal_plan_prove_by_blocks(struct wal_plan *plan, const struct wal_probe *probe)
{
	char name[WAL_NAME_MAX];
	uint32_t bad;
	int fd, err;

	/* Nobody gives ids who only looks; without a header no block can be checked. */
	if (plan->rec->read_only || !probe->header.block_size)
		return 0;
	wal_segment_name(probe->index, name);
	fd = openat(plan->rec->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return wal_error_set(plan->error, -errno, "%s/%s: cannot be read: %s",
				     plan->rec->path, name, strerror(errno));
	err = prove_blocks(plan, probe, fd, &bad);
	if (!err && bad != WAL_NO_BLOCK && bad > 0)
		err = prove_by_walk(plan, probe, fd, bad);
	close(fd);
	return err;
}
