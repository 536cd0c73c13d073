/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

struct verify {
	const struct target *target; /* the one that is looked at */
	struct progress progress;
	struct wal_verify_result total;
	enum wal_hint hint; /* of it */
	bool anchored;	    /* its end is */
	bool start_anchored;
	uint64_t anchor_event;
	uint64_t newer; /* segments of it that only a newer walctl can check */
	enum status worst;
	bool quiet;
	bool json;
	bool no_progress;
	bool direct;
	uint64_t threads; /* 0: as many as fit */
	json_t *paths;	  /* --json: all of these, otherwise none */
	json_t *files;
	json_t *faults;
	json_t *notes;
};

static bool on_progress(void *ctx, const struct wal_verify_progress *now)
{
	struct verify *verify = ctx;

	progress_update(&verify->progress, now);
	return !interrupted();
}

static void on_fault(void *ctx, const char *name, const struct wal_fault *fault)
{
	struct verify *verify = ctx;
	char *file = target_file(verify->target, name);

	verify->newer += wal_fault_errno(fault->kind) == -EPROTONOSUPPORT;
	if (verify->json) {
		json_add(verify->faults, json_fault(file, fault));
	} else if (!verify->quiet) {
		progress_clear(&verify->progress);
		put_fault(stdout, file, fault);
		putchar('\n');
	}
	free(file);
}

static void on_note(void *ctx, const char *name, const struct wal_fault *note)
{
	struct verify *verify = ctx;
	char *file = target_file(verify->target, name);

	if (verify->json) {
		json_add(verify->notes, json_fault(file, note));
	} else if (!verify->quiet) {
		progress_clear(&verify->progress);
		printf("note: ");
		put_fault(stdout, file, note);
		putchar('\n');
	}
	free(file);
}

static void on_segment(void *ctx, const char *name, const struct wal_segment_info *info,
		       uint64_t faults)
{
	struct verify *verify = ctx;
	char *file;
	json_t *object;

	if (!verify->json)
		return;
	file = target_file(verify->target, name);
	object = json_segment(file, info);
	json_put(object, "faults", json_number(faults));
	json_add(verify->files, object);
	free(file);
}

static const char *direct_note(bool wanted, bool done)
{
	if (!wanted)
		return "";
	return done ? ", past the page cache"
		    : ", in part from the page cache: no direct reads here";
}

static void print_summary(const char *path, enum status status,
			  const struct wal_verify_result *result, double seconds, bool direct)
{
	static const char *const verdicts[] = {"sound", "DAMAGED", "NOT ALL CHECKED"};
	char segments[COUNT_TEXT], blocks[COUNT_TEXT], events[COUNT_TEXT], faults[COUNT_TEXT];
	char payload[SIZE_TEXT], file[SIZE_TEXT], rate[SIZE_TEXT];

	put_text(stdout, path);
	printf(": %s", verdicts[status]);
	if (result->faults)
		printf(", %s fault%s", format_count(result->faults, faults),
		       result->faults == 1 ? "" : "s");
	printf(": %s segment%s, %s blocks, %s events, %s of payload; read %s in %.2f s, %s/s%s\n",
	       format_count(result->segments, segments), result->segments == 1 ? "" : "s",
	       format_count(result->blocks, blocks), format_count(result->events, events),
	       format_size((double)result->payload_bytes, payload),
	       format_size((double)result->file_bytes, file), seconds,
	       format_size((double)result->file_bytes / (seconds > 1e-6 ? seconds : 1e-6), rate),
	       direct_note(direct, result->direct));
}

static void add_result(struct wal_verify_result *total, const struct wal_verify_result *result)
{
	total->segments += result->segments;
	total->blocks += result->blocks;
	total->events += result->events;
	total->payload_bytes += result->payload_bytes;
	total->file_bytes += result->file_bytes;
	total->faults += result->faults;
	total->direct = total->direct && result->direct;
}

static void note_path(const struct target *target)
{
	printf("note: ");
	put_text(stdout, target->path);
}

/* By what would be found that segments at the end, or at the start, are gone. */
static void print_anchor(const struct verify *verify, const struct target *target,
			 const struct wal_verify_result *result)
{
	if (target->kind != TARGET_STORE || verify->quiet || verify->json)
		return;
	note_path(target);
	if (result->anchored)
		printf(": end anchored to wal.meta: events to %" PRIu64 " must be there (an older "
		       "copy of the whole store looks the same)\n",
		       result->anchor_event);
	else
		printf(": end not anchored: without wal.meta nothing shows whether segments after "
		       "the last one are missing\n");
	if (result->start_anchored)
		return;
	note_path(target);
	printf(": start not anchored: nothing shows whether segments before the first one are "
	       "missing, or were removed by retention\n");
}

