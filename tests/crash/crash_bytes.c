/* SPDX-License-Identifier: MIT */
/*
 * A store that somebody changed: cut or overwritten from each byte of its last two
 * blocks on, bits flipped, segments swapped, doubled, missing or from another log, fields
 * at their extremes with and without a checksum that fits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/format.h"
#include "tests/crash/victim.h"

static struct victim victims[5];
static struct victim stranger; /* another log */

static struct image_file *segment_file(const struct image *image, uint32_t index)
{
	char name[WAL_NAME_MAX];
	struct image_file *file;

	wal_segment_name(index, name);
	file = image_find(image, name);
	if (!file)
		crash_die("%s is not there", name);
	return file;
}

/* --- from a byte on ---------------------------------------------------------- */

enum filling { CUT, ZEROS, ONES, NOISE, FILLINGS };
static const char *const filling_names[FILLINGS] = {"cut", "zeros", "ones", "noise"};

static void fill_from(struct image_file *file, size_t from, enum filling filling, struct rng *rng)
{
	size_t i;

	if (filling == CUT) {
		file->size = from;
		return;
	}
	for (i = from; i < file->size; i++)
		file->data[i] = filling == ZEROS  ? 0
				: filling == ONES ? 0xff
						  : (uint8_t)rng_next(rng);
}

static void change_from(const struct victim *victim, uint32_t segment, bool sealed, size_t from,
			enum filling filling, struct rng *rng)
{
	struct demand demand;
	struct image image;
	char what[120];

	image_copy(&image, &victim->image);
	fill_from(segment_file(&image, segment), from, filling, rng);
	demand_all(victim, &demand);
	/* A block that is not all there is none, also in a segment that is not sealed. */
	demand_nothing_behind(victim, segment, from, sealed || filling == CUT, &demand);
	demand_report(victim, &image, &demand);
	snprintf(what, sizeof(what), "segment %u, %s from byte %zu on", segment,
		 filling_names[filling], from);
	victim_judge(victim, &image, &demand, what);
	image_destroy(&image);
}

/* The end of what is written of a segment: of its last event's block. */
static size_t written_end(const struct victim *victim, uint32_t segment)
{
	size_t i;
	uint32_t block = 0;

	for (i = 0; i < victim->count; i++) {
		if (victim->events[i].segment == segment && victim->events[i].block > block)
			block = victim->events[i].block;
	}
	return RUN_BLOCK + (size_t)(block + 1) * RUN_BLOCK;
}

static void from_each_byte(const struct crash_options *options, const char *sentence,
			   const struct victim *victim, uint32_t segment, bool sealed)
{
	size_t step = options->long_run ? 1 : 97, end = written_end(victim, segment), from;
	struct rng rng = {options->seed};
	unsigned filling, count = 0;

	if (!crash_case(options, sentence))
		return;
	from = end - 2 * (size_t)RUN_BLOCK + rng_below(&rng, step);
	for (; from < end; from += step) {
		for (filling = 0; filling < FILLINGS; filling++, count++)
			change_from(victim, segment, sealed, from, filling, &rng);
	}
	crash_case_end("each %zu. byte, %u stores", step, count);
}

/* --- each bit ------------------------------------------------------------------ */

static void flip_bit(const struct victim *victim, uint32_t segment, size_t bit)
{
	struct demand demand;
	struct image image;
	char what[80];

	image_copy(&image, &victim->image);
	segment_file(&image, segment)->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	demand_all(victim, &demand);
	demand_nothing_of(victim, segment, &demand);
	demand.report = true;
	demand.unreadable = segment;
	snprintf(what, sizeof(what), "segment %u, bit %zu of byte %zu", segment, bit % 8, bit / 8);
	victim_judge(victim, &image, &demand, what);
	image_destroy(&image);
}

static void flipped_bits(const struct crash_options *options, const char *sentence,
			 const struct victim *victim, uint32_t segment)
{
	size_t step = options->long_run ? 1 : 37, bits, bit;
	struct rng rng = {options->seed};
	unsigned count = 0;

	if (!crash_case(options, sentence))
		return;
	bits = 8 * segment_file(&victim->image, segment)->size;
	for (bit = rng_below(&rng, step); bit < bits; bit += step, count++)
		flip_bit(victim, segment, bit);
	crash_case_end("each %zu. bit, %u stores", step, count);
}

/* --- whole segments ---------------------------------------------------------- */

static void replace(struct image_file *to, const struct image_file *from)
{
	free(to->data);
	to->size = from->size;
	to->data = malloc(from->size);
	if (!to->data)
		crash_die("no memory");
	memcpy(to->data, from->data, from->size);
}

