/* SPDX-License-Identifier: MIT */
/* A sealed segment as text, one line a field: section 11 of docs/FORMAT.md is made by this. */
#include "tests/oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define AREA 4096u
#define ROW 16u

/* "OFFSET  HEX  meaning"; offset moves behind the field. */
static void field(FILE *out, const uint8_t *image, uint64_t *offset, uint32_t size,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));

static void field(FILE *out, const uint8_t *image, uint64_t *offset, uint32_t size,
		  const char *format, ...)
{
	va_list args;

	fprintf(out, "%06" PRIx64 " ", *offset);
	for (uint32_t i = 0; i < ROW; i++) {
		if (i < size)
			fprintf(out, " %02x", image[*offset + i]);
		else
			fprintf(out, "   ");
	}
	fprintf(out, "  ");
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	fputc('\n', out);
	*offset += size;
}

/* Zeros, in one line; says so if they are none. */
static void zeros(FILE *out, const uint8_t *image, uint64_t *offset, uint64_t size,
		  const char *what)
{
	if (size == 0)
		return;
	fprintf(out, "%06" PRIx64 "  %s x %-5" PRIu64 "%39s%s\n", *offset,
		oracle_is_zero(image + *offset, size) ? "00" : "??", size, "", what);
	*offset += size;
}

static void text_row(FILE *out, const uint8_t *image, uint64_t *offset, uint32_t size)
{
	char text[ROW + 1] = {0};

	for (uint32_t i = 0; i < size; i++) {
		uint8_t c = image[*offset + i];

		text[i] = c >= 0x20 && c < 0x7f ? (char)c : '.';
	}
	field(out, image, offset, size, "|%s|", text);
}

/* Rows that are equal to the one before are a single "*". */
static void text_rows(FILE *out, const uint8_t *image, uint64_t *offset, uint32_t size)
{
	const uint8_t *before = NULL;
	bool starred = false;

	while (size > 0) {
		uint32_t n = size < ROW ? size : ROW;

		if (before && n == ROW && memcmp(before, image + *offset, ROW) == 0) {
			if (!starred)
				fprintf(out, "*\n");
			starred = true;
			*offset += n;
		} else {
			before = image + *offset;
			starred = false;
			text_row(out, image, offset, n);
		}
		size -= n;
	}
}

static void dump_header(FILE *out, const uint8_t *image, uint64_t at, const char *name)
{
	const uint8_t *h = image + at;

	fprintf(out, "-- %s\n", name);
	field(out, image, &at, 4, "magic \"WALS\"");
	field(out, image, &at, 1, "version %u", h[4]);
	field(out, image, &at, 1, "incompat %u", h[5]);
	field(out, image, &at, 1, "state %u: %s", h[6], h[6] == 2 ? "sealed" : "active");
	field(out, image, &at, 1, "block_size_log2 %u: %u bytes", h[7], 1u << h[7]);
	field(out, image, &at, 4, "segment_index %" PRIu32, oracle_get32(h + 8));
	field(out, image, &at, 4, "block_count %" PRIu32, oracle_get32(h + 12));
	field(out, image, &at, 8, "first_event_id %" PRIu64, oracle_get64(h + 16));
	field(out, image, &at, 4, "event_count %" PRIu32, oracle_get32(h + 24));
	field(out, image, &at, 4, "compat %#" PRIx32, oracle_get32(h + 28));
	field(out, image, &at, 8, "created_ns %" PRIu64, oracle_get64(h + 32));
	field(out, image, &at, 8, "closed_ns %" PRIu64, oracle_get64(h + 40));
	field(out, image, &at, 8, "prev_chained_checksum %016" PRIx64, oracle_get64(h + 48));
	field(out, image, &at, 8, "header_checksum %016" PRIx64, oracle_get64(h + 56));
}

