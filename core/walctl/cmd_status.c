/* SPDX-License-Identifier: MIT */
/*
 * What a running walfs says of itself, from `.walfs/status` in its mount. A member
 * that is not there (the daemon may be another version) is left out, not made up.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walctl.h"

#define STATUS_NAME ".walfs/status"

/* --- where it is -------------------------------------------------------------- */

static char *join(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		die_no_memory();
	return path;
}

static enum status complain_not_mounted(const char *path, const char *real)
{
	struct wal_store_info info;
	struct wal_error error = {0};
	int result = wal_store_info_read(real, &info, &error);

	if (result == -EACCES || result == -EPERM)
		complain_errno(path, -result);
	else if (result)
		complain(path,
			 "neither the mount of a walfs nor a store; give walctl the directory "
			 "on which a log is mounted");
	else if (info.holder[0])
		complain(path,
			 "held by %s, whose mount cannot be seen from here; it may be in "
			 "another container, or about to start or end",
			 info.holder);
	else
		complain(path, "not mounted; 'walctl info' shows what is stored, and "
			       "'walfs STORE MOUNTPOINT' mounts it");
	if (!result)
		wal_store_info_destroy(&info);
	return STATUS_TROUBLE;
}

/* The file to read for a path that exists; free() it. NULL: none, and that was said. */
static char *find_file(const char *path, const char *real)
{
	char *file, *point;
	struct stat st;

	if (stat(real, &st)) {
		complain_errno(path, errno);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode))
		return strdup(real);
	file = join(real, STATUS_NAME);
	if (!access(file, F_OK) || errno == EACCES || errno == ENOTCONN || errno == ECONNABORTED)
		return file;
	free(file);
	point = mount_point_of(real);
	if (!point) {
		complain_not_mounted(path, real);
		return NULL;
	}
	file = join(point, STATUS_NAME);
	free(point);
	return file;
}

/* Return: the object, or NULL after a complaint. */
static json_t *load(const char *file)
{
	FILE *stream = fopen(file, "re");
	json_t *status = stream ? json_loadf(stream, 0, NULL) : NULL;
	int err = !stream || ferror(stream) ? errno : 0;

	if (stream)
		fclose(stream);
	if (err) {
		complain_errno(file, err);
	} else if (json_is_string(json_object_get(status, "state"))) {
		return status;
	} else {
		complain(file, "not what a walfs says of itself; give walctl the directory on "
			       "which a log is mounted, or a copy of its " STATUS_NAME);
	}
	json_decref(status);
	return NULL;
}

/* --- for people --------------------------------------------------------------- */

/* A member of a member, as "position.segment". Return: NULL if there is none. */
static const json_t *at(const json_t *object, const char *path)
{
	const char *dot;
	char key[64];

	while ((dot = strchr(path, '.'))) {
		snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
		object = json_object_get(object, key);
		path = dot + 1;
	}
	return json_object_get(object, path);
}

static uint64_t number_at(const json_t *object, const char *path)
{
	json_int_t value = json_integer_value(at(object, path));

	return value > 0 ? (uint64_t)value : 0;
}

static const char *text_at(const json_t *object, const char *path)
{
	const char *text = json_string_value(at(object, path));

	return text ? text : "";
}

