/* SPDX-License-Identifier: MIT */
/*
 * Where messages go: the terminal until the daemon leaves it, then syslog.
 *
 * Whoever reads them may stall (a full pipe, a log daemon that hangs), and whoever says
 * something may hold what writers wait for. So a thread of its own writes them, from a
 * queue with an end: what does not fit is dropped, counted, and said afterwards. Before the
 * thread runs, each message is written by who says it.
 */
#include <errno.h>
#include <fuse_log.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "notice.h"
#include "opstats.h"
#include "service.h"

#define QUEUE_MAX 256 /* messages */
#define KEPT_MAX 64   /* of the start, for syslog */
#define TEXT_MAX 2048
#define TERMINAL_STEP_MS 100

struct message {
	struct message *next;
	enum wal_notice_level level;
	unsigned long dropped; /* how many were before it */
	char text[];
};

struct messages {
	struct message *first, *last;
	size_t count;
};

/* As stderr itself, these belong to the process: libfuse's log hook has no context. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects all below */
static pthread_cond_t changed; /* CLOCK_MONOTONIC; of the queue, of busy, of running */
static pthread_t writer;
static bool running, stopping;
static bool busy; /* the writer is at one */
static bool to_syslog;
static struct messages queue;
static struct messages kept;  /* were written to the terminal, will go to syslog, too */
static unsigned long dropped; /* not said yet */
static uint64_t dropped_total;
/* For whoever sees neither: `.walfs/status`. */
static struct walfs_said last_warning, last_error;

static void remember(enum wal_notice_level level, const char *text)
{
	struct walfs_said *said = level == WAL_NOTICE_ERROR ? &last_error : &last_warning;

	if (level == WAL_NOTICE_INFO)
		return;
	said->time_ns = walfs_clock_ns(CLOCK_REALTIME);
	snprintf(said->text, sizeof(said->text), "%s", text);
}

void walfs_last_said(struct walfs_said *warning, struct walfs_said *error)
{
	pthread_mutex_lock(&lock);
	*warning = last_warning;
	*error = last_error;
	pthread_mutex_unlock(&lock);
}

uint64_t walfs_notices_dropped(void)
{
	uint64_t total;

	pthread_mutex_lock(&lock);
	total = dropped_total;
	pthread_mutex_unlock(&lock);
	return total;
}

/* --- writing one -------------------------------------------------------------------- */

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

/* Return: whether messages go to syslog by now. */
static bool is_to_syslog(void)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = to_syslog;
	pthread_mutex_unlock(&lock);
	return is;
}

/*
 * It may never be read again (a pipe that nobody empties, ^S): that is waited for until the
 * daemon leaves the terminal. Return: whether it can be written to.
 */
static bool wait_for_terminal(void)
{
	struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
	int ready;

	do
		ready = poll(&fd, 1, TERMINAL_STEP_MS);
	while ((ready == 0 || (ready < 0 && errno == EINTR)) && !is_to_syslog());
	return ready != 0;
}

/* Past stdio: its lock would be held for as long as the reader stalls. */
static void put_terminal(enum wal_notice_level level, const char *text)
{
	char line[TEXT_MAX + 16], prefix[4] = "";
	size_t size, at = 0;
	ssize_t n;

	if (walfs_service_has_journal())
		snprintf(prefix, sizeof(prefix), "<%d>", syslog_level(level));
	size = (size_t)snprintf(line, sizeof(line), "%swalfs: %s\n", prefix, text);

	/* A pipe that can be written to has room for PIPE_BUF bytes, which is more. */
	while (at < size && wait_for_terminal()) {
		n = write(STDERR_FILENO, line + at, size - at);
		if (n > 0)
			at += (size_t)n;
		else if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return;
	}
}

static void put(bool syslogged, enum wal_notice_level level, const char *text)
{
	if (syslogged)
		syslog(syslog_level(level), "%s", text);
	else
		put_terminal(level, text);
	if (level == WAL_NOTICE_ERROR)
		walfs_service_status(text);
}

static void put_dropped(bool syslogged, unsigned long count)
{
	char text[128];

	if (!count)
		return;
	snprintf(text, sizeof(text), "%lu message%s dropped: whoever reads them did not keep up",
		 count, count == 1 ? " was" : "s were");
	put(syslogged, WAL_NOTICE_WARNING, text);
}

/* --- the queue ------------------------------------------------------------------------ */

/* Lock held. */
static void push(struct messages *list, struct message *message)
{
	message->next = NULL;
	if (list->last)
		list->last->next = message;
	else
		list->first = message;
	list->last = message;
	list->count++;
}

