/* SPDX-License-Identifier: MIT */
#include "core/base/telemetry.h"

static const struct {
	const char *name;
	const char *help;
} counters[WAL_COUNTERS] = {
	[WAL_COUNT_APPENDS] = {"appends", "Calls that appended at least one record"},
	[WAL_COUNT_EVENTS] = {"events", "Events appended"},
	[WAL_COUNT_PAYLOAD_BYTES] = {"payload_bytes", "Payload appended, in bytes"},
	[WAL_COUNT_APPEND_ERRORS] = {"append_errors", "Appends that failed"},
	[WAL_COUNT_BLOCKS] = {"blocks", "Blocks filled and finished"},
	[WAL_COUNT_SYNC_REQUESTS] = {"sync_requests",
				     "Requests for durability answered without an error"},
	[WAL_COUNT_SYNC_REFUSALS] = {"sync_refusals",
				     "Requests for durability answered with an error"},
	[WAL_COUNT_SYNCS] = {"syncs", "Syncs of an active segment, each for all who waited"},
	[WAL_COUNT_CLOSED_SYNCS] = {"closed_syncs", "Syncs of a segment that a rotation closed"},
	[WAL_COUNT_SYNC_ERRORS] = {"sync_errors", "Syncs and sealings of a segment that failed"},
	[WAL_COUNT_ROTATIONS] = {"rotations", "Changes to a new segment"},
	[WAL_COUNT_PREPARED] = {"prepared_segments", "Segments made ready ahead"},
	[WAL_COUNT_PREPARE_ERRORS] = {"prepare_errors", "Segments that could not be made ready"},
	[WAL_COUNT_PREPARE_WAITS] = {"prepare_waits", "Appends that waited for a ready segment"},
	[WAL_COUNT_SEAL_WAITS] = {"seal_waits",
				  "Appends that waited because too many segments were unsealed"},
	[WAL_COUNT_SEALED] = {"sealed_segments", "Segments sealed"},
	[WAL_COUNT_REMOVED_SEGMENTS] = {"removed_segments", "Segments removed by retention"},
	[WAL_COUNT_REMOVED_BYTES] = {"removed_bytes", "Bytes of segments removed by retention"},
	[WAL_COUNT_META_WRITES] = {"meta_writes", "Writes of the durable position"},
	[WAL_COUNT_FAULTS_HEADER] = {"segment_header_faults",
				     "Segment headers that failed a check"},
	[WAL_COUNT_FAULTS_BLOCK] = {"block_faults", "Blocks that failed a check"},
	[WAL_COUNT_FAULTS_CHAIN] = {"chain_faults", "Chained checksums that failed"},
	[WAL_COUNT_FAULTS_EVENT] = {"event_faults", "Events that failed a check"},
	[WAL_COUNT_FAULTS_OTHER] = {"other_faults", "Other faults found in segments"},
	[WAL_COUNT_DROPPED_BYTES] = {"recovery_dropped_bytes",
				     "Bytes of torn tails that recovery cut and kept aside"},
	[WAL_COUNT_DROPPED_SEGMENTS] = {"recovery_dropped_segments",
					"Segments after a hole that recovery set aside"},
};

static const struct {
	const char *name;
	const char *help;
} latencies[WAL_LATENCIES] = {
	[WAL_LATENCY_APPEND] = {"append", "Time of an append, waiting included"},
	[WAL_LATENCY_FINALIZE] = {"block_finalize", "Time to checksum a finished block"},
	[WAL_LATENCY_SYNC] = {"sync", "Time of a sync of the active segment"},
	[WAL_LATENCY_CLOSED_SYNC] = {"closed_sync",
				     "Time of a sync of a segment that a rotation closed"},
	[WAL_LATENCY_SYNC_WAIT] = {"sync_wait", "Time from a request for durability to its answer"},
	[WAL_LATENCY_ROTATE] = {"rotation", "Time to change to a new segment, waits left out"},
	[WAL_LATENCY_PREPARE] = {"prepare", "Time to make a segment ready"},
	[WAL_LATENCY_PREPARE_WAIT] = {"prepare_wait", "Time that an append waited for a segment"},
	[WAL_LATENCY_SEAL_WAIT] = {"seal_wait",
				   "Time that an append waited for a segment to be sealed"},
	[WAL_LATENCY_SEAL] = {"seal", "Time from rotation until a segment was sealed"},
	[WAL_LATENCY_META] = {"meta_write", "Time to persist the durable position"},
};

