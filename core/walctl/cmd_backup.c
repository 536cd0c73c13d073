/* SPDX-License-Identifier: MIT */
/* A copy of a log that may be in use: what core/copy does, segment by segment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "walctl.h"

/* Retention and rotation go on meanwhile: then it begins again, with what is copied by then. */
#define ATTEMPTS 20

struct backup {
	const char *from;
	const char *directory;
	bool all;
	bool json;
	bool quiet;
	struct progress progress;
	struct wal_verify_progress done;
	struct target target;
	struct wal_copy *copy;
	uint64_t segments, copied, bytes; /* of the last attempt, but for bytes */
	uint64_t set_aside;
	uint64_t last_event;
	enum status worst;
	json_t *faults; /* --json */
	bool is_last_attempt;
};

enum outcome { DONE, AGAIN, FAILED };

static bool on_progress(void *ctx, uint32_t segment, uint64_t bytes)
{
	struct backup *backup = ctx;

	backup->done.segment = segment;
	backup->done.done_bytes += bytes;
	progress_update(&backup->progress, &backup->done);
	return !interrupted();
}

static enum outcome fail(struct backup *backup, const char *file, int err,
			 const struct wal_error *error)
{
	progress_clear(&backup->progress);
	if (err == -ECANCELED)
		complain(backup->directory, "interrupted; what is there is a copy of less, and the "
					    "same command goes on with it");
	else if (error && error->text[0])
		complain(NULL, "%s", error->text);
	else
		complain_errno(file, -err);
	backup->worst = STATUS_TROUBLE;
	return FAILED;
}

/* --- one segment -------------------------------------------------------------------- */

static struct wal_segment_source source_of(const struct target *target, size_t n,
					   char name[WAL_NAME_MAX])
{
	wal_segment_name(target->info.segments[n], name);
	if (target->active && n + 1 == target->count)
		snprintf(name, WAL_NAME_MAX, "%s", ".walfs/active.wal");
	return (struct wal_segment_source){
		.dirfd = target->dirfd, .name = name, .index = target->info.segments[n]};
}

static void report_fault(struct backup *backup, const char *file,
			 const struct wal_verify_result *found)
{
	progress_clear(&backup->progress);
	backup->worst = worse(backup->worst, STATUS_DAMAGED);
	if (backup->json) {
		json_add(backup->faults, json_fault(file, &found->first));
		return;
	}
	fflush(stdout);
	fputs("walctl: ", stderr);
	put_fault(stderr, file, &found->first);
	fputs("; copied as it is\n", stderr);
}

static enum outcome copy_nth(struct backup *backup, size_t n)
{
	const struct target *target = &backup->target;
	struct wal_copied copied;
	char name[WAL_NAME_MAX];
	const struct wal_segment_source source = source_of(target, n, name);
	char *file = target_file(target, name);
	enum outcome outcome = DONE;
	int err = wal_copy_segment(backup->copy, &source, outlook_salvages(target, n), &copied);
	bool moved = err && err != -ECANCELED && target->active && n + 1 == target->count;

	backup->bytes += copied.bytes;
	backup->copied += copied.bytes > 0;
	backup->set_aside += copied.set_aside;
	if (moved && backup->is_last_attempt) /* what is sealed is a whole copy, too */
		complain(backup->from, "note: segments are sealed faster than the active one can "
				       "be copied; the copy ends with the last sealed one");
	else if (moved || err == -EAGAIN || (err == -ENOENT && target_is_retired(target, n)))
		outcome = AGAIN;
	else if (err)
		outcome = fail(backup, file, err, NULL);
	else if (copied.verified.faults)
		report_fault(backup, file, &copied.verified);
	free(file);
	return outcome;
}

/* --- what recovery kept --------------------------------------------------------------- */

static enum outcome copy_evidence(struct backup *backup)
{
	int fd = backup->all ? fcntl(backup->target.dirfd, F_DUPFD_CLOEXEC, 0) : -1;
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	enum outcome outcome = DONE;
	const struct dirent *entry;
	int err;

