/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

#define OUTPUT_BUFFER (1u << 20)

struct cat {
	uint64_t from; /* ids, both included */
	uint64_t to;
	uint64_t since_ns; /* times, until is excluded */
	uint64_t until_ns;
	bool json;
	uint64_t next_id; /* for target_gap() */
	enum status worst;
};

/* What the segment that was looked at means for the ones behind it. */
enum next { NEXT_SEGMENT, NEXT_NONE };

static json_t *json_base64(const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = (size + 2) / 3 * 4;
	char *text = malloc(length + 1);
	json_t *value;

	if (!text)
		die_no_memory();
	for (size_t in = 0, out = 0; in < size; in += 3) {
		uint32_t bits = (uint32_t)data[in] << 16;

		if (in + 1 < size)
			bits |= (uint32_t)data[in + 1] << 8;
		if (in + 2 < size)
			bits |= data[in + 2];
		text[out++] = digits[bits >> 18];
		text[out++] = digits[bits >> 12 & 63];
		text[out++] = in + 1 < size ? digits[bits >> 6 & 63] : '=';
		text[out++] = in + 2 < size ? digits[bits & 63] : '=';
	}
	value = json_stringn(text, length);
	free(text);
	return value;
}

static void put_json(const struct wal_event *event)
{
	json_t *object = json_object();
	json_t *payload = json_stringn((const char *)event->payload, event->size);

	json_put(object, "id", json_number(event->id));
	json_put(object, "time", json_time(event->timestamp_ns));
	json_put(object, "flags", json_bits(event_flags, event->flags));
	if (payload)
		json_put(object, "payload", payload);
	else /* not UTF-8 */
		json_put(object, "payload_base64", json_base64(event->payload, event->size));
	json_print(object);
}

/* Return: false if stdout takes no more. */
static bool put_event(const struct cat *cat, const struct wal_event *event)
{
	if (cat->json)
		put_json(event);
	else
		fwrite(event->payload, 1, event->size, stdout);
	return !output_failed();
}

/* Ids and times both grow within a segment: the first event is the later of two. */
static int first_event(const struct cat *cat, struct wal_segment_reader *reader,
		       struct wal_event *event)
{
	int result = wal_segment_reader_seek_event(reader, cat->from);

	if (!result)
		result = wal_segment_reader_next(reader, event);
	if (result != 1 || event->timestamp_ns >= cat->since_ns)
		return result;
	result = wal_segment_reader_seek_time(reader, cat->since_ns);
	return result ? result : wal_segment_reader_next(reader, event);
}

/* Events from the one given on, to the end of what is wanted or whole. */
static int cat_events(const struct cat *cat, struct wal_segment_reader *reader,
		      struct wal_event *event, enum next *next)
{
	int result = 1;

	for (; result == 1; result = wal_segment_reader_next(reader, event)) {
		if (event->id > cat->to) {
			*next = NEXT_NONE;
			return 0;
		}
		if (event->timestamp_ns >= cat->until_ns)
			return 0; /* but go on: later segments may have an earlier clock */
		if (event->id < cat->from || event->timestamp_ns < cat->since_ns)
			continue; /* behind damage there was no seeking */
		if (!put_event(cat, event)) {
			*next = NEXT_NONE;
			return 0;
		}
	}
	return result;
}

static void report(struct cat *cat, const char *file, int error, const struct wal_fault *fault)
{
	cat->worst = worse(cat->worst, complain_segment(file, error, fault));
}

/* Return: whether there is anything behind what is wrong. */
static bool pass_damage(struct cat *cat, const char *file, struct wal_segment_reader *reader,
			int error)
{
	const struct wal_segment_info *info = wal_segment_reader_info(reader);
	const struct wal_fault *fault = wal_segment_reader_fault(reader);
	bool cut = fault->kind == WAL_FAULT_TOO_SHORT;
	bool said = info->fault.kind == fault->kind &&
		    (cut || (info->fault.block == WAL_NO_BLOCK &&
			     info->fault.offset == fault->offset)); /* at the start */

	if (!said)
		report(cat, file, error, fault);
	return !cut && wal_segment_reader_skip_block(reader);
}

/* Of missing events only those that are wanted. */
static void report_gap(struct cat *cat, const struct target *target, const struct gap *gap)
{
	uint64_t first = gap->first > cat->from ? gap->first : cat->from;
	uint64_t last = gap->last < cat->to ? gap->last : cat->to;

	if (first > last)
		return;
	complain(target->path, "events %" PRIu64 " to %" PRIu64 " are missing; see walctl verify",
		 first, last);
	cat->worst = worse(cat->worst, STATUS_DAMAGED);
}

static enum next cat_segment(struct cat *cat, const char *file, struct wal_segment_reader *reader)
{
	const struct wal_segment_info *info = wal_segment_reader_info(reader);
	enum next next = NEXT_SEGMENT;
	struct wal_event event;
	int result;

	if (info->first_event > cat->to)
		return NEXT_NONE;
	if (info->state != WAL_DAMAGED && info->last_event < cat->from)
		return NEXT_SEGMENT;
	/* What is wrong in a block is met where the block is, if it is wanted at all. */
	if (info->fault.kind != WAL_FAULT_NONE && info->fault.block == WAL_NO_BLOCK)
		report(cat, file, wal_fault_errno(info->fault.kind), &info->fault);
	result = first_event(cat, reader, &event);
	while (result) {
		if (result > 0)
			result = cat_events(cat, reader, &event, &next);
		if (result >= 0 || !pass_damage(cat, file, reader, result))
			break;
		result = wal_segment_reader_next(reader, &event);
	}
	return next;
}

static enum next cat_nth(struct cat *cat, const struct target *target, size_t n)
{
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	struct gap gap;
	enum next next = NEXT_SEGMENT;
	char *file;
	int result = target_reader(target, n, &reader, &file, &fault);

