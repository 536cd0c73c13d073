/* SPDX-License-Identifier: MIT */
/* Names and times as people read them, and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <walfs/wal.h>

static const struct {
	const char *name;
	int err;
} fault_kinds[WAL_FAULT_KINDS] = {
	[WAL_FAULT_NONE] = {"no fault", 0},
	[WAL_FAULT_IO] = {"cannot be read", -EIO},
	[WAL_FAULT_NOT_A_FILE] = {"not a regular file", -EUCLEAN},
	[WAL_FAULT_TOO_SHORT] = {"file too short", -EUCLEAN},
	[WAL_FAULT_TOO_LONG] = {"bytes after the last block", -EUCLEAN},
	[WAL_FAULT_MAGIC] = {"not a walfs segment", -EUCLEAN},
	[WAL_FAULT_VERSION] = {"newer format", -EPROTONOSUPPORT},
	[WAL_FAULT_HEADER_CHECKSUM] = {"segment header checksum mismatch", -EBADMSG},
	[WAL_FAULT_HEADER_FIELD] = {"impossible segment header field", -EUCLEAN},
	[WAL_FAULT_HEADER_MISMATCH] = {"seal header and active header disagree", -EUCLEAN},
	[WAL_FAULT_RESERVED] = {"reserved header bytes are not zero", -EUCLEAN},
	[WAL_FAULT_INDEX] = {"holds another segment than its name says", -EUCLEAN},
	[WAL_FAULT_BLOCK_HEADER] = {"block header checksum mismatch", -EBADMSG},
	[WAL_FAULT_BLOCK_FIELD] = {"impossible block header field", -EUCLEAN},
	[WAL_FAULT_BLOCK_CHECKSUM] = {"block checksum mismatch", -EBADMSG},
	[WAL_FAULT_CHAIN] = {"chained checksum mismatch", -EBADMSG},
	[WAL_FAULT_EVENT_CHECKSUM] = {"event checksum mismatch", -EBADMSG},
	[WAL_FAULT_EVENT_FIELD] = {"impossible event length or flags", -EUCLEAN},
	[WAL_FAULT_EVENT_TIME] = {"event earlier than the one before it", -EUCLEAN},
	[WAL_FAULT_EVENT_GROUP] = {"broken group of continued events", -EUCLEAN},
	[WAL_FAULT_PADDING] = {"padding is not zero", -EUCLEAN},
	[WAL_FAULT_COUNT] = {"counts disagree", -EUCLEAN},
	[WAL_FAULT_META] = {"segment record missing or malformed", -EUCLEAN},
	[WAL_FAULT_TAIL] = {"bytes after the last whole event", -EUCLEAN},
	[WAL_FAULT_MISSING] = {"segment missing", -ENOENT},
	[WAL_FAULT_SEQUENCE] = {"does not continue the segment before", -EUCLEAN},
	[WAL_FAULT_COMPRESSED] = {"compressed, which this version cannot read", -EPROTONOSUPPORT},
	[WAL_FAULT_OTHER_LOG] = {"belongs to another log", -EUCLEAN},
	[WAL_FAULT_POSITION] = {"events that were durable are not there", -EUCLEAN},
	[WAL_FAULT_META_FILE] = {"the durable position is in doubt", -EUCLEAN},
};

const char *wal_fault_kind_name(enum wal_fault_kind kind)
{
	return kind < WAL_FAULT_KINDS ? fault_kinds[kind].name : "unknown fault";
}

int wal_fault_errno(enum wal_fault_kind kind)
{
	return kind < WAL_FAULT_KINDS ? fault_kinds[kind].err : -EIO;
}

void wal_fault_format(const struct wal_fault *fault, char *text, size_t size)
{
	char where[48] = "";

	if (fault->block != WAL_NO_BLOCK)
		snprintf(where, sizeof(where), "block %" PRIu32 ": ", fault->block);
	snprintf(text, size, "%s%s%s%s%s", where, wal_fault_kind_name(fault->kind),
		 fault->detail[0] ? " (" : "", fault->detail, fault->detail[0] ? ")" : "");
}

const char *wal_hint_text(enum wal_hint hint)
{
	switch (hint) {
	case WAL_HINT_COPIED_WHILE_WRITTEN:
		return "wal.meta is ahead of the segments: events are lost, or this is a copy that "
		       "was made file by file while the log was written; if it is a copy, make it "
		       "again without wal.meta and *.new (wal.meta is rebuilt at the mount), or "
		       "from a snapshot";
	case WAL_HINT_COPY_OF_A_MOUNT:
		return "is a copy of a mount: its file `current` holds events that are in no "
		       "segment; move current, events and .walfs out of it, mount it, and append "
		       "them: cat current >> MOUNTPOINT/current; or, to keep their ids and times, "
		       "do not append them, but first give .walfs/active.wal the name of its "
		       "segment (walctl info says which: 2 is 0000000002.wal), if that is not "
		       "there";
	default:
		return "";
	}
}

const char *wal_state_name(enum wal_state state)
{
	static const char *const names[] = {"active", "sealing", "sealed", "damaged"};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

int wal_framing_parse(const char *text, struct wal_framing *framing)
{
	unsigned long size;
	char *end;

	*framing = (struct wal_framing){0};
	if (strcmp(text, "line") == 0) {
		framing->kind = WAL_FRAME_LINE;
		return 0;
	}
	if (strcmp(text, "write") == 0) {
		framing->kind = WAL_FRAME_WRITE;
		return 0;
	}
	if (strncmp(text, "fixed:", 6) != 0 || text[6] < '1' || text[6] > '9')
		return -EINVAL;
	errno = 0;
	size = strtoul(text + 6, &end, 10);
	if (errno || *end || size > WAL_FIXED_FRAME_MAX)
		return -EINVAL;
	framing->kind = WAL_FRAME_FIXED;
	framing->size = (uint32_t)size;
	return 0;
}

void wal_framing_format(struct wal_framing framing, char *text, size_t size)
{
	switch (framing.kind) {
	case WAL_FRAME_LINE:
		snprintf(text, size, "line");
		return;
	case WAL_FRAME_WRITE:
		snprintf(text, size, "write");
		return;
	case WAL_FRAME_FIXED:
		snprintf(text, size, "fixed:%" PRIu32, framing.size);
		return;
	default:
		snprintf(text, size, "none");
	}
}

void wal_segment_name(uint32_t index, char name[WAL_NAME_MAX])
{
	snprintf(name, WAL_NAME_MAX, "%010" PRIu32 ".wal", index);
}

uint32_t wal_segment_name_parse(const char *name)
{
	uint64_t index = 0;
	int i;

	for (i = 0; i < 10; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		index = index * 10 + (uint64_t)(name[i] - '0');
	}
	/* The last index is none: there must be one after each. */
	if (strcmp(name + 10, ".wal") != 0 || index >= UINT32_MAX)
		return 0;
	return (uint32_t)index;
}

