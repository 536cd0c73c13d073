/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cat.h"
#include "when.h"

#define OUTPUT_BUFFER (1u << 20)

bool cat_put(struct cat *cat, const struct wal_event *event, bool damaged)
{
	cat->printed = true;
	if (cat->format == CAT_JSON)
		put_event_json(event, damaged);
	else if (cat->damaged)
		put_event_marked(event, damaged);
	else if (cat->format == CAT_SHORT)
		put_event_short(event);
	else if (cat->format == CAT_TEMPLATE)
		put_event_template(event, cat->template);
	else
		fwrite(event->payload, 1, event->size, stdout);
	return !output_failed();
}

/* --- in the order of the log ---------------------------------------------------------- */

/* Prints the record that is kept if it matches. Return: as cat_put(). */
static bool put_match(struct cat *cat)
{
	struct held *held = &cat->held;
	size_t size, count = held->count;
	const uint8_t *payload;
	bool on;

	if (!count)
		return true;
	payload = held_payload(held, 0, count, &size);
	on = !cat_match(payload, size) || held_put(cat, 0, count);
	held_clear(held);
	return on;
}

/* A record of several events is matched as a whole. */
static bool take_match(struct cat *cat, const struct wal_event *event, bool damaged)
{
	if (!(event->flags & (WAL_FLAG_MORE | WAL_FLAG_CONT)) && !cat->held.count)
		return !cat_match(event->payload, event->size) || cat_put(cat, event, damaged);
	if (!(event->flags & WAL_FLAG_CONT) && !put_match(cat))
		return false;
	held_add(&cat->held, event, damaged);
	return (event->flags & WAL_FLAG_MORE) || put_match(cat);
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
	cat->take = cat->grep ? take_match : cat_put;
	if (!target->count) /* all of it may be missing */
		cat_range(cat, target, (struct cat_range){0});
	for (size_t i = 0; i < ranges->count; i++)
		if (!cat_range(cat, target, ranges->list[i]))
			break;
	if (cat->grep)
		put_match(cat);
}

/* The last `limit` records in their order: they are counted from the end, and then printed. */
static void cat_last(struct cat *cat, const struct target *target, struct cat_ranges *ranges)
{
	size_t n, i = 0;

	cat->counting = true;
	n = cat_in_reverse(cat, target, ranges);
	cat->counting = false;
	cat->first_id = cat->last_id;
	while (i < ranges->count && ranges->list[i].end <= n)
		i++;
	if (i < ranges->count && ranges->list[i].first < n)
		ranges->list[i].first = n;
	cat_in_order(cat, target, &(struct cat_ranges){ranges->list + i, ranges->count - i});
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
	if (cat->reverse)
		cat_in_reverse(cat, &target, &ranges);
	else if (cat->limit)
		cat_last(cat, &target, &ranges);
	else
		cat_in_order(cat, &target, &ranges);
	cat_ranges_destroy(&ranges);
	target_close(&target);
}

enum { OPTION_FROM = 256, OPTION_TO, OPTION_JSON, OPTION_DAMAGED };

/* Whatever is no name of a format is one: what is to be printed of each event. */
static bool parse_format(const char *text, struct cat *cat)
{
	static const struct {
		const char *name;
		enum cat_format format;
	} names[] = {{"raw", CAT_RAW}, {"short", CAT_SHORT}, {"json", CAT_JSON}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i].name)) {
			cat->format = names[i].format;
			return true;
		}
	}
	cat->format = CAT_TEMPLATE;
	cat->template = text;
	return strchr(text, '%') && template_is_possible(text);
}

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

/* What getopt found, but for the pattern, which wants to know whether case counts. */
struct request {
	struct cat *cat;
	const char *pattern;
	bool ignore_case;
};

static bool parse_value(int option, struct request *request)
{
	struct cat *cat = request->cat;

	switch (option) {
	case OPTION_FROM:
		return parse_id(optarg, &cat->from);
	case OPTION_TO:
		return parse_id(optarg, &cat->to);
	case 'S':
		return parse_time(optarg, &cat->since_ns);
	case 'U':
		cat->has_until = true;
		return parse_time(optarg, &cat->until_ns);
	case 'n':
		return parse_number(optarg, &cat->limit) && cat->limit > 0;
	case 'o':
		return parse_format(optarg, cat);
	case 'r':
		return cat->reverse = true;
	case 'g':
		request->pattern = optarg;
		return cat->grep = true;
	case 'i':
		return request->ignore_case = true;
	case OPTION_JSON:
		cat->format = CAT_JSON;
		return true;
	default:
		return cat->damaged = true;
	}
}

