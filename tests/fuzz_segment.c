/* SPDX-License-Identifier: MIT */
/*
 * A segment file of any bytes: the reader, all its seeks, and the verifier. The
 * library and the oracle must agree on whether it is valid and on its events.
 *
 * Input: one byte that says which checksums are made right (so that what is
 * behind them is reached), then the file. A segment as it is, of tests/golden, is one too.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz_fix.h"

#define SEGMENT "0000000001.wal"
#define IMAGE_MAX (64u << 10)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char scratch[64];
static int scratch_fd;

static void remove_scratch(void)
{
	unlinkat(scratch_fd, SEGMENT, 0);
	rmdir(scratch);
}

static void write_file(int dirfd, const char *name, const uint8_t *bytes, size_t size)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	close(fd);
}

/* --- seeds: valid segments, written into the corpus directory --------------------- */

static void fill(struct oracle_image *image, unsigned kind)
{
	static uint8_t text[6000];
	struct oracle_params params = {
		.index = 1,
		.block_size = 4096,
		.blocks = 3,
		.first_event = kind % 2 ? 1 : 1000,
		.prev_chain = 77,
		.created_ns = UINT64_C(1795341662000000000),
		.incarnation = 1,
		.writer_version = 0x000100,
		.framing = 1 + kind % 3,
		.framing_size = kind % 3 == 2 ? 64 : 0,
	};

	memset(text, 't', sizeof(text));
	oracle_build(image, &params);
	oracle_append(image, image->last_ns + 5, 0, "first\n", 6);
	oracle_append(image, image->last_ns, 0x04, "part", 4);
	if (kind & 1)
		oracle_append_group(image, image->last_ns + 5, 0, text, 5000);
	if (kind & 2)
		oracle_append_resume(image, image->last_ns + 5, 2);
	if (kind & 4)
		oracle_append(image, image->last_ns + 5, 0x40, "\2\0xypayload", 11);
	oracle_append(image, image->last_ns + 5, 0, "last\n", 5);
	if (kind & 8)
		oracle_seal(image, image->last_ns + 5, kind & 1);
	else if (kind & 4)
		oracle_write_block_headers(image, image->block);
}

static void write_seeds(const char *corpus)
{
	int dirfd = open(corpus, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return;
	for (unsigned kind = 0; kind < 16; kind++) {
		static const uint8_t controls[] = {0x00, 0x0f, 0x1f, 0x03};
		struct oracle_image image;
		uint8_t *seed;
		char name[32];

		fill(&image, kind);
		seed = malloc(image.size + 1);
		if (!seed)
			abort();
		seed[0] = controls[kind % 4];
		memcpy(seed + 1, image.bytes, image.size);
		snprintf(name, sizeof(name), "seed-%02u", kind);
		write_file(dirfd, name, seed, image.size + 1);
		free(seed);
		oracle_image_free(&image);
	}
	close(dirfd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	snprintf(scratch, sizeof(scratch), "%s/walfs-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(scratch))
		abort();
	scratch_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atexit(remove_scratch);
	for (int i = 1; i < *argc; i++) {
		if ((*argv)[i][0] != '-') {
			write_seeds((*argv)[i]); /* the first directory is the one that grows */
			break;
		}
	}
	return 0;
}

/* --- looking ------------------------------------------------------------------------- */

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_segment: %s\n", what);
	abort();
}

/* Every way of reading; what comes out of a valid segment is what the oracle found. */
static void read_all(const struct oracle_segment *truth)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	struct wal_fault fault;
	static uint8_t buf[IMAGE_MAX];
	size_t n = 0;

	if (wal_segment_reader_open(
		    &(struct wal_segment_source){.dirfd = scratch_fd, .name = SEGMENT, .index = 1},
		    &reader, &fault)) {
		require(fault.kind != WAL_FAULT_NONE, "not opened, and no reason");
		require(truth->fault != WAL_FAULT_NONE, "a valid segment is not opened");
		return;
	}
	while (wal_segment_reader_next(reader, &event) == 1) {
		if (truth->fault != WAL_FAULT_NONE)
			continue;
		require(n < truth->event_count, "too many events");
		require(event.id == truth->events[n].id && event.size == truth->events[n].size &&
				memcmp(event.payload, truth->events[n].payload, event.size) == 0,
			"another event");
		n++;
	}
	require(truth->fault != WAL_FAULT_NONE || n == truth->event_count, "too few events");
	for (uint64_t i = 0; i < 8; i++) {
		const struct wal_segment_info *info = wal_segment_reader_info(reader);

		wal_segment_reader_seek_event(reader, info->first_event + i * 3);
		wal_segment_reader_next(reader, &event);
		wal_segment_reader_seek_time(reader, info->created_ns + i * 5);
		wal_segment_reader_next(reader, &event);
		wal_segment_reader_payload(reader, buf, 1 + i * 100, i * 700);
		wal_segment_reader_raw(reader, buf, 1 + i * 1000, i * 2000);
	}
	wal_segment_reader_payload(reader, buf, sizeof(buf), 0);
	wal_segment_reader_raw(reader, buf, sizeof(buf), 0);
	wal_segment_reader_close(reader);
}

/* Each event proves itself; none is marked where nothing is wrong; it comes to an end. */
static void salvage_all(const uint8_t *image, const struct oracle_segment *truth)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	uint64_t last_id = 0;
	bool damaged;
	int result;

	if (wal_segment_reader_open(
		    &(struct wal_segment_source){.dirfd = scratch_fd, .name = SEGMENT, .index = 1},
		    &reader, NULL))
		return;
	wal_segment_reader_salvage(reader);
	while ((result = wal_segment_reader_next_salvaged(reader, &event, &damaged))) {
		const uint8_t *record = image + event.file_offset;
		uint64_t chain = wal_segment_reader_info(reader)->prev_chain;

		if (result < 0)
			continue;
		require(!damaged || truth->fault != WAL_FAULT_NONE, "a mark on a valid segment");
		require(!damaged || event.id > last_id, "ids do not grow");
		last_id = event.id;
		if (damaged)
			require((uint32_t)oracle_xxh3(record + 4,
						      12 + (oracle_get32(record + 4) & 0xffffff),
						      chain + event.id) == oracle_get32(record),
				"an event that does not prove itself");
	}
	wal_segment_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct oracle_segment truth;
	uint8_t *image;

	if (size < 1 || size > IMAGE_MAX)
		return 0;
	image = malloc(size);
	if (!image)
		abort();
	if (size >= 4 && memcmp(data, "WALS", 4) == 0) {
		memcpy(image, data, size);
	} else {
		size--;
		memcpy(image, data + 1, size);
		fuzz_fix(image, size, data[0]);
	}
	write_file(scratch_fd, SEGMENT, image, size);
	oracle_decode(image, size, 1, &truth);
	require(wal_verify_segment(scratch_fd, SEGMENT, 1, &options, &result) == 0, "not verified");
	if ((truth.fault == WAL_FAULT_NONE) != (result.faults == 0)) {
		fprintf(stderr, "oracle: %s at %#llx; library: %s at %#llx\n",
			wal_fault_kind_name(truth.fault), (unsigned long long)truth.fault_offset,
			wal_fault_kind_name(result.first.kind),
			(unsigned long long)result.first.offset);
		require(false, "oracle and library disagree");
	}
	read_all(&truth);
	salvage_all(image, &truth);
	oracle_segment_free(&truth);
	free(image);
	return 0;
}
