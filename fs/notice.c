/* SPDX-License-Identifier: MIT */
/* Where messages go: the terminal until the daemon leaves it, then syslog. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "walfs.h"

/* As stderr itself, this belongs to the process: libfuse's log hook has no context. */
static atomic_bool to_syslog;

/* For whoever does not see either: `.walfs/status`. */
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER; /* protects the next two */
static struct walfs_said last_warning, last_error;

static void keep(enum wal_notice_level level, const char *text)
{
	struct walfs_said *said = level == WAL_NOTICE_ERROR ? &last_error : &last_warning;
	struct timespec now;

	if (level == WAL_NOTICE_INFO)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&said_lock);
	said->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	snprintf(said->text, sizeof(said->text), "%s", text);
	pthread_mutex_unlock(&said_lock);
}

void walfs_last_said(struct walfs_said *warning, struct walfs_said *error)
{
	pthread_mutex_lock(&said_lock);
	*warning = last_warning;
	*error = last_error;
	pthread_mutex_unlock(&said_lock);
}

static int syslog_level(enum wal_notice_level level)
{
	switch (level) {
	case WAL_NOTICE_ERROR:
		return LOG_ERR;
	case WAL_NOTICE_WARNING:
		return LOG_WARNING;
	default:
		return LOG_INFO;
	}
}

/* A path may hold a newline: one message stays one line, and does nothing to a terminal. */
static void escape_controls(const char *text, char *line, size_t size)
{
	size_t at = 0;

	for (; *text && at + sizeof("\\x0a") <= size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(line + at, size - at, "\\x%02x", c);
		else
			line[at++] = *text;
	}
	line[at] = '\0';
}

void walfs_notice(void *ctx, enum wal_notice_level level, const char *said)
{
	char text[2048];

	(void)ctx;
	escape_controls(said, text, sizeof(text));
	keep(level, said); /* JSON has its own way */
	if (atomic_load(&to_syslog))
		syslog(syslog_level(level), "%s", text);
	else
		fprintf(stderr, "walfs: %s\n", text);
}

void walfs_say(enum wal_notice_level level, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	walfs_notice(NULL, level, text);
}

static void from_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[2048];
	const char *line = text;

	vsnprintf(text, sizeof(text), format, args);
	if (level == FUSE_LOG_DEBUG) {
		fputs(text, stderr);
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(line, "fuse: ", 6) == 0)
		line += 6;
	walfs_notice(NULL, level <= FUSE_LOG_ERR ? WAL_NOTICE_ERROR : WAL_NOTICE_WARNING, line);
}

void walfs_notice_start(void)
{
	fuse_set_log_func(from_libfuse);
}

void walfs_notice_to_syslog(void)
{
	openlog("walfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}
