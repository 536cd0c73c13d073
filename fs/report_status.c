/* SPDX-License-Identifier: MIT */
/*
 * `.walfs/status`: one JSON object. A value that could not be made (no memory) is
 * noticed once, at the end: jansson's calls take a NULL and fail, and put() keeps
 * that in mind.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

struct object {
	json_t *json;
	bool failed;
};

static void put(struct object *object, const char *key, json_t *value)
{
	if (json_object_set_new(object->json, key, value))
		object->failed = true;
}

static void put_number(struct object *object, const char *key, uint64_t value)
{
	put(object, key, json_integer((json_int_t)value));
}

static void put_time(struct object *object, const char *key, uint64_t time_ns)
{
	char text[WAL_TIME_TEXT];

	if (!time_ns) {
		put(object, key, json_null());
		return;
	}
	wal_time_format(time_ns, text);
	put(object, key, json_string(text));
}

/* A path may be any bytes. */
static void put_path(struct object *object, const char *key, const char *path)
{
	char *text = walfs_path_text(path);

	put(object, key, text ? json_string(text) : NULL);
	free(text);
}

/* Takes part over. */
static void put_object(struct object *object, const char *key, struct object part)
{
	if (part.failed)
		object->failed = true;
	put(object, key, part.json);
}

static struct object new_object(void)
{
	return (struct object){.json = json_object()};
}

/* --- options ----------------------------------------------------------------------- */

static const char *io_text(enum wal_io_method method)
{
	switch (method) {
	case WAL_IO_MAPPING:
		return "mmap";
	case WAL_IO_PWRITE:
		return "pwrite";
	default:
		return "auto";
	}
}

static json_t *sync_text(const struct walfs_options *options)
{
	switch (options->sync) {
	case WALFS_SYNC_NONE:
		return json_string("none");
	case WALFS_SYNC_ALWAYS:
		return json_string("always");
	default:
		return json_sprintf("interval:%" PRIu32, options->sync_interval_ms);
	}
}

/* Those that are the daemon's own. */
static void put_options(struct object *object, const struct walfs_options *options)
{
	put(object, "sync", sync_text(options));
	put(object, "meta", json_string(options->meta_strict ? "strict" : "relaxed"));
	put_number(object, "prepare", options->prepare ? options->prepare : 2);
	put_number(object, "rotate_age_s", options->rotate_age_s);
	put_number(object, "keep_segments", options->keep_segments);
	put_number(object, "keep_bytes", options->keep_bytes);
	put_number(object, "keep_age_s", options->keep_age_s);
	put(object, "io", json_string(io_text(options->io_method)));
	put_number(object, "busy_poll_us", options->busy_poll_us);
	put(object, "append", json_string(options->append_sequential ? "sequential" : "strict"));
	put_number(object, "max_line_bytes", options->max_line);
	put(object, "ro", json_boolean(options->read_only));
	put(object, "allow_other", json_boolean(options->allow_other));
	put_number(object, "uid", options->uid);
	put_number(object, "gid", options->gid);
	put(object, "mode", json_sprintf("%03o", (unsigned)options->mode));
}

json_t *walfs_options_json(const struct walfs_options *options)
{
	struct object object = new_object();

	put_options(&object, options);
	json_object_del(object.json, "ro"); /* the kernel's, too */
	return object.json;
}

static struct object options_in_force(const struct walfs_view *view)
{
	struct object object = new_object();
	char framing[24];

	wal_framing_format(wal_log_framing(view->fs->log), framing, sizeof(framing));
	put(&object, "framing", json_string(framing));
	put_number(&object, "block_size", view->current.block_size);
	put_number(&object, "segment_size", view->current.index ? view->current.file_bytes : 0);
	put_options(&object, &view->fs->options);
	return object;
}

/* --- latencies ---------------------------------------------------------------------- */

/* Where in its bucket the rank lies is not known: it is taken to be spread evenly. */
static uint64_t quantile(const struct wal_histogram *histogram, uint64_t per_mille)
{
	uint64_t rank = (histogram->count * per_mille + 999) / 1000, below = 0, low = 0, high;
	unsigned i;

	for (i = 0; i < WAL_LATENCY_BUCKETS; i++) {
		if (below + histogram->buckets[i] >= rank)
			break;
		below += histogram->buckets[i];
		low = wal_latency_bucket_ns(i);
	}
	if (i >= WAL_LATENCY_BUCKETS - 1)
		return histogram->max_ns;
	high = wal_latency_bucket_ns(i);
	high = histogram->max_ns > low && histogram->max_ns < high ? histogram->max_ns : high;
	return low + (uint64_t)((double)(high - low) * (double)(rank - below) /
				(double)histogram->buckets[i]);
}

static struct object latency(const struct wal_histogram *histogram)
{
	struct object object = new_object();
	bool any = histogram->count;

	put_number(&object, "count", histogram->count);
	put_number(&object, "mean_ns", any ? histogram->sum_ns / histogram->count : 0);
	put_number(&object, "p50_ns", any ? quantile(histogram, 500) : 0);
	put_number(&object, "p99_ns", any ? quantile(histogram, 990) : 0);
	put_number(&object, "p999_ns", any ? quantile(histogram, 999) : 0);
	put_number(&object, "max_ns", histogram->max_ns);
	return object;
}

static struct object latencies(const struct walfs_view *view)
{
	struct object object = new_object();
	struct wal_histogram waits;
	unsigned i;

