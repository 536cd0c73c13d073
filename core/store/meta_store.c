/* SPDX-License-Identifier: MIT */
#include "core/store/meta_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/direct.h"
#include "core/format/format.h"
#include "core/store/store.h"

union slot {
	struct wal_disk_meta_slot meta;
	uint8_t bytes[WAL_META_SLOT_BYTES];
} __attribute__((aligned(WAL_DIRECT_ALIGN)));

static_assert(WAL_META_SLOT_BYTES % WAL_DIRECT_ALIGN == 0, "slots are written past the page cache");

static uint64_t slot_checksum(const struct wal_disk_meta_slot *disk)
{
	return wal_checksum(disk, offsetof(struct wal_disk_meta_slot, slot_checksum), 0);
}

static void slot_encode(const struct wal_meta *meta, union slot *slot)
{
	struct wal_disk_meta_slot *disk = &slot->meta;

	memset(slot, 0, sizeof(*slot));
	memcpy(disk->magic, WAL_META_MAGIC, sizeof(disk->magic));
	disk->version = WAL_FORMAT_VERSION;
	disk->incompat = meta->copy ? WAL_META_COPY : 0;
	disk->block_size_log2 = (uint8_t)__builtin_ctz(meta->block_size);
	disk->sequence = wal_to_le64(meta->sequence);
	memcpy(disk->log, meta->log, sizeof(disk->log));
	disk->segment_bytes = wal_to_le64(meta->segment_bytes);
	disk->framing = wal_to_le32(meta->framing.kind);
	disk->framing_size = wal_to_le32(meta->framing.size);
	disk->incarnation = wal_to_le64(meta->incarnation);
	disk->durable_segment = wal_to_le32(meta->durable.segment);
	disk->first_segment = wal_to_le32(meta->first_segment);
	disk->durable_offset = wal_to_le64(meta->durable.offset);
	disk->durable_event_id = wal_to_le64(meta->durable.event);
	disk->flags = wal_to_le32(meta->clean ? WAL_META_CLEAN : 0);
	disk->slot_checksum = wal_to_le64(slot_checksum(disk));
}

static bool meta_is_possible(const struct wal_meta *meta)
{
	return meta->sequence > 0 && meta->durable.segment < UINT32_MAX &&
	       meta->durable.event < WAL_EVENT_ID_LIMIT && wal_framing_is_possible(meta->framing) &&
	       wal_segment_bytes_are_possible(meta->segment_bytes, meta->block_size);
}

/* Return: 0; -EBADMSG; -EPROTONOSUPPORT. */
static int slot_decode(const union slot *slot, struct wal_meta *meta)
{
	const struct wal_disk_meta_slot *disk = &slot->meta;

	if (memcmp(disk->magic, WAL_META_MAGIC, sizeof(disk->magic)) != 0 ||
	    slot_checksum(disk) != wal_from_le64(disk->slot_checksum))
		return -EBADMSG;
	if (disk->version != WAL_FORMAT_VERSION || (disk->incompat & ~WAL_META_COPY))
		return -EPROTONOSUPPORT;
	if (disk->block_size_log2 < WAL_BLOCK_SIZE_LOG2_MIN ||
	    disk->block_size_log2 > WAL_BLOCK_SIZE_LOG2_MAX || disk->reserved ||
	    wal_from_le32(disk->reserved2) || (wal_from_le32(disk->flags) & ~WAL_META_CLEAN) ||
	    !wal_is_zero(slot->bytes + sizeof(*disk), sizeof(*slot) - sizeof(*disk)))
		return -EBADMSG;
	*meta = (struct wal_meta){
		.sequence = wal_from_le64(disk->sequence),
		.block_size = UINT32_C(1) << disk->block_size_log2,
		.segment_bytes = wal_from_le64(disk->segment_bytes),
		.framing = {wal_from_le32(disk->framing), wal_from_le32(disk->framing_size)},
		.incarnation = wal_from_le64(disk->incarnation),
		.durable = {wal_from_le32(disk->durable_segment),
			    wal_from_le64(disk->durable_offset),
			    wal_from_le64(disk->durable_event_id)},
		.first_segment = wal_from_le32(disk->first_segment),
		.clean = wal_from_le32(disk->flags) & WAL_META_CLEAN,
		.copy = disk->incompat & WAL_META_COPY,
	};
	memcpy(meta->log, disk->log, sizeof(meta->log));
	return meta_is_possible(meta) ? 0 : -EBADMSG;
}

static int read_slots(const struct wal_io *io, int fd, struct wal_meta *meta,
		      struct wal_meta_slots *slots)
{
	int result = -EBADMSG;
	unsigned i;

