/* SPDX-License-Identifier: MIT */
/*
 * A whole small store through wal_log_open(). The input is a script that builds
 * it (events, groups, seals, rotations, the durable position) and then breaks it
 * (bytes, holes, cuts, files gone). An input that begins with RAW is the files themselves
 * instead: any bytes as wal.meta and as segments, links, directories, FIFOs. Whatever it is:
 *
 *   - opening works, or is refused with words;
 *   - a read-only look changes nothing;
 *   - ids ascend, or were given twice by a new chain; an appended event gets a higher one
 *     than all before;
 *   - opened again after a crash, the log is the same, and nothing old came back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/io.h"
#include "tests/fuzz_fix.h"
#include "tests/fuzz_raw.h"

#define SEGMENTS 4
#define BLOCK 4096u
#define BLOCKS 4u
#define NOW UINT64_C(1795341662000000000)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char scratch[64];
static char store[80];

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_recovery: %s\n", what);
	abort();
}

/* --- the store's directory -------------------------------------------------------- */

static void empty_store(void)
{
	DIR *dir = opendir(store);
	struct dirent *entry;

	require(dir != NULL, "no scratch directory");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0))
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static void remove_scratch(void)
{
	empty_store();
	rmdir(store);
	rmdir(scratch);
}

static void write_file(const char *directory, const char *name, const uint8_t *bytes, size_t size)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	require(write(fd, bytes, size) == (ssize_t)size, "no space in the scratch directory");
	close(fd);
}

/* --- the script ------------------------------------------------------------------------ */

struct script {
	const uint8_t *data;
	size_t size;
};

static uint32_t next8(struct script *s)
{
	if (s->size == 0)
		return 0;
	s->size--;
	return *s->data++;
}

static uint32_t next16(struct script *s)
{
	uint32_t low = next8(s);

	return low | next8(s) << 8;
}

struct world {
	struct oracle_image images[SEGMENTS];
	bool gone[SEGMENTS];
	unsigned count; /* segments begun; the last is being filled */
	struct oracle_slot slot;
	bool has_slot;
};

static void begin_segment(struct world *w, uint32_t recovery)
{
	static const uint8_t log[16] = "fuzzed log uuid";
	struct oracle_params params = {
		.index = 1,
		.block_size = BLOCK,
		.blocks = BLOCKS,
		.first_event = 1,
		.prev_chain = oracle_chain_start(log),
		.created_ns = NOW,
		.incarnation = 1,
		.writer_version =
			WAL_VERSION_MAJOR << 16 | WAL_VERSION_MINOR << 8 | WAL_VERSION_PATCH,
		.framing = WAL_FRAME_LINE,
		.recovery = recovery,
	};

	memcpy(params.log, log, sizeof(params.log));
	if (w->count > 0) {
		const struct oracle_image *before = &w->images[w->count - 1];

		params.index = before->params.index + 1;
		params.first_event = before->next_event;
		params.prev_chain = oracle_chain(before);
		params.created_ns = before->last_ns;
		if (recovery & 1)
			params.prev_chain = oracle_chain_restart(log, params.index);
	}
	oracle_build(&w->images[w->count++], &params);
}

static bool has_room(const struct oracle_image *image, uint32_t size)
{
	return image->block + 1 + size / 3900 < BLOCKS;
}

static void note_durable(struct world *w)
{
	const struct oracle_image *image = &w->images[w->count - 1];

	w->slot.sequence++;
	w->slot.block_size = BLOCK;
	w->slot.segment_bytes = 4096 + BLOCKS * BLOCK;
	w->slot.framing = WAL_FRAME_LINE;
	w->slot.incarnation = 1;
	memcpy(w->slot.log, image->params.log, 16);
	w->slot.durable_segment = image->params.index;
	w->slot.durable_offset = oracle_end(image);
	w->slot.durable_event = image->next_event - 1;
	w->slot.first_segment = 1;
	w->has_slot = true;
}

static void append(struct world *w, uint32_t size, uint32_t flags)
{
	static const uint8_t text[9000] = "old event";
	struct oracle_image *image = &w->images[w->count - 1];

	if (size == 0 || !has_room(image, size))
		return;
	if (size > 3900)
		oracle_append_group(image, image->last_ns + 1, flags, text, size);
	else
		oracle_append(image, image->last_ns + 1, flags, text, size);
}

