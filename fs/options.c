/* SPDX-License-Identifier: MIT */
/* The command line: one table, for what stands alone and for what follows -o. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "values.h"
#include "walfs.h"

#define DEFAULT_SYNC_MS 1000
#define DEFAULT_MODE 0640
#define PREPARE_MAX 8
#define BUSY_POLL_MAX_US 1000

struct parser {
	struct walfs_options *options;
	enum walfs_parse outcome;
};

/* Return: NULL, or what is expected instead. text is what follows '=', or NULL. */
typedef const char *option_fn(struct parser *parser, const char *text);

struct option {
	const char *name; /* ends in '=': a value follows; in '*': anything may */
	option_fn *parse; /* NULL: known, and of no meaning here */
	bool to_kernel;	  /* libfuse and the kernel are told too */
};

/* --- values --------------------------------------------------------------------- */

static const char help_text[] =
	"Usage: walfs [options] STORE MOUNTPOINT\n"
	"\n"
	"Mounts the write-ahead log in the directory STORE, which is made if it does not\n"
	"exist. Append to MOUNTPOINT/current; each line becomes a sequenced, timestamped\n"
	"and checksummed event. Unmount with: fusermount3 -u MOUNTPOINT\n"
	"\n"
	"  MOUNTPOINT/current            append here; reads back the active segment\n"
	"  MOUNTPOINT/NNNNNNNNNN.wal     sealed segments, byte for byte\n"
	"  MOUNTPOINT/events/NNNNNNNNNN.log  the same, decoded: for grep, less, awk\n"
	"  MOUNTPOINT/.walfs/status      how it is doing, in JSON; metrics: for Prometheus\n"
	"\n"
	"Options:\n"
	"  -f                    stay in the foreground, messages to stderr\n"
	"  -d                    the same, and print every request\n"
	"  -h, --help            this text\n"
	"  -V, --version         version\n"
	"  -o OPTION[,OPTION...]\n"
	"\n"
	"What an event is, fixed when a segment begins:\n"
	"  framing=line          a line with its newline (default)\n"
	"  max_line=SIZE         a longer line is cut, 4K to 2G (default: 16M, or what half\n"
	"                        of a segment holds)\n"
	"  framing=write         one write(2) of up to a block, at most 1 MiB - 4 KiB\n"
	"  framing=fixed:N       every N bytes\n"
	"\n"
	"When it is on stable storage (fsync and O_DSYNC always wait until it is):\n"
	"  sync=interval[:MS]    at most MS milliseconds later (default: 1000)\n"
	"  sync=always, sync     before write(2) returns\n"
	"  sync=none             when the kernel gets to it\n"
	"  meta=strict           and wal.meta says so before fsync returns, so that any\n"
	"                        loss is told from a torn tail\n"
	"\n"
	"How the log is stored (default: as it is; new stores: 64K and 64M):\n"
	"  block_size=SIZE       4K to 16M, a power of two\n"
	"  segment_size=SIZE     when a new segment begins, up to 4G\n"
	"  rotate_age=TIME       also when it is older than that and not empty\n"
	"  prepare=N             segments kept ready ahead, 1 to 8 (default: 2)\n"
	"\n"
	"What is removed, oldest first (default: nothing, ever):\n"
	"  keep_segments=N       finished segments beyond the last N\n"
	"  keep_bytes=SIZE       those beyond the last SIZE bytes\n"
	"  keep_age=TIME         those closed longer ago, but never the last one\n"
	"SIZE has K, M, G or T behind it, or is in bytes; TIME has s, m, h or d, or is in\n"
	"seconds.\n"
	"\n"
	"How it runs:\n"
	"  io=auto               how events get into the segment: as suits (default);\n"
	"  io=mmap               by stores into a mapping: quicker writes;\n"
	"  io=pwrite             by pwrite: quicker syncs of small writes\n"
	"  busy_poll=USEC        poll for the next request up to USEC microseconds (at most\n"
	"                        1000) before sleeping, while that finds one: quicker small\n"
	"                        writes, for a core kept busy meanwhile (default: 0, never)\n"
	"\n"
	"Who may use it:\n"
	"  uid=USER, gid=GROUP   owner and group of the files, by name or number\n"
	"                        (default: yours)\n"
	"  mode=MODE             of current, octal (default: 640); sealed files have its\n"
	"                        read bits only\n"
	"  allow_other           not only you and nobody else, not even root\n"
	"  ro                    only look: any store, also a damaged one, changing nothing\n"
	"\n"
	"Options that mount(8) passes (rw, nosuid, nodev, noexec, noatime, ...) are\n"
	"accepted, so this works in /etc/fstab:\n"
	"  /var/lib/orders  /mnt/orders  fuse.walfs  allow_other,sync=always  0  0\n"
	"\n"
	"Examples:\n"
	"  walfs /var/lib/orders /mnt/orders\n"
	"  walfs -o ro /backup/orders /mnt/look\n"
	"  setfattr -n user.wal.rotate /mnt/orders/current\n"
	"\n"
	"See walfs(1), and walctl(1) for everything else.\n";

