/* SPDX-License-Identifier: MIT */
/* Between the table of options, the command line and its help. Used before there are threads. */
#ifndef WALFS_FS_OPTIONS_H
#define WALFS_FS_OPTIONS_H

#include "walfs.h"

#define WALFS_DEFAULT_SYNC_MS 1000

struct walfs_parser {
	struct walfs_options *options;
	enum walfs_parse outcome;
};

/* Return: NULL, or what is expected instead. text is what follows '=', or NULL. */
typedef const char *walfs_option_fn(struct walfs_parser *parser, const char *text);

struct walfs_option {
	const char *name;	/* ends in '=': a value follows; in '*': anything may */
	walfs_option_fn *parse; /* NULL: known, and of no meaning here */
	bool to_kernel;		/* libfuse and the kernel get it too */
	/* What is documented: */
	const char *value;    /* what is shown after the name; NULL: nothing */
	const char *standard; /* without the option; NULL: nothing to say */
	const char *help;
	const char *heading; /* of this one and those that follow; NULL: the one before */
};

/* Return: NULL if there is no such option. */
const struct walfs_option *walfs_option_find(const char *text);

/* help.c: to standard output; options: those that are documented. */
void walfs_help_print(const struct walfs_option *options, size_t count);

#endif