/* Steps 0 to 9: what a writer does. */
static void step_write(struct world *w, struct script *s, uint32_t op)
{
	struct oracle_image *image = &w->images[w->count - 1];
	struct oracle_image *any = &w->images[op / 16 % w->count];

	switch (op % 16) {
	case 0:
	case 1:
		append(w, next8(s) + 1, 0);
		break;
	case 2:
		append(w, next16(s) % 9000, 0);
		break;
	case 3:
		append(w, 5, 0x04);
		break;
	case 4:
		if (has_room(image, 100))
			oracle_append_resume(image, image->last_ns, 1 + next8(s));
		break;
	case 5:
		oracle_write_block_headers(image, image->block + op / 16 % 2);
		break;
	case 6:
		if (w->count < SEGMENTS)
			begin_segment(w, op / 16 == 15 ? 1 : 0);
		break;
	case 7:
		oracle_seal(any, any->last_ns, op & 1);
		break;
	case 8:
		note_durable(w);
		break;
	default:
		w->slot.flags = next8(s) & 1;
	}
}

/* Steps 10 to 15: what a crash, a disk or a person does. */
static void step_break(struct world *w, struct script *s, uint32_t op)
{
	struct oracle_image *any = &w->images[op / 16 % w->count];
	size_t at;
	size_t n;

	switch (op % 16) {
	case 10:
		w->slot.durable_event += next8(s);
		w->slot.durable_offset += 8 * next8(s);
		break;
	case 11:
		at = next16(s) % any->size;
		any->bytes[at] ^= (uint8_t)(1 + next8(s) % 255);
		break;
	case 12:
		at = next16(s) % any->size / 512 * 512;
		n = (next8(s) % 8 + 1) * 512;
		memset(any->bytes + at, 0, n < any->size - at ? n : any->size - at);
		break;
	case 13:
		any->size = next16(s) % (any->size + 1);
		if (any->size < 4096)
			any->size = op & 32 ? 0 : 4096;
		break;
	case 14:
		w->gone[op / 16 % w->count] = next8(s) & 1;
		break;
	default:
		w->has_slot = next8(s) & 1;
	}
}

/* Images keep their memory; a cut one is written shorter and not touched any more. */
static void step(struct world *w, struct script *s)
{
	uint32_t op = next8(s);

	if (w->images[op / 16 % w->count].size == 0)
		return;
	if (op % 16 < 10)
		step_write(w, s, op);
	else
		step_break(w, s, op);
}

static void write_store(struct world *w)
{
	uint8_t slots[2 * ORACLE_SLOT_BYTES] = {0};
	struct oracle_slot older;

	for (unsigned i = 0; i < w->count; i++) {
		char name[WAL_NAME_MAX];

		wal_segment_name(w->images[i].params.index, name);
		if (!w->gone[i])
			write_file(store, name, w->images[i].bytes, w->images[i].size);
	}
	if (!w->has_slot)
		return;
	older = w->slot;
	older.sequence--;
	if (older.sequence) /* slots are written in turn */
		oracle_slot_encode(&older, slots + older.sequence % 2 * ORACLE_SLOT_BYTES);
	oracle_slot_encode(&w->slot, slots + w->slot.sequence % 2 * ORACLE_SLOT_BYTES);
	write_file(store, "wal.meta", slots, sizeof(slots));
}

/* --- raw files ------------------------------------------------------------------------- */

static void fix_meta(uint8_t *bytes, uint32_t fixes)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *slot = bytes + i * ORACLE_SLOT_BYTES;
		uint64_t sum = oracle_xxh3(slot, 88, 0);

		if (!(fixes >> i & 1))
			continue;
		oracle_put32(slot + 88, (uint32_t)sum);
		oracle_put32(slot + 92, (uint32_t)(sum >> 32));
	}
}

static void raw_file(struct script *s, enum raw_kind kind, const char *name)
{
	static uint8_t bytes[RAW_BYTES];
	uint32_t fixes = next8(s);
	size_t size = next16(s);

	memset(bytes, 0, sizeof(bytes));
	for (uint32_t runs = next16(s); runs > 0 && s->size > 0; runs--) {
		size_t at = next16(s) * (size_t)8 % RAW_BYTES, n = next16(s);

		for (; n > 0 && s->size > 0 && at < RAW_BYTES; n--)
			bytes[at++] = (uint8_t)next8(s);
	}
	if (kind == RAW_META)
		fix_meta(bytes, fixes);
	else
		fuzz_fix(bytes, size, fixes);
	write_file(store, name, bytes, size);
}

static void build_raw(const uint8_t *data, size_t size)
{
	struct script s = {data, size};

	for (unsigned files = 0; s.size > 0 && files < RAW_FILES; files++) {
		uint32_t what = next8(&s);
		enum raw_kind kind = what % 8 % RAW_KINDS;
		char name[RAW_NAME_MAX], path[160];

		raw_name(what, name);
		snprintf(path, sizeof(path), "%s/%s", store, name);
		if (kind == RAW_META || kind == RAW_SEGMENT)
			raw_file(&s, kind, name);
		else if (kind == RAW_LINK)
			require(symlink("0000000001.wal", path) == 0 || errno == EEXIST, "link");
		else if (kind == RAW_DIRECTORY)
			mkdir(path, 0700);
		else
			mkfifo(path, 0600);
	}
}

