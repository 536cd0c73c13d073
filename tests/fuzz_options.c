/* SPDX-License-Identifier: MIT */
/*
 * The daemon's command line, of any words: parsed without a crash or a leak, and what
 * is taken is in range. What goes on to libfuse and the kernel is split at its commas
 * again here: nothing but the few options that are meant to may come out of that,
 * whatever was hidden in a value.
 *
 * Input: the words, one a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/walfs.h"

#define WORDS 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of fs/notice.c: the text is made, and not shown. */
void walfs_say(enum wal_notice_level level, const char *format, ...)
{
	char text[2048];
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
}

/* What the parser prints goes nowhere; libFuzzer has its own descriptor by now. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	stdout = stderr = fopen("/dev/null", "w");
	return stdout ? 0 : -1;
}

static void require(bool good)
{
	if (!good)
		abort();
}

/* Return: whether this one may go on, however it was written. */
static bool is_for_kernel(const char *option)
{
	static const char *const names[] = {
		"allow_other", "auto_unmount", "suid",	      "nosuid",	      "dev",
		"nodev",       "exec",	       "noexec",      "atime",	      "noatime",
		"context=",    "fscontext=",   "defcontext=", "rootcontext=",
	};
	size_t i, length;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		length = strlen(names[i]);
		if (names[i][length - 1] != '=')
			length++;
		if (strncmp(option, names[i], length) == 0)
			return true;
	}
	return false;
}

/* A comma with a backslash before it belongs to the value. */
static void check_mount_options(const char *text)
{
	char option[4096];
	size_t length = 0;

	for (; length < sizeof(option) - 1; text++) {
		if (*text == '\\' && text[1]) {
			option[length++] = *++text;
		} else if (*text == ',' || !*text) {
			option[length] = '\0';
			require(is_for_kernel(option));
			length = 0;
			if (!*text)
				return;
		} else {
			option[length++] = *text;
		}
	}
}

static void check(const struct walfs_options *options)
{
	const struct wal_framing framing = options->framing;

	require(options->store && *options->store);
	require(options->mountpoint && *options->mountpoint);
	require(!(options->mode & ~0666u));
	require(!options->block_size ||
		(options->block_size >= 4096 && options->block_size <= 16u << 20 &&
		 !(options->block_size & (options->block_size - 1))));
	require(options->segment_size <= UINT64_C(1) << 32);
	require(framing.kind <= WAL_FRAME_FIXED);
	require((framing.kind == WAL_FRAME_FIXED) == (framing.size > 0));
	require(framing.size <= WAL_FIXED_FRAME_MAX);
	require((options->sync == WALFS_SYNC_NONE) == (options->sync_interval_ms == 0));
	require(options->sync_interval_ms <= 24 * 3600 * 1000);
	require(options->prepare <= 8);
	require(options->busy_poll_us <= 1000);
	require(options->max_line >= 4096 && options->max_line <= UINT64_C(1) << 31);
	require(options->foreground || !options->debug);
	require(options->allow_other ==
			(options->mount_options && strstr(options->mount_options, "allow_other")) ||
		strchr(options->mount_options, '='));
	if (options->mount_options)
		check_mount_options(options->mount_options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[] = "walfs", *argv[WORDS + 2] = {name};
	char *text = malloc(size + 1), *word, *rest;
	struct walfs_options options;
	int argc = 1;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	for (rest = text; argc <= WORDS && (word = strsep(&rest, "\n"));)
		argv[argc++] = word;
	if (walfs_options_parse(argc, argv, &options) == WALFS_PARSE_RUN)
		check(&options);
	walfs_options_destroy(&options);
	free(text);
	return 0;
}
