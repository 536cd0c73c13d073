/* SPDX-License-Identifier: MIT */
/*
 * The options: one table, for what stands alone and for what follows -o. --help is made of
 * it, and scripts/check-docs compares it with the lists in README.md, docs/FILESYSTEM.md and
 * docs/walfs.1.
 */
#include "options.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "values.h"

#define PREPARE_MAX 8
#define BUSY_POLL_MAX_US 1000

/* Those that --help, README.md, docs/FILESYSTEM.md and docs/walfs.1 list, in this order. */
static const struct walfs_option *get_documented(size_t *count);

/* --- values --------------------------------------------------------------------- */

static const char *parse_help(struct walfs_parser *parser, const char *text)
{
	const struct walfs_option *options;
	size_t count;

	(void)text;
	options = get_documented(&count);
	walfs_help_print(options, count);
	parser->outcome = WALFS_PARSE_DONE;
	return NULL;
}

static const char *parse_version(struct walfs_parser *parser, const char *text)
{
	(void)text;
	printf("walfs %s\nlibfuse %s\n", WAL_VERSION, fuse_pkgversion());
	parser->outcome = WALFS_PARSE_DONE;
	return NULL;
}

static const char *parse_foreground(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->foreground = true;
	return NULL;
}

static const char *parse_debug(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->foreground = true;
	parser->options->debug = true;
	return NULL;
}

static const char *parse_ro(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->read_only = true;
	return NULL;
}

static const char *parse_continue(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->continue_copy = true;
	return NULL;
}

static const char *parse_rw(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->read_only = false;
	return NULL;
}

static const char *parse_allow_other(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->allow_other = true;
	return NULL;
}

static const char *parse_block_size(struct walfs_parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, 16u << 20, &size) || size < 4096 || size & (size - 1))
		return "a power of two from 4K to 16M";
	parser->options->block_size = (uint32_t)size;
	return NULL;
}

static const char *parse_segment_size(struct walfs_parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, UINT64_C(1) << 32, &size) || !size)
		return "a size such as 64M, at most 4G";
	parser->options->segment_size = size;
	return NULL;
}

static const char *parse_framing(struct walfs_parser *parser, const char *text)
{
	if (wal_framing_parse(text, &parser->options->framing))
		return "line, write or fixed:N (1 to 1048576 bytes)";
	return NULL;
}

static const char *parse_max_line(struct walfs_parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, UINT64_C(1) << 31, &size) || size < 4096)
		return "a size from 4K to 2G";
	parser->options->max_line = size;
	return NULL;
}

static const char *parse_sync_always(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->sync = WALFS_SYNC_ALWAYS;
	return NULL;
}

static const char *parse_sync(struct walfs_parser *parser, const char *text)
{
	struct walfs_options *options = parser->options;
	uint64_t ms = WALFS_DEFAULT_SYNC_MS;

	if (strcmp(text, "none") == 0) {
		options->sync = WALFS_SYNC_NONE;
		ms = 0;
	} else if (strcmp(text, "always") == 0) {
		options->sync = WALFS_SYNC_ALWAYS;
	} else if (strcmp(text, "interval") == 0) {
		options->sync = WALFS_SYNC_INTERVAL;
	} else if (strncmp(text, "interval:", 9) == 0 &&
		   walfs_parse_number(text + 9, 10, 24 * 3600 * 1000, &ms) && ms) {
		options->sync = WALFS_SYNC_INTERVAL;
	} else {
		return "none, always, interval or interval:MS (1 ms to a day)";
	}
	options->sync_interval_ms = (uint32_t)ms;
	return NULL;
}

static const char *parse_prepare(struct walfs_parser *parser, const char *text)
{
	uint64_t count;

	if (!walfs_parse_number(text, 10, PREPARE_MAX, &count) || !count)
		return "how many segments to keep ready, 1 to 8";
	parser->options->prepare = (uint32_t)count;
	return NULL;
}