/* Lock held. */
static void push_first(struct messages *list, struct message *message)
{
	message->next = list->first;
	if (!list->first)
		list->last = message;
	list->first = message;
	list->count++;
}

/* Lock held. Return: NULL if there is none. */
static struct message *pop(struct messages *list)
{
	struct message *message = list->first;

	if (!message)
		return NULL;
	list->first = message->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	return message;
}

/* Lock held. Return: NULL without memory. */
static struct message *new_message(enum wal_notice_level level, const char *text)
{
	size_t size = strlen(text) + 1;
	struct message *message = malloc(sizeof(*message) + size);

	if (!message)
		return NULL;
	message->level = level;
	message->dropped = 0;
	memcpy(message->text, text, size);
	return message;
}

/* Lock held. */
static void enqueue(enum wal_notice_level level, const char *text)
{
	struct message *message = queue.count < QUEUE_MAX ? new_message(level, text) : NULL;

	if (!message) {
		dropped++;
		dropped_total++;
		return;
	}
	message->dropped = dropped;
	dropped = 0;
	push(&queue, message);
	pthread_cond_broadcast(&changed);
}

/*
 * Lock held. What the terminal has seen of the start, syslog is to see, too; what was being
 * written to the terminal as the daemon left it, next.
 */
static void finish_message(struct message *message, bool syslogged)
{
	if (!syslogged && to_syslog)
		push_first(&queue, message);
	else if (!syslogged && kept.count < KEPT_MAX)
		push(&kept, message);
	else
		free(message);
}

/* Lock held; dropped while it is written. */
static void write_next(void)
{
	struct message *message = pop(&queue);
	unsigned long before = message ? message->dropped : dropped;
	bool syslogged = to_syslog;

	if (!message)
		dropped = 0;
	busy = true;
	pthread_mutex_unlock(&lock);
	put_dropped(syslogged, before);
	if (message)
		put(syslogged, message->level, message->text);
	pthread_mutex_lock(&lock);
	busy = false;
	if (message)
		finish_message(message, syslogged);
	pthread_cond_broadcast(&changed);
}

static void *write_messages(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	while (!stopping || queue.first || dropped) {
		if (queue.first || dropped)
			write_next();
		else
			pthread_cond_wait(&changed, &lock);
	}
	running = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* --- saying something -------------------------------------------------------------------- */

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
	char text[TEXT_MAX];
	bool queued, syslogged;

	(void)ctx;
	escape_controls(said, text, sizeof(text));
	pthread_mutex_lock(&lock);
	remember(level, said); /* JSON has its own way */
	queued = running;
	syslogged = to_syslog;
	if (queued)
		enqueue(level, text);
	pthread_mutex_unlock(&lock);
	if (!queued)
		put(syslogged, level, text);
}

void walfs_say(enum wal_notice_level level, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	walfs_notice(NULL, level, text);
}

static void from_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[TEXT_MAX];
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

/* --- start and end -------------------------------------------------------------------------- */

void walfs_notice_start(void)
{
	fuse_set_log_func(from_libfuse);
}

void walfs_notice_queue(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
	stopping = false;
	/* Without a thread each message is written by who says it, as before. */
	running = pthread_create(&writer, NULL, write_messages, NULL) == 0;
}

/* Lock held. Return: whether all is written. timeout_ms < 0: waits for it. */
static bool wait_until_written(int timeout_ms)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while (running && (queue.first || dropped || busy) && !err)
		err = timeout_ms < 0 ? pthread_cond_wait(&changed, &lock)
				     : pthread_cond_timedwait(&changed, &lock, &until);
	return !err;
}

void walfs_notice_to_syslog(int timeout_ms)
{
	struct message *message;

	openlog("walfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	pthread_mutex_lock(&lock);
	wait_until_written(timeout_ms);
	to_syslog = true;
	while ((message = pop(&kept))) {
		if (running)
			enqueue(message->level, message->text);
		free(message);
	}
	pthread_mutex_unlock(&lock);
}

void walfs_notice_end(int timeout_ms)
{
	struct message *message;
	bool written, was_running;

	pthread_mutex_lock(&lock);
	was_running = running;
	stopping = true;
	pthread_cond_broadcast(&changed);
	written = wait_until_written(timeout_ms);
	while ((message = pop(&kept)))
		free(message);
	pthread_mutex_unlock(&lock);
	if (was_running && written)
		pthread_join(writer, NULL);
	/* Otherwise the thread goes with the process, and what it could not write. */
}