	for (i = 0; i < WAL_LATENCIES; i++)
		put_object(&object, wal_latency_name(i), latency(&view->stats.latencies[i]));
	walfs_latency_read(&view->fs->opstats.waits, &waits);
	put_object(&object, "worker_wait", latency(&waits));
	return object;
}

static struct object operations(const struct walfs_view *view)
{
	struct object object = new_object();
	struct wal_histogram histogram;
	unsigned i;

	for (i = 0; i < WALFS_OPERATIONS; i++) {
		walfs_latency_read(&view->fs->opstats.operations[i], &histogram);
		if (histogram.count)
			put_object(&object, walfs_operation_name(i), latency(&histogram));
	}
	return object;
}

/* Rounds of polling for the next request. */
static struct object busy_polls(const struct walfs_view *view)
{
	const struct walfs_busy_poll *poll = &view->fs->busy_poll;
	struct object object = new_object();

	put_number(&object, "found", atomic_load_explicit(&poll->found, memory_order_relaxed));
	put_number(&object, "missed", atomic_load_explicit(&poll->missed, memory_order_relaxed));
	return object;
}

/* --- the rest ------------------------------------------------------------------------- */

static struct object counters(const struct walfs_view *view)
{
	struct object object = new_object();
	unsigned i;

	for (i = 0; i < WAL_COUNTERS; i++)
		put_number(&object, wal_counter_name(i), view->stats.counters[i]);
	put_number(&object, "messages_dropped", view->dropped_messages);
	return object;
}

static struct object position(const struct walfs_view *view)
{
	struct object object = new_object();

	put_number(&object, "segment", view->position.segment);
	put_number(&object, "next_event", view->position.next_event);
	put_number(&object, "durable_event", view->position.durable_event);
	put_number(&object, "incarnation", view->stats.incarnation);
	put_number(&object, "payload_bytes", view->position.payload_bytes);
	put_number(&object, "room_bytes", view->stats.active_room_bytes);
	put_number(&object, "held_bytes", view->stats.held_bytes);
	put_number(&object, "sync_waiters", view->stats.sync_waiters);
	put_time(&object, "last_append", view->position.last_ns);
	return object;
}

static struct object segments(const struct walfs_view *view)
{
	struct object object = new_object();

	put_number(&object, "first", view->first_segment);
	put_number(&object, "stored", view->stats.sealed_segments);
	put_number(&object, "sealing", view->stats.sealing_segments);
	put_number(&object, "ready", view->stats.ready_segments);
	put_number(&object, "damaged", view->stats.damaged_segments);
	return object;
}

static struct object space(const struct walfs_view *view)
{
	struct object object = new_object();

	put_number(&object, "size_bytes", view->space.f_blocks * view->space.f_frsize);
	put_number(&object, "free_bytes", view->space.f_bavail * view->space.f_frsize);
	return object;
}

static void put_said(struct object *object, const char *key, const struct walfs_said *said)
{
	struct object part;

	if (!said->time_ns) {
		put(object, key, json_null());
		return;
	}
	part = new_object();
	put_time(&part, "time", said->time_ns);
	put_path(&part, "text", said->text); /* it may name one */
	put_object(object, key, part);
}

static void put_identity(struct object *object, const struct walfs_view *view)
{
	const struct walfs *fs = view->fs;
	char uuid[WAL_UUID_TEXT], capabilities[64];
	uint8_t log[16];

	wal_log_uuid(fs->log, log);
	wal_uuid_format(log, uuid);
	put(object, "version", json_string(WAL_VERSION));
	put(object, "log", json_string(uuid));
	put_path(object, "store", fs->options.store);
	put_path(object, "mountpoint", fs->options.mountpoint);
	put_number(object, "pid", (uint64_t)getpid());
	walfs_privileges_text(capabilities, sizeof(capabilities));
	put(object, "capabilities", json_string(capabilities));
	put_time(object, "now", view->now_ns);
	put_time(object, "started", fs->started_ns);
	put_number(object, "uptime_s", view->uptime_ns / 1000000000);
}

static void put_health(struct object *object, const struct walfs_view *view)
{
	static const char *const states[] = {
		[WALFS_ACTIVE] = "active",
		[WALFS_READ_ONLY] = "read-only",
		[WALFS_NO_SPACE] = "no space",
	};
	const char *reason;

	put(object, "state", json_string(states[walfs_view_health(view, &reason)]));
	put(object, "reason", reason ? json_string(reason) : json_null());
	put(object, "failed", json_boolean(view->stats.failed));
	put_said(object, "last_warning", &view->warning);
	put_said(object, "last_error", &view->error);
}

static int put_bytes(const char *text, size_t size, void *out)
{
	return fwrite(text, 1, size, out) == size ? 0 : -1;
}

static int escape(const char *text, size_t size, void *out)
{
	return wal_json_escape(text, size, put_bytes, out);
}

int walfs_report_status(const struct walfs_view *view, FILE *out)
{
	struct object object = new_object();

	put_identity(&object, view);
	put_health(&object, view);
	put_object(&object, "position", position(view));
	put_object(&object, "segments", segments(view));
	put_object(&object, "space", space(view));
	put_object(&object, "options", options_in_force(view));
	put_object(&object, "counters", counters(view));
	put_object(&object, "busy_polls", busy_polls(view));
	put_object(&object, "latencies", latencies(view));
	put_object(&object, "operations", operations(view));
	if (!object.failed && json_dump_callback(object.json, escape, out, JSON_INDENT(2)))
		object.failed = true;
	json_decref(object.json);
	fputc('\n', out);
	return object.failed ? -ENOMEM : 0;
}