static const char *parse_io(struct walfs_parser *parser, const char *text)
{
	if (strcmp(text, "mmap") == 0)
		parser->options->io_method = WAL_IO_MAPPING;
	else if (strcmp(text, "pwrite") == 0)
		parser->options->io_method = WAL_IO_PWRITE;
	else if (strcmp(text, "auto") == 0)
		parser->options->io_method = WAL_IO_AUTO;
	else
		return "auto, mmap or pwrite";
	return NULL;
}

static const char *parse_meta(struct walfs_parser *parser, const char *text)
{
	if (strcmp(text, "strict") != 0)
		return "strict";
	parser->options->meta_strict = true;
	return NULL;
}

static const char *parse_rotate_age(struct walfs_parser *parser, const char *text)
{
	uint64_t seconds;

	if (!walfs_parse_seconds(text, UINT32_MAX, &seconds) || !seconds)
		return "a time such as 90s, 15m, 24h or 7d";
	parser->options->rotate_age_s = (uint32_t)seconds;
	return NULL;
}

static const char *parse_keep_segments(struct walfs_parser *parser, const char *text)
{
	uint64_t count;

	if (!walfs_parse_number(text, 10, UINT32_MAX, &count) || !count)
		return "how many finished segments to keep, 1 or more";
	parser->options->keep_segments = (uint32_t)count;
	return NULL;
}

static const char *parse_keep_bytes(struct walfs_parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, INT64_MAX, &size) || !size)
		return "a size such as 500M or 20G";
	parser->options->keep_bytes = size;
	return NULL;
}

static const char *parse_keep_age(struct walfs_parser *parser, const char *text)
{
	uint64_t seconds;

	if (!walfs_parse_seconds(text, UINT32_MAX, &seconds) || !seconds)
		return "a time such as 90s, 15m, 24h or 30d";
	parser->options->keep_age_s = (uint32_t)seconds;
	return NULL;
}

static const char *parse_busy_poll(struct walfs_parser *parser, const char *text)
{
	uint64_t us;

	if (!walfs_parse_number(text, 10, BUSY_POLL_MAX_US, &us))
		return "for how many microseconds to poll, 0 (never) to 1000";
	parser->options->busy_poll_us = (uint32_t)us;
	return NULL;
}

static const char *parse_append(struct walfs_parser *parser, const char *text)
{
	if (strcmp(text, "strict") != 0 && strcmp(text, "sequential") != 0)
		return "strict or sequential";
	parser->options->append_sequential = strcmp(text, "sequential") == 0;
	return NULL;
}

static const char *parse_uid(struct walfs_parser *parser, const char *text)
{
	const struct passwd *user;
	uint64_t id;

	if (!walfs_parse_number(text, 10, UINT32_MAX - 1, &id)) {
		user = getpwnam(text);
		if (!user)
			return "an existing user, by name or number";
		id = user->pw_uid;
	}
	parser->options->uid = (uid_t)id;
	return NULL;
}

static const char *parse_gid(struct walfs_parser *parser, const char *text)
{
	const struct group *group;
	uint64_t id;

	if (!walfs_parse_number(text, 10, UINT32_MAX - 1, &id)) {
		group = getgrnam(text);
		if (!group)
			return "an existing group, by name or number";
		id = group->gr_gid;
	}
	parser->options->gid = (gid_t)id;
	return NULL;
}

/* What mount(8) runs for `mount -o remount`, and systemd for the reload of a mount unit. */
static const char *parse_remount(struct walfs_parser *parser, const char *text)
{
	(void)text;
	parser->options->remount = true;
	return NULL;
}

static const char *parse_mode(struct walfs_parser *parser, const char *text)
{
	uint64_t mode;

	if (!walfs_parse_number(text, 8, 0777, &mode) || mode & 0111)
		return "an octal mode without x, such as 640";
	parser->options->mode = (mode_t)mode;
	return NULL;
}