static enum status complain_value(const struct command *command, int option)
{
	switch (option) {
	case OPTION_FROM:
	case OPTION_TO:
		return complain_usage(command, "'%s' is no event id (1, 2, 3 ...)", optarg);
	case 'n':
		return complain_usage(command, "'%s' is no number of records (1, 2, 3 ...)",
				      optarg);
	case 'o':
		return complain_usage(command,
				      "'%s' is no format (raw, short, json, or a text with %%i %%t "
				      "%%T %%s %%f %%p %%n %%%% in it)",
				      optarg);
	default:
		return complain_usage(command,
				      "'%s' is no time (2026-11-22T10:01:02Z, '2026-11-22 10:01', "
				      "yesterday, '2 hours ago', @1795341662)",
				      optarg);
	}
}

/* Of options that each are right. */
static enum status check(const struct command *command, const struct request *request)
{
	const struct cat *cat = request->cat;
	char why[MATCH_WHY];

	if (cat->from > cat->to)
		return complain_usage(command, "--from is larger than --to");
	if (cat->has_until && cat->since_ns >= cat->until_ns)
		return complain_usage(command, "--since is not before --until");
	if (cat->damaged && cat->format != CAT_RAW && cat->format != CAT_JSON)
		return complain_usage(command,
				      "--damaged marks lines, or JSON, and no other format");
	if (request->ignore_case && !cat->grep)
		return complain_usage(command, "--ignore-case is for --grep");
	if (cat->grep && !cat_match_compile(request->pattern, request->ignore_case, why))
		return complain_usage(command, "'%s' is no regular expression: %s",
				      request->pattern, why);
	return STATUS_SOUND;
}

static enum status parse(const struct command *command, int argc, char **argv, struct cat *cat)
{
	static const struct option options[] = {
		{"from", required_argument, NULL, OPTION_FROM},
		{"to", required_argument, NULL, OPTION_TO},
		{"since", required_argument, NULL, 'S'},
		{"until", required_argument, NULL, 'U'},
		{"lines", required_argument, NULL, 'n'},
		{"reverse", no_argument, NULL, 'r'},
		{"grep", required_argument, NULL, 'g'},
		{"ignore-case", no_argument, NULL, 'i'},
		{"format", required_argument, NULL, 'o'},
		{"json", no_argument, NULL, OPTION_JSON},
		{"damaged", no_argument, NULL, OPTION_DAMAGED},
		{NULL, 0, NULL, 0},
	};
	struct request request = {.cat = cat};
	int option;

	while ((option = getopt_long(argc, argv, ":S:U:n:rg:io:", options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return complain_option(command, option, argv);
		if (!parse_value(option, &request))
			return complain_value(command, option);
	}
	if (optind == argc)
		return complain_usage(command, "no path given");
	return check(command, &request);
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct cat cat = {.from = 1, .to = UINT64_MAX};

	if (parse(command, argc, argv, &cat))
		return STATUS_TROUBLE;
	setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
	for (int i = optind; i < argc && !output_failed(); i++)
		cat_path(&cat, argv[i]);
	held_destroy(&cat.held);
	cat_match_free();
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
		"  -S, --since TIME      events at this time or later\n"
		"  -U, --until TIME      events before this time\n"
		"  -n, --lines N         the last N records that are wanted; a record that is\n"
		"                        several events (a group) counts as one\n"
		"  -r, --reverse         the last record first\n"
		"  -g, --grep REGEX      records that match a regular expression of Perl (PCRE2);\n"
		"                        the newline at the end is no part of what is matched\n"
		"  -i, --ignore-case     of letters, for --grep\n"
		"  -o, --format FORMAT   raw (as appended), short (local time and a line), json,\n"
		"                        or a text with %i (id), %t (time, UTC), %T (local time),\n"
		"                        %s (seconds since 1970), %f (flags), %p (payload without\n"
		"                        its newline), %n (newline), %%\n"
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
		"  walctl cat -n 20 -o short --grep 'order 1[0-9]* ' /var/lib/orders\n"
		"  walctl cat --since '2 hours ago' --until '1 hour ago' /var/lib/orders\n"
		"  walctl cat --from 17 --to 17 /var/lib/orders\n"
		"  walctl cat --damaged /var/lib/orders | grep ^damaged\n"
		"  walctl cat --since 2026-11-22T10:00:00Z --json /var/lib/orders | jq .id\n",
	.run = run,
};