void wal_uuid_format(const uint8_t uuid[16], char text[WAL_UUID_TEXT])
{
	char *p = text;
	int i;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid[i]);
	}
}

void wal_time_format(uint64_t time_ns, char text[WAL_TIME_TEXT])
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, WAL_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, WAL_TIME_TEXT - n, ".%09uZ", (unsigned)(time_ns % 1000000000u));
}

/* ".5" or nothing, at most nine digits. */
static int parse_fraction(const char **text, uint64_t *ns)
{
	uint64_t scale = 100000000;
	const char *p = *text;

	*ns = 0;
	if (*p != '.')
		return 0;
	if (p[1] < '0' || p[1] > '9')
		return -EINVAL;
	for (p++; *p >= '0' && *p <= '9'; p++) {
		*ns += (uint64_t)(*p - '0') * scale;
		if (scale == 0)
			return -EINVAL;
		scale /= 10;
	}
	*text = p;
	return 0;
}

/* Exactly as many digits as asked, within limits; moves *text after them. */
static int parse_digits(const char **text, int count, int low, int high, int *value)
{
	const char *p = *text;

	for (*value = 0; count > 0; count--, p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		*value = *value * 10 + (*p - '0');
	}
	*text = p;
	return *value < low || *value > high ? -EINVAL : 0;
}

static int parse_char(const char **text, const char *allowed)
{
	if (**text == '\0' || !strchr(allowed, **text))
		return -EINVAL;
	(*text)++;
	return 0;
}