static void dump_meta(FILE *out, const uint8_t *image, uint64_t *at)
{
	const uint8_t *b = image + *at;

	field(out, image, at, 2, "kind %" PRIu32 ": %s", oracle_get16(b),
	      oracle_get16(b) == 1 ? "SEGMENT" : "RESUME");
	field(out, image, at, 2, "n %" PRIu32, oracle_get16(b + 2));
	field(out, image, at, 4, "writer_version %" PRIu32 ".%" PRIu32 ".%" PRIu32,
	      oracle_get32(b + 4) >> 16, oracle_get32(b + 4) >> 8 & 255, oracle_get32(b + 4) & 255);
	field(out, image, at, 16, "log");
	field(out, image, at, 8, "incarnation %" PRIu64, oracle_get64(b + 24));
	field(out, image, at, 8, "segment_bytes %" PRIu64, oracle_get64(b + 32));
	field(out, image, at, 4, "framing %" PRIu32, oracle_get32(b + 40));
	field(out, image, at, 4, "framing_size %" PRIu32, oracle_get32(b + 44));
	field(out, image, at, 4, "recovery %#" PRIx32, oracle_get32(b + 48));
	field(out, image, at, 4, "dropped_segments %" PRIu32, oracle_get32(b + 52));
	field(out, image, at, 8, "dropped_bytes %" PRIu64, oracle_get64(b + 56));
	field(out, image, at, 8, "clock_step_ns %" PRIu64, oracle_get64(b + 64));
}

static void dump_record(FILE *out, const uint8_t *image, uint64_t *at, uint64_t *id)
{
	const uint8_t *r = image + *at;
	const uint32_t length = oracle_get32(r + 4) & 0xffffff;
	const uint32_t padding = -(16 + length) & 7;
	static const char *const names[] = {"MORE ", "CONT ", "PART ", "", "", "", "EXT ", "META "};
	char flags[64] = "";

	for (int bit = 0; bit < 8; bit++) {
		if (r[7] & 1u << bit)
			strcat(flags, names[bit]);
	}
	if (r[7] & 0x80)
		fprintf(out, "-- META record, checksummed with id %" PRIu64 "\n", *id);
	else
		fprintf(out, "-- event %" PRIu64 "\n", (*id)++);
	field(out, image, at, 4, "event_checksum %08" PRIx32, oracle_get32(r));
	field(out, image, at, 4, "length %" PRIu32 ", flags %s%#x", length, flags, r[7]);
	field(out, image, at, 8, "timestamp_ns %" PRIu64, oracle_get64(r + 8));
	if (r[7] & 0x80 && length == 72)
		dump_meta(out, image, at);
	else
		text_rows(out, image, at, length);
	zeros(out, image, at, padding, "padding");
}

static void dump_block(FILE *out, const uint8_t *image, uint32_t k, uint64_t *id)
{
	const uint64_t block_size = UINT64_C(1) << image[7];
	const uint64_t start = AREA + k * block_size;
	const uint8_t *h = image + start;
	const uint32_t used = oracle_get32(h + 28);
	uint64_t at = start;

	fprintf(out, "-- block %" PRIu32 "\n", k);
	field(out, image, &at, 8, "first_event_id %" PRIu64, oracle_get64(h));
	field(out, image, &at, 4, "event_count %" PRIu32, oracle_get32(h + 8));
	field(out, image, &at, 4, "flags %" PRIu32, oracle_get32(h + 12));
	field(out, image, &at, 8, "payload_offset %" PRIu64, oracle_get64(h + 16));
	field(out, image, &at, 4, "block_index %" PRIu32, oracle_get32(h + 24));
	field(out, image, &at, 4, "used_bytes %" PRIu32, used);
	field(out, image, &at, 8, "first_timestamp_ns %" PRIu64, oracle_get64(h + 32));
	field(out, image, &at, 8, "block_checksum %016" PRIx64, oracle_get64(h + 40));
	field(out, image, &at, 8, "chained_checksum %016" PRIx64, oracle_get64(h + 48));
	field(out, image, &at, 8, "header_checksum %016" PRIx64, oracle_get64(h + 56));
	while (at < start + 64 + used)
		dump_record(out, image, &at, id);
	if (at < start + block_size)
		fprintf(out, "-- the rest of block %" PRIu32 "\n", k);
	zeros(out, image, &at, start + block_size - at, "zeros");
}

void oracle_dump(FILE *out, const uint8_t *image, size_t size)
{
	uint64_t id = oracle_get64(image + 16);
	uint64_t at = 64;

	dump_header(out, image, 0, "active header");
	zeros(out, image, &at, 448, "reserved");
	dump_header(out, image, 512, "seal header");
	at = 576;
	zeros(out, image, &at, 448, "reserved");
	zeros(out, image, &at, 1024, "reserved for a signature");
	zeros(out, image, &at, 2048, "reserved");
	for (uint32_t k = 0; k < oracle_get32(image + 512 + 12); k++)
		dump_block(out, image, k, &id);
	fprintf(out, "%06zx  end\n", size);
}