static const char *parse_help(struct parser *parser, const char *text)
{
	(void)text;
	fputs(help_text, stdout);
	parser->outcome = WALFS_PARSE_DONE;
	return NULL;
}

static const char *parse_version(struct parser *parser, const char *text)
{
	(void)text;
	printf("walfs %s\nlibfuse %s\n", WAL_VERSION, fuse_pkgversion());
	parser->outcome = WALFS_PARSE_DONE;
	return NULL;
}

static const char *parse_foreground(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->foreground = true;
	return NULL;
}

static const char *parse_debug(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->foreground = true;
	parser->options->debug = true;
	return NULL;
}

static const char *parse_ro(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->read_only = true;
	return NULL;
}

static const char *parse_rw(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->read_only = false;
	return NULL;
}

static const char *parse_allow_other(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->allow_other = true;
	return NULL;
}

static const char *parse_block_size(struct parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, 16u << 20, &size) || size < 4096 || size & (size - 1))
		return "a power of two from 4K to 16M";
	parser->options->block_size = (uint32_t)size;
	return NULL;
}

static const char *parse_segment_size(struct parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, UINT64_C(1) << 32, &size) || !size)
		return "a size such as 64M, at most 4G";
	parser->options->segment_size = size;
	return NULL;
}

static const char *parse_framing(struct parser *parser, const char *text)
{
	if (wal_framing_parse(text, &parser->options->framing))
		return "line, write or fixed:N (1 to 1048576 bytes)";
	return NULL;
}

static const char *parse_max_line(struct parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, UINT64_C(1) << 31, &size) || size < 4096)
		return "a size from 4K to 2G";
	parser->options->max_line = size;
	return NULL;
}

static const char *parse_sync_always(struct parser *parser, const char *text)
{
	(void)text;
	parser->options->sync = WALFS_SYNC_ALWAYS;
	return NULL;
}

