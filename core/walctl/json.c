/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

static json_t *must(json_t *value)
{
	if (!value)
		die_no_memory();
	return value;
}

/* The printable ASCII of text; other bytes as \xNN. */
static json_t *json_escaped(const char *text)
{
	char *escaped = malloc(4 * strlen(text) + 1);
	char *end = escaped;
	json_t *value;

	if (!escaped)
		die_no_memory();
	for (; *text; text++) {
		if (*text >= ' ' && *text <= '~')
			*end++ = *text;
		else
			end += sprintf(end, "\\x%02x", (unsigned char)*text);
	}
	*end = '\0';
	value = must(json_string(escaped));
	free(escaped);
	return value;
}

json_t *json_name(const char *name)
{
	json_t *value = json_string(name);

	return value ? value : json_escaped(name);
}

json_t *json_number(uint64_t number)
{
	if (number > INT64_MAX) /* no honest one is; jansson's integers are signed */
		return must(json_sprintf("%" PRIu64, number));
	return must(json_integer((json_int_t)number));
}

json_t *json_hex(uint64_t number)
{
	return must(json_sprintf("%016" PRIx64, number));
}

json_t *json_time(uint64_t time_ns)
{
	char text[WAL_TIME_TEXT];

	wal_time_format(time_ns, text);
	return must(json_string(text));
}

json_t *json_uuid(const uint8_t uuid[16])
{
	char text[WAL_UUID_TEXT];

	wal_uuid_format(uuid, text);
	return must(json_string(text));
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, must(value)))
		die_no_memory();
}

void json_add(json_t *array, json_t *value)
{
	if (json_array_append_new(array, must(value)))
		die_no_memory();
}

json_t *json_fault(const char *file, const struct wal_fault *fault)
{
	json_t *object = must(json_object());

	json_put(object, "file", json_name(file));
	json_put(object, "segment", json_number(fault->segment));
	json_put(object, "block",
		 fault->block == WAL_NO_BLOCK ? json_null() : json_number(fault->block));
	json_put(object, "offset", json_number(fault->offset));
	json_put(object, "kind", json_string(wal_fault_kind_name(fault->kind)));
	json_put(object, "detail", json_name(fault->detail));
	return object;
}

const struct bit_name event_flags[] = {
	{WAL_FLAG_MORE, "more"},
	{WAL_FLAG_CONT, "cont"},
	{WAL_FLAG_PART, "part"},
	{0, NULL},
};

const struct bit_name recovery_notes[] = {
	{WAL_RECOVERY_CHAIN_RESTART, "chain_restart"},
	{WAL_RECOVERY_TAIL_DROPPED, "tail_dropped"},
	{WAL_RECOVERY_CLOCK_STEPPED, "clock_stepped"},
	{WAL_RECOVERY_POSITION_LOST, "position_lost"},
	{WAL_RECOVERY_SEGMENTS_DROPPED, "segments_dropped"},
	{0, NULL},
};

json_t *json_bits(const struct bit_name *names, uint32_t bits)
{
	json_t *array = must(json_array());

	for (; names->name; names++)
		if (bits & names->bit)
			json_add(array, json_string(names->name));
	return array;
}

static void put_segment_header(json_t *object, const struct wal_segment_info *info)
{
	char framing[24];

	wal_framing_format(info->framing, framing, sizeof(framing));
	json_put(object, "log", json_uuid(info->log));
	json_put(object, "first_event", json_number(info->first_event));
	json_put(object, "last_event", json_number(info->last_event));
	json_put(object, "events", json_number(info->event_count));
	json_put(object, "blocks", json_number(info->block_count));
	json_put(object, "block_size", json_number(info->block_size));
	json_put(object, "payload_bytes", json_number(info->payload_bytes));
	json_put(object, "framing", json_string(framing));
	json_put(object, "created", json_time(info->created_ns));
	json_put(object, "closed", info->closed_ns ? json_time(info->closed_ns) : json_null());
	json_put(object, "last_time", json_time(info->last_ns));
	json_put(object, "sealed_by",
		 info->state != WAL_SEALED
			 ? json_null()
			 : json_string(info->sealed_by_recovery ? "recovery" : "writer"));
	json_put(object, "incarnation", json_number(info->incarnation));
	json_put(object, "recovery", json_bits(recovery_notes, info->recovery));
	json_put(object, "dropped_bytes", json_number(info->dropped_bytes));
	json_put(object, "prev_chain", json_hex(info->prev_chain));
	json_put(object, "chain", json_hex(info->chain));
	json_put(object, "header_checksum", json_hex(info->header_checksum));
}

json_t *json_segment(const char *file, const struct wal_segment_info *info)
{
	json_t *object = must(json_object());

	json_put(object, "file", json_name(file));
	json_put(object, "segment", json_number(info->index));
	json_put(object, "state", json_string(wal_state_name(info->state)));
	json_put(object, "file_bytes", json_number(info->file_bytes));
	if (info->block_size) /* else its header was not readable */
		put_segment_header(object, info);
	if (info->fault.kind != WAL_FAULT_NONE)
		json_put(object, "fault", json_fault(file, &info->fault));
	return object;
}

/* What stdout did not take is noticed by its owner, with ferror(). */
static int put_bytes(const char *text, size_t size, void *ctx)
{
	return fwrite(text, 1, size, ctx) == size ? 0 : -1;
}

static int escape(const char *text, size_t size, void *ctx)
{
	return wal_json_escape(text, size, put_bytes, ctx);
}

void json_print(json_t *object)
{
	json_dump_callback(object, escape, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}
