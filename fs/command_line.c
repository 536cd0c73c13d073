/* SPDX-License-Identifier: MIT */
/* The command line: STORE, MOUNTPOINT, and the options of the table. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

#define DEFAULT_MODE 0640

static int bad(struct walfs_parser *parser)
{
	fputs("Try 'walfs --help'.\n", stderr);
	parser->outcome = WALFS_PARSE_BAD;
	return -1;
}

static int take_path(struct walfs_parser *parser, const char *path)
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
	struct walfs_parser *parser = data;
	const struct walfs_option *option;
	const char *expected = NULL, *value;

	(void)rest;
	if (parser->outcome != WALFS_PARSE_RUN)
		return 0;
	if (key == FUSE_OPT_KEY_NONOPT)
		return strcmp(arg, "--") == 0 ? 0 : take_path(parser, arg);
	if (!*arg)
		return 0; /* "-o a,,b" */
	option = walfs_option_find(arg);
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

void walfs_options_defaults(struct walfs_options *options)
{
	memset(options, 0, sizeof(*options));
	options->uid = geteuid();
	options->gid = getegid();
	options->mode = DEFAULT_MODE;
	options->sync = WALFS_SYNC_INTERVAL;
	options->sync_interval_ms = WALFS_DEFAULT_SYNC_MS;
	options->io_method = WAL_IO_AUTO;
	options->max_line = WALFS_LINE_DEFAULT;
}

enum walfs_parse walfs_options_parse(int argc, char **argv, struct walfs_options *options)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct walfs_parser parser = {.options = options, .outcome = WALFS_PARSE_RUN};

	walfs_options_defaults(options);
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
