/* SPDX-License-Identifier: MIT */
/* New events as they come, across rotations and retention: each once, or it says which are lost. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cursor.h"
#include "feed.h"
#include "when.h"

#define OUTPUT_BUFFER (1u << 20)
#define BUSY_MS 10
#define IDLE_MS 200

struct follow {
	uint64_t from; /* 0: not given */
	uint64_t last; /* so many before the end */
	uint64_t since_ns;
	bool has_since;
	bool until_end;
	bool skip_lost;
	bool json;
	int idle_ms;
	const char *cursor_file;
	struct cursor cursor; /* up to what was written to stdout */
	double cursor_written;
	uint64_t last_ns; /* of the event that was printed last */
	uint64_t saved;	  /* next_id in the file */
	uint64_t end;	  /* with until_end: the first that is not wanted */
	struct feed feed;
	enum status worst;
};

static volatile sig_atomic_t stopped; /* by this signal */

static void on_signal(int number)
{
	stopped = number;
}

static void catch_signals(const struct follow *follow)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (follow->cursor_file) /* it is to be kept also when nobody reads any more */
		signal(SIGPIPE, SIG_IGN);
}

/* --- output and the cursor --------------------------------------------------------------- */

static void save_cursor(struct follow *follow, bool now)
{
	struct feed *feed = &follow->feed;

	if (!follow->cursor_file || follow->cursor.next_id == follow->saved ||
	    (!now && seconds_now() - follow->cursor_written < 1))
		return;
	if (feed->has_log)
		wal_uuid_format(feed->log, follow->cursor.log);
	follow->worst = worse(follow->worst, cursor_write(follow->cursor_file, &follow->cursor));
	follow->saved = follow->cursor.next_id;
	follow->cursor_written = seconds_now();
}

/* Only what stdout took counts as printed. */
static bool flush(struct follow *follow)
{
	if (fflush(stdout) || output_failed())
		return false;
	follow->cursor.next_id = follow->feed.next_id;
	if (follow->last_ns)
		follow->cursor.last_ns = follow->last_ns;
	save_cursor(follow, false);
	return true;
}

static void put_event(struct follow *follow, const struct wal_event *event)
{
	if (follow->json)
		put_event_json(event, false);
	else
		fwrite(event->payload, 1, event->size, stdout);
	follow->last_ns = event->timestamp_ns;
	if (follow->cursor_file && seconds_now() - follow->cursor_written >= 1)
		flush(follow);
}

/* --- waiting -------------------------------------------------------------------------------- */

/* Return: false if nobody reads stdout any more. */
static bool wait_for_more(struct follow *follow, int delay_ms)
{
	struct pollfd polls[] = {{.fd = STDOUT_FILENO},
				 {.fd = follow->feed.watch, .events = POLLIN}};
	const struct timespec pause = {.tv_nsec = 2000000};
	char events[4096];

	if (poll(polls, 2, delay_ms) < 0)
		return true;
	if (polls[1].revents & POLLIN) { /* one wake-up for what comes together */
		nanosleep(&pause, NULL);
		while (read(follow->feed.watch, events, sizeof(events)) > 0)
			;
	}
	return !(polls[0].revents & (POLLERR | POLLHUP));
}

/* --- following -------------------------------------------------------------------------------- */

/* Return: whether to go on. */
static bool lose(struct follow *follow, bool damaged)
{
	const struct gap *gap = &follow->feed.gap;
	char text[GAP_EVENTS_TEXT];

	complain(follow->feed.path, "LOST: %s %s%s", gap_events(gap, text),
		 damaged ? "damaged and cannot be printed; see walctl verify"
			 : "not in the log any more: removed, by retention or by hand, before "
			   "follow got there",
		 follow->skip_lost ? "" : "; --skip-lost goes on after them");
	follow->worst = worse(follow->worst, damaged ? STATUS_DAMAGED : STATUS_LOST);
	return follow->skip_lost;
}

/* There is no going on: the ids that were printed will be those of other events. */
static void lose_end(struct follow *follow)
{
	complain(follow->feed.path,
		 "LOST: the log does not have event %" PRIu64 " as it was given out: its end was "
		 "lost (with power, or it is an older copy), and ids are given again; begin anew "
		 "with --from",
		 follow->feed.given);
	follow->worst = worse(follow->worst, STATUS_LOST);
}

/* Return: whether to go on. */
static bool take(struct follow *follow, enum feed_result result, const struct wal_event *event)
{
	switch (result) {
	case FEED_EVENT:
		if (!follow->until_end || event->id < follow->end)
			put_event(follow, event);
		return !output_failed();
	case FEED_LOST:
	case FEED_DAMAGED:
		return lose(follow, result == FEED_DAMAGED);
	case FEED_AGAIN:
		lose_end(follow);
		return false;
	default:
		follow->worst = worse(follow->worst, STATUS_TROUBLE);
		return false;
	}
}

