/* SPDX-License-Identifier: MIT */
#include "core/store/clock_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/format/format.h"
#include "core/store/store.h"

static void remove_at(struct wal_clock_steps *steps, unsigned at)
{
	steps->count--;
	memmove(&steps->steps[at], &steps->steps[at + 1],
		(steps->count - at) * sizeof(steps->steps[0]));
}

/* Whatever is moved by one of them is moved by both. */
static void merge_oldest(struct wal_clock_steps *steps)
{
	struct wal_clock_step *second = &steps->steps[1];

	second->step_ns += steps->steps[0].step_ns;
	remove_at(steps, 0);
}

void wal_clock_steps_add(struct wal_clock_steps *steps, const struct wal_clock_step *step)
{
	if (steps->count == WAL_CLOCK_STEPS_MAX)
		merge_oldest(steps);
	steps->steps[steps->count++] = *step;
}

void wal_clock_steps_take_back(struct wal_clock_steps *steps, uint64_t back_ns)
{
	while (steps->count > 0 && back_ns > 0) {
		struct wal_clock_step *last = &steps->steps[steps->count - 1];
		uint64_t part = back_ns < last->step_ns ? back_ns : last->step_ns;

		last->step_ns -= part;
		last->after_ns -= part;
		back_ns -= part;
		if (last->step_ns == 0)
			steps->count--;
	}
}

void wal_clock_steps_forget(struct wal_clock_steps *steps, uint32_t first_segment)
{
	while (steps->count > 0 && steps->steps[0].segment < first_segment)
		remove_at(steps, 0);
}

uint64_t wal_clock_steps_apply(const struct wal_clock_steps *steps, uint32_t segment,
			       uint64_t closed_ns)
{
	unsigned i;

	for (i = 0; i < steps->count; i++) {
		const struct wal_clock_step *step = &steps->steps[i];

		/* A time after `before` was given by a clock that was right before this step. */
		if (segment > step->segment || closed_ns > step->before_ns)
			continue;
		closed_ns = step->after_ns - closed_ns > step->step_ns ? closed_ns + step->step_ns
								       : step->after_ns;
	}
	return closed_ns;
}

static uint64_t checksum(const struct wal_disk_clock *disk)
{
	return wal_checksum(disk, offsetof(struct wal_disk_clock, checksum), 0);
}

static bool is_valid(const struct wal_disk_clock *disk)
{
	return memcmp(disk->magic, WAL_CLOCK_MAGIC, sizeof(disk->magic)) == 0 &&
	       disk->version == WAL_FORMAT_VERSION && disk->count <= WAL_CLOCK_STEPS_MAX &&
	       !disk->reserved[0] && !disk->reserved[1] &&
	       wal_from_le64(disk->checksum) == checksum(disk);
}

static int decode(const struct wal_disk_clock *disk, struct wal_clock_steps *steps)
{
	unsigned i;

	if (!is_valid(disk))
		return -EUCLEAN;
	steps->count = disk->count;
	for (i = 0; i < steps->count; i++) {
		const struct wal_disk_clock_step *from = &disk->steps[i];

		steps->steps[i] = (struct wal_clock_step){
			.segment = wal_from_le32(from->segment),
			.before_ns = wal_from_le64(from->before_ns),
			.after_ns = wal_from_le64(from->after_ns),
			.step_ns = wal_from_le64(from->step_ns),
		};
	}
	return 0;
}

static void encode(const struct wal_clock_steps *steps, struct wal_disk_clock *disk)
{
	unsigned i;

	*disk = (struct wal_disk_clock){.version = WAL_FORMAT_VERSION,
					.count = (uint8_t)steps->count};
	memcpy(disk->magic, WAL_CLOCK_MAGIC, sizeof(disk->magic));
	for (i = 0; i < steps->count; i++) {
		const struct wal_clock_step *from = &steps->steps[i];

		disk->steps[i] = (struct wal_disk_clock_step){
			.segment = wal_to_le32(from->segment),
			.before_ns = wal_to_le64(from->before_ns),
			.after_ns = wal_to_le64(from->after_ns),
			.step_ns = wal_to_le64(from->step_ns),
		};
	}
	disk->checksum = wal_to_le64(checksum(disk));
}

int wal_clock_steps_read(int dirfd, struct wal_clock_steps *steps)
{
	int fd = openat(dirfd, WAL_CLOCK_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct wal_disk_clock disk;
	struct stat st;
	ssize_t n;

	*steps = (struct wal_clock_steps){.count = 0};
	if (fd < 0)
		return errno == ENOENT ? 0 : errno == ELOOP ? -EUCLEAN : -errno;
	n = fstat(fd, &st) || !S_ISREG(st.st_mode) ? -EUCLEAN
						   : wal_pread_full(fd, &disk, sizeof(disk), 0);
	close(fd);
	if (n < 0)
		return (int)n;
	return n == sizeof(disk) && st.st_size == sizeof(disk) ? decode(&disk, steps) : -EUCLEAN;
}

/* Return: whether the file was made, so that its name is to be synced, too; or -errno. */
static int open_to_write(const struct wal_io *io, int dirfd, int *fd, struct wal_error *why)
{
	*fd = io->open(io, dirfd, WAL_CLOCK_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (*fd >= 0)
		return 1;
	if (*fd == -EEXIST)
		*fd = wal_store_open_to_write(io, dirfd, WAL_CLOCK_FILE, NULL, why);
	return *fd < 0 ? *fd : 0;
}

/* One write of one sector: a cut in between is seen by the checksum, and keeps too much. */
int wal_clock_steps_write(const struct wal_io *io, int dirfd, const struct wal_clock_steps *steps,
			  struct wal_error *why)
{
	struct wal_disk_clock disk;
	int fd, made = open_to_write(io, dirfd, &fd, why), err;

	if (made < 0)
		return made;
	encode(steps, &disk);
	err = io->pwrite(io, fd, &disk, sizeof(disk), 0);
	if (!err)
		err = io->fdatasync(io, fd);
	close(fd);
	return !err && made ? io->fsync(io, dirfd) : err;
}