	if (result) {
		report(cat, file, result, &fault);
		cat->next_id = 0;
	} else {
		if (target_gap(&cat->next_id, wal_segment_reader_info(reader), &gap))
			report_gap(cat, target, &gap);
		next = cat_segment(cat, file, reader);
		wal_segment_reader_close(reader);
	}
	free(file);
	return next;
}

/* Return: whether the n-th segment can say its first id. */
static bool first_id(const struct target *target, size_t n, uint64_t *id)
{
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	char *file;
	int result = target_reader(target, n, &reader, &file, &fault);

	free(file);
	if (result)
		return false;
	*id = wal_segment_reader_info(reader)->first_event;
	wal_segment_reader_close(reader);
	return true;
}

/* The last segment that starts at or in front of an id; those between that and the
 * event, if any, are damaged. */
static size_t find_segment(const struct target *target, uint64_t id)
{
	size_t low = 0, high = target->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		size_t probe = middle;
		uint64_t first = UINT64_MAX;

		while (probe < high && !first_id(target, probe, &first))
			probe++;
		if (probe < high && first <= id)
			low = probe;
		else
			high = middle;
	}
	return low;
}

static void cat_path(struct cat *cat, const char *path)
{
	struct target target;
	enum status status = target_open(&target, path);
	struct gap gap;
	size_t n = 0;

	cat->worst = worse(cat->worst, status);
	if (status != STATUS_SOUND)
		return;
	target_note_mount(&target);
	cat->next_id = 0;
	if (cat->from > 1)
		n = find_segment(&target, cat->from);
	while (n < target.count && cat_nth(cat, &target, n) == NEXT_SEGMENT && !output_failed())
		n++;
	if (n == target.count && target_gap_at_end(&target, cat->next_id, &gap))
		report_gap(cat, &target, &gap);
	target_close(&target);
}

enum { OPTION_FROM = 256, OPTION_TO, OPTION_SINCE, OPTION_UNTIL, OPTION_JSON };

static bool parse_id(const char *text, uint64_t *id)
{
	return parse_number(text, id) && *id > 0;
}

static enum status parse_value(const struct command *command, int option, struct cat *cat)
{
	bool valid = true;

	switch (option) {
	case OPTION_FROM:
		valid = parse_id(optarg, &cat->from);
		break;
	case OPTION_TO:
		valid = parse_id(optarg, &cat->to);
		break;
	case OPTION_SINCE:
		valid = !wal_time_parse(optarg, &cat->since_ns);
		break;
	case OPTION_UNTIL:
		valid = !wal_time_parse(optarg, &cat->until_ns);
		break;
	case OPTION_JSON:
		cat->json = true;
		break;
	}
	if (valid)
		return STATUS_SOUND;
	if (option == OPTION_FROM || option == OPTION_TO)
		return complain_usage(command, "'%s' is no event id (1, 2, 3 ...)", optarg);
	return complain_usage(command,
			      "'%s' is no time (2026-11-22T10:01:02Z, 2026-11-22 or @1795341662)",
			      optarg);
}

static enum status parse(const struct command *command, int argc, char **argv, struct cat *cat)
{
	static const struct option options[] = {
		{"from", required_argument, NULL, OPTION_FROM},
		{"to", required_argument, NULL, OPTION_TO},
		{"since", required_argument, NULL, OPTION_SINCE},
		{"until", required_argument, NULL, OPTION_UNTIL},
		{"json", no_argument, NULL, OPTION_JSON},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return complain_option(command, option, argv);
		if (parse_value(command, option, cat))
			return STATUS_TROUBLE;
	}
	if (optind == argc)
		return complain_usage(command, "no path given");
	if (cat->from > cat->to)
		return complain_usage(command, "--from is larger than --to");
	if (cat->since_ns >= cat->until_ns)
		return complain_usage(command, "--since is not before --until");
	return STATUS_SOUND;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct cat cat = {.from = 1, .to = UINT64_MAX, .until_ns = UINT64_MAX};

	if (parse(command, argc, argv, &cat))
		return STATUS_TROUBLE;
	setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
	for (int i = optind; i < argc && !output_failed(); i++)
		cat_path(&cat, argv[i]);
	return cat.worst;
}

const struct command command_cat = {
	.name = "cat",
	.summary = "print payloads: all, or a range of ids or times",
	.help = "usage: walctl cat [OPTIONS] PATH...\n"
		"\n"
		"Prints the payload of the events of segment files, or of all segments of a\n"
		"store in order: the bytes as they were appended, and nothing else. Only bytes\n"
		"that pass their checks are printed. At a damaged block it says so and goes on\n"
		"with the next one. A store may be in use: cat ends at the event\n"
		"that was the last one when it got there.\n"
		"\n"
		"  --from ID       from this event on\n"
		"  --to ID         up to this event, and with it\n"
		"  --since TIME    events at this time or later\n"
		"  --until TIME    events before this time\n"
		"  --json          one object a line: id, time, flags and payload; a payload that\n"
		"                  is not UTF-8 is payload_base64 instead\n"
		"  -h, --help      this text\n"
		"\n"
		"A TIME is RFC 3339 (2026-11-22T10:01:02.5Z, or with an offset; UTC without one),\n"
		"a date (its start, UTC), or @seconds since 1970.\n"
		"\n"
		"Exit status: 0 all printed, 1 something is damaged, 2 could not look or write.\n"
		"\n"
		"examples:\n"
		"  walctl cat /var/lib/orders | grep filled\n"
		"  walctl cat --from 17 --to 17 /var/lib/orders\n"
		"  walctl cat --since 2026-11-22T10:00:00Z --json /var/lib/orders | jq .id\n",
	.run = run,
};