/* What may explain the faults of a path. */
static void print_hint(const struct verify *verify, const char *path, enum wal_hint hint)
{
	if (hint == WAL_HINT_NONE || verify->quiet || verify->json)
		return;
	printf("note: ");
	put_text(stdout, path);
	printf(": %s\n", wal_hint_text(hint));
}

static int verify_target(struct verify *verify, const struct target *target,
			 struct wal_verify_result *result, struct wal_error *error)
{
	const struct wal_verify_options options = {
		.flags = verify->direct ? WAL_READ_DIRECT : 0,
		.is_mount = target->kind == TARGET_MOUNT,
		.threads = (unsigned)verify->threads,
		.ctx = verify,
		.fault = on_fault,
		.note = on_note,
		.progress = on_progress,
		.segment = on_segment,
	};

	verify->target = target;
	if (target->kind == TARGET_SEGMENT)
		return wal_verify_segment(AT_FDCWD, target->real, target_index(target), &options,
					  result);
	if (target->kind == TARGET_MOUNT && target->count == 0)
		return 0;
	return wal_verify_store(target->path, &options, result, error);
}

static enum status could_not_look(const char *path, int result, const struct wal_error *error)
{
	if (result == -ECANCELED)
		complain(path, "interrupted; nothing is known of what was not read");
	else if (error->text[0])
		complain(NULL, "%s", error->text);
	else
		complain_errno(path, -result);
	return STATUS_TROUBLE;
}

/* Of a path that was opened. */
static enum status verify_opened(struct verify *verify, const struct target *target)
{
	struct wal_verify_result result = {0};
	struct wal_error error = {0};
	double started = seconds_now();
	enum status status;
	int failed;

	target_note_mount(target);
	verify->newer = 0;
	progress_start(&verify->progress, !verify->quiet && !verify->json && !verify->no_progress);
	failed = verify_target(verify, target, &result, &error);
	progress_clear(&verify->progress);
	add_result(&verify->total, &result);
	if (failed)
		return could_not_look(target->path, failed, &error);
	status = result.faults ? STATUS_DAMAGED : STATUS_SOUND;
	if (verify->newer) /* it may be as sound as can be */
		status = STATUS_TROUBLE;
	print_hint(verify, target->path, result.hint);
	print_anchor(verify, target, &result);
	verify->hint = result.hint;
	verify->anchored = result.anchored;
	verify->start_anchored = result.start_anchored;
	verify->anchor_event = result.anchor_event;
	if (!verify->quiet && !verify->json)
		print_summary(target->path, status, &result, seconds_now() - started,
			      verify->direct);
	return status;
}

static const char *result_name(enum status status)
{
	static const char *const names[] = {
		[STATUS_SOUND] = "sound",
		[STATUS_DAMAGED] = "damaged",
		[STATUS_TROUBLE] = "could not look",
	};

	return names[status];
}

static void add_path(struct verify *verify, const char *path, const char *kind, enum status status)
{
	json_t *object = json_object();

	json_put(object, "path", json_name(path));
	json_put(object, "kind", kind ? json_string(kind) : json_null());
	json_put(object, "result", json_string(result_name(status)));
	json_put(object, "hint",
		 verify->hint ? json_string(wal_hint_text(verify->hint)) : json_null());
	json_put(object, "anchored", json_boolean(verify->anchored));
	json_put(object, "anchor_event",
		 verify->anchored ? json_number(verify->anchor_event) : json_null());
	json_put(object, "start_anchored", json_boolean(verify->start_anchored));
	json_add(verify->paths, object);
}

static void verify_path(struct verify *verify, const char *path)
{
	struct target target;
	enum status status = target_open(&target, path);
	const char *kind = NULL;

	verify->hint = WAL_HINT_NONE;
	verify->anchored = verify->start_anchored = false;
	if (status == STATUS_SOUND) {
		kind = target_kind_name(target.kind);
		status = verify_opened(verify, &target);
		target_close(&target);
	}
	if (verify->json)
		add_path(verify, path, kind, status);
	verify->worst = worse(verify->worst, status);
}