/* --- the table -------------------------------------------------------------------- */

#define AS_IT_HAS "as the store has it; new: "

/* A table is read by its rows. */
/* clang-format off */
static const struct walfs_option documented[] = {
	{.name = "-f", .parse = parse_foreground, .heading = "Options",
	 .help = "stay in the foreground, with messages on stderr"},
	{.name = "-d", .parse = parse_debug, .help = "the same, and print every request"},
	{.name = "-h", .value = ", --help", .parse = parse_help, .help = "print this text"},
	{.name = "-V", .value = ", --version", .parse = parse_version, .help = "print the version"},

	{.name = "framing=", .value = "line|write|fixed:N", .standard = AS_IT_HAS "line",
	 .parse = parse_framing, .heading = "What an event is",
	 .help = "a line with its newline; one write(2) of up to a block, at most 1 MiB less "
		 "4 KiB; or every N bytes"},
	{.name = "max_line=", .value = "SIZE", .standard = "16M", .parse = parse_max_line,
	 .help = "with framing=line, a longer line is cut: 4K to 2G, and never more than about "
		 "half of a segment"},

	{.name = "append=", .value = "strict|sequential", .standard = "strict",
	 .parse = parse_append,
	 .help = "strict: writers open with O_APPEND; sequential: or without it, and each write "
		 "goes on where their last one or their seek to the end was"},

	{.name = "sync=", .value = "none|interval[:MS]|always", .standard = "interval:1000",
	 .parse = parse_sync,
	 .heading = "When it is on stable storage (fsync and O_DSYNC always wait until it is)",
	 .help = "when the kernel gets to it; at most MS milliseconds later; before write(2) "
		 "returns"},
	{.name = "sync", .parse = parse_sync_always, .help = "the same as sync=always"},
	{.name = "meta=", .value = "strict", .parse = parse_meta,
	 .help = "a sync is answered only when wal.meta knows of it, too: any loss is then "
		 "distinguished from a torn tail"},

	{.name = "block_size=", .value = "SIZE", .standard = AS_IT_HAS "64K",
	 .parse = parse_block_size, .heading = "How the log is stored",
	 .help = "a power of two, 4K to 16M"},
	{.name = "segment_size=", .value = "SIZE", .standard = AS_IT_HAS "64M",
	 .parse = parse_segment_size, .help = "a new segment begins when one is full: up to 4G"},
	{.name = "rotate_age=", .value = "TIME", .standard = "never", .parse = parse_rotate_age,
	 .help = "a new segment begins also when one is older than that and not empty"},
	{.name = "prepare=", .value = "N", .standard = "2", .parse = parse_prepare,
	 .help = "segments kept ready ahead, 1 to 8"},

	{.name = "keep_segments=", .value = "N", .standard = "keep all",
	 .parse = parse_keep_segments,
	 .heading = "What is removed, oldest first (without these, nothing, ever)",
	 .help = "the finished segments beyond the last N"},
	{.name = "keep_bytes=", .value = "SIZE", .standard = "keep all", .parse = parse_keep_bytes,
	 .help = "finished segments while all of them together are larger"},
	{.name = "keep_age=", .value = "TIME", .standard = "keep all", .parse = parse_keep_age,
	 .help = "those that were closed longer ago, but never the last one"},

	{.name = "io=", .value = "auto|mmap|pwrite", .standard = "auto", .parse = parse_io,
	 .heading = "How it runs",
	 .help = "how events get into a segment: as suits; by stores into a mapping (quicker "
		 "writes); by pwrite(2) (quicker syncs of small writes)"},
	{.name = "busy_poll=", .value = "USEC", .standard = "0", .parse = parse_busy_poll,
	 .help = "before it sleeps, poll for the next request up to USEC microseconds (at most "
		 "1000), while that finds one: quicker small writes, for a core kept busy; 0: "
		 "never"},

	{.name = "uid=", .value = "USER", .standard = "yours", .parse = parse_uid,
	 .heading = "Who may use it", .help = "owner of the files, by name or number"},
	{.name = "gid=", .value = "GROUP", .standard = "yours", .parse = parse_gid,
	 .help = "group of the files, by name or number"},
	{.name = "mode=", .value = "MODE", .standard = "640", .parse = parse_mode,
	 .help = "mode of current, octal; the other files have its read bits"},
	{.name = "allow_other", .parse = parse_allow_other, .to_kernel = true,
	 .help = "other users may use the mount, as the modes say; without it nobody but you, "
		 "not even root"},
	{.name = "ro", .value = ", -r", .parse = parse_ro,
	 .help = "only look: any store, also a damaged one, and change no byte of it"},
	{.name = "continue", .parse = parse_continue,
	 .help = "STORE is a copy (walctl backup) and its original is gone: it is the log from now "
		 "on"},
};
/* clang-format on */