	if (!directory)
		return backup->all ? fail(backup, backup->from, -errno, NULL) : DONE;
	rewinddir(directory);
	while (outcome == DONE && (entry = readdir(directory))) {
		if (!strstr(entry->d_name, ".torn-"))
			continue;
		err = wal_copy_evidence(backup->copy, backup->target.dirfd, entry->d_name);
		if (err)
			outcome = fail(backup, entry->d_name, err, NULL);
	}
	closedir(directory);
	return outcome;
}

/* --- all of it ------------------------------------------------------------------------ */

static void reckon(struct backup *backup)
{
	const struct target *target = &backup->target;
	char name[WAL_NAME_MAX];
	struct stat st;

	backup->done = (struct wal_verify_progress){0};
	backup->segments = target->count;
	for (size_t n = 0; n < target->count; n++) {
		const struct wal_segment_source source = source_of(target, n, name);

		if (!fstatat(source.dirfd, source.name, &st, 0))
			backup->done.total_bytes += (uint64_t)st.st_size;
	}
}

/* What cannot be copied is said before anything is. */
static enum outcome look(struct backup *backup)
{
	struct target *target = &backup->target;
	enum status status = target_open(target, backup->from);

	if (status == STATUS_SOUND && target->kind == TARGET_SEGMENT)
		complain(backup->from, "a segment file; give walctl a store or a mount (and cp "
				       "copies a sealed segment)");
	if (status == STATUS_SOUND)
		status =
			target->kind == TARGET_SEGMENT ? STATUS_TROUBLE : target_add_active(target);
	if (status == STATUS_SOUND)
		status = worse(STATUS_SOUND, outlook_complain(target));
	if (status == STATUS_SOUND && !target->has_log) {
		complain(backup->from, "nothing says which log this is");
		status = STATUS_TROUBLE;
	}
	backup->worst = worse(backup->worst, status);
	return status == STATUS_TROUBLE ? FAILED : DONE;
}

static enum outcome open_copy(struct backup *backup)
{
	struct wal_copy_options options = {
		.path = backup->directory, .ctx = backup, .progress = on_progress};
	struct wal_error error;
	int err;

	if (backup->copy)
		return DONE;
	memcpy(options.log, backup->target.log, sizeof(options.log));
	err = wal_copy_open(&options, &backup->copy, &error);
	return err ? fail(backup, backup->directory, err, &error) : DONE;
}

static enum outcome finish(struct backup *backup)
{
	const struct wal_store_info *info = &backup->target.info;
	struct wal_copy_end end;
	struct wal_error error = {0};
	int err = wal_copy_finish(backup->copy, backup->target.dirfd, info, &end, &error);

	if (err)
		return fail(backup, backup->directory, err, &error);
	backup->set_aside += end.set_aside;
	backup->last_event = end.last_event;
	if (end.gap_first)
		complain(backup->directory,
			 "note: segments %" PRIu32 " to %" PRIu32
			 " were removed by retention before "
			 "they were copied",
			 end.gap_first, end.gap_last);
	return DONE;
}

/* From the list on. */
static enum outcome attempt(struct backup *backup)
{
	enum outcome outcome = look(backup);

	if (outcome == DONE)
		outcome = open_copy(backup);
	if (outcome == DONE)
		reckon(backup);
	for (size_t n = 0; outcome == DONE && n < backup->target.count; n++)
		outcome = copy_nth(backup, n);
	if (outcome == DONE)
		outcome = copy_evidence(backup);
	if (outcome == DONE)
		outcome = finish(backup);
	target_close(&backup->target);
	return outcome;
}

static void copy_all(struct backup *backup)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	enum outcome outcome = AGAIN;

	progress_start(&backup->progress, backup->progress.wanted);
	for (int i = 0; outcome == AGAIN && i < ATTEMPTS; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		backup->is_last_attempt = i + 1 == ATTEMPTS;
		outcome = attempt(backup);
	}
	progress_clear(&backup->progress);
	if (outcome == AGAIN) {
		complain(backup->from,
			 "segments are sealed or removed faster than they can be copied; try "
			 "again");
		backup->worst = STATUS_TROUBLE;
	}
	wal_copy_close(backup->copy);
}

