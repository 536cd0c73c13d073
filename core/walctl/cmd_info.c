/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "walctl.h"

static void print_field(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void print_field(const char *name, const char *format, ...)
{
	va_list args;

	printf("  %-16s ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void print_bytes(const char *name, uint64_t bytes)
{
	char text[SIZE_TEXT];

	if (bytes < 1024)
		print_field(name, "%" PRIu64 " B", bytes);
	else
		print_field(name, "%s (%" PRIu64 " B)", format_size((double)bytes, text), bytes);
}

static void print_time(const char *name, uint64_t time_ns)
{
	char text[WAL_TIME_TEXT];

	wal_time_format(time_ns, text);
	print_field(name, "%s", text);
}

static void print_uuid(const char *name, const uint8_t uuid[16])
{
	char text[WAL_UUID_TEXT];

	wal_uuid_format(uuid, text);
	print_field(name, "%s", text);
}

static void print_framing(struct wal_framing framing)
{
	char text[24];

	wal_framing_format(framing, text, sizeof(text));
	print_field("framing", "%s", text);
}

static void print_recovery(uint32_t bits)
{
	if (!bits)
		return;
	printf("  %-16s", "recovery noted");
	for (const struct bit_name *note = recovery_notes; note->name; note++)
		if (bits & note->bit)
			printf(" %s", note->name);
	putchar('\n');
}

static void print_events(const struct wal_segment_info *info)
{
	char count[COUNT_TEXT];

	if (!info->event_count)
		print_field("events", "none yet; the first will be %" PRIu64, info->first_event);
	else
		print_field("events", "%s (%" PRIu64 " to %" PRIu64 ")",
			    format_count(info->event_count, count), info->first_event,
			    info->last_event);
}

/* What stands in a header that could be read. */
static void print_header_fields(const struct wal_segment_info *info)
{
	print_uuid("log", info->log);
	print_events(info);
	print_bytes("payload", info->payload_bytes);
	print_field("blocks", "%" PRIu32, info->block_count);
	print_bytes("block size", info->block_size);
	print_framing(info->framing);
	print_time("created", info->created_ns);
	if (info->event_count)
		print_time("last event at", info->last_ns);
	if (info->closed_ns)
		print_time("closed", info->closed_ns);
	if (info->state == WAL_SEALED)
		print_field("sealed by", "%s", info->sealed_by_recovery ? "recovery" : "writer");
	print_field("incarnation", "%" PRIu64, info->incarnation);
	print_recovery(info->recovery);
	if (info->dropped_bytes)
		print_bytes("dropped", info->dropped_bytes);
	print_field("previous chain", "%016" PRIx64, info->prev_chain);
	print_field("chain", "%016" PRIx64, info->chain);
	print_field("header checksum", "%016" PRIx64, info->header_checksum);
}

static void print_segment(const char *file, const struct wal_segment_info *info)
{
	put_text(stdout, file);
	printf(": segment %" PRIu32 ", %s\n", info->index, wal_state_name(info->state));
	print_bytes("file", info->file_bytes);
	if (info->block_size)
		print_header_fields(info);
	if (info->fault.kind != WAL_FAULT_NONE) {
		printf("  %-16s ", "damaged");
		put_fault(stdout, file, &info->fault);
		putchar('\n');
	}
}

static const char *closed_note(const struct wal_store_info *info)
{
	if (info->copy)
		return "a copy (walctl backup): written to only with -o continue";
	if (info->clean)
		return "cleanly";
	return info->holder[0] ? "not now: it is in use"
			       : "not cleanly; the next start recovers it";
}

/* A process has whatever name it gave itself. */
static void print_holder(const char *holder)
{
	printf("  %-16s ", "held by");
	put_text(stdout, holder[0] ? holder : "nobody");
	putchar('\n');
}

static void print_store(const struct target *target)
{
	const struct wal_store_info *info = &target->info;

	put_text(stdout, target->path);
	printf(": %s\n", target_kind_name(target->kind));
	if (target->kind == TARGET_STORE)
		print_holder(info->holder);
	if (info->meta_valid) {
		print_uuid("log", info->log);
		print_framing(info->framing);
		print_bytes("block size", info->block_size);
		print_bytes("segment size", info->segment_size);
		print_field("incarnation", "%" PRIu64, info->incarnation);
		print_field("durable",
			    "to event %" PRIu64 " (segment %" PRIu32 ", offset %" PRIu64 ")",
			    info->durable_event, info->durable_segment, info->durable_offset);
		print_field("closed", "%s", closed_note(info));
	} else if (target->kind == TARGET_STORE) {
		print_field("wal.meta", "missing or unreadable; the next start makes it again");
	}
	if (info->compressed_count)
		print_field("compressed", "%zu, not looked at", info->compressed_count);
	if (info->torn_count)
		print_field("torn tails kept", "%zu", info->torn_count);
	if (info->prepared_count)
		print_field("in preparation", "%zu", info->prepared_count);
	print_field("segments", "%zu", target->count);
	if (target->outlook.hint)
		print_field("note", "%s", wal_hint_text(target->outlook.hint));
}

static json_t *json_store(const struct target *target)
{
	const struct wal_store_info *info = &target->info;
	enum wal_hint hint = target->outlook.hint;
	json_t *object = json_object();
	char framing[24];

	json_put(object, "path", json_name(target->path));
	json_put(object, "kind", json_string(target_kind_name(target->kind)));
	json_put(object, "holder", info->holder[0] ? json_name(info->holder) : json_null());
	json_put(object, "meta_valid", json_boolean(info->meta_valid));
	if (info->meta_valid) {
		wal_framing_format(info->framing, framing, sizeof(framing));
		json_put(object, "log", json_uuid(info->log));
		json_put(object, "framing", json_string(framing));
		json_put(object, "block_size", json_number(info->block_size));
		json_put(object, "segment_size", json_number(info->segment_size));
		json_put(object, "incarnation", json_number(info->incarnation));
		json_put(object, "durable_segment", json_number(info->durable_segment));
		json_put(object, "durable_offset", json_number(info->durable_offset));
		json_put(object, "durable_event", json_number(info->durable_event));
		json_put(object, "clean", json_boolean(info->clean));
		json_put(object, "copy", json_boolean(info->copy));
	}
	json_put(object, "first_segment", json_number(info->first_segment));
	json_put(object, "last_segment", json_number(info->last_segment));
	json_put(object, "compressed", json_number(info->compressed_count));
	json_put(object, "torn", json_number(info->torn_count));
	json_put(object, "prepared", json_number(info->prepared_count));
	json_put(object, "hint", hint ? json_string(wal_hint_text(hint)) : json_null());
	return object;
}

static void print_row_head(void)
{
	printf("\n  %-10s  %-8s  %12s  %12s  %10s  %10s  %-30s  %s\n", "SEGMENT", "STATE", "FIRST",
	       "LAST", "EVENTS", "PAYLOAD", "CREATED", "CLOSED");
}

static void print_row(void *ctx, struct listed *listed)
{
	const struct wal_segment_info *info = &listed->info;
	char created[WAL_TIME_TEXT], closed[WAL_TIME_TEXT] = "-", payload[SIZE_TEXT];

	(void)ctx;
	if (info->block_size) {
		wal_time_format(info->created_ns, created);
		if (info->closed_ns)
			wal_time_format(info->closed_ns, closed);
		printf("  %010" PRIu32 "  %-8s  %12" PRIu64 "  %12" PRIu64 "  %10" PRIu32
		       "  %10s  %-30s  %s\n",
		       info->index, wal_state_name(info->state), info->first_event,
		       info->last_event, info->event_count,
		       format_size((double)info->payload_bytes, payload), created, closed);
	} else {
		printf("  %010" PRIu32 "  %-8s  (its header cannot be read)\n", info->index,
		       wal_state_name(info->state));
	}
	if (info->fault.kind != WAL_FAULT_NONE) {
		fputs("              ", stdout);
		put_fault(stdout, listed->file, &info->fault);
		putchar('\n');
	}
}

static enum status show_segment(const struct target *target, bool json)
{
	struct listed listed = {0};
	bool retired; /* a file given alone is not */
	enum status status = listing_read(target, 0, &listed, &retired);

	if (status != STATUS_TROUBLE && json)
		json_print(json_segment(listed.file, &listed.info));
	else if (status != STATUS_TROUBLE)
		print_segment(listed.file, &listed.info);
	free(listed.file);
	return status;
}

/* What is shown of a store: lines for a person, or what goes into one JSON object. */
struct arrays {
	json_t *segments;
	json_t *missing;
};

static void print_gap(void *ctx, const struct gap *gap)
{
	char text[GAP_TEXT];

	(void)ctx;
	gap_format(gap, text);
	printf("  %-10s  %-8s  %s\n", "-", "MISSING", text);
}

static void add_segment(void *ctx, struct listed *listed)
{
	struct arrays *arrays = ctx;

	json_add(arrays->segments, json_segment(listed->file, &listed->info));
}

static void add_gap(void *ctx, const struct gap *gap)
{
	struct arrays *arrays = ctx;

	json_add(arrays->missing, json_gap(gap));
}

static enum status show_as_json(const struct target *target)
{
	struct arrays arrays = {.segments = json_array(), .missing = json_array()};
	struct listing listing = {.segment = add_segment, .gap = add_gap, .ctx = &arrays};
	json_t *store = json_store(target), *notes = json_array(), *faults = json_array();
	enum status outlook = outlook_json(target, notes, faults);

	listing_run(&listing, target);
	json_put(store, "segments", arrays.segments);
	json_put(store, "missing", arrays.missing);
	json_put(store, "notes", notes);
	json_put(store, "faults", faults);
	json_print(store);
	return worse(listing.worst, outlook);
}

static enum status show_store(const struct target *target, bool json)
{
	struct listing listing = {.segment = print_row, .gap = print_gap};

	if (json)
		return show_as_json(target);
	print_store(target);
	print_row_head();
	listing_run(&listing, target);
	return worse(listing.worst, outlook_print(target));
}

static enum status show_path(const char *path, bool json)
{
	struct target target;
	enum status status = target_open(&target, path), active;

	if (status != STATUS_SOUND)
		return status;
	active = target_add_active(&target);
	status = target.kind == TARGET_SEGMENT ? show_segment(&target, json)
					       : show_store(&target, json);
	target_close(&target);
	return worse(status, active);
}

static enum status run(const struct command *command, int argc, char **argv)
{
	return show_each(command, argc, argv, show_path);
}

const struct command command_info = {
	.name = "info",
	.summary = "show what segments, or a whole store, say of themselves",
	.help = "usage: walctl info [OPTIONS] PATH...\n"
		"\n"
		"Shows the header of each segment file: log, events, times, sizes, checksums; of\n"
		"a store its parameters, who holds it, how far it is durable, and a list of its\n"
		"segments. Reads little of each sealed segment, so damage further inside is not\n"
		"seen: that is what walctl verify is for. A store may be in use.\n"
		"\n"
		"  --json          one JSON object a line for each path\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 nothing wrong seen, 1 a segment is damaged, 2 could not look.\n"
		"\n"
		"examples:\n"
		"  walctl info /var/lib/orders\n"
		"  walctl info --json /var/lib/orders | jq '.segments[].last_event'\n"
		"  walctl info 0000000017.wal\n",
	.run = run,
};
