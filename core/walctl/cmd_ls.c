/* SPDX-License-Identifier: MIT */
/* The segments of a log as a table: all rows are known before the first is printed. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

struct row {
	bool is_gap;
	struct gap gap;
	struct listed listed;
};

struct table {
	struct row *rows;
	size_t count;
	size_t room;
};

struct totals {
	uint64_t states[WAL_DAMAGED + 1];
	uint64_t segments;
	uint64_t events;
	uint64_t first_event; /* 0: none */
	uint64_t last_event;
	uint64_t payload_bytes;
	uint64_t file_bytes;
};

struct widths {
	int first;
	int last;
	int events;
};

struct ls {
	bool json;
	bool reverse;
};

/* --- collecting ------------------------------------------------------------------- */

static struct row *new_row(struct table *table)
{
	if (table->count == table->room) {
		table->room = 2 * table->room + 16;
		table->rows = reallocarray(table->rows, table->room, sizeof(*table->rows));
		if (!table->rows)
			die_no_memory();
	}
	memset(&table->rows[table->count], 0, sizeof(*table->rows));
	return &table->rows[table->count++];
}

static void keep_segment(void *ctx, struct listed *listed)
{
	new_row(ctx)->listed = *listed;
	listed->file = NULL;
}

static void keep_gap(void *ctx, const struct gap *gap)
{
	struct row *row = new_row(ctx);

	row->is_gap = true;
	row->gap = *gap;
}

static void table_destroy(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->rows[i].listed.file);
	free(table->rows);
}

static void table_reverse(struct table *table)
{
	for (size_t i = 0; i < table->count / 2; i++) {
		struct row row = table->rows[i];

		table->rows[i] = table->rows[table->count - 1 - i];
		table->rows[table->count - 1 - i] = row;
	}
}

static void add_up(struct totals *totals, const struct wal_segment_info *info)
{
	totals->segments++;
	totals->states[info->state]++;
	totals->file_bytes += info->file_bytes;
	totals->payload_bytes += info->payload_bytes;
	totals->events += info->event_count;
	if (!info->event_count)
		return;
	if (!totals->first_event || info->first_event < totals->first_event)
		totals->first_event = info->first_event;
	if (info->last_event > totals->last_event)
		totals->last_event = info->last_event;
}

static struct totals table_totals(const struct table *table)
{
	struct totals totals = {0};

	for (size_t i = 0; i < table->count; i++)
		if (!table->rows[i].is_gap)
			add_up(&totals, &table->rows[i].listed.info);
	return totals;
}

/* --- for people ------------------------------------------------------------------- */

static void widen(int *width, uint64_t number)
{
	int digits = snprintf(NULL, 0, "%" PRIu64, number);

	if (digits > *width)
		*width = digits;
}

static struct widths table_widths(const struct table *table)
{
	struct widths widths = {5, 4, 6}; /* of the words FIRST, LAST, EVENTS */

	for (size_t i = 0; i < table->count; i++) {
		const struct wal_segment_info *info = &table->rows[i].listed.info;

		widen(&widths.first, info->first_event);
		widen(&widths.last, info->last_event);
		widen(&widths.events, info->event_count);
	}
	return widths;
}

#define SHORT_TIME 24 /* characters */

/* To the millisecond, which fits beside others; --json has all of it. "-": there is none. */
static const char *short_time(uint64_t time_ns, char text[WAL_TIME_TEXT])
{
	if (!time_ns)
		return "-";
	wal_time_format(time_ns, text);
	strcpy(text + SHORT_TIME - 1, "Z");
	return text;
}

static void print_head(struct widths widths)
{
	printf("%-10s  %-7s  %*s  %*s  %*s  %-*s  %-*s  %10s  %10s  %s\n", "SEGMENT", "STATE",
	       widths.first, "FIRST", widths.last, "LAST", widths.events, "EVENTS", SHORT_TIME,
	       "FIRST TIME", SHORT_TIME, "LAST TIME", "PAYLOAD", "FILE", "CLOSED");
}

