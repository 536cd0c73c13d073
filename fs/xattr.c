/* SPDX-License-Identifier: MIT */
/* user.wal.*: what is known of a segment, live on `current`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walfs.h"

#define PREFIX "user.wal."

/* Return: the value's length, or -ENODATA where the segment has no such thing. */
typedef int attribute_fn(struct walfs *fs, const struct wal_segment_info *info,
			 char text[WALFS_VALUE_MAX]);

struct walfs_attribute {
	const char *name;
	attribute_fn *format;
};

/* --- values -------------------------------------------------------------------------- */

static int put_u64(char text[WALFS_VALUE_MAX], uint64_t value)
{
	return snprintf(text, WALFS_VALUE_MAX, "%" PRIu64, value);
}

static int put_checksum(char text[WALFS_VALUE_MAX], uint64_t value)
{
	return snprintf(text, WALFS_VALUE_MAX, "%016" PRIx64, value);
}

static int put_time(char text[WALFS_VALUE_MAX], uint64_t time_ns)
{
	char time_text[WAL_TIME_TEXT];

	if (!time_ns)
		return -ENODATA;
	wal_time_format(time_ns, time_text);
	return snprintf(text, WALFS_VALUE_MAX, "%s", time_text);
}

/* Of a damaged segment perhaps only the name is known. */
static bool has_header(const struct wal_segment_info *info)
{
	return info->block_size != 0;
}

#define ATTRIBUTE(name) \
	static int format_##name(struct walfs *fs, const struct wal_segment_info *info, \
				 char text[WALFS_VALUE_MAX])

#define HEADER_ATTRIBUTE(name, expression) \
	ATTRIBUTE(name) \
	{ \
		(void)fs; \
		return has_header(info) ? (expression) : -ENODATA; \
	}

HEADER_ATTRIBUTE(first_event, put_u64(text, info->first_event))
HEADER_ATTRIBUTE(last_event, put_u64(text, info->last_event))
HEADER_ATTRIBUTE(incarnation, put_u64(text, info->incarnation))
HEADER_ATTRIBUTE(events, put_u64(text, info->event_count))
HEADER_ATTRIBUTE(blocks, put_u64(text, info->block_count))
HEADER_ATTRIBUTE(block_size, put_u64(text, info->block_size))
HEADER_ATTRIBUTE(payload_bytes, put_u64(text, info->payload_bytes))
HEADER_ATTRIBUTE(created, put_time(text, info->created_ns))
HEADER_ATTRIBUTE(closed, put_time(text, info->closed_ns))
HEADER_ATTRIBUTE(prev_chain, put_checksum(text, info->prev_chain))
HEADER_ATTRIBUTE(chain, put_checksum(text, info->chain))
HEADER_ATTRIBUTE(header_checksum, put_checksum(text, info->header_checksum))

ATTRIBUTE(log)
{
	char uuid[WAL_UUID_TEXT];

	(void)fs;
	if (!has_header(info))
		return -ENODATA;
	wal_uuid_format(info->log, uuid);
	return snprintf(text, WALFS_VALUE_MAX, "%s", uuid);
}

ATTRIBUTE(segment)
{
	(void)fs;
	return put_u64(text, info->index);
}

ATTRIBUTE(state)
{
	(void)fs;
	return snprintf(text, WALFS_VALUE_MAX, "%s", wal_state_name(info->state));
}

/* The durable position is the log's; what lies before it is durable. */
ATTRIBUTE(durable_event)
{
	struct wal_log_position position;

	if (!has_header(info))
		return -ENODATA;
	wal_log_position(fs->log, &position);
	return put_u64(text, position.durable_event < info->last_event ? position.durable_event
								       : info->last_event);
}

ATTRIBUTE(sealed_by)
{
	(void)fs;
	if (!has_header(info) || !info->closed_ns)
		return -ENODATA;
	return snprintf(text, WALFS_VALUE_MAX, "%s",
			info->sealed_by_recovery ? "recovery" : "writer");
}

/* Checksums find accidents. They do not stop someone who can rewrite the store. */
ATTRIBUTE(integrity)
{
	(void)fs;
	(void)info;
	return snprintf(text, WALFS_VALUE_MAX, "checksum");
}

ATTRIBUTE(verified)
{
	walfs_checked_text(fs, info->index, text);
	return (int)strlen(text);
}

#define ENTRY(name) \
	{ \
		PREFIX #name, format_##name \
	}

static const struct walfs_attribute attributes[] = {
	ENTRY(log),	    ENTRY(segment),	    ENTRY(state),
	ENTRY(first_event), ENTRY(last_event),	    ENTRY(durable_event),
	ENTRY(incarnation), ENTRY(events),	    ENTRY(blocks),
	ENTRY(block_size),  ENTRY(payload_bytes),   ENTRY(created),
	ENTRY(closed),	    ENTRY(sealed_by),	    ENTRY(prev_chain),
	ENTRY(chain),	    ENTRY(header_checksum), ENTRY(integrity),
	ENTRY(verified),
};

#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

/* --- getxattr -------------------------------------------------------------------------- */

static const struct walfs_attribute *find_attribute(const char *name)
{
	size_t i;

	for (i = 0; i < ATTRIBUTES; i++)
		if (strcmp(attributes[i].name, name) == 0)
			return &attributes[i];
	return NULL;
}

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/*
 * Whole namespaces that no file here has: `ls -l` asks each file for its security
 * label, until it is told that the file system has none.
 */