static void print_json(const struct backup *backup)
{
	static const char *const names[] = {"copied", "damaged", "could not copy"};
	json_t *object = json_object();

	json_put(object, "result", json_string(names[backup->worst]));
	json_put(object, "from", json_name(backup->from));
	json_put(object, "copy", json_name(backup->directory));
	json_put(object, "segments", json_number(backup->segments));
	json_put(object, "segments_copied", json_number(backup->copied));
	json_put(object, "bytes_copied", json_number(backup->bytes));
	json_put(object, "set_aside", json_number(backup->set_aside));
	json_put(object, "last_event", json_number(backup->last_event));
	json_put(object, "faults", backup->faults);
	json_print(object);
}

static void print_result(const struct backup *backup)
{
	char segments[COUNT_TEXT], copied[COUNT_TEXT], bytes[SIZE_TEXT], events[COUNT_TEXT];

	put_text(stdout, backup->directory);
	printf(": a copy of ");
	put_text(stdout, backup->from);
	printf(" to event %s: %s segment%s, %s copied now (%s)%s\n",
	       format_count(backup->last_event, events), format_count(backup->segments, segments),
	       backup->segments == 1 ? "" : "s", format_count(backup->copied, copied),
	       format_size((double)backup->bytes, bytes),
	       backup->worst == STATUS_DAMAGED ? "; DAMAGED, as the store is" : "");
	if (backup->set_aside)
		printf("note: segments of the copy that are not the store's any more were set "
		       "aside (.torn-): %" PRIu64 "\n",
		       backup->set_aside);
}

enum { OPTION_JSON = 256, OPTION_ALL, OPTION_NO_PROGRESS };

static enum status run(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"all", no_argument, NULL, OPTION_ALL},
		{"json", no_argument, NULL, OPTION_JSON},
		{"quiet", no_argument, NULL, 'q'},
		{"no-progress", no_argument, NULL, OPTION_NO_PROGRESS},
		{NULL, 0, NULL, 0},
	};
	struct backup backup = {0};
	bool no_progress = false;
	int option;

	while ((option = getopt_long(argc, argv, ":q", options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return complain_option(command, option, argv);
		backup.all = backup.all || option == OPTION_ALL;
		backup.json = backup.json || option == OPTION_JSON;
		backup.quiet = backup.quiet || option == 'q';
		no_progress = no_progress || option == OPTION_NO_PROGRESS;
	}
	if (optind + 2 != argc)
		return complain_usage(command, "give a store or a mount, and a directory");
	if (backup.json && backup.quiet)
		return complain_usage(command, "--json and --quiet exclude each other");
	backup.from = argv[optind];
	backup.directory = argv[optind + 1];
	backup.progress.wanted = !backup.json && !backup.quiet && !no_progress;
	backup.faults = backup.json ? json_array() : NULL;
	interrupt_catch();
	copy_all(&backup);
	if (backup.json)
		print_json(&backup);
	else if (!backup.quiet && backup.worst != STATUS_TROUBLE)
		print_result(&backup);
	return backup.worst;
}

const struct command command_backup = {
	.name = "backup",
	.summary = "copy a log that may be in use, and verify the copy",
	.help = "usage: walctl backup [OPTIONS] STORE|MOUNT DIRECTORY\n"
		"\n"
		"Makes DIRECTORY a consistent copy of a log, also while it is written. Each\n"
		"segment is written under another name, synced, read back from the disk and\n"
		"verified before it gets its own. Sealed segments that DIRECTORY has already, as\n"
		"their headers and chained checksums say, are not copied again; those that\n"
		"retention removed from the store stay in it. Cut off at any point, the same\n"
		"command goes on. wal.key is never copied, nor what recovery set aside.\n"
		"\n"
		"The copy can be read, verified, and mounted with -o ro. For writing walfs takes\n"
		"it only with -o continue (the original is gone): two logs of one name would give\n"
		"the same ids to different events. For a new log: append what cat prints to one.\n"
		"\n"
		"  --all           also what recovery kept: files with .torn- in their names\n"
		"  --json          one JSON object: result, counts, faults\n"
		"  -q, --quiet     only the exit status\n"
		"  --no-progress   no progress bar (there is one if stderr is a terminal)\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 copied, 1 what was copied now is damaged in the store, too, 2\n"
		"could not copy.\n"
		"\n"
		"examples:\n"
		"  walctl backup /var/lib/orders /backup/orders\n"
		"  walctl backup -q /mnt/orders /backup/orders || logger \"no backup\"\n",
	.run = run,
};