static void print_info(const struct listed *listed, struct widths widths)
{
	char first[WAL_TIME_TEXT], last[WAL_TIME_TEXT], closed[WAL_TIME_TEXT];
	char payload[SIZE_TEXT], file[SIZE_TEXT];
	const struct wal_segment_info *info = &listed->info;

	printf("  %*" PRIu64 "  %*" PRIu64 "  %*" PRIu32 "  %-*s  %-*s  %10s  %10s  %s\n",
	       widths.first, info->first_event, widths.last, info->last_event, widths.events,
	       info->event_count, SHORT_TIME, short_time(listed->first_ns, first), SHORT_TIME,
	       short_time(info->event_count ? info->last_ns : 0, last),
	       format_size((double)info->payload_bytes, payload),
	       format_size((double)info->file_bytes, file), short_time(info->closed_ns, closed));
}

static void print_row(const struct row *row, struct widths widths)
{
	const struct wal_segment_info *info = &row->listed.info;
	char text[GAP_TEXT];

	if (row->is_gap) {
		gap_format(&row->gap, text);
		printf("%-10s  %-7s  %s\n", "-", "MISSING", text);
		return;
	}
	printf("%010" PRIu32 "  %-7s", info->index, wal_state_name(info->state));
	if (info->block_size)
		print_info(&row->listed, widths);
	else
		puts("  (its header cannot be read)");
	if (info->fault.kind != WAL_FAULT_NONE) {
		printf("%12s", "");
		put_fault(stdout, row->listed.file, &info->fault);
		putchar('\n');
	}
}

static void print_states(const struct totals *totals)
{
	const char *before = " (";

	for (int state = WAL_ACTIVE; state <= WAL_DAMAGED; state++) {
		if (!totals->states[state])
			continue;
		printf("%s%" PRIu64 " %s", before, totals->states[state],
		       wal_state_name((enum wal_state)state));
		before = ", ";
	}
	if (totals->segments)
		putchar(')');
}

static void print_totals(const struct totals *totals)
{
	char segments[COUNT_TEXT], events[COUNT_TEXT], payload[SIZE_TEXT], files[SIZE_TEXT];

	printf("%s segment%s", format_count(totals->segments, segments),
	       totals->segments == 1 ? "" : "s");
	print_states(totals);
	printf(", %s event%s", format_count(totals->events, events),
	       totals->events == 1 ? "" : "s");
	if (totals->events)
		printf(" (%" PRIu64 " to %" PRIu64 ")", totals->first_event, totals->last_event);
	printf(", %s of payload in %s\n", format_size((double)totals->payload_bytes, payload),
	       format_size((double)totals->file_bytes, files));
}

static enum status print_table(const struct target *target, const struct table *table)
{
	struct totals totals = table_totals(table);
	struct widths widths = table_widths(table);
	enum status status;

	print_head(widths);
	for (size_t i = 0; i < table->count && !output_failed(); i++)
		print_row(&table->rows[i], widths);
	status = outlook_print(target);
	print_totals(&totals);
	return status;
}

/* --- for programs ------------------------------------------------------------------ */

static json_t *json_totals(const struct table *table)
{
	struct totals totals = table_totals(table);
	json_t *object = json_object();

	json_put(object, "segments", json_number(totals.segments));
	json_put(object, "damaged", json_number(totals.states[WAL_DAMAGED]));
	json_put(object, "events", json_number(totals.events));
	json_put(object, "first_event",
		 totals.events ? json_number(totals.first_event) : json_null());
	json_put(object, "last_event",
		 totals.events ? json_number(totals.last_event) : json_null());
	json_put(object, "payload_bytes", json_number(totals.payload_bytes));
	json_put(object, "file_bytes", json_number(totals.file_bytes));
	return object;
}

