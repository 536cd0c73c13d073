/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "diff.h"

static void on_fault(void *ctx, const char *file, const struct wal_fault *fault)
{
	struct side *side = ctx;
	struct diff *diff = side->diff;

	progress_clear(&diff->progress);
	if (diff->json) {
		json_add(diff->faults, json_fault(file, fault));
	} else if (!diff->quiet) {
		put_fault(stdout, file, fault);
		putchar('\n');
	}
}

static void on_verify_fault(void *ctx, const char *name, const struct wal_fault *fault)
{
	struct side *side = ctx;
	char *file = target_file(&side->stream.target, name);

	side->stream.worst = worse(side->stream.worst, STATUS_DAMAGED);
	on_fault(ctx, file, fault);
	free(file);
}

/* What verify() reports is not reported again. */
static void ignore_fault(void *ctx, const char *file, const struct wal_fault *fault)
{
	(void)ctx;
	(void)file;
	(void)fault;
}

static bool on_progress(void *ctx, const struct wal_verify_progress *now)
{
	const struct side *side = ctx;

	progress_update(&side->diff->progress, now);
	return !interrupted();
}

/* --full. Return: the status if it could not be looked at. */
static enum status verify(struct side *side)
{
	const struct target *target = &side->stream.target;
	const struct wal_verify_options options = {
		.is_mount = target->kind == TARGET_MOUNT,
		.ctx = side,
		.fault = on_verify_fault,
		.progress = on_progress,
	};
	struct wal_verify_result result = {0};
	struct wal_error error = {0};
	int err = 0;

	if (target->kind == TARGET_SEGMENT)
		err = wal_verify_segment(AT_FDCWD, target->real, target_index(target), &options,
					 &result);
	else if (target->kind == TARGET_STORE || target->count > (target->active ? 1 : 0))
		err = wal_verify_store(target->path, &options, &result, &error);
	if (!err || err == -ECANCELED)
		return STATUS_SOUND;
	complain(target->path, "%s", error.text[0] ? error.text : strerror(-err));
	return STATUS_TROUBLE;
}

static void compare_logs(struct diff *diff)
{
	const struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];
	char a[WAL_UUID_TEXT], b[WAL_UUID_TEXT];

	if (!store->has_log || !copy->has_log || !memcmp(store->log, copy->log, sizeof(store->log)))
		return;
	wal_uuid_format(store->log, a);
	wal_uuid_format(copy->log, b);
	diff_note(diff, "they are two logs: %s and %s%s", a, b,
		  diff->any_log ? "" : "; with --any-log only their events count");
	if (!diff->any_log)
		diff->worst = worse(diff->worst, STATUS_DAMAGED);
}

