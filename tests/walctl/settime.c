/* SPDX-License-Identifier: MIT */
/*
 * Gives the last event of an unsealed segment file another time, and a checksum that fits.
 *
 *   settime FILE NANOSECONDS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "core/format/format.h"

/* Return: whether the last event was found; event is it, but for its payload. */
static bool find_last(const char *file, struct wal_event *last, uint64_t *chain)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	bool found = false;

	if (wal_segment_reader_open(&(struct wal_segment_source){.dirfd = AT_FDCWD, .name = file},
				    &reader, NULL))
		return false;
	*chain = wal_segment_reader_info(reader)->prev_chain;
	while (wal_segment_reader_next(reader, &event) == 1) {
		*last = event;
		found = true;
	}
	wal_segment_reader_close(reader);
	return found;
}

static int set_time(const char *file, uint64_t time_ns)
{
	struct wal_event event;
	struct wal_disk_event *record;
	uint64_t chain;
	size_t size;
	int fd;

	if (!find_last(file, &event, &chain))
		return 1;
	size = sizeof(*record) + event.size;
	record = malloc(size);
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (!record || pread(fd, record, size, (off_t)event.file_offset) != (ssize_t)size)
		return 1;
	record->timestamp_ns = wal_to_le64(time_ns);
	record->event_checksum =
		wal_to_le32(wal_event_checksum(record, event.size, chain, event.id));
	if (pwrite(fd, record, size, (off_t)event.file_offset) != (ssize_t)size)
		return 1;
	free(record);
	return close(fd) ? 1 : 0;
}

int main(int argc, char **argv)
{
	int result = argc == 3 ? set_time(argv[1], strtoull(argv[2], NULL, 10)) : 2;

	if (result)
		fprintf(stderr, "settime: could not\n");
	return result;
}
