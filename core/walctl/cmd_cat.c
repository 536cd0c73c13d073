/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

#include "cat.h"
#include "when.h"

#define OUTPUT_BUFFER (1u << 20)

/* Return: false if stdout takes no more. */
static bool put_event(struct cat *cat, const struct wal_event *event, bool damaged)
{
	cat->printed = true;
	if (cat->json)
		put_event_json(event, damaged);
	else if (cat->damaged)
		put_event_marked(event, damaged);
	else
		fwrite(event->payload, 1, event->size, stdout);
	return !output_failed();
}

/* From the n-th segment on, or from the log's beginning. */
static void begin_at(struct cat *cat, const struct target *target, size_t n)
{
	if (n > 0)
		sequence_begin_at(&cat->sequence, target, n);
	else
		sequence_begin(&cat->sequence, target);
}

/* Return: false if nothing after it is wanted. */
static bool cat_range(struct cat *cat, const struct target *target, struct cat_range range)
{
	struct gap gap;
	size_t n = range.first;

	begin_at(cat, target, n);
	while (n < range.end && cat_nth(cat, target, n) == NEXT_SEGMENT && !output_failed())
		n++;
	if (n == target->count && sequence_end(&cat->sequence, target, &gap))
		cat_report_gap(cat, target, gap);
	return n == range.end && !output_failed();
}

static void cat_in_order(struct cat *cat, const struct target *target,
			 const struct cat_ranges *ranges)
{
	cat->take = put_event;
	if (!target->count) /* all of it may be missing */
		cat_range(cat, target, (struct cat_range){0});
	for (size_t i = 0; i < ranges->count; i++)
		if (!cat_range(cat, target, ranges->list[i]))
			break;
}

static void cat_path(struct cat *cat, const char *path)
{
	struct cat_ranges ranges;
	struct target target;
	enum status status = target_open(&target, path);

	cat->worst = worse(cat->worst, status);
	if (status != STATUS_SOUND)
		return;
	cat->worst = worse(cat->worst, target_add_active(&target));
	cat->worst = worse(cat->worst, outlook_complain(&target));
	cat->printed = false;
	cat_ranges_find(cat, &target, &ranges);
	cat_in_order(cat, &target, &ranges);
	cat_ranges_destroy(&ranges);
	target_close(&target);
}

enum { OPTION_FROM = 256, OPTION_TO, OPTION_SINCE, OPTION_UNTIL, OPTION_JSON, OPTION_DAMAGED };

static bool parse_id(const char *text, uint64_t *id)
{
	return parse_number(text, id) && *id > 0;
}

static bool parse_time(const char *text, uint64_t *time_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return parse_when(text, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
			  time_ns);
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
		valid = parse_time(optarg, &cat->since_ns);
		break;
	case OPTION_UNTIL:
		valid = parse_time(optarg, &cat->until_ns);
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
			      "'%s' is no time (2026-11-22T10:01:02Z, '2026-11-22 10:01', "
			      "yesterday, '2 hours ago', @1795341662)",
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
		"A TIME is one that journalctl takes: '2026-11-22 10:01:02', 10:01, yesterday,\n"
		"now, '2 hours ago', -1h30min, @seconds since 1970; or RFC 3339. Without Z, an\n"
		"offset or ' UTC' it is local time.\n"
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
