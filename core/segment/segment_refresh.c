/* SPDX-License-Identifier: MIT */
/* A reader of a file that another process is writing: what came since, and the seal. */
#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/io.h"
#include "core/segment/segment_reader.h"

/* The header that says which segment it is never changes. *sealed: something is in the other. */
static int look_at_headers(const struct wal_segment_reader *r, bool *sealed)
{
	alignas(WAL_HEADER_AREA) uint8_t area[WAL_HEADER_AREA];
	ssize_t n = wal_pread_full(r->fd, area, sizeof(area), 0);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(area) ||
	    memcmp(area, r->area, sizeof(struct wal_disk_segment_header)) != 0)
		return -ESTALE;
	*sealed =
		!wal_is_zero(area + WAL_SEAL_HEADER_OFFSET, sizeof(struct wal_disk_segment_header));
	return 0;
}

static int walk_on(struct wal_segment_reader *r)
{
	struct wal_tail tail = r->tail;
	struct wal_walk_source source = {
		.fd = r->fd, .header = &r->header, .ctx = r, .block = wal_reader_keep_block};
	struct stat st;
	int err;

	if (fstat(r->fd, &st))
		return -errno;
	source.file_bytes = (uint64_t)st.st_size;
	if (source.file_bytes > WAL_SEGMENT_SIZE_MAX)
		source.file_bytes = WAL_SEGMENT_SIZE_MAX;
	r->blocks_count = r->tail.block; /* of a group that was not all there, there are more */
	err = wal_walk_on(&source, &tail);
	if (err)
		return err;
	r->file_bytes = r->info.file_bytes = source.file_bytes;
	wal_segment_reader_set_tail(r, &tail);
	return 0;
}

/* Also where it was sealed since: is all there that was walked? */
static int refresh_file(struct wal_segment_reader *r)
{
	bool sealed;
	int err = look_at_headers(r, &sealed);

	if (!err)
		err = walk_on(r);
	if (err || !sealed)
		return err;
	err = wal_segment_reader_reload(r);
	if (!err && r->info.last_event + 1 < r->tail.next_event)
		err = -ESTALE;
	return err;
}

int wal_segment_reader_refresh(struct wal_segment_reader *r,
			       const struct wal_segment_source *source)
{
	int old = r->fd, err = 0;

	if (r->live || r->shared)
		return -EINVAL;
	if (r->sealed || r->info.state == WAL_DAMAGED)
		return 0;
	if (source) {
		r->fd = -1;
		err = wal_reader_open_file(r, source);
	}
	if (!err)
		err = refresh_file(r);
	if (source && err) {
		if (r->fd >= 0)
			close(r->fd);
		r->fd = old;
	} else if (source) {
		close(old);
	}
	return err;
}
