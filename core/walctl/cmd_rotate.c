/* SPDX-License-Identifier: MIT */
/* Seals the active segment now: by the walfs that has the store, or here if none has it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "walctl.h"

/* What there was, and is; first_event is 0 where that is not known. */
struct segment {
	uint32_t index;
	uint64_t first_event;
	uint64_t last_event;
};

struct rotation {
	struct segment before;
	struct segment after;
};

/* --- by a mount ---------------------------------------------------------------------- */

static bool read_number(const char *file, const char *name, uint64_t *number)
{
	char text[32];
	ssize_t size = getxattr(file, name, text, sizeof(text) - 1);

	*number = 0;
	if (size < 0)
		return false;
	text[size] = '\0';
	return parse_number(text, number);
}

/* Of a segment file or `current`. Return: whether that is what it is. */
static bool read_segment(const char *file, struct segment *segment)
{
	uint64_t index;
	bool known = read_number(file, "user.wal.segment", &index);

	segment->index = (uint32_t)index;
	return known && read_number(file, "user.wal.first_event", &segment->first_event) &&
	       read_number(file, "user.wal.last_event", &segment->last_event);
}

static enum status complain_rotate(const char *path, int err)
{
	static const struct {
		int err;
		const char *text;
	} reasons[] = {
		{EPERM, "only root and the owner of the mount's files may rotate; run walctl as "
			"one of them"},
		{EACCES, "no permission to write to the log; run walctl as its owner or as root"},
		{EROFS, "the log is read-only: mounted with 'ro', or an error made it that "
			"('walctl status' shows it); mount it again for writing"},
		{ENOSPC, "no space for a new segment, or to seal the old one; make space and try "
			 "again"},
		{EDQUOT, "no quota left for a new segment, or to seal the old one; make space and "
			 "try again"},
		{EIO,
		 "the segment cannot be finished, or the next one not started; 'walctl status' "
		 "and the messages of walfs say why"},
		{EOVERFLOW, "no segment number is left; begin a new store"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].err != err)
			continue;
		complain(path, "%s", reasons[i].text);
		return STATUS_TROUBLE;
	}
	complain_errno(path, err);
	return STATUS_TROUBLE;
}

/* It may have rotated by itself, too: what was active before is sealed in any case. */
static enum status rotate_mount(const struct target *target, struct rotation *rotation)
{
	char *current = target_file(target, "current"), *file;
	char name[WAL_NAME_MAX];
	enum status status = STATUS_SOUND;

	if (!read_segment(current, &rotation->before))
		status = complain_rotate(target->path, errno);
	else if (setxattr(current, "user.wal.rotate", "1", 1, 0))
		status = complain_rotate(target->path, errno);
	else if (!read_segment(current, &rotation->after))
		status = complain_rotate(target->path, errno);
	free(current);
	if (status != STATUS_SOUND || rotation->after.index == rotation->before.index)
		return status;
	wal_segment_name(rotation->before.index, name);
	file = target_file(target, name);
	if (!read_segment(file, &rotation->before)) /* retention removed it at once */
		rotation->before.first_event = 0;
	free(file);
	return status;
}

/* --- of a store that nobody has --------------------------------------------------------- */

static void on_notice(void *ctx, enum wal_notice_level level, const char *text)
{
	const struct target *target = ctx;

	if (level != WAL_NOTICE_INFO)
		complain(target->path, "note: %s", text);
}

static enum status complain_held(const struct target *target)
{
	const char *holder = target->info.holder[0] ? target->info.holder : "another process";
	char *point = mount_point_of(target->real);

	if (point)
		complain(target->path,
			 "held by %s and mounted on %s; 'walctl rotate %s' rotates it", holder,
			 point, point);
	else
		complain(target->path,
			 "held by %s, whose mount cannot be seen from here; give walctl the "
			 "directory on which it is mounted, where that can be seen",
			 holder);
	free(point);
	return STATUS_TROUBLE;
}

/* New files would be this user's, and the walfs of the owner could not open them. */
static enum status check_owner(const struct target *target)
{
	struct stat st;

	if (fstat(target->dirfd, &st)) {
		complain_errno(target->path, errno);
		return STATUS_TROUBLE;
	}
	if (st.st_uid == geteuid())
		return STATUS_SOUND;
	complain(target->path,
		 "the store of user %ju; run walctl as that user, so that the new "
		 "segment is that user's, too: sudo -u '#%ju' walctl rotate ...",
		 (uintmax_t)st.st_uid, (uintmax_t)st.st_uid);
	return STATUS_TROUBLE;
}