static void put_field(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_field(const char *name, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("  %-14s ", name);
	put_text(stdout, text);
	putchar('\n');
}

/* "3 d 4 h", "12 min 5 s": the two largest units. */
static const char *format_seconds(uint64_t seconds, char text[SIZE_TEXT])
{
	if (seconds >= 24 * 3600)
		snprintf(text, SIZE_TEXT, "%" PRIu64 " d %u h", seconds / (24 * 3600),
			 (unsigned)(seconds / 3600 % 24));
	else if (seconds >= 3600)
		snprintf(text, SIZE_TEXT, "%u h %u min", (unsigned)(seconds / 3600),
			 (unsigned)(seconds / 60 % 60));
	else if (seconds >= 60)
		snprintf(text, SIZE_TEXT, "%u min %u s", (unsigned)(seconds / 60),
			 (unsigned)(seconds % 60));
	else
		snprintf(text, SIZE_TEXT, "%u s", (unsigned)seconds);
	return text;
}

/* "850 ns", "12.3 us", "4.5 ms", "1.2 s" */
static const char *format_latency(uint64_t ns, char text[SIZE_TEXT])
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	double value = (double)ns;
	size_t unit = 0;

	while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(text, SIZE_TEXT, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return text;
}

static void put_state(const json_t *status)
{
	const char *reason = text_at(status, "reason");
	char up[SIZE_TEXT];

	put_field("state", "%s%s%s", text_at(status, "state"), reason[0] ? ": " : "", reason);
	if (at(status, "last_error.text"))
		put_field("last error", "%s, at %s", text_at(status, "last_error.text"),
			  text_at(status, "last_error.time"));
	if (at(status, "last_warning.text"))
		put_field("last warning", "%s, at %s", text_at(status, "last_warning.text"),
			  text_at(status, "last_warning.time"));
	put_field("log", "%s", text_at(status, "log"));
	put_field("store", "%s", text_at(status, "store"));
	put_field("mounted on", "%s", text_at(status, "mountpoint"));
	put_field("since", "%s (%s)", text_at(status, "started"),
		  format_seconds(number_at(status, "uptime_s"), up));
	put_field("by", "walfs %s, pid %" PRIu64, text_at(status, "version"),
		  number_at(status, "pid"));
}

static void put_position(const json_t *status)
{
	uint64_t next = number_at(status, "position.next_event");
	uint64_t durable = number_at(status, "position.durable_event");
	char count[COUNT_TEXT], bytes[SIZE_TEXT], room[SIZE_TEXT];

	put_field("appended", "%s events, %s, since it was mounted",
		  format_count(number_at(status, "counters.events"), count),
		  format_size((double)number_at(status, "counters.payload_bytes"), bytes));
	if (next <= 1)
		put_field("last event", "none yet");
	else
		put_field("last event", "%" PRIu64 " at %s", next - 1,
			  text_at(status, "position.last_append"));
	put_field("durable", "to event %" PRIu64 ", %s behind", durable,
		  format_count(next > durable ? next - 1 - durable : 0, count));
	put_field("active segment", "%" PRIu64 ": %s of payload, room for %s",
		  number_at(status, "position.segment"),
		  format_size((double)number_at(status, "position.payload_bytes"), bytes),
		  format_size((double)number_at(status, "position.room_bytes"), room));
}

static void put_segments(const json_t *status)
{
	char available[SIZE_TEXT], size[SIZE_TEXT];

	put_field("segments",
		  "%" PRIu64 " finished, %" PRIu64 " being sealed, %" PRIu64 " ready, %" PRIu64
		  " damaged",
		  number_at(status, "segments.stored"), number_at(status, "segments.sealing"),
		  number_at(status, "segments.ready"), number_at(status, "segments.damaged"));
	if (number_at(status, "counters.removed_segments"))
		put_field("removed", "%" PRIu64 ", as the options say",
			  number_at(status, "counters.removed_segments"));
	put_field("space", "%s of %s free",
		  format_size((double)number_at(status, "space.free_bytes"), available),
		  format_size((double)number_at(status, "space.size_bytes"), size));
}

/* Those that were given, or that matter to how safe an event is. */
static void put_options(const json_t *status)
{
	static const char *const left_out[] = {"uid", "gid", "mode", "allow_other"};
	const char *key, *separator = "";
	json_t *value;

	printf("  %-14s ", "options");
	json_object_foreach(json_object_get(status, "options"), key, value)
	{
		bool is_told =
			json_is_string(value) || json_integer_value(value) || json_is_true(value);

		for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
			is_told = is_told && strcmp(key, left_out[i]);
		if (!is_told)
			continue;
		printf("%s%s", separator, key);
		separator = ", ";
		if (json_is_string(value)) {
			putchar('=');
			put_text(stdout, json_string_value(value));
		} else if (json_is_integer(value)) {
			printf("=%" JSON_INTEGER_FORMAT, json_integer_value(value));
		}
	}
	putchar('\n');
}

static void put_latencies(const json_t *status, const char *title, const char *member)
{
	static const char *const columns[] = {"mean_ns", "p50_ns", "p99_ns", "p999_ns", "max_ns"};
	char text[SIZE_TEXT];
	const char *key;
	json_t *value;

	printf("\n  %-14s %12s %10s %10s %10s %10s %10s\n", title, "COUNT", "MEAN", "P50", "P99",
	       "P99.9", "MAX");
	json_object_foreach(json_object_get(status, member), key, value)
	{
		if (!number_at(value, "count"))
			continue;
		fputs("  ", stdout);
		put_text(stdout, key);
		printf("%*s %12" PRIu64, strlen(key) < 14 ? 14 - (int)strlen(key) : 0, "",
		       number_at(value, "count"));
		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			printf(" %10s", format_latency(number_at(value, columns[i]), text));
		putchar('\n');
	}
}

static void put_trouble(const json_t *status)
{
	static const char *const kinds[] = {
		"append_errors",
		"sync_errors",
		"sync_refusals",
		"prepare_errors",
		"segment_header_faults",
		"block_faults",
		"chain_faults",
		"event_faults",
		"other_faults",
		"recovery_dropped_bytes",
		"recovery_dropped_segments",
	};
	char member[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(member, sizeof(member), "counters.%s", kinds[i]);
		if (number_at(status, member))
			put_field("trouble", "%s: %" PRIu64, kinds[i], number_at(status, member));
	}
}

static void put_status(const char *path, const json_t *status)
{
	put_text(stdout, path);
	printf(": as of %s\n", text_at(status, "now"));
	put_state(status);
	put_position(status);
	put_segments(status);
	put_options(status);
	put_trouble(status);
	put_latencies(status, "PART", "latencies");
	put_latencies(status, "OPERATION", "operations");
}

/* --- the command ---------------------------------------------------------------- */

/* Asked to be read-only is no trouble; to have become it, or to have no space, is. */
static enum status judge(const json_t *status)
{
	bool is_well = !json_is_true(json_object_get(status, "failed")) &&
		       strcmp(text_at(status, "state"), "no space") &&
		       !number_at(status, "segments.damaged");

	return is_well ? STATUS_SOUND : STATUS_DAMAGED;
}

static enum status show(const char *path, bool json)
{
	char *real = realpath(path, NULL);
	enum status result = STATUS_TROUBLE;
	char *file = NULL;
	json_t *status;

	if (real)
		file = find_file(path, real);
	else
		complain_errno(path, errno);
	status = file ? load(file) : NULL;
	if (status) {
		result = judge(status);
		if (json)
			json_print(json_incref(status));
		else
			put_status(path, status);
	}
	json_decref(status);
	free(file);
	free(real);
	return result;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	return show_each(command, argc, argv, show);
}

const struct command command_status = {
	.name = "status",
	.summary = "show how the walfs of a mounted log is doing",
	.help = "usage: walctl status [OPTIONS] PATH...\n"
		"\n"
		"Shows what a running walfs says of itself: its state, how far the log goes and\n"
		"how far it is durable, segments, space, options, and how long things take. PATH\n"
		"is the directory on which a log is mounted, the store of a log that is mounted,\n"
		"or a copy of the mount's .walfs/status.\n"
		"\n"
		"  --json          one JSON object a line for each path, as the walfs gives it\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 all is well; 1 an error made the log read-only, there is no\n"
		"space, or a segment is damaged; 2 could not look, or not mounted.\n"
		"\n"
		"examples:\n"
		"  walctl status /mnt/orders\n"
		"  walctl status --json /var/lib/orders | jq .latencies.sync\n",
	.run = run,
};