/* What else is understood: other names of the same, and what mount(8) or systemd pass. */
static const struct walfs_option others[] = {
	{.name = "--help", .parse = parse_help},
	{.name = "--version", .parse = parse_version},
	{.name = "remount", .parse = parse_remount},
	{.name = "debug", .parse = parse_debug},
	{.name = "-r", .parse = parse_ro},
	{.name = "rw", .parse = parse_rw},
	{.name = "auto_unmount", .to_kernel = true},
	{.name = "suid", .to_kernel = true},
	{.name = "nosuid", .to_kernel = true},
	{.name = "dev", .to_kernel = true},
	{.name = "nodev", .to_kernel = true},
	{.name = "exec", .to_kernel = true},
	{.name = "noexec", .to_kernel = true},
	{.name = "atime", .to_kernel = true},
	{.name = "noatime", .to_kernel = true},
	{.name = "context=", .to_kernel = true},
	{.name = "fscontext=", .to_kernel = true},
	{.name = "defcontext=", .to_kernel = true},
	{.name = "rootcontext=", .to_kernel = true},
	/* for mount(8) or systemd, or without meaning here; there are no links in the mount */
	{.name = "default_permissions"},
	{.name = "defaults"},
	{.name = "auto"},
	{.name = "noauto"},
	{.name = "user"},
	{.name = "user="},
	{.name = "nouser"},
	{.name = "users"},
	{.name = "owner"},
	{.name = "group"},
	{.name = "nofail"},
	{.name = "_netdev"},
	{.name = "async"},
	{.name = "dirsync"},
	{.name = "diratime"},
	{.name = "nodiratime"},
	{.name = "relatime"},
	{.name = "norelatime"},
	{.name = "strictatime"},
	{.name = "nostrictatime"},
	{.name = "lazytime"},
	{.name = "nolazytime"},
	{.name = "iversion"},
	{.name = "noiversion"},
	{.name = "mand"},
	{.name = "nomand"},
	{.name = "silent"},
	{.name = "loud"},
	{.name = "user_id="},
	{.name = "group_id="},
	{.name = "symfollow"},
	{.name = "nosymfollow"},
	{.name = "comment="},
	{.name = "x-*"},
	{.name = "X-*"},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool matches(const struct walfs_option *option, const char *text)
{
	size_t length = strlen(option->name);

	if (option->name[length - 1] == '*')
		length--;
	else if (option->name[length - 1] != '=')
		length++; /* the whole of it */
	return strncmp(text, option->name, length) == 0;
}

const struct walfs_option *walfs_option_find(const char *text)
{
	for (size_t i = 0; i < COUNT(documented); i++) {
		if (matches(&documented[i], text))
			return &documented[i];
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		if (matches(&others[i], text))
			return &others[i];
	}
	return NULL;
}

static const struct walfs_option *get_documented(size_t *count)
{
	*count = COUNT(documented);
	return documented;
}