/* "Z", "+02:00" or nothing, to the end of the text. */
static int parse_zone(const char *p, int *offset_s)
{
	int hours, minutes, sign = *p == '-' ? -1 : 1;

	*offset_s = 0;
	if (*p == '\0' || strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
		return 0;
	if (parse_char(&p, "+-") || parse_digits(&p, 2, 0, 23, &hours) || parse_char(&p, ":") ||
	    parse_digits(&p, 2, 0, 59, &minutes) || *p)
		return -EINVAL;
	*offset_s = sign * (hours * 60 + minutes) * 60;
	return 0;
}

static int parse_date(const char **p, struct tm *tm)
{
	if (parse_digits(p, 4, 1970, 9999, &tm->tm_year) || parse_char(p, "-") ||
	    parse_digits(p, 2, 1, 12, &tm->tm_mon) || parse_char(p, "-") ||
	    parse_digits(p, 2, 1, 31, &tm->tm_mday))
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return 0;
}

static int parse_clock(const char **p, struct tm *tm)
{
	if (parse_digits(p, 2, 0, 23, &tm->tm_hour) || parse_char(p, ":") ||
	    parse_digits(p, 2, 0, 59, &tm->tm_min) || parse_char(p, ":") ||
	    parse_digits(p, 2, 0, 60, &tm->tm_sec))
		return -EINVAL;
	return 0;
}

static int parse_seconds(const char *p, uint64_t *time_ns)
{
	uint64_t seconds, ns;
	char *end;
	const char *rest;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	errno = 0;
	seconds = strtoull(p, &end, 10);
	rest = end;
	if (errno || seconds > UINT64_MAX / 1000000000u - 1 || parse_fraction(&rest, &ns) || *rest)
		return -EINVAL;
	*time_ns = seconds * 1000000000u + ns;
	return 0;
}

int wal_time_parse(const char *text, uint64_t *time_ns)
{
	struct tm tm = {0}, asked;
	const char *p = text;
	uint64_t ns = 0;
	int offset_s;
	int64_t seconds;

	if (*text == '@')
		return parse_seconds(text + 1, time_ns);
	if (parse_date(&p, &tm))
		return -EINVAL;
	if (parse_char(&p, "Tt ") == 0 && (parse_clock(&p, &tm) || parse_fraction(&p, &ns)))
		return -EINVAL;
	if (parse_zone(p, &offset_s))
		return -EINVAL;
	asked = tm;
	seconds = (int64_t)timegm(&tm) - offset_s;
	/* timegm makes 2 March of 30 February. */
	if (tm.tm_mday != asked.tm_mday && asked.tm_sec < 60)
		return -EINVAL;
	if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / 1000000000u - 1)
		return -EINVAL;
	*time_ns = (uint64_t)seconds * 1000000000u + ns;
	return 0;
}

/* --- JSON ------------------------------------------------------------------------------ */

static const struct separator {
	const char *bytes;
	const char *escape;
} separators[] = {
	{"\xc2\x85", "\\u0085"},
	{"\xe2\x80\xa8", "\\u2028"},
	{"\xe2\x80\xa9", "\\u2029"},
};

static const struct separator *separator_at(const char *text, size_t left)
{
	size_t i, length;

	for (i = 0; i < sizeof(separators) / sizeof(separators[0]); i++) {
		length = strlen(separators[i].bytes);
		if (left >= length && memcmp(text, separators[i].bytes, length) == 0)
			return &separators[i];
	}
	return NULL;
}

int wal_json_escape(const char *text, size_t size,
		    int (*put)(const char *text, size_t size, void *ctx), void *ctx)
{
	const struct separator *separator;
	size_t done = 0, at = 0;
	int result = 0;

	while (at < size && !result) {
		separator = text[at] & 0x80 ? separator_at(text + at, size - at) : NULL;
		if (!separator) {
			at++;
			continue;
		}
		if (at > done)
			result = put(text + done, at - done, ctx);
		if (!result)
			result = put(separator->escape, strlen(separator->escape), ctx);
		done = at += strlen(separator->bytes);
	}
	return result || done == size ? result : put(text + done, size - done, ctx);
}