static void build_store(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct world w = {0};

	begin_segment(&w, 0);
	for (int steps = 0; s.size > 0 && steps < 64; steps++)
		step(&w, &s);
	write_store(&w);
	for (unsigned i = 0; i < w.count; i++)
		oracle_image_free(&w.images[i]);
}

/* --- looking ------------------------------------------------------------------------------- */

/* Syncs take no time: the fuzzer does not cut the power. */
static int no_sync(const struct wal_io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static struct wal_io quick_io;

struct contents {
	size_t count;
	uint64_t ids[4000];
	uint64_t hashes[4000];
};

/* Ids ascend, but where a new chain gives some twice: row R50, which is kept as it is. */
static void check_id(const struct wal_segment_reader *reader, const struct wal_event *event,
		     const struct contents *contents, bool first)
{
	uint32_t recovery = wal_segment_reader_info(reader)->recovery;

	if (contents->count == 0 || event->id > contents->ids[contents->count - 1])
		return;
	require(first && recovery & WAL_RECOVERY_CHAIN_RESTART, "ids do not ascend");
}

static void read_segment(struct wal_log *log, uint32_t index, struct contents *contents)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	bool first = true;

	if (wal_log_reader_open(log, index, 0, &reader, NULL))
		return;
	for (; wal_segment_reader_next(reader, &event) == 1 && contents->count < 4000;
	     first = false) {
		check_id(reader, &event, contents, first);
		contents->ids[contents->count] = event.id;
		contents->hashes[contents->count++] =
			oracle_xxh3(event.payload, event.size, event.id);
	}
	wal_segment_reader_close(reader);
}

static void read_log(struct wal_log *log, struct contents *contents)
{
	uint32_t indexes[64];
	size_t n = wal_log_segments(log, 0, indexes, 64);

	contents->count = 0;
	for (size_t i = 0; i < n; i++)
		read_segment(log, indexes[i], contents);
	if (wal_log_current(log))
		read_segment(log, wal_log_current(log), contents);
}

static int open_log(bool read_only, struct wal_log **log)
{
	struct wal_log_options options = {
		.io = &quick_io,
		.path = store,
		.read_only = read_only,
		.prepare_segments = 1,
		.block_size = read_only ? 0 : BLOCK,
		.segment_size = read_only ? 0 : BLOCKS * BLOCK,
		.framing = {read_only ? WAL_FRAME_NONE : WAL_FRAME_LINE, 0},
	};
	struct wal_error error;
	int err = wal_log_open(&options, log, &error);

	require(err <= 0, "an error that is none");
	require(err == 0 || (error.text[0] && error.code == err), "refused without a word");
	return err;
}