static void print_result(struct verify *verify, double seconds)
{
	const struct wal_verify_result *total = &verify->total;
	json_t *object = json_object();

	json_put(object, "result", json_string(result_name(verify->worst)));
	json_put(object, "segments", json_number(total->segments));
	json_put(object, "blocks", json_number(total->blocks));
	json_put(object, "events", json_number(total->events));
	json_put(object, "payload_bytes", json_number(total->payload_bytes));
	json_put(object, "file_bytes", json_number(total->file_bytes));
	json_put(object, "seconds", json_real(seconds));
	json_put(object, "direct", json_boolean(verify->direct && total->direct));
	json_put(object, "paths", verify->paths);
	json_put(object, "files", verify->files);
	json_put(object, "faults", verify->faults);
	json_put(object, "notes", verify->notes);
	json_print(object);
}

enum { OPTION_JSON = 256, OPTION_DIRECT, OPTION_THREADS, OPTION_NO_PROGRESS };

static enum status parse(const struct command *command, int argc, char **argv,
			 struct verify *verify)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, OPTION_JSON},
		{"quiet", no_argument, NULL, 'q'},
		{"direct", no_argument, NULL, OPTION_DIRECT},
		{"threads", required_argument, NULL, OPTION_THREADS},
		{"no-progress", no_argument, NULL, OPTION_NO_PROGRESS},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, ":q", options, NULL)) != -1) {
		switch (option) {
		case OPTION_JSON:
			verify->json = true;
			break;
		case 'q':
			verify->quiet = true;
			break;
		case OPTION_DIRECT:
			verify->direct = true;
			break;
		case OPTION_THREADS:
			if (!parse_number(optarg, &verify->threads) ||
			    verify->threads > WAL_VERIFY_THREADS_MAX)
				return complain_usage(
					command, "'%s' is no number of threads (1 to %u, or 0)",
					optarg, WAL_VERIFY_THREADS_MAX);
			break;
		case OPTION_NO_PROGRESS:
			verify->no_progress = true;
			break;
		default:
			return complain_option(command, option, argv);
		}
	}
	if (optind == argc)
		return complain_usage(command, "no path given");
	if (verify->json && verify->quiet)
		return complain_usage(command, "--json and --quiet exclude each other");
	return STATUS_SOUND;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct verify verify = {.total.direct = true};
	double started = seconds_now();
	bool several;

	if (parse(command, argc, argv, &verify))
		return STATUS_TROUBLE;
	if (verify.json) {
		verify.paths = json_array();
		verify.files = json_array();
		verify.faults = json_array();
		verify.notes = json_array();
	}
	several = argc - optind > 1;
	interrupt_catch();
	for (int i = optind; i < argc && !interrupted(); i++)
		verify_path(&verify, argv[i]);
	if (verify.json)
		print_result(&verify, seconds_now() - started);
	else if (several && !verify.quiet && !interrupted())
		print_summary("all", verify.worst, &verify.total, seconds_now() - started,
			      verify.direct);
	return verify.worst;
}

const struct command command_verify = {
	.name = "verify",
	.summary = "check segments, or a whole store, and name each fault",
	.help = "usage: walctl verify [OPTIONS] PATH...\n"
		"\n"
		"Reads every byte of segment files, or of all segments of a store, and checks\n"
		"headers, blocks, the chain of checksums, each event, padding and counts; of a\n"
		"store also that no segment is missing, that ids have no gap, that all is one\n"
		"log, and that what was promised to be durable is there. A store may be in use.\n"
		"One line for each fault: file, block, offset, kind; a summary at the end.\n"
		"What a crash leaves is no fault: a line that begins with 'note:' reports it,\n"
		"and of what would show that segments at the end are gone. A file that is no\n"
		"segment at all could not be looked at.\n"
		"\n"
		"  --json          one JSON object: result, totals, paths, files, faults, notes\n"
		"  -q, --quiet     only the exit status\n"
		"  --direct        read from the disk, past the page cache, where possible\n"
		"  --threads N     threads that check blocks, 1 to 16; 0, the default: as many as\n"
		"                  there are processors, at most 4. The result is the same\n"
		"  --no-progress   no progress bar (there is one if stderr is a terminal)\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 sound, 1 damaged, 2 could not look; of several paths the worst.\n"
		"\n"
		"examples:\n"
		"  walctl verify /var/lib/orders\n"
		"  walctl verify --direct --json /backup/*.wal | jq .faults\n"
		"  walctl verify -q /var/lib/orders || mail -s 'orders: damaged' ops </dev/null\n",
	.run = run,
};
