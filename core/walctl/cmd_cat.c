/* SPDX-License-Identifier: MIT */
#include <errno.h>
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
	bool has_until;
	bool json;
	bool damaged;
	bool printed; /* an event of this path */
	struct sequence sequence;
	enum status worst;
};

/* What the segment that was looked at means for the ones after it. */
enum next { NEXT_SEGMENT, NEXT_NONE };

/* Return: false if stdout takes no more. */
static bool put_event(const struct cat *cat, const struct wal_event *event, bool damaged)
{
	if (cat->json)
		put_event_json(event, damaged);
	else if (cat->damaged)
		put_event_marked(event, damaged);
	else
		fwrite(event->payload, 1, event->size, stdout);
	return !output_failed();
}

static void report(struct cat *cat, const char *file, int err, const struct wal_fault *fault)
{
	cat->worst = worse(cat->worst, complain_segment(file, err, fault));
}

/* Of missing events only those that are wanted. */
static bool clip(const struct cat *cat, struct gap *gap)
{
	if (!gap->last) /* ids are not known */
		return true;
	if (gap->last < cat->from || gap->first > cat->to)
		return false;
	if (gap->first < cat->from)
		gap->first = cat->from > 1 ? cat->from : gap->first;
	if (gap->last > cat->to)
		gap->last = cat->to;
	return true;
}

static void report_gap(struct cat *cat, const struct target *target, struct gap gap)
{
	char text[GAP_TEXT];

	if (!clip(cat, &gap))
		return;
	gap_format(&gap, text);
	complain(target->path, "%s; see walctl verify", text);
	cat->worst = worse(cat->worst, STATUS_DAMAGED);
}

/* Events of a segment that is there, up to the one before next_id. */
static void report_left_out(struct cat *cat, const char *file, uint64_t next_id)
{
	struct gap gap = {.first = cat->sequence.next_id, .last = next_id - 1};
	char events[GAP_EVENTS_TEXT];

	if (!gap.first || gap.first >= next_id || !clip(cat, &gap))
		return;
	complain(file, "%s damaged and left out%s", gap_events(&gap, events),
		 cat->damaged ? "" : "; cat --damaged shows what is whole");
	cat->worst = worse(cat->worst, STATUS_DAMAGED);
}

/* --- one segment ------------------------------------------------------------------- */

/* A segment that is looked at, and what it is called. */
struct source {
	const struct target *target;
	struct wal_segment_reader *reader;
	const struct wal_segment_info *info;
	char *file;
};

/* Ids and times both grow within a segment: the first event is the later of two. */
static int seek(const struct cat *cat, struct wal_segment_reader *reader, struct wal_event *event)
{
	int result = wal_segment_reader_seek_event(reader, cat->from);

	if (!result)
		result = wal_segment_reader_next(reader, event);
	if (result != 1 || event->timestamp_ns >= cat->since_ns)
		return result;
	result = wal_segment_reader_seek_time(reader, cat->since_ns);
	return result ? result : wal_segment_reader_next(reader, event);
}

static int next_event(const struct cat *cat, struct wal_segment_reader *reader,
		      struct wal_event *event, bool *damaged)
{
	*damaged = false;
	if (cat->damaged)
		return wal_segment_reader_next_salvaged(reader, event, damaged);
	return wal_segment_reader_next(reader, event);
}

/* With damage on the way there is no seeking: then from the segment's first event on. */
static int first_event(struct cat *cat, const struct source *source, struct wal_event *event,
		       bool *damaged)
{
	bool seeks = !cat->damaged || source->info->state != WAL_DAMAGED;
	int result = seeks ? seek(cat, source->reader, event) : -EUCLEAN;

	*damaged = false;
	if (result >= 0) {
		cat->sequence.next_id = result ? event->id : source->info->last_event + 1;
		return result;
	}
	wal_segment_reader_seek_event(source->reader, 0);
	return next_event(cat, source->reader, event, damaged);
}