static bool is_done(const struct follow *follow)
{
	return stopped || (follow->until_end && follow->feed.next_id >= follow->end);
}

static void follow_log(struct follow *follow)
{
	int delay_ms = BUSY_MS;
	struct wal_event event;

	while (!is_done(follow)) {
		enum feed_result result = feed_next(&follow->feed, &event);

		if (result != FEED_WAIT) {
			delay_ms = BUSY_MS;
			if (!take(follow, result, &event))
				return;
			continue;
		}
		if (!flush(follow) || !wait_for_more(follow, delay_ms))
			return;
		delay_ms = delay_ms * 2 < follow->idle_ms ? delay_ms * 2 : follow->idle_ms;
	}
}

/* --- where it begins ------------------------------------------------------------- */

static enum status check_cursor_log(const struct follow *follow)
{
	char log[WAL_UUID_TEXT] = "";

	if (follow->feed.has_log)
		wal_uuid_format(follow->feed.log, log);
	if (!follow->cursor.log[0] || !log[0] || !strcmp(follow->cursor.log, log))
		return STATUS_SOUND;
	complain(follow->cursor_file, "a cursor of log %s, and %s is %s; give each log its own",
		 follow->cursor.log, follow->feed.path, log);
	return STATUS_TROUBLE;
}

/*
 * The event before the next is looked at again, as far as it is there: another time in it, or
 * an end before it, says that the log lost its end since.
 */
static enum status begin_at_cursor(struct follow *follow)
{
	struct feed *feed = &follow->feed;
	struct wal_event event;
	enum feed_result result;
	enum status status = check_cursor_log(follow);

	if (status != STATUS_SOUND || !follow->cursor.last_ns)
		return status;
	feed->next_id = feed->given = follow->cursor.next_id - 1;
	result = feed_next(feed, &event);
	if (result == FEED_TROUBLE)
		return STATUS_TROUBLE;
	feed->given = follow->cursor.next_id - 1;
	if (result == FEED_AGAIN ||
	    (result == FEED_EVENT && event.timestamp_ns != follow->cursor.last_ns)) {
		lose_end(follow);
		return STATUS_LOST;
	}
	if (result != FEED_EVENT)
		feed_let_go(feed);
	feed->next_id = follow->cursor.next_id;
	return STATUS_SOUND;
}

static bool begin_before_end(struct follow *follow, uint64_t end)
{
	uint64_t first = end;

	if (follow->last && !feed_first(&follow->feed, &first))
		return false;
	follow->feed.next_id = end - first > follow->last ? end - follow->last : first;
	return true;
}

static enum status begin(struct follow *follow)
{
	struct feed *feed = &follow->feed;
	bool sound = true;

	if (!feed_end(feed, &follow->end))
		return STATUS_TROUBLE;
	feed->next_id = follow->end;
	if (follow->cursor.next_id) {
		feed_let_go(feed);
		feed->next_id = follow->cursor.next_id;
		return begin_at_cursor(follow);
	}
	if (follow->from)
		feed->next_id = follow->from;
	else if (follow->has_since)
		sound = feed_since(feed, follow->since_ns, &feed->next_id);
	else
		sound = begin_before_end(follow, follow->end);
	feed_let_go(feed);
	if (sound && feed->next_id == follow->end)
		feed->given = follow->end - 1; /* of those nothing may come again */
	return sound ? STATUS_SOUND : STATUS_TROUBLE;
}

static enum status follow_path(struct follow *follow, const char *path)
{
	enum status status = STATUS_SOUND;

	if (follow->cursor_file)
		status = cursor_read(follow->cursor_file, &follow->cursor);
	if (status == STATUS_SOUND)
		status = feed_open(&follow->feed, path);
	if (status != STATUS_SOUND)
		return status;
	follow->saved = follow->cursor.next_id;
	follow->worst = begin(follow);
	if (follow->worst == STATUS_SOUND) {
		follow_log(follow);
		flush(follow);
		save_cursor(follow, true);
	}
	feed_close(&follow->feed);
	return follow->worst;
}

/* --- the command ----------------------------------------------------------------- */

enum {
	OPTION_FROM = 256,
	OPTION_SINCE,
	OPTION_CURSOR,
	OPTION_UNTIL_END,
	OPTION_SKIP_LOST,
	OPTION_INTERVAL,
	OPTION_JSON,
};

