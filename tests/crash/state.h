/* SPDX-License-Identifier: MIT */
/*
 * A crash point, and the states in which a power cut there may leave the disk.
 *
 * Each unit of a file (a sector or a page) is one of its versions: that of the
 * last sync, or any seen since. Changes of the directory and of sizes came to the
 * disk as a journal does it (all up to some point), or each or not. A change
 * that a sync covered always did.
 */
#ifndef WALFS_TESTS_CRASH_STATE_H
#define WALFS_TESTS_CRASH_STATE_H

#include "tests/crash/crash.h"
#include "tests/crash/disk.h"

/* What was promised when the power went: numbers of records, oldest first. */
struct promise {
	size_t begun;	      /* appends that had begun: no more than these may be there */
	size_t returned;      /* had returned: a killed process leaves all of these */
	size_t synced;	      /* were covered by a sync that had returned */
	uint32_t removed;     /* retention may have removed segments up to this one */
	uint64_t incarnation; /* that records were appended in */
};

struct crash_point {
	struct disk_file files[DISK_FILES_MAX];
	unsigned file_count;
	struct disk_change *changes;
	size_t change_count;
	struct promise promise;
	char label[80];
};

/* Lock held. Keeps the disk as it is now, without its promise. */
struct crash_point *crash_point_new(const struct disk *disk, const char *label);
void crash_point_free(struct crash_point *point);

/* Files as a disk may have them. */
struct image_file {
	char name[WAL_STORE_NAME_MAX];
	uint8_t *data;
	size_t size;
};

struct image {
	struct image_file files[DISK_FILES_MAX];
	unsigned count;
};

void image_destroy(struct image *image);
/* Makes path a directory of exactly these files. */
void image_write(const struct image *image, const char *path);
void image_read(struct image *image, const char *path);
struct image_file *image_find(const struct image *image, const char *name);
void image_copy(struct image *to, const struct image *from);

/* What a process leaves that is killed at this point: everything as it is now. */
void state_killed(const struct crash_point *point, struct image *image);

/*
 * The same in a directory, on a disk that knows what of it is durable: where a new
 * process goes on after a kill, before any power was lost.
 */
void state_killed_on_disk(const struct crash_point *point, const char *path, struct disk *disk);

enum state_order { STATE_JOURNAL, STATE_ANY_ORDER };
#define STATE_SECTOR 512u
#define STATE_PAGE 4096u

/* A way to look at a point's states: how many there are, and each by its number. */
struct state_space {
	const struct crash_point *point;
	enum state_order order;
	uint32_t unit_bytes;
	struct state_digit *digits;
	size_t digit_count;
	uint64_t states; /* UINT64_MAX: too many to count */
};

void state_space_init(struct state_space *space, const struct crash_point *point,
		      enum state_order order, uint32_t unit_bytes);
void state_space_destroy(struct state_space *space);
void state_by_number(struct state_space *space, uint64_t number, struct image *image);
/* One at random; now and then with a unit that is half one version, half another. */
void state_at_random(struct state_space *space, struct rng *rng, struct image *image);

#endif