static bool is_never_there(const char *name)
{
	return has_prefix(name, "system.") || has_prefix(name, "security.");
}

/* Return: whether who asks was told of another length; then text is what it was told of. */
static bool keep_to_probe(const struct walfs_question *question, char text[WALFS_VALUE_MAX],
			  size_t length)
{
	struct walfs_probes *probes = &walfs_of(question->req)->probes;
	bool is_current = walfs_ino_kind(question->ino) == WALFS_CURRENT;
	const struct walfs_probe_key key = {
		.thread = (uint64_t)fuse_req_ctx(question->req)->pid,
		/* whichever segment that is by now */
		.file = is_current ? walfs_ino(WALFS_CURRENT, 0, 0) : question->ino,
		.attribute = question->attribute,
	};
	uint64_t now_ns = walfs_clock_ns(CLOCK_MONOTONIC);
	char told[WALFS_VALUE_MAX];

	if (!key.thread) /* outside of our PID namespace: who of many it is, is not known */
		return false;
	if (!question->size) {
		walfs_probes_note(probes, &key, text, length, now_ns);
		return false;
	}
	if (!walfs_probes_take(probes, &key, told, question->size, now_ns) ||
	    length == question->size)
		return false;
	memcpy(text, told, question->size);
	return true;
}

static void answer_get(const struct walfs_question *question, const struct wal_segment_info *info)
{
	char text[WALFS_VALUE_MAX];
	int length = question->attribute->format(walfs_of(question->req), info, text);

	if (length < 0) {
		fuse_reply_err(question->req, -length);
		return;
	}
	if (keep_to_probe(question, text, (size_t)length))
		length = (int)question->size;
	walfs_reply_value(question->req, text, (size_t)length, question->size);
}

/* Return: whether the name was one of the two that cost a read of the whole segment. */
static bool start_check(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	if (walfs_ino_kind(ino) != WALFS_SEALED && walfs_ino_kind(ino) != WALFS_EVENTS)
		return false;
	if (strcmp(name, PREFIX "verify") == 0)
		walfs_verify_start(req, walfs_ino_segment(ino), size);
	else if (strcmp(name, PREFIX "xxh128") == 0)
		walfs_xxh128_start(req, walfs_ino_segment(ino), size);
	else
		return false;
	return true;
}

static void aim(struct walfs_question *question)
{
	if (walfs_ino_kind(question->ino) == WALFS_CURRENT)
		walfs_question_aim(question, NULL);
}

void walfs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct walfs_question question = {
		.req = req,
		.ino = ino,
		.segment = walfs_ino_segment(ino),
		.answer = answer_get,
		.attribute = find_attribute(name),
		.size = size,
	};

	aim(&question);
	if (question.attribute && question.segment)
		walfs_ask(&question);
	else if (!start_check(req, ino, name, size))
		fuse_reply_err(req, is_never_there(name) ? EOPNOTSUPP : ENODATA);
}

/* --- listxattr ---------------------------------------------------------------------------- */

static void answer_list(const struct walfs_question *question, const struct wal_segment_info *info)
{
	char names[ATTRIBUTES * 32], text[WALFS_VALUE_MAX];
	size_t i, used = 0, length;

	for (i = 0; i < ATTRIBUTES; i++) {
		if (attributes[i].format(walfs_of(question->req), info, text) < 0)
			continue;
		length = strlen(attributes[i].name) + 1;
		memcpy(names + used, attributes[i].name, length);
		used += length;
	}
	walfs_reply_value(question->req, names, used, question->size);
}

void walfs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct walfs_question question = {
		.req = req,
		.ino = ino,
		.segment = walfs_ino_segment(ino),
		.answer = answer_list,
		.size = size,
	};

	aim(&question);
	if (question.segment)
		walfs_ask(&question);
	else
		walfs_reply_value(req, "", 0, size); /* a directory */
}

/* --- setxattr ------------------------------------------------------------------------------- */

struct rotate_job {
	struct walfs_job job; /* the first member */
	fuse_req_t req;
};

static bool run_rotate(struct walfs_job *job, void *buffer)
{
	struct rotate_job *rotate = (struct rotate_job *)job;
	int err = wal_log_rotate(walfs_of(rotate->req)->log);

	(void)buffer;
	fuse_reply_err(rotate->req, -err);
	free(rotate);
	return true;
}

void walfs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		    size_t size, int flags)
{
	struct walfs *fs = walfs_of(req);
	uid_t uid = fuse_req_ctx(req)->uid;
	struct rotate_job *rotate;

	(void)value;
	(void)size;
	(void)flags;
	if (walfs_ino_kind(ino) != WALFS_CURRENT || strcmp(name, PREFIX "rotate") != 0 ||
	    (uid != 0 && uid != fs->options.uid)) {
		fuse_reply_err(req, is_never_there(name) ? EOPNOTSUPP : EPERM);
		return;
	}
	rotate = calloc(1, sizeof(*rotate));
	if (!rotate) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	rotate->job.run = run_rotate;
	rotate->req = req;
	walfs_workers_submit(&fs->workers, &rotate->job, &fs->rotations);
}

void walfs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	fuse_reply_err(req, is_never_there(name) ? EOPNOTSUPP : EPERM);
}
