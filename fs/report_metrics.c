/* SPDX-License-Identifier: MIT */
/*
 * `.walfs/metrics`: Prometheus' text exposition format, version 0.0.4. Of each
 * family HELP and TYPE come first, and all its samples follow. Units are base
 * units: seconds, bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "report.h"

#define SECOND UINT64_C(1000000000)

static void put_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/*
 * The name of a sample, and its labels: the store, so that those of several logs can stand in
 * one file or one table, and more (NULL: none), such as operation="write".
 */
static void put_series(const struct walfs_view *view, FILE *out, const char *name, const char *more)
{
	fprintf(out, "%s{%s%s%s}", name, view->store_label, more ? "," : "", more ? more : "");
}

static void put_sample(const struct walfs_view *view, FILE *out, const char *name, uint64_t value)
{
	put_series(view, out, name, NULL);
	fprintf(out, " %" PRIu64 "\n", value);
}

static void put_gauge(const struct walfs_view *view, FILE *out, const char *name, const char *help,
		      uint64_t value)
{
	put_family(out, name, "gauge", help);
	put_sample(view, out, name, value);
}

/* Exactly, without digits that say nothing: 128 ns is 0.000000128. */
static void put_seconds(FILE *out, uint64_t ns)
{
	uint64_t fraction = ns % SECOND;
	int digits = 9;

	fprintf(out, "%" PRIu64, ns / SECOND);
	if (!fraction)
		return;
	for (; fraction % 10 == 0; digits--)
		fraction /= 10;
	fprintf(out, ".%0*" PRIu64, digits, fraction);
}

/* What is in a histogram's series, and what they are called. */
struct histogram_series {
	const char *name;
	const char *label; /* NULL, or one such as operation="write" */
	const struct wal_histogram *histogram;
};

static void put_bucket(const struct walfs_view *view, FILE *out,
		       const struct histogram_series *series, unsigned i, uint64_t total)
{
	const char *label = series->label;

	fprintf(out, "%s_bucket{%s,%s%sle=\"", series->name, view->store_label, label ? label : "",
		label ? "," : "");
	if (wal_latency_bucket_ns(i) == UINT64_MAX)
		fputs("+Inf", out);
	else
		put_seconds(out, wal_latency_bucket_ns(i));
	fprintf(out, "\"} %" PRIu64 "\n", total);
}

static void put_histogram(const struct walfs_view *view, FILE *out,
			  const struct histogram_series *series)
{
	uint64_t total = 0;
	char name[96];
	unsigned i;

	for (i = 0; i < WAL_LATENCY_BUCKETS; i++) {
		total += series->histogram->buckets[i];
		put_bucket(view, out, series, i, total);
	}
	snprintf(name, sizeof(name), "%s_sum", series->name);
	put_series(view, out, name, series->label);
	fputc(' ', out);
	put_seconds(out, series->histogram->sum_ns);
	fputc('\n', out);
	snprintf(name, sizeof(name), "%s_count", series->name);
	put_series(view, out, name, series->label);
	fprintf(out, " %" PRIu64 "\n", total);
}

static void put_info(const struct walfs_view *view, FILE *out)
{
	char uuid[WAL_UUID_TEXT], framing[24];
	uint8_t log[16];

	wal_log_uuid(view->fs->log, log);
	wal_uuid_format(log, uuid);
	wal_framing_format(wal_log_framing(view->fs->log), framing, sizeof(framing));
	put_family(out, "walfs_build_info", "gauge", "Versions, in labels; always 1");
	fprintf(out, "walfs_build_info{%s,version=\"%s\",libfuse_version=\"%s\"} 1\n",
		view->store_label, WAL_VERSION, fuse_pkgversion());
	put_family(out, "walfs_log_info", "gauge", "Which log this is, in labels; always 1");
	fprintf(out, "walfs_log_info{%s,log=\"%s\",framing=\"%s\"} 1\n", view->store_label, uuid,
		framing);
	put_family(out, "walfs_start_time_seconds", "gauge",
		   "When the log was mounted, since 1970 UTC");
	put_series(view, out, "walfs_start_time_seconds", NULL);
	fputc(' ', out);
	put_seconds(out, view->fs->started_ns);
	fputc('\n', out);
}

static void put_state(const struct walfs_view *view, FILE *out)
{
	const char *reason;
	bool read_only = walfs_view_health(view, &reason) == WALFS_READ_ONLY;

	put_gauge(view, out, "walfs_read_only", "Whether nothing can be appended, asked for or not",
		  read_only);
	put_gauge(view, out, "walfs_failed",
		  "Whether an error made the log read-only until it is "
		  "mounted again",
		  view->stats.failed != 0);
	put_gauge(view, out, "walfs_no_space",
		  "Whether the last attempt to get a segment had no space", view->stats.no_space);
}