static int read_current(struct wal_log *log, struct segment *segment)
{
	struct wal_segment_info info;
	int result = wal_log_segment_info(log, wal_log_current(log), &info);

	if (result)
		return result;
	*segment = (struct segment){info.index, info.first_event, info.last_event};
	return 0;
}

static int rotate_log(struct wal_log *log, struct rotation *rotation)
{
	int result = read_current(log, &rotation->before);

	if (!result)
		result = wal_log_rotate(log);
	return result ? result : read_current(log, &rotation->after);
}

static enum status rotate_store(struct target *target, struct rotation *rotation)
{
	const struct wal_log_options options = {
		.path = target->real, .notice = on_notice, .notice_ctx = target};
	enum status status = check_owner(target);
	struct wal_error error = {0};
	struct wal_log *log;
	int result, closed;

	if (status != STATUS_SOUND)
		return status;
	result = wal_log_open(&options, &log, &error);
	if (result == -EBUSY)
		return complain_held(target);
	if (result) {
		complain(NULL, "%s", error.text);
		return STATUS_TROUBLE;
	}
	result = rotate_log(log, rotation);
	closed = wal_log_close(log);
	if (!result)
		result = closed;
	return result ? complain_rotate(target->path, -result) : STATUS_SOUND;
}

/* --- the command ------------------------------------------------------------------------ */

static json_t *json_segment_ids(const struct segment *segment, bool sealed)
{
	bool known = segment->first_event != 0;
	json_t *object = json_object();

	json_put(object, "segment", json_number(segment->index));
	json_put(object, "first_event", known ? json_number(segment->first_event) : json_null());
	if (sealed)
		json_put(object, "last_event",
			 known ? json_number(segment->last_event) : json_null());
	return object;
}

static void print_json(const struct target *target, const struct rotation *rotation)
{
	bool rotated = rotation->after.index != rotation->before.index;
	json_t *object = json_object();

	json_put(object, "path", json_name(target->path));
	json_put(object, "kind", json_string(target_kind_name(target->kind)));
	json_put(object, "sealed",
		 rotated ? json_segment_ids(&rotation->before, true) : json_null());
	json_put(object, "current", json_segment_ids(&rotation->after, false));
	json_print(object);
}

static void print_rotation(const struct target *target, const struct rotation *rotation)
{
	const struct segment *before = &rotation->before, *after = &rotation->after;

	put_text(stdout, target->path);
	if (after->index == before->index)
		printf(": segment %" PRIu32 " holds no event: there is nothing to seal\n",
		       after->index);
	else if (before->first_event)
		printf(": sealed segment %" PRIu32 " (events %" PRIu64 " to %" PRIu64
		       "); segment %" PRIu32 " begins with event %" PRIu64 "\n",
		       before->index, before->first_event, before->last_event, after->index,
		       after->first_event);
	else
		printf(": sealed segment %" PRIu32 ", which retention has removed; segment %" PRIu32
		       " begins with event %" PRIu64 "\n",
		       before->index, after->index, after->first_event);
}

static enum status rotate_path(const char *path, bool json)
{
	struct rotation rotation = {0};
	struct target target;
	enum status status = target_open(&target, path);

	if (status != STATUS_SOUND)
		return status;
	if (target.kind == TARGET_SEGMENT) {
		complain(path, "a segment, and not a log; give walctl the directory of the mount "
			       "or of the store");
		status = STATUS_TROUBLE;
	} else if (target.kind == TARGET_MOUNT) {
		status = rotate_mount(&target, &rotation);
	} else {
		status = rotate_store(&target, &rotation);
	}
	if (status == STATUS_SOUND && json)
		print_json(&target, &rotation);
	else if (status == STATUS_SOUND)
		print_rotation(&target, &rotation);
	target_close(&target);
	return status;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	return show_each(command, argc, argv, rotate_path);
}

const struct command command_rotate = {
	.name = "rotate",
	.summary = "seal the active segment now, and begin a new one",
	.help = "usage: walctl rotate [OPTIONS] STORE|MOUNT...\n"
		"\n"
		"Seals the active segment and begins a new one; nothing if it holds no event. A\n"
		"mount does it itself (by the attribute user.wal.rotate), for root and the owner\n"
		"of its files. A store that is not in use is opened for writing, as a mount does\n"
		"that, with the sizes that it has, and closed again. One that is mounted is left\n"
		"to its mount, which is named.\n"
		"\n"
		"  --json          one JSON object a line for each path\n"
		"  -h, --help      this text\n"
		"\n"
		"Exit status: 0 done, or nothing to seal; 2 not done.\n"
		"\n"
		"examples:\n"
		"  walctl rotate /mnt/orders\n"
		"  walctl rotate --json /var/lib/orders | jq .sealed.segment\n",
	.run = run,
};
