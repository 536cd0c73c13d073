/* SPDX-License-Identifier: MIT */
/* What --help prints: the table of options, with some words before and after. */
#include <stdio.h>
#include <string.h>

#include "options.h"

#define COLUMNS 80
#define INDENT 24

static const char before[] =
	"Usage: walfs [-f] [-d] [-o OPTION[,OPTION...]] STORE MOUNTPOINT\n"
	"\n"
	"Mounts the write-ahead log in the directory STORE, which is made if it does not\n"
	"exist. Append to MOUNTPOINT/current; each line becomes a sequenced, timestamped\n"
	"and checksummed event. Unmount with: fusermount3 -u MOUNTPOINT\n"
	"\n"
	"  MOUNTPOINT/current            append here; reads back the active segment\n"
	"  MOUNTPOINT/NNNNNNNNNN.wal     sealed segments, byte for byte\n"
	"  MOUNTPOINT/events/NNNNNNNNNN.log  the same, decoded: for grep, less, awk\n"
	"  MOUNTPOINT/.walfs/status      how it is doing, as JSON; metrics: Prometheus\n";

static const char after[] =
	"\n"
	"SIZE is a number of bytes, or ends in K, M, G or T; TIME is a number of seconds,\n"
	"or ends in s, m, h or d.\n"
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

/* Prints words from column `at` on, in lines that begin at INDENT. Return: the column after. */
static int put_words(const char *text, int at)
{
	while (*text) {
		int length = (int)strcspn(text, " ");

		if (at == 0 || at + 1 + length > COLUMNS) {
			printf("\n%*s", INDENT, "");
			at = INDENT;
		} else if (at > INDENT) {
			putchar(' ');
			at++;
		}
		printf("%.*s", length, text);
		at += length;
		text += length;
		text += strspn(text, " ");
	}
	return at;
}

static void print_option(const struct walfs_option *option)
{
	int at = printf("  %s%s", option->name, option->value ? option->value : "");
	char standard[128];

	if (at + 2 <= INDENT)
		at += printf("%*s", INDENT - at, "");
	else
		at = 0; /* the help begins a line */
	at = put_words(option->help, at);
	if (option->standard) {
		snprintf(standard, sizeof(standard), "(default: %s)", option->standard);
		put_words(standard, at);
	}
	putchar('\n');
}

void walfs_help_print(const struct walfs_option *options, size_t count)
{
	size_t i;

	fputs(before, stdout);
	for (i = 0; i < count; i++) {
		if (options[i].heading)
			printf("\n%s:\n", options[i].heading);
		print_option(&options[i]);
	}
	fputs(after, stdout);
}
