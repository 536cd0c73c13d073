/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "walctl.h"

enum status worse(enum status a, enum status b)
{
	return a > b ? a : b;
}

void put_text(FILE *stream, const char *text)
{
	mbstate_t state = {0};
	size_t left = strlen(text);

	while (left > 0) {
		wchar_t wide;
		size_t length = mbrtowc(&wide, text, left, &state);

		if (length == 0 || length > left) { /* not a character of this locale */
			memset(&state, 0, sizeof(state));
			length = 1;
			fprintf(stream, "\\x%02x", (unsigned char)*text);
		} else if (iswprint((wint_t)wide)) {
			fwrite(text, 1, length, stream);
		} else {
			for (size_t i = 0; i < length; i++)
				fprintf(stream, "\\x%02x", (unsigned char)text[i]);
		}
		text += length;
		left -= length;
	}
}

/* What a store lacks, or a name that is no file's, is at no offset. */
static bool fault_has_offset(const struct wal_fault *fault)
{
	return fault->block != WAL_NO_BLOCK || fault->offset ||
	       (fault->kind != WAL_FAULT_NOT_A_FILE && fault->kind < WAL_FAULT_MISSING);
}

void put_fault(FILE *stream, const char *file, const struct wal_fault *fault)
{
	put_text(stream, file);
	fputs(": ", stream);
	if (fault->block != WAL_NO_BLOCK)
		fprintf(stream, "block %" PRIu32 ", ", fault->block);
	if (fault_has_offset(fault))
		fprintf(stream, "offset %" PRIu64 ": ", fault->offset);
	fputs(wal_fault_kind_name(fault->kind), stream);
	if (fault->detail[0]) {
		fputs(": ", stream);
		put_text(stream, fault->detail);
	}
}

static void complain_start(const char *file)
{
	fflush(stdout);
	fputs("walctl: ", stderr);
	if (file) {
		put_text(stderr, file);
		fputs(": ", stderr);
	}
}

static void put_formatted(const char *format, va_list args)
{
	char text[1280];

	vsnprintf(text, sizeof(text), format, args);
	put_text(stderr, text);
}

void complain(const char *file, const char *format, ...)
{
	va_list args;

	complain_start(file);
	va_start(args, format);
	put_formatted(format, args);
	va_end(args);
	fputc('\n', stderr);
}

void complain_errno(const char *file, int err)
{
	static const struct {
		int err;
		const char *way_out;
	} hints[] = {
		{EACCES, "; run walctl as the store's owner or as root"},
		{EPERM, "; run walctl as the store's owner or as root"},
		{ENOTCONN, "; the walfs of this mount is gone: unmount it with fusermount3 -u"},
		{ECONNABORTED, "; the walfs of this mount is gone: unmount it with fusermount3 -u"},
		{EPROTONOSUPPORT, "; written by a newer walfs: use the walctl that came with it"},
		{EIO, "; the kernel's log says more (dmesg)"},
		{ELOOP, "; its symbolic links go in a circle"},
	};
	const char *way_out = "";

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].err == err)
			way_out = hints[i].way_out;
	complain(file, "%s%s", strerror(err), way_out);
}

/* Bytes that are wrong, or that the disk does not give back, are damage. */
enum status status_of(int err)
{
	return err == -EBADMSG || err == -EUCLEAN || err == -EIO ? STATUS_DAMAGED : STATUS_TROUBLE;
}

enum status complain_segment(const char *file, int err, const struct wal_fault *fault)
{
	enum status status = status_of(err);

	if (status == STATUS_TROUBLE || fault->kind == WAL_FAULT_NONE) {
		complain_errno(file, -err);
		return status;
	}
	complain_start(NULL);
	put_fault(stderr, file, fault);
	fputc('\n', stderr);
	return status;
}

enum status complain_usage(const struct command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "walctl %s: ", command->name);
	va_start(args, format);
	put_formatted(format, args);
	va_end(args);
	fprintf(stderr, "; see 'walctl help %s'\n", command->name);
	return STATUS_TROUBLE;
}

bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return isdigit((unsigned char)text[0]) && !*end && !errno;
}

enum status complain_option(const struct command *command, int result, char **argv)
{
	bool is_short = optopt > 0 && optopt < 256; /* long ones without a letter are above */
	char letter[3] = {'-', (char)(is_short ? optopt : 0), '\0'};

	return complain_usage(command, "%s %s", is_short ? letter : argv[optind - 1],
			      result == ':' ? "needs a value" : "is not an option here");
}

enum { OPTION_JSON = 256 };

enum status show_each(const struct command *command, int argc, char **argv,
		      enum status (*show)(const char *path, bool json))
{
	static const struct option options[] = {
		{"json", no_argument, NULL, OPTION_JSON},
		{NULL, 0, NULL, 0},
	};
	enum status worst = STATUS_SOUND;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option != OPTION_JSON)
			return complain_option(command, option, argv);
		json = true;
	}
	if (optind == argc)
		return complain_usage(command, "no path given");
	for (int i = optind; i < argc; i++) {
		if (i > optind && !json)
			putchar('\n');
		worst = worse(worst, show(argv[i], json));
	}
	return worst;
}

void die_no_memory(void)
{
	complain(NULL, "out of memory");
	exit(STATUS_TROUBLE);
}

/* Why stdout failed first: later calls have an errno of their own. */
static int output_error;

bool output_failed(void)
{
	if (!ferror(stdout))
		return false;
	if (!output_error)
		output_error = errno;
	return true;
}

enum status finish_output(enum status status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	output_failed();
	if (output_error != EPIPE) /* then nobody is left to report it to */
		complain("standard output", "%s", strerror(output_error));
	return STATUS_TROUBLE;
}

const char *format_size(double bytes, char text[SIZE_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	while (bytes >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, SIZE_TEXT, "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
	return text;
}

const char *format_count(uint64_t count, char text[COUNT_TEXT])
{
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
	size_t at = 0;

	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = '\0';
	return text;
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