static bool parse_interval(const char *text, int *ms)
{
	char *end;
	double seconds = strtod(text, &end);

	*ms = (int)(seconds >= 0.001 && seconds <= 3600 ? seconds * 1000 : 0);
	return end != text && !*end && *ms > 0;
}

static enum status parse_value(const struct command *command, int option, struct follow *follow)
{
	switch (option) {
	case OPTION_FROM:
		if (parse_number(optarg, &follow->from) && follow->from)
			return STATUS_SOUND;
		return complain_usage(command, "'%s' is no event id (1, 2, 3 ...)", optarg);
	case 'n':
		if (parse_number(optarg, &follow->last))
			return STATUS_SOUND;
		return complain_usage(command, "'%s' is no number of events", optarg);
	case OPTION_SINCE:
		follow->has_since = true;
		if (parse_when(optarg, (uint64_t)time(NULL) * UINT64_C(1000000000),
			       &follow->since_ns))
			return STATUS_SOUND;
		return complain_usage(command,
				      "'%s' is no time (2026-11-22T10:01:02Z, yesterday, "
				      "\"2 hours ago\")",
				      optarg);
	case OPTION_INTERVAL:
		if (parse_interval(optarg, &follow->idle_ms))
			return STATUS_SOUND;
		return complain_usage(command, "'%s' is no number of seconds (0.001 to 3600)",
				      optarg);
	default:
		return STATUS_SOUND;
	}
}

static void parse_flag(int option, struct follow *follow)
{
	if (option == OPTION_CURSOR)
		follow->cursor_file = optarg;
	follow->until_end |= option == OPTION_UNTIL_END;
	follow->skip_lost |= option == OPTION_SKIP_LOST;
	follow->json |= option == OPTION_JSON;
}

static enum status parse(const struct command *command, int argc, char **argv,
			 struct follow *follow)
{
	static const struct option options[] = {
		{"from", required_argument, NULL, OPTION_FROM},
		{"lines", required_argument, NULL, 'n'},
		{"since", required_argument, NULL, OPTION_SINCE},
		{"cursor", required_argument, NULL, OPTION_CURSOR},
		{"until-end", no_argument, NULL, OPTION_UNTIL_END},
		{"skip-lost", no_argument, NULL, OPTION_SKIP_LOST},
		{"interval", required_argument, NULL, OPTION_INTERVAL},
		{"json", no_argument, NULL, OPTION_JSON},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, ":n:", options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return complain_option(command, option, argv);
		if (parse_value(command, option, follow))
			return STATUS_TROUBLE;
		parse_flag(option, follow);
	}
	if (optind + 1 != argc)
		return complain_usage(command, "one path is to be given");
	if ((follow->from != 0) + follow->has_since + (follow->last != 0) > 1)
		return complain_usage(command, "--from, --since and -n exclude each other");
	return STATUS_SOUND;
}

static enum status run(const struct command *command, int argc, char **argv)
{
	struct follow follow = {.idle_ms = IDLE_MS};
	enum status status = parse(command, argc, argv, &follow);

	if (status != STATUS_SOUND)
		return status;
	catch_signals(&follow);
	setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
	status = follow_path(&follow, argv[optind]);
	if (stopped) { /* so that a shell sees what ended it */
		fflush(stdout);
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return status;
}

const struct command command_follow = {
	.name = "follow",
	.summary = "print events as they come, across rotations",
	.help = "usage: walctl follow [OPTIONS] STORE|MOUNT\n"
		"\n"
		"Prints the payload of each event that is appended from now on, as walctl cat\n"
		"does, across rotations, retention and restarts of the walfs. Each event is\n"
		"printed once. If some are not there any more, because retention was quicker or\n"
		"the log lost its end, it names them on standard error and ends with status 3.\n"
		"\n"
		"  --from ID         from this event on\n"
		"  --since TIME      from the first event at this time or later\n"
		"  -n, --lines N     from the N-th last event on\n"
		"  --cursor FILE     from where FILE says, if it is there; keeps in it what was\n"
		"                    printed, at most once a second and at the end\n"
		"  --until-end       end at the event that was the last one at the start\n"
		"  --skip-lost       say what is lost, and go on after it\n"
		"  --interval SECS   look at least so often (0.2)\n"
		"  --json            one object a line, as walctl cat\n"
		"  -h, --help        this text\n"
		"\n"
		"Exit status: 0 all printed, 1 events are damaged, 2 could not look or write,\n"
		"3 events are lost.\n"
		"\n"
		"examples:\n"
		"  walctl follow /var/lib/orders | grep --line-buffered filled\n"
		"  walctl follow --cursor /var/lib/ship/orders.cursor --json /mnt/orders | ship\n"
		"  walctl follow --since \"2 hours ago\" --until-end /var/lib/orders\n",
	.run = run,
};