static json_t *json_row(const struct listed *listed)
{
	json_t *object = json_segment(listed->file, &listed->info);

	json_put(object, "first_time",
		 listed->first_ns ? json_time(listed->first_ns) : json_null());
	return object;
}

static enum status print_json(const struct target *target, const struct table *table)
{
	json_t *object = json_object(), *segments = json_array(), *missing = json_array();
	json_t *notes = json_array(), *faults = json_array();
	enum status status = outlook_json(target, notes, faults);

	for (size_t i = 0; i < table->count; i++) {
		const struct row *row = &table->rows[i];

		if (row->is_gap)
			json_add(missing, json_gap(&row->gap));
		else
			json_add(segments, json_row(&row->listed));
	}
	json_put(object, "path", json_name(target->path));
	json_put(object, "kind", json_string(target_kind_name(target->kind)));
	json_put(object, "segments", segments);
	json_put(object, "missing", missing);
	json_put(object, "notes", notes);
	json_put(object, "faults", faults);
	json_put(object, "total", json_totals(table));
	json_print(object);
	return status;
}

/* --- the command ---------------------------------------------------------------------- */

static enum status list_target(const struct ls *ls, const struct target *target)
{
	struct table table = {0};
	struct listing listing = {
		.ctx = &table, .wants_first = true, .segment = keep_segment, .gap = keep_gap};
	enum status status = listing_run(&listing, target), outlook;

	if (ls->reverse)
		table_reverse(&table);
	outlook = ls->json ? print_json(target, &table) : print_table(target, &table);
	table_destroy(&table);
	return worse(status, outlook);
}

static enum status list_path(const struct ls *ls, const char *path)
{
	struct target target;
	enum status status = target_open(&target, path);

	if (status != STATUS_SOUND)
		return status;
	if (target.kind == TARGET_SEGMENT) {
		complain(path, "a segment, and not a log; 'walctl info' shows what it says of "
			       "itself");
		status = STATUS_TROUBLE;
	} else {
		status = target_add_active(&target);
		status = worse(status, list_target(ls, &target));
	}
	target_close(&target);
	return status;
}

enum { OPTION_JSON = 256, OPTION_REVERSE };

static enum status run(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, OPTION_JSON},
		{"reverse", no_argument, NULL, OPTION_REVERSE},
		{NULL, 0, NULL, 0},
	};
	enum status worst = STATUS_SOUND;
	struct ls ls = {0};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == OPTION_JSON)
			ls.json = true;
		else if (option == OPTION_REVERSE)
			ls.reverse = true;
		else
			return complain_option(command, option, argv);
	}
	if (optind == argc)
		return complain_usage(command, "no path given");
	for (int i = optind; i < argc; i++) {
		if (i > optind && !ls.json)
			putchar('\n');
		worst = worse(worst, list_path(&ls, argv[i]));
	}
	return worst;
}

const struct command command_ls = {
	.name = "ls",
	.summary = "list the segments of a log: ids, times, sizes, state",
	.help = "usage: walctl ls [OPTIONS] STORE|MOUNT...\n"
		"\n"
		"A table of the segments of a log, the oldest first: number, state, first and\n"
		"last event, how many there are, the times of both, the size of the payload and\n"
		"of the file, and when it was closed (UTC). What is wrong with a damaged one is\n"
		"on a line of its own, and so is what is missing. The last line adds up. Reads\n"
		"the header, the first and the last block of each sealed segment, so damage\n"
		"further inside is not seen: that is what walctl verify is for.\n"
		"\n"
		"  --reverse       the newest first\n"
		"  --json          one JSON object a line for each path\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 nothing wrong seen, 1 a segment is damaged or missing, 2 could\n"
		"not look.\n"
		"\n"
		"examples:\n"
		"  walctl ls /var/lib/orders\n"
		"  walctl ls --reverse /mnt/orders | head -n 2\n"
		"  walctl ls --json /var/lib/orders | jq .total.events\n",
	.run = run,
};