static void put_positions(const struct walfs_view *view, FILE *out)
{
	const struct wal_stats *stats = &view->stats;

	put_gauge(view, out, "walfs_active_segment", "Index of the segment that current is",
		  view->position.segment);
	put_gauge(view, out, "walfs_next_event_id", "Id that the next event will get",
		  view->position.next_event);
	put_gauge(view, out, "walfs_durable_event_id",
		  "Id of the last event known to be on stable storage",
		  view->position.durable_event);
	put_gauge(view, out, "walfs_incarnation", "Grows with each start after an unclean end",
		  stats->incarnation);
	put_gauge(view, out, "walfs_active_payload_bytes", "Payload in the active segment",
		  view->position.payload_bytes);
	put_gauge(view, out, "walfs_active_room_bytes", "Room left in the active segment",
		  stats->active_room_bytes);
	put_gauge(view, out, "walfs_held_bytes", "Room reserved for records that are not finished",
		  stats->held_bytes);
	put_gauge(view, out, "walfs_sync_waiters", "Requests for durability that wait now",
		  stats->sync_waiters);
}

static void put_segments(const struct walfs_view *view, FILE *out)
{
	const struct wal_stats *stats = &view->stats;
	uint64_t unit = view->space.f_frsize;

	put_gauge(view, out, "walfs_stored_segments", "Finished segments in the store",
		  stats->sealed_segments);
	put_gauge(view, out, "walfs_sealing_segments",
		  "Segments that are closed and not sealed yet", stats->sealing_segments);
	put_gauge(view, out, "walfs_ready_segments", "Segments prepared and waiting",
		  stats->ready_segments);
	put_gauge(view, out, "walfs_damaged_segments", "Segments known to be damaged",
		  stats->damaged_segments);
	put_gauge(view, out, "walfs_first_segment", "Index of the oldest finished segment, or 0",
		  view->first_segment);
	put_gauge(view, out, "walfs_store_size_bytes",
		  "Size of the file system that holds the store", view->space.f_blocks * unit);
	put_gauge(view, out, "walfs_store_free_bytes", "Space on it that the daemon's user may use",
		  view->space.f_bavail * unit);
}

static void put_counters(const struct walfs_view *view, FILE *out)
{
	char name[96];
	unsigned i;

	for (i = 0; i < WAL_COUNTERS; i++) {
		snprintf(name, sizeof(name), "walfs_%s_total", wal_counter_name(i));
		put_family(out, name, "counter", wal_counter_help(i));
		put_sample(view, out, name, view->stats.counters[i]);
	}
	put_family(out, "walfs_messages_dropped_total", "counter",
		   "Messages that were not written, as their reader did not keep up");
	put_sample(view, out, "walfs_messages_dropped_total", view->dropped_messages);
}

static void put_busy_polls(const struct walfs_view *view, FILE *out)
{
	const struct walfs_busy_poll *poll = &view->fs->busy_poll;

	put_family(out, "walfs_busy_polls_total", "counter",
		   "Rounds of polling for the next request, by result");
	put_series(view, out, "walfs_busy_polls_total", "result=\"found\"");
	fprintf(out, " %" PRIu64 "\n", atomic_load_explicit(&poll->found, memory_order_relaxed));
	put_series(view, out, "walfs_busy_polls_total", "result=\"missed\"");
	fprintf(out, " %" PRIu64 "\n", atomic_load_explicit(&poll->missed, memory_order_relaxed));
}

static void put_latencies(const struct walfs_view *view, FILE *out)
{
	char name[96];
	unsigned i;

	for (i = 0; i < WAL_LATENCIES; i++) {
		snprintf(name, sizeof(name), "walfs_%s_seconds", wal_latency_name(i));
		put_family(out, name, "histogram", wal_latency_help(i));
		put_histogram(view, out,
			      &(struct histogram_series){.name = name,
							 .histogram = &view->stats.latencies[i]});
	}
}

/* Those that were asked for: of the rest there are many, and they say nothing. */
static void put_operations(const struct walfs_view *view, FILE *out)
{
	const struct walfs_opstats *opstats = &view->fs->opstats;
	struct wal_histogram histogram;
	struct histogram_series series = {.name = "walfs_worker_wait_seconds",
					  .histogram = &histogram};
	char label[48];
	unsigned i;

	walfs_latency_read(&opstats->waits, &histogram);
	put_family(out, series.name, "histogram", "Time that a request waited for a worker");
	put_histogram(view, out, &series);
	series = (struct histogram_series){
		.name = "walfs_fuse_request_seconds", .label = label, .histogram = &histogram};
	put_family(out, series.name, "histogram",
		   "Time from the start of handling a request to its answer, by operation");
	for (i = 0; i < WALFS_OPERATIONS; i++) {
		walfs_latency_read(&opstats->operations[i], &histogram);
		if (!histogram.count)
			continue;
		snprintf(label, sizeof(label), "operation=\"%s\"", walfs_operation_name(i));
		put_histogram(view, out, &series);
	}
}

int walfs_report_metrics(const struct walfs_view *view, FILE *out)
{
	put_info(view, out);
	put_state(view, out);
	put_positions(view, out);
	put_segments(view, out);
	put_counters(view, out);
	put_busy_polls(view, out);
	put_latencies(view, out);
	put_operations(view, out);
	return 0;
}