/* Reports what is wrong. Return: whether there is anything after it. */
static bool pass_damage(struct cat *cat, const struct source *source, int err)
{
	const struct wal_segment_info *info = source->info;
	const struct wal_fault *fault = wal_segment_reader_fault(source->reader);
	bool cut = fault->kind == WAL_FAULT_TOO_SHORT;
	bool said = info->fault.kind == fault->kind &&
		    (cut || (info->fault.block == WAL_NO_BLOCK &&
			     info->fault.offset == fault->offset)); /* at the start */

	if (!said)
		report(cat, source->file, err, fault);
	if (cat->damaged)
		return status_of(err) == STATUS_DAMAGED;
	return !cut && wal_segment_reader_skip_block(source->reader);
}

enum step { STEP_ON, STEP_NEXT_SEGMENT, STEP_END };

static enum step take_event(struct cat *cat, const struct source *source,
			    const struct wal_event *event, bool damaged)
{
	if (event->id > cat->to) {
		report_left_out(cat, source->file, event->id);
		return STEP_END;
	}
	if (cat->has_until && event->timestamp_ns >= cat->until_ns)
		return STEP_NEXT_SEGMENT; /* later ones may have an earlier clock */
	if (event->timestamp_ns >= cat->since_ns)
		report_left_out(cat, source->file, event->id);
	cat->sequence.next_id = event->id + 1;
	if (event->id < cat->from || event->timestamp_ns < cat->since_ns)
		return STEP_ON;
	cat->printed = true;
	if (!put_event(cat, event, damaged))
		return STEP_END;
	return event->id == cat->to ? STEP_END : STEP_ON; /* what is after it is not wanted */
}

static enum step cat_events(struct cat *cat, const struct source *source)
{
	struct wal_event event;
	bool damaged;
	int result = first_event(cat, source, &event, &damaged);

	while (result) {
		if (result > 0) {
			enum step step = take_event(cat, source, &event, damaged);

			if (step != STEP_ON)
				return step;
		} else if (!pass_damage(cat, source, result)) {
			break;
		}
		result = next_event(cat, source->reader, &event, &damaged);
	}
	report_left_out(cat, source->file, source->info->last_event + 1);
	return STEP_NEXT_SEGMENT;
}

/*
 * After its end the last segment has events of the log only if it is damaged, as the next
 * mount will find; for a file that is given alone nothing tells.
 */
static void salvage_end(const struct cat *cat, const struct source *source)
{
	if (cat->damaged && source->target->kind == TARGET_SEGMENT)
		wal_segment_reader_salvage(source->reader);
}

/* What is wrong with it as a whole. In a block it is met where that is, if that is wanted. */
static void report_damage(struct cat *cat, const struct source *source)
{
	const struct wal_fault *own = &source->info->fault;
	struct wal_fault fault;

	if (outlook_fault(source->target, source->info, &fault))
		own = &fault;
	else if (own->kind == WAL_FAULT_NONE || own->block != WAL_NO_BLOCK)
		return;
	report(cat, source->file, wal_fault_errno(own->kind), own);
}

static enum next cat_segment(struct cat *cat, const struct source *source)
{
	const struct wal_segment_info *info = source->info;
	enum step step = STEP_NEXT_SEGMENT;
	char repeat[REPEAT_TEXT];
	struct gap gap;

	if (sequence_repeats(&cat->sequence, info->first_event, repeat)) {
		complain(source->file, "%s; see walctl verify", repeat);
		cat->worst = worse(cat->worst, STATUS_DAMAGED);
	}
	if (sequence_ids(&cat->sequence, info->first_event, &gap))
		report_gap(cat, source->target, gap);
	if (info->first_event > cat->to)
		return NEXT_NONE;
	if (info->state == WAL_DAMAGED || info->last_event >= cat->from) {
		report_damage(cat, source);
		step = cat_events(cat, source);
	}
	if (cat->sequence.next_id <= info->last_event)
		cat->sequence.next_id = info->last_event + 1;
	return step == STEP_END ? NEXT_NONE : NEXT_SEGMENT;
}

/* Removed by retention since the store was listed. After what was printed, ids jump. */
static void note_retired(struct cat *cat, const struct target *target)
{
	if (cat->printed && cat->sequence.next_id)
		complain(target->path,
			 "note: segments with events from %" PRIu64
			 " on were removed by retention before cat got there",
			 cat->sequence.next_id);
	sequence_lost(&cat->sequence);
}