static void swap_segments(struct image *image, uint32_t a, uint32_t b)
{
	struct image_file *x = segment_file(image, a), *y = segment_file(image, b);
	struct image_file z = *x;

	x->data = y->data;
	x->size = y->size;
	y->data = z.data;
	y->size = z.size;
}

static void remove_segment(struct image *image, uint32_t index)
{
	struct image_file *file = segment_file(image, index);

	free(file->data);
	*file = image->files[--image->count];
}

static void misplace(const struct victim *victim, const char *kind, uint32_t a, uint32_t b)
{
	struct demand demand;
	struct image image;
	char what[120];

	image_copy(&image, &victim->image);
	demand_all(victim, &demand);
	demand_nothing_of(victim, a, &demand);
	snprintf(what, sizeof(what), "%s %u %u", kind, a, b);
	if (strcmp(kind, "swapped") == 0) {
		swap_segments(&image, a, b);
		demand_nothing_of(victim, b, &demand);
	} else if (strcmp(kind, "doubled") == 0) {
		replace(segment_file(&image, a), segment_file(&image, b));
	} else if (strcmp(kind, "missing") == 0) {
		remove_segment(&image, a);
	} else {
		replace(segment_file(&image, a), segment_file(&stranger.image, b));
	}
	demand_report(victim, &image, &demand);
	victim_judge(victim, &image, &demand, what);
	image_destroy(&image);
}

static void misplaced_segments(const struct crash_options *options, const char *sentence,
			       const struct victim *victim)
{
	static const char *const kinds[] = {"swapped", "doubled", "missing", "foreign"};
	unsigned count = 0, kind;
	uint32_t a, b;

	if (!crash_case(options, sentence))
		return;
	for (kind = 0; kind < 4; kind++) {
		for (a = 1; a <= victim->segments; a++) {
			for (b = 1; b <= 3; b++) {
				if (kind < 2 && (a == b || b > victim->segments))
					continue;
				misplace(victim, kinds[kind], a, b);
				count++;
			}
		}
	}
	crash_case_end("%u stores", count);
}

/* --- fields at their extremes ------------------------------------------------ */

/* A checksummed structure: what is changed, and how its checksum is made right. */
struct structure {
	const char *name;
	uint64_t offset;
	uint32_t size;	   /* of what is changed */
	uint32_t checksum; /* its offset within, 0: an event's, in front */
	uint32_t checksum_size;
};

static uint64_t load(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return le64toh(value);
}

static void make_right(const struct structure *s, struct image_file *file, uint64_t seed)
{
	uint8_t *at = file->data + s->offset;
	uint64_t sum;

	if (s->checksum_size == 4)
		sum = XXH3_64bits_withSeed(at + 4, s->size - 4, seed);
	else
		sum = XXH3_64bits_withSeed(at, s->checksum, seed);
	sum = htole64(sum);
	memcpy(at + s->checksum, &sum, s->checksum_size);
}

static uint64_t seed_of(const struct structure *s, const struct image_file *file)
{
	uint64_t chain = load(file->data + 48), last = file->size - RUN_BLOCK;

	if (s->checksum_size == 4) /* the first record: the first event's id */
		return chain + load(file->data + 16);
	if (strcmp(s->name, "block header") == 0)
		return chain;
	return strcmp(s->name, "seal header") == 0 ? load(file->data + last + 48) : 0;
}