const char *wal_counter_name(enum wal_counter counter)
{
	return counter < WAL_COUNTERS ? counters[counter].name : "unknown";
}

const char *wal_counter_help(enum wal_counter counter)
{
	return counter < WAL_COUNTERS ? counters[counter].help : "";
}

const char *wal_latency_name(enum wal_latency latency)
{
	return latency < WAL_LATENCIES ? latencies[latency].name : "unknown";
}

const char *wal_latency_help(enum wal_latency latency)
{
	return latency < WAL_LATENCIES ? latencies[latency].help : "";
}

uint64_t wal_latency_bucket_ns(unsigned bucket)
{
	return bucket + 1 < WAL_LATENCY_BUCKETS ? UINT64_C(128) << bucket : UINT64_MAX;
}

void wal_latency_add(struct wal_telemetry *t, enum wal_latency latency, uint64_t ns)
{
	struct wal_latency_cells *cells = &t->latencies[latency];
	uint64_t max = atomic_load_explicit(&cells->max_ns, memory_order_relaxed);

	atomic_fetch_add_explicit(&cells->buckets[wal_latency_bucket(ns)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&cells->sum_ns, ns, memory_order_relaxed);
	while (ns > max &&
	       !atomic_compare_exchange_weak_explicit(&cells->max_ns, &max, ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void wal_count_fault(struct wal_telemetry *t, enum wal_fault_kind kind)
{
	static const enum wal_counter layers[WAL_FAULT_KINDS] = {
		[WAL_FAULT_MAGIC] = WAL_COUNT_FAULTS_HEADER,
		[WAL_FAULT_HEADER_CHECKSUM] = WAL_COUNT_FAULTS_HEADER,
		[WAL_FAULT_HEADER_FIELD] = WAL_COUNT_FAULTS_HEADER,
		[WAL_FAULT_HEADER_MISMATCH] = WAL_COUNT_FAULTS_HEADER,
		[WAL_FAULT_RESERVED] = WAL_COUNT_FAULTS_HEADER,
		[WAL_FAULT_BLOCK_HEADER] = WAL_COUNT_FAULTS_BLOCK,
		[WAL_FAULT_BLOCK_FIELD] = WAL_COUNT_FAULTS_BLOCK,
		[WAL_FAULT_BLOCK_CHECKSUM] = WAL_COUNT_FAULTS_BLOCK,
		[WAL_FAULT_PADDING] = WAL_COUNT_FAULTS_BLOCK,
		[WAL_FAULT_CHAIN] = WAL_COUNT_FAULTS_CHAIN,
		[WAL_FAULT_EVENT_CHECKSUM] = WAL_COUNT_FAULTS_EVENT,
		[WAL_FAULT_EVENT_FIELD] = WAL_COUNT_FAULTS_EVENT,
		[WAL_FAULT_EVENT_TIME] = WAL_COUNT_FAULTS_EVENT,
		[WAL_FAULT_EVENT_GROUP] = WAL_COUNT_FAULTS_EVENT,
	};
	enum wal_counter layer = kind < WAL_FAULT_KINDS ? layers[kind] : 0;

	/* 0 is no layer of a fault: what the table does not name is counted as other. */
	wal_count(t, layer ? layer : WAL_COUNT_FAULTS_OTHER, 1);
}

void wal_telemetry_read(const struct wal_telemetry *t, struct wal_stats *stats)
{
	unsigned i, j;

	for (i = 0; i < WAL_COUNTERS; i++)
		stats->counters[i] = atomic_load_explicit(&t->counters[i], memory_order_relaxed);
	for (i = 0; i < WAL_LATENCIES; i++) {
		const struct wal_latency_cells *cells = &t->latencies[i];
		struct wal_histogram *h = &stats->latencies[i];

		h->count = 0;
		for (j = 0; j < WAL_LATENCY_BUCKETS; j++) {
			h->buckets[j] =
				atomic_load_explicit(&cells->buckets[j], memory_order_relaxed);
			h->count += h->buckets[j];
		}
		h->sum_ns = atomic_load_explicit(&cells->sum_ns, memory_order_relaxed);
		h->max_ns = atomic_load_explicit(&cells->max_ns, memory_order_relaxed);
	}
}