	for (i = 0; i < WAL_META_SLOTS; i++) {
		struct wal_meta found;
		union slot slot;
		ssize_t n = wal_direct_read(io, fd, &slot, sizeof(slot),
					    (off_t)i * WAL_META_SLOT_BYTES);
		int err;

		if (n < 0)
			return (int)n;
		slots->zero[i] = wal_is_zero(&slot, (size_t)n);
		slots->cut = n < (ssize_t)sizeof(slot);
		err = n < (ssize_t)sizeof(slot) ? -EBADMSG : slot_decode(&slot, &found);
		if (err == -EPROTONOSUPPORT)
			return err;
		slots->valid[i] = err == 0;
		if (err || (result == 0 && found.sequence <= meta->sequence))
			continue;
		*meta = found;
		slots->newest = i;
		result = 0;
	}
	return result;
}

bool wal_meta_slots_are_whole(const struct wal_meta *meta, const struct wal_meta_slots *slots)
{
	unsigned i;

	for (i = 0; i < WAL_META_SLOTS; i++) {
		if (!slots->valid[i] && !slots->zero[i])
			return false;
	}
	if (slots->valid[0] == slots->valid[1])
		return true;
	return meta->sequence == 1 && !slots->cut;
}

static int open_to_read(int dirfd)
{
	int fd = openat(dirfd, WAL_META_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP ? -EUCLEAN : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EUCLEAN;
	}
	return fd;
}

int wal_meta_read_by(const struct wal_io *io, int dirfd, struct wal_meta *meta,
		     struct wal_meta_slots *slots)
{
	struct wal_meta_slots unused;
	int fd = open_to_read(dirfd);
	int err;

	if (!slots)
		slots = &unused;
	memset(slots, 0, sizeof(*slots));
	if (fd < 0)
		return fd;
	err = read_slots(io, fd, meta, slots);
	close(fd);
	return err;
}

int wal_meta_read(int dirfd, struct wal_meta *meta, struct wal_meta_slots *slots)
{
	return wal_meta_read_by(&wal_io_system, dirfd, meta, slots);
}

static int create(struct wal_meta_store *store, int dirfd)
{
	const struct wal_io *io = store->io;
	int err = io->allocate(io, store->fd, 0, WAL_META_SLOTS * WAL_META_SLOT_BYTES);

	if (!err)
		err = io->fsync(io, store->fd);
	return err ? err : io->fsync(io, dirfd);
}

int wal_meta_store_open(struct wal_meta_store *store, const struct wal_io *io, int dirfd,
			struct wal_error *why)
{
	struct wal_meta_slots slots = {0};
	struct wal_meta meta = {0};
	struct stat st;
	int err;

	*store = (struct wal_meta_store){.io = io, .read_back = true};
	store->fd =
		io->open(io, dirfd, WAL_META_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (store->fd == -EEXIST)
		store->fd = wal_store_open_to_write(io, dirfd, WAL_META_FILE, NULL, why);
	if (store->fd < 0)
		return store->fd;
	err = fstat(store->fd, &st) ? -errno : 0;
	if (!err && st.st_size < (off_t)(WAL_META_SLOTS * WAL_META_SLOT_BYTES))
		err = create(store, dirfd);
	if (!err)
		err = read_slots(io, store->fd, &meta, &slots);
	if (err && err != -EBADMSG) {
		close(store->fd);
		return err;
	}
	store->sequence = meta.sequence;
	store->slot = err ? 0 : slots.newest ^ 1;
	return 0;
}

/*
 * Past the page cache there is nothing that could lie about it, so one look is enough, and
 * that is for where there is no such way.
 */
static int write_slot(struct wal_meta_store *store, const union slot *slot)
{
	const struct wal_io *io = store->io;
	off_t at = (off_t)store->slot * WAL_META_SLOT_BYTES;
	int err;

	if (store->read_back)
		return wal_direct_write(io, store->fd, slot, sizeof(*slot), at);
	err = io->pwrite_direct(io, store->fd, slot, sizeof(*slot), at);
	return err == -EOPNOTSUPP ? io->pwrite(io, store->fd, slot, sizeof(*slot), at) : err;
}

int wal_meta_store_write(struct wal_meta_store *store, struct wal_meta *meta)
{
	const struct wal_io *io = store->io;
	union slot slot;
	int err;

	meta->sequence = store->sequence + 1;
	slot_encode(meta, &slot);
	err = write_slot(store, &slot);
	if (!err)
		err = wal_sync_error(io->fdatasync(io, store->fd));
	if (err)
		return err;
	store->read_back = false;
	store->sequence = meta->sequence;
	store->slot ^= 1;
	return 0;
}

void wal_meta_store_close(struct wal_meta_store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}