static uint64_t size_of(const struct target *target)
{
	char name[WAL_NAME_MAX];
	struct stat st;
	uint64_t total = 0;

	for (size_t n = 0; n < target->count && target->kind != TARGET_SEGMENT; n++) {
		wal_segment_name(target->info.segments[n], name);
		if (!fstatat(target->dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
			total += (uint64_t)st.st_size;
	}
	return total;
}

static enum status open_side(struct diff *diff, struct side *side, const char *path)
{
	enum status status;

	side->diff = diff;
	side->stream.ctx = side;
	side->stream.fault = diff->full ? ignore_fault : on_fault;
	status = stream_open(&side->stream, path);
	if (status != STATUS_SOUND)
		return status;
	side->has_log = side->stream.target.has_log;
	memcpy(side->log, side->stream.target.log, sizeof(side->log));
	diff->done.total_bytes += size_of(&side->stream.target);
	return diff->full ? verify(side) : STATUS_SOUND;
}

static const char *result_name(enum status status)
{
	static const char *const names[] = {
		[STATUS_SOUND] = "same",
		[STATUS_DAMAGED] = "different",
		[STATUS_TROUBLE] = "could not look",
	};

	return names[status];
}

static void print_json(struct diff *diff, char **paths)
{
	static const char *const logs[SIDES] = {"store_log", "copy_log"};
	json_t *object = json_object();

	json_put(object, "result", json_string(result_name(diff->worst)));
	json_put(object, "store", json_name(paths[STORE]));
	json_put(object, "copy", json_name(paths[COPY]));
	for (int i = 0; i < SIDES; i++)
		json_put(object, logs[i],
			 diff->sides[i].has_log ? json_uuid(diff->sides[i].log) : json_null());
	json_put(object, "events", json_number(diff->compared));
	json_put(object, "segments_not_read", json_number(diff->skipped));
	json_put(object, "differences", diff->differences);
	json_put(object, "faults", diff->faults);
	json_put(object, "notes", diff->notes);
	json_print(object);
}

static void print_result(const struct diff *diff, char **paths)
{
	static const char *const verdicts[] = {"the same", "DIFFERENT", "NOT ALL COMPARED"};
	char events[COUNT_TEXT], skipped[COUNT_TEXT];

	put_text(stdout, paths[STORE]);
	fputs(" and ", stdout);
	put_text(stdout, paths[COPY]);
	printf(": %s: %s events in both", verdicts[diff->worst],
	       format_count(diff->compared, events));
	if (diff->skipped)
		printf("; %s sealed segment%s by checksums alone",
		       format_count(diff->skipped, skipped), diff->skipped == 1 ? "" : "s");
	putchar('\n');
}

static void compare_sides(struct diff *diff, char **paths)
{
	progress_start(&diff->progress, diff->progress.wanted);
	for (int i = 0; i < SIDES; i++)
		diff->worst = worse(diff->worst, open_side(diff, &diff->sides[i], paths[i]));
	if (diff->worst != STATUS_TROUBLE && !diff_walk(diff)) {
		progress_clear(&diff->progress);
		if (interrupted())
			complain(NULL, "interrupted; nothing is known of what was not read");
		diff->worst = STATUS_TROUBLE;
	}
	progress_clear(&diff->progress);
	compare_logs(diff);
	for (int i = 0; i < SIDES; i++) {
		diff->worst = worse(diff->worst, diff->sides[i].stream.worst);
		stream_close(&diff->sides[i].stream);
	}
}

enum { OPTION_JSON = 256, OPTION_FULL, OPTION_PREFIX, OPTION_ANY_LOG, OPTION_NO_PROGRESS };

static enum status parse(const struct command *command, int argc, char **argv, struct diff *diff)
{
	static const struct option options[] = {
		{"full", no_argument, NULL, OPTION_FULL},
		{"prefix", no_argument, NULL, OPTION_PREFIX},
		{"any-log", no_argument, NULL, OPTION_ANY_LOG},
		{"json", no_argument, NULL, OPTION_JSON},
		{"quiet", no_argument, NULL, 'q'},
		{"no-progress", no_argument, NULL, OPTION_NO_PROGRESS},
		{NULL, 0, NULL, 0},
	};
	bool no_progress = false;
	int option;

	while ((option = getopt_long(argc, argv, ":q", options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return complain_option(command, option, argv);
		diff->full = diff->full || option == OPTION_FULL;
		diff->prefix = diff->prefix || option == OPTION_PREFIX;
		diff->any_log = diff->any_log || option == OPTION_ANY_LOG;
		diff->json = diff->json || option == OPTION_JSON;
		diff->quiet = diff->quiet || option == 'q';
		no_progress = no_progress || option == OPTION_NO_PROGRESS;
	}
	if (optind + SIDES != argc)
		return complain_usage(command, "give two paths: a store, and a copy of it");
	if (diff->json && diff->quiet)
		return complain_usage(command, "--json and --quiet exclude each other");
	diff->progress.wanted = !diff->json && !diff->quiet && !no_progress;
	return STATUS_SOUND;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct diff diff = {0};

	if (parse(command, argc, argv, &diff))
		return STATUS_TROUBLE;
	if (diff.json) {
		diff.differences = json_array();
		diff.notes = json_array();
		diff.faults = json_array();
	}
	interrupt_catch();
	compare_sides(&diff, argv + optind);
	if (diff.json)
		print_json(&diff, argv + optind);
	else if (!diff.quiet)
		print_result(&diff, argv + optind);
	return diff.worst;
}

const struct command command_diff = {
	.name = "diff",
	.summary = "compare two logs, event by event",
	.help = "usage: walctl diff [OPTIONS] STORE COPY\n"
		"\n"
		"Compares the events of two stores, mounts or segment files by their ids: id,\n"
		"time, flags and payload. One line for each range of ids that only one of them\n"
		"has, or that differs. A sealed segment of which the other has one with the same\n"
		"header and chained checksum is not read. Where the events are the same and the\n"
		"files are not (sealed in one alone, sealed by recovery), a note says so.\n"
		"Both may be in use.\n"
		"\n"
		"  --full          read all of both, and verify them\n"
		"  --prefix        COPY may end before STORE does, and STORE may begin after COPY\n"
		"                  does (retention): it went on since it was copied\n"
		"  --any-log       another UUID is no difference: only events count\n"
		"  --json          one JSON object: result, differences, faults, notes\n"
		"  -q, --quiet     only the exit status\n"
		"  --no-progress   no progress bar (there is one if stderr is a terminal)\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 the same, 1 different or damaged, 2 could not look.\n"
		"\n"
		"examples:\n"
		"  walctl diff /var/lib/orders /backup/orders\n"
		"  walctl diff --prefix --full /mnt/orders /backup/orders\n",
	.run = run,
};