static uint64_t directory_hash(void)
{
	DIR *dir = opendir(store);
	struct dirent *entry;
	uint64_t sum = 0;

	while ((entry = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			sum += oracle_xxh3(entry->d_name, strlen(entry->d_name),
					   (uint64_t)st.st_size ^ (uint64_t)st.st_mtim.tv_nsec);
	}
	closedir(dir);
	return sum;
}

static void look_read_only(void)
{
	static struct contents contents;
	uint64_t before = directory_hash();
	struct wal_log *log;

	if (open_log(true, &log) == 0) {
		read_log(log, &contents);
		wal_log_close(log);
	}
	require(directory_hash() == before, "a read-only look changed something");
}

static void append_and_compare(struct wal_log *log, struct contents *contents)
{
	struct wal_record record = {"new event\n", 10, 0};
	struct wal_log_position position;

	read_log(log, contents);
	wal_log_position(log, &position);
	for (size_t i = 0; i < contents->count; i++)
		require(contents->ids[i] < position.next_event, "an id that is still to come");
	require(wal_log_append(log, &record, 1, NULL) == 1, "nothing can be appended");
	if (contents->count < 4000) {
		contents->ids[contents->count] = position.next_event;
		contents->hashes[contents->count++] =
			oracle_xxh3(record.data, record.size, position.next_event);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct contents first;
	static struct contents again;
	bool raw = size > 0 && data[0] == RAW;
	struct wal_log *log;
	int err;

	empty_store();
	if (raw)
		build_raw(data + 1, size - 1);
	else
		build_store(data, size);
	look_read_only();
	err = open_log(false, &log);
	if (err) {
		require(raw || err == -EPROTONOSUPPORT || err == -ENOTEMPTY || err == -EOVERFLOW,
			"a store that cannot be opened");
		return 0;
	}
	append_and_compare(log, &first);
	require(wal_log_close(log) == 0, "not closed in order");
	require(open_log(false, &log) == 0, "not opened again");
	read_log(log, &again);
	require(again.count == first.count &&
			memcmp(again.ids, first.ids, first.count * sizeof(first.ids[0])) == 0 &&
			memcmp(again.hashes, first.hashes, first.count * sizeof(first.hashes[0])) ==
				0,
		"another log when it is opened again");
	require(wal_log_close(log) == 0, "not closed in order again");
	return 0;
}

/* --- raw seeds ---------------------------------------------------------------------- */

/* Two segments and wal.meta, with something odd beside them. */
static void write_raw_seed(const char *corpus, unsigned number)
{
	static const uint8_t odd[] = {0x32, 0x33, 0x34, 0x22, 0xf2, 0xf3};
	uint8_t slots[2 * ORACLE_SLOT_BYTES] = {0};
	static struct raw_seed seed;
	struct world w = {0};
	char name[32];

	begin_segment(&w, 0);
	append(&w, 300, 0);
	oracle_seal(&w.images[0], w.images[0].last_ns, number & 1);
	begin_segment(&w, 0);
	append(&w, 40, 0);
	note_durable(&w);
	oracle_slot_encode(&w.slot, slots + ORACLE_SLOT_BYTES);
	raw_begin(&seed);
	if (number % 2)
		raw_put8(&seed, odd[number / 2 % sizeof(odd)]);
	for (unsigned i = 0; i < w.count; i++) {
		raw_put_file(&seed, i << 4 | RAW_SEGMENT, w.images[i].bytes, w.images[i].size);
		oracle_image_free(&w.images[i]);
	}
	if (number != 2)
		raw_put_file(&seed, RAW_META, slots, sizeof(slots));
	snprintf(name, sizeof(name), "raw-%02u", number);
	write_file(corpus, name, seed.bytes, seed.size);
}

/* --- seeds ------------------------------------------------------------------------ */

/* Scripts of steps above; each is a row or two of the decision table. */
static const struct {
	const char *script;
	size_t size;
} seeds[] = {
	{"", 0},
	{"\x00\x10\x08\x00\x20\x00\x30", 7},			      /* D, then killed */
	{"\x00\x10\x08\x00\x20\x0b\x60\x10\x01", 9},		      /* a torn tail */
	{"\x00\x10\x00\x20\x08\x0b\x68\x10\x01", 9},		      /* damage below D */
	{"\x00\x10\x08\x06\x00\x20", 6},			      /* rotated, not sealed */
	{"\x00\x10\x07\x08\x06\x00\x20\x08", 8},		      /* rotated and sealed */
	{"\x00\x10\x07\x06\x00\x20\x17\x08\x0b\x68\x10\x01", 12},     /* sealed, damaged */
	{"\x02\x40\x1f\x08\x02\x40\x1f\x0c\x00\x20\x02", 11},	      /* groups and a hole */
	{"\x00\x10\x08\x06\x00\x20\x06\x00\x20\x0c\x10\x10\x00", 13}, /* two successors */
	{"\x00\x10\x07\x08\x06\x00\x20\x0e\x01", 9},		      /* a segment is missing */
	{"\x00\x10\x08\x09\x01", 5},				      /* closed in order */
	{"\x00\x10\x07\x08\x0a\x05\x08", 7},			      /* D is ahead */
	{"\x00\x10\x08\x0d\x00\x14", 6},			      /* cut */
	{"\x00\x10\x08\xf6\x00\x20\x0f\x00", 8},		      /* a new chain, no wal.meta */
};

static void write_seeds(const char *corpus)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "seed-%02zu", i);
		write_file(corpus, name, (const uint8_t *)seeds[i].script, seeds[i].size);
	}
	for (unsigned i = 0; i < 12; i++)
		write_raw_seed(corpus, i);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	quick_io = wal_io_system;
	quick_io.fdatasync = no_sync;
	quick_io.fsync = no_sync;
	snprintf(scratch, sizeof(scratch), "%s/walfs-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	require(mkdtemp(scratch) != NULL, "no scratch directory");
	snprintf(store, sizeof(store), "%s/store", scratch);
	require(mkdir(store, 0700) == 0, "no store");
	atexit(remove_scratch);
	for (int i = 1; i < *argc; i++) {
		struct stat st;

		if ((*argv)[i][0] == '-')
			continue;
		if (stat((*argv)[i], &st) == 0 && S_ISDIR(st.st_mode))
			write_seeds((*argv)[i]); /* the first directory is the one that grows */
		break;
	}
	return 0;
}