static void put_extreme(uint8_t *at, uint32_t width, unsigned which)
{
	static const uint8_t bytes[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
	uint32_t i;

	for (i = 0; i < width; i++)
		at[i] = which < 2	 ? bytes[which]
			: i == width - 1 ? bytes[which]
			: which == 2	 ? 0xff
					 : 0;
	if (which == 4) { /* 1, little-endian */
		memset(at, 0, width);
		at[0] = 1;
	}
}

/* With another log's wal.meta no segment is of this log. */
static bool is_log_of_meta(uint32_t segment, uint32_t field)
{
	return segment == 0 && field >= 16 && field < 32;
}

static void change_field(const struct victim *victim, const struct structure *s, const char *name,
			 uint32_t segment, uint32_t field, uint32_t width, unsigned which,
			 bool right)
{
	struct image_file *file;
	struct demand demand;
	struct image image;
	char what[160];
	uint64_t seed;

	image_copy(&image, &victim->image);
	file = image_find(&image, name);
	if (!file)
		crash_die("%s is not there", name);
	seed = seed_of(s, file);
	put_extreme(file->data + s->offset + field, width, which);
	if (right)
		make_right(s, file, seed);
	memset(&demand, 0, sizeof(demand));
	if (!is_log_of_meta(segment, field))
		demand_all(victim, &demand);
	if (segment)
		demand_nothing_of(victim, segment, &demand);
	if (!right) /* checksums find accidents */
		demand_report(victim, &image, &demand);
	snprintf(what, sizeof(what),
		 "%s, %s at %" PRIu64 ": %u bytes at %u, extreme %u, checksum %s", name, s->name,
		 s->offset, width, field, which, right ? "right" : "wrong");
	victim_judge(victim, &image, &demand, what);
	image_destroy(&image);
}

static unsigned change_fields(const struct victim *victim, const struct structure *s,
			      const char *name, uint32_t segment, bool all)
{
	static const uint32_t widths[] = {1, 2, 4, 8};
	unsigned count = 0, w, which, right;
	uint32_t field;

	for (w = all ? 0 : 2; w < 4; w++) {
		for (field = 0; field + widths[w] <= s->size; field += widths[w]) {
			for (which = 0; which < 5; which++) {
				for (right = 0; right < 2; right++, count++)
					change_field(victim, s, name, segment, field, widths[w],
						     which, right);
			}
		}
	}
	return count;
}

static void extreme_fields(const struct crash_options *options, const char *sentence,
			   const struct victim *victim, uint32_t segment, bool sealed)
{
	static const struct structure structures[] = {
		{"active header", 0, 64, 56, 8},
		{"seal header", 512, 64, 56, 8},
		{"block header", RUN_BLOCK, 64, 56, 8},
		{"segment record", RUN_BLOCK + 64, 88, 0, 4},
	};
	char name[WAL_NAME_MAX];
	unsigned count = 0;
	size_t i;

	if (!crash_case(options, sentence))
		return;
	wal_segment_name(segment, name);
	for (i = 0; i < sizeof(structures) / sizeof(structures[0]); i++) {
		if (i == 1 && !sealed)
			continue;
		count += change_fields(victim, &structures[i], name, segment, options->long_run);
	}
	crash_case_end("%u stores", count);
}

static void extreme_positions(const struct crash_options *options, const char *sentence,
			      const struct victim *victim)
{
	static const struct structure slots[] = {{"slot", 0, 96, 88, 8}, {"slot", 4096, 96, 88, 8}};
	unsigned count = 0;

	if (!crash_case(options, sentence))
		return;
	count += change_fields(victim, &slots[0], "wal.meta", 0, options->long_run);
	count += change_fields(victim, &slots[1], "wal.meta", 0, options->long_run);
	crash_case_end("%u stores", count);
}

int main(int argc, char **argv)
{
	struct crash_options options;
	unsigned i;

	crash_start(argc, argv, &options);
	for (i = 0; i < 5; i++)
		victim_make(&victims[i], i, options.seed);
	victim_make(&stranger, VICTIM_CLOSED, options.seed + 1);

	from_each_byte(&options, "the last segment, D behind: torn from a byte on",
		       &victims[VICTIM_BEHIND], 3, false);
	from_each_byte(&options, "the last segment, D at its end: damaged from a byte on",
		       &victims[VICTIM_DURABLE], 3, false);
	from_each_byte(&options, "a log closed in order: damaged from a byte on",
		       &victims[VICTIM_CLOSED], 3, false);
	from_each_byte(&options, "a sealed last segment: damaged from a byte on",
		       &victims[VICTIM_SEALED], 4, true);
	from_each_byte(&options, "a sealed segment before others: damaged from a byte on",
		       &victims[VICTIM_CLOSED], 2, true);
	flipped_bits(&options, "a small sealed segment with a bit flipped", &victims[VICTIM_SMALL],
		     2);
	misplaced_segments(&options, "segments swapped, doubled, missing, of another log",
			   &victims[VICTIM_CLOSED]);
	misplaced_segments(&options, "the same after a kill", &victims[VICTIM_DURABLE]);
	misplaced_segments(&options, "the same with the last one sealed", &victims[VICTIM_SEALED]);
	extreme_fields(&options, "extreme fields of a sealed segment", &victims[VICTIM_CLOSED], 1,
		       true);
	extreme_fields(&options, "extreme fields of the active segment", &victims[VICTIM_DURABLE],
		       3, false);
	extreme_positions(&options, "extreme fields of wal.meta", &victims[VICTIM_DURABLE]);
	for (i = 0; i < 5; i++)
		victim_destroy(&victims[i]);
	victim_destroy(&stranger);
	return crash_end();
}