static const char *parse_sync(struct parser *parser, const char *text)
{
	struct walfs_options *options = parser->options;
	uint64_t ms = DEFAULT_SYNC_MS;

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

static const char *parse_prepare(struct parser *parser, const char *text)
{
	uint64_t count;

	if (!walfs_parse_number(text, 10, PREPARE_MAX, &count) || !count)
		return "how many segments to keep ready, 1 to 8";
	parser->options->prepare = (uint32_t)count;
	return NULL;
}

static const char *parse_io(struct parser *parser, const char *text)
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

static const char *parse_meta(struct parser *parser, const char *text)
{
	if (strcmp(text, "strict") != 0)
		return "strict";
	parser->options->meta_strict = true;
	return NULL;
}

static const char *parse_rotate_age(struct parser *parser, const char *text)
{
	uint64_t seconds;

	if (!walfs_parse_seconds(text, UINT32_MAX, &seconds) || !seconds)
		return "a time such as 90s, 15m, 24h or 7d";
	parser->options->rotate_age_s = (uint32_t)seconds;
	return NULL;
}

static const char *parse_keep_segments(struct parser *parser, const char *text)
{
	uint64_t count;

	if (!walfs_parse_number(text, 10, UINT32_MAX, &count) || !count)
		return "how many finished segments to keep, 1 or more";
	parser->options->keep_segments = (uint32_t)count;
	return NULL;
}

static const char *parse_keep_bytes(struct parser *parser, const char *text)
{
	uint64_t size;

	if (!walfs_parse_size(text, INT64_MAX, &size) || !size)
		return "a size such as 500M or 20G";
	parser->options->keep_bytes = size;
	return NULL;
}

static const char *parse_keep_age(struct parser *parser, const char *text)
{
	uint64_t seconds;

	if (!walfs_parse_seconds(text, UINT32_MAX, &seconds) || !seconds)
		return "a time such as 90s, 15m, 24h or 30d";
	parser->options->keep_age_s = (uint32_t)seconds;
	return NULL;
}

static const char *parse_busy_poll(struct parser *parser, const char *text)
{
	uint64_t us;

	if (!walfs_parse_number(text, 10, BUSY_POLL_MAX_US, &us))
		return "for how many microseconds to poll, 0 (never) to 1000";
	parser->options->busy_poll_us = (uint32_t)us;
	return NULL;
}

static const char *parse_uid(struct parser *parser, const char *text)
{
	const struct passwd *user;
	uint64_t id;

	if (!walfs_parse_number(text, 10, UINT32_MAX - 1, &id)) {
		user = getpwnam(text);
		if (!user)
			return "a user that there is, by name or number";
		id = user->pw_uid;
	}
	parser->options->uid = (uid_t)id;
	return NULL;
}

static const char *parse_gid(struct parser *parser, const char *text)
{
	const struct group *group;
	uint64_t id;

	if (!walfs_parse_number(text, 10, UINT32_MAX - 1, &id)) {
		group = getgrnam(text);
		if (!group)
			return "a group that there is, by name or number";
		id = group->gr_gid;
	}
	parser->options->gid = (gid_t)id;
	return NULL;
}

/* What mount(8) runs for `mount -o remount`, and systemd for the reload of a mount unit. */
static const char *parse_remount(struct parser *parser, const char *text)
{
	(void)text;
	walfs_say(WAL_NOTICE_ERROR,
		  "remount: the options of a mount hold until its end; unmount it and mount it "
		  "again with others (for read-only alone: mount -i -o remount,ro MOUNTPOINT)");
	parser->outcome = WALFS_PARSE_BAD;
	return NULL;
}

static const char *parse_mode(struct parser *parser, const char *text)
{
	uint64_t mode;

	if (!walfs_parse_number(text, 8, 0777, &mode) || mode & 0111)
		return "an octal mode without x, such as 640";
	parser->options->mode = (mode_t)mode;
	return NULL;
}

/* --- the table -------------------------------------------------------------------- */

static const struct option option_table[] = {
	{"-h", parse_help, false},
	{"--help", parse_help, false},
	{"-V", parse_version, false},
	{"--version", parse_version, false},
	{"-f", parse_foreground, false},
	{"-d", parse_debug, false},
	{"framing=", parse_framing, false},
	{"max_line=", parse_max_line, false},
	{"block_size=", parse_block_size, false},
	{"segment_size=", parse_segment_size, false},
	{"sync=", parse_sync, false},
	{"sync", parse_sync_always, false},
	{"meta=", parse_meta, false},
	{"prepare=", parse_prepare, false},
	{"rotate_age=", parse_rotate_age, false},
	{"keep_segments=", parse_keep_segments, false},
	{"keep_bytes=", parse_keep_bytes, false},
	{"keep_age=", parse_keep_age, false},
	{"io=", parse_io, false},
	{"busy_poll=", parse_busy_poll, false},
	{"uid=", parse_uid, false},
	{"gid=", parse_gid, false},
	{"mode=", parse_mode, false},
	{"remount", parse_remount, false},
	{"debug", parse_debug, false},
	{"-r", parse_ro, false},
	{"ro", parse_ro, false},
	{"rw", parse_rw, false},
	{"allow_other", parse_allow_other, true},
	{"auto_unmount", NULL, true},
	{"suid", NULL, true},
	{"nosuid", NULL, true},
	{"dev", NULL, true},
	{"nodev", NULL, true},
	{"exec", NULL, true},
	{"noexec", NULL, true},
	{"atime", NULL, true},
	{"noatime", NULL, true},
	{"context=", NULL, true},
	{"fscontext=", NULL, true},
	{"defcontext=", NULL, true},
	{"rootcontext=", NULL, true},
	/* for mount(8) or systemd, or without meaning here */
	{"default_permissions", NULL, false},
	{"defaults", NULL, false},
	{"auto", NULL, false},
	{"noauto", NULL, false},
	{"user", NULL, false},
	{"user=", NULL, false},
	{"nouser", NULL, false},
	{"users", NULL, false},
	{"owner", NULL, false},
	{"group", NULL, false},
	{"nofail", NULL, false},
	{"_netdev", NULL, false},
	{"async", NULL, false},
	{"dirsync", NULL, false},
	{"diratime", NULL, false},
	{"nodiratime", NULL, false},
	{"relatime", NULL, false},
	{"norelatime", NULL, false},
	{"strictatime", NULL, false},
	{"nostrictatime", NULL, false},
	{"lazytime", NULL, false},
	{"nolazytime", NULL, false},
	{"iversion", NULL, false},
	{"noiversion", NULL, false},
	{"mand", NULL, false},
	{"nomand", NULL, false},
	{"silent", NULL, false},
	{"loud", NULL, false},
	{"symfollow", NULL, false},
	{"nosymfollow", NULL, false}, /* there are no links in the mount */
	{"comment=", NULL, false},
	{"x-*", NULL, false},
	{"X-*", NULL, false},
};

#define OPTIONS (sizeof(option_table) / sizeof(option_table[0]))

static const struct option *find_option(const char *text)
{
	const struct option *option;
	size_t length;

	for (option = option_table; option < option_table + OPTIONS; option++) {
		length = strlen(option->name);
		if (option->name[length - 1] == '*')
			length--;
		else if (option->name[length - 1] != '=')
			length++; /* the whole of it */
		if (strncmp(text, option->name, length) == 0)
			return option;
	}
	return NULL;
}

static int bad(struct parser *parser)
{
	fputs("Try 'walfs --help'.\n", stderr);
	parser->outcome = WALFS_PARSE_BAD;
	return -1;
}

/* --- parsing ------------------------------------------------------------------------ */

static int take_path(struct parser *parser, const char *path)
{
	struct walfs_options *options = parser->options;
	char **place = options->store ? &options->mountpoint : &options->store;

	if (*place) {
		walfs_say(WAL_NOTICE_ERROR,
			  "'%s' is one argument too many: a STORE and a MOUNTPOINT", path);
		return bad(parser);
	}
	if (!*path) {
		walfs_say(WAL_NOTICE_ERROR, "an empty path");
		return bad(parser);
	}
	*place = strdup(path);
	return *place ? 0 : -1;
}

/* For fuse_opt_parse(): everything comes here. Return: 0 handled, -1 stop. */
static int take(void *data, const char *arg, int key, struct fuse_args *rest)
{
	struct parser *parser = data;
	const struct option *option;
	const char *expected = NULL, *value;

	(void)rest;
	if (parser->outcome != WALFS_PARSE_RUN)
		return 0;
	if (key == FUSE_OPT_KEY_NONOPT)
		return strcmp(arg, "--") == 0 ? 0 : take_path(parser, arg);
	if (!*arg)
		return 0; /* "-o a,,b" */
	option = find_option(arg);
	if (!option) {
		walfs_say(WAL_NOTICE_ERROR, "unknown option '%s'", arg);
		return bad(parser);
	}
	value = strchr(arg, '=');
	if (option->parse)
		expected = option->parse(parser, value ? value + 1 : NULL);
	if (parser->outcome == WALFS_PARSE_BAD)
		return -1; /* it has said why */
	if (expected) {
		walfs_say(WAL_NOTICE_ERROR, "option '%s': expected %s", arg, expected);
		return bad(parser);
	}
	if (option->to_kernel)
		return fuse_opt_add_opt_escaped(&parser->options->mount_options, arg);
	return 0;
}

static void set_defaults(struct walfs_options *options)
{
	memset(options, 0, sizeof(*options));
	options->uid = geteuid();
	options->gid = getegid();
	options->mode = DEFAULT_MODE;
	options->sync = WALFS_SYNC_INTERVAL;
	options->sync_interval_ms = DEFAULT_SYNC_MS;
	options->io_method = WAL_IO_AUTO;
	options->max_line = WALFS_LINE_DEFAULT;
}

enum walfs_parse walfs_options_parse(int argc, char **argv, struct walfs_options *options)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct parser parser = {.options = options, .outcome = WALFS_PARSE_RUN};

	set_defaults(options);
	if (fuse_opt_parse(&args, &parser, NULL, take) && parser.outcome == WALFS_PARSE_RUN)
		bad(&parser);
	fuse_opt_free_args(&args);
	if (parser.outcome == WALFS_PARSE_RUN && !options->mountpoint) {
		walfs_say(WAL_NOTICE_ERROR, "%s missing",
			  options->store ? "MOUNTPOINT is" : "STORE and MOUNTPOINT are");
		bad(&parser);
	}
	return parser.outcome;
}

bool walfs_are_removed(const struct walfs_options *options)
{
	return options->keep_segments || options->keep_bytes || options->keep_age_s;
}

void walfs_options_destroy(struct walfs_options *options)
{
	free(options->store);
	free(options->mountpoint);
	free(options->mount_options);
	memset(options, 0, sizeof(*options));
}