static enum next cat_nth(struct cat *cat, const struct target *target, size_t n)
{
	struct source source = {.target = target};
	struct wal_fault fault;
	enum next next = NEXT_SEGMENT;
	int result = target_reader(target, n, &source.reader, &source.file, &fault);

	if (target->kind != TARGET_SEGMENT)
		sequence_file(&cat->sequence, target->info.segments[n]);
	if (!result)
		source.info = wal_segment_reader_info(source.reader);
	if (result == -ENOENT && target_is_retired(target, n)) {
		note_retired(cat, target);
	} else if (result) {
		report(cat, source.file, result, &fault);
	} else if (target_foreign_fault(target, n, source.info, &fault)) {
		report(cat, source.file, wal_fault_errno(fault.kind), &fault);
	} else {
		salvage_end(cat, &source);
		next = cat_segment(cat, &source);
	}
	target_reader_close(target, source.reader);
	free(source.file);
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
	result = target_foreign_fault(target, n, wal_segment_reader_info(reader), &fault);
	target_reader_close(target, reader);
	return !result;
}

/* The last segment that starts at or before an id; those between that and the
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
	cat->worst = worse(cat->worst, target_add_active(&target));
	cat->worst = worse(cat->worst, outlook_complain(&target));
	cat->printed = false;
	sequence_begin(&cat->sequence, &target);
	if (cat->from > 1)
		n = find_segment(&target, cat->from);
	if (n > 0) /* it begins at or before what is wanted */
		sequence_begin_at(&cat->sequence, &target, n);
	while (n < target.count && cat_nth(cat, &target, n) == NEXT_SEGMENT && !output_failed())
		n++;
	if (n == target.count && sequence_end(&cat->sequence, &target, &gap))
		report_gap(cat, &target, gap);
	target_close(&target);
}

enum { OPTION_FROM = 256, OPTION_TO, OPTION_SINCE, OPTION_UNTIL, OPTION_JSON, OPTION_DAMAGED };

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
		cat->has_until = true;
		break;
	case OPTION_JSON:
		cat->json = true;
		break;
	case OPTION_DAMAGED:
		cat->damaged = true;
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
		{"damaged", no_argument, NULL, OPTION_DAMAGED},
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
	if (cat->has_until && cat->since_ns >= cat->until_ns)
		return complain_usage(command, "--since is not before --until");
	return STATUS_SOUND;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct cat cat = {.from = 1, .to = UINT64_MAX};

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
		"that pass their checks are printed. At a damaged block it says so, names the\n"
		"events that it leaves out, and goes on with the next one. What is missing of a\n"
		"store is named, too. Of what a crash left it prints what the next mount will\n"
		"have, and notes say what that cuts or sets aside. A store may be in use: cat\n"
		"ends at the event that was the last one when it got there.\n"
		"\n"
		"  --from ID       from this event on\n"
		"  --to ID         up to this event, and with it\n"
		"  --since TIME    events at this time or later\n"
		"  --until TIME    events before this time\n"
		"  --json          one object a line: id, time, flags and payload; a payload that\n"
		"                  is not UTF-8 is payload_base64 instead\n"
		"  --damaged       also those events of damaged blocks whose own checksum is\n"
		"                  right. Each line begins with 'ok' or 'damaged', a tab, the id,\n"
		"                  a tab; with --json such an event has \"damaged\": true\n"
		"  -h, --help      this text\n"
		"\n"
		"A TIME is RFC 3339 (2026-11-22T10:01:02.5Z, or with an offset; UTC without one),\n"
		"a date (its start, UTC), or @seconds since 1970.\n"
		"\n"
		"Exit status: 0 all printed, 1 something is damaged or missing, 2 could not look\n"
		"or write.\n"
		"\n"
		"examples:\n"
		"  walctl cat /var/lib/orders | grep filled\n"
		"  walctl cat --from 17 --to 17 /var/lib/orders\n"
		"  walctl cat --damaged /var/lib/orders | grep ^damaged\n"
		"  walctl cat --since 2026-11-22T10:00:00Z --json /var/lib/orders | jq .id\n",
	.run = run,
};
