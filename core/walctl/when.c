/* SPDX-License-Identifier: MIT */
#include "when.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <walfs/wal.h>

#define SECOND UINT64_C(1000000000)

static const char *skip_spaces(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* --- spans: "2 hours", "1h 30min" ------------------------------------------------------ */

static const struct {
	const char *name;
	double seconds;
} units[] = {
	{"us", 1e-6},	     {"usec", 1e-6},  {"ms", 1e-3},
	{"msec", 1e-3},	     {"s", 1},	      {"sec", 1},
	{"second", 1},	     {"seconds", 1},  {"m", 60},
	{"min", 60},	     {"minute", 60},  {"minutes", 60},
	{"h", 3600},	     {"hr", 3600},    {"hour", 3600},
	{"hours", 3600},     {"d", 86400},    {"day", 86400},
	{"days", 86400},     {"w", 604800},   {"week", 604800},
	{"weeks", 604800},   {"M", 2629800},  {"month", 2629800},
	{"months", 2629800}, {"y", 31557600}, {"year", 31557600},
	{"years", 31557600},
};

/* m is a minute and M a month; all other names may be written in any case. */
static double unit_seconds(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) != length)
			continue;
		if (length == 1 ? *units[i].name == *name
				: !strncasecmp(units[i].name, name, length))
			return units[i].seconds;
	}
	return 0;
}

/* One number and its unit; a number alone is seconds. Return: what is after it, or NULL. */
static const char *parse_part(const char *text, double *seconds)
{
	size_t length = 0;
	double number;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*text)) /* no sign, no "inf" */
		return NULL;
	number = strtod(text, &end);
	unit = skip_spaces(end);
	while (isalpha((unsigned char)unit[length]))
		length++;
	if (length == 0) {
		*seconds += number;
		return unit;
	}
	if (unit_seconds(unit, length) == 0)
		return NULL;
	*seconds += number * unit_seconds(unit, length);
	return skip_spaces(unit + length);
}

/* Of the first `length` bytes. */
static bool parse_span(const char *text, size_t length, uint64_t *span_ns)
{
	double seconds = 0;
	char copy[128];
	const char *at = copy;

	if (length == 0 || length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	at = skip_spaces(at);
	do
		at = parse_part(at, &seconds);
	while (at && *at);
	if (!at || !(seconds < 1.8e10)) /* beyond what fits in nanoseconds */
		return false;
	*span_ns = (uint64_t)(seconds * 1e9 + 0.5);
	return true;
}

/* now is what it is relative to. A span that leads before 1970 means all there is. */
static bool add_span(uint64_t now_ns, bool back, uint64_t span_ns, uint64_t *time_ns)
{
	if (back)
		*time_ns = span_ns < now_ns ? now_ns - span_ns : 0;
	else
		*time_ns = now_ns + span_ns;
	return back || *time_ns >= now_ns;
}

/* Does text end with this word? Then length is what is before it. */
static bool ends_with(const char *text, const char *word, size_t *length)
{
	size_t whole = strlen(text), tail = strlen(word);

	if (whole <= tail || strcasecmp(text + whole - tail, word) != 0 ||
	    !isspace((unsigned char)text[whole - tail - 1]))
		return false;
	*length = whole - tail - 1;
	return true;
}

static bool parse_relative(const char *text, uint64_t now_ns, uint64_t *time_ns)
{
	uint64_t span;
	size_t length;

	if (*text == '-' || *text == '+')
		return parse_span(text + 1, strlen(text + 1), &span) &&
		       add_span(now_ns, *text == '-', span, time_ns);
	if (ends_with(text, "ago", &length))
		return parse_span(text, length, &span) && add_span(now_ns, true, span, time_ns);
	return false;
}

/* --- days and times of day ---------------------------------------------------------------- */

struct moment {
	struct tm tm;
	uint64_t ns;
	bool utc;
};

/* Exactly so many digits. Return: what is after them, or NULL. */
static const char *parse_digits(const char *text, int count, int *number)
{
	*number = 0;
	for (; count > 0; count--, text++) {
		if (!isdigit((unsigned char)*text))
			return NULL;
		*number = *number * 10 + (*text - '0');
	}
	return text;
}

static const char *parse_date(const char *text, struct tm *tm)
{
	text = parse_digits(text, 4, &tm->tm_year);
	if (!text || *text++ != '-')
		return NULL;
	text = parse_digits(text, 2, &tm->tm_mon);
	if (!text || *text++ != '-')
		return NULL;
	text = parse_digits(text, 2, &tm->tm_mday);
	tm->tm_year -= 1900;
	tm->tm_mon--;
	return text;
}

static const char *parse_fraction(const char *text, uint64_t *ns)
{
	uint64_t unit = SECOND / 10;

	if (*text != '.')
		return text;
	if (!isdigit((unsigned char)*++text))
		return NULL;
	for (; isdigit((unsigned char)*text); text++, unit /= 10)
		*ns += (uint64_t)(*text - '0') * unit;
	return text;
}

/* "10:01", "10:01:02", "10:01:02.5" */
static const char *parse_clock(const char *text, struct moment *moment)
{
	struct tm *tm = &moment->tm;

	text = parse_digits(text, 2, &tm->tm_hour);
	if (!text || *text++ != ':')
		return NULL;
	text = parse_digits(text, 2, &tm->tm_min);
	if (!text || *text != ':')
		return text;
	text = parse_digits(text + 1, 2, &tm->tm_sec);
	return text ? parse_fraction(text, &moment->ns) : NULL;
}

static bool is_possible(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

/* The 31st of a month that has 30 days is none; an hour that the clock left out is the next. */
static bool moment_time(const struct moment *moment, uint64_t *time_ns)
{
	struct tm tm = moment->tm;
	time_t seconds;

	tm.tm_isdst = -1;
	if (!is_possible(&tm))
		return false;
	seconds = moment->utc ? timegm(&tm) : mktime(&tm);
	if (seconds < 0 || (uint64_t)seconds >= UINT64_MAX / SECOND ||
	    tm.tm_mon != moment->tm.tm_mon)
		return false;
	*time_ns = (uint64_t)seconds * SECOND + moment->ns;
	return true;
}

static void set_today(uint64_t now_ns, struct tm *tm)
{
	time_t now = (time_t)(now_ns / SECOND);

	localtime_r(&now, tm);
	tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
}

/* A date, a time of day, or both; and UTC. */
static bool parse_moment(const char *text, uint64_t now_ns, uint64_t *time_ns)
{
	struct moment moment = {0};
	const char *rest = parse_date(text, &moment.tm);

	if (rest &&
	    (*rest == 'T' || *rest == 't' || (*rest == ' ' && isdigit((unsigned char)rest[1]))))
		rest = parse_clock(rest + 1, &moment);
	if (!rest) {
		moment = (struct moment){0};
		set_today(now_ns, &moment.tm);
		rest = isdigit((unsigned char)*text) ? parse_clock(text, &moment) : NULL;
	}
	if (!rest)
		return false;
	rest = skip_spaces(rest);
	moment.utc = !strcasecmp(rest, "UTC");
	return (moment.utc || !*rest) && moment_time(&moment, time_ns);
}

/* --- all of it ---------------------------------------------------------------------------- */

static bool parse_word(const char *text, uint64_t now_ns, uint64_t *time_ns)
{
	static const struct {
		const char *word;
		int days;
	} words[] = {{"yesterday", -1}, {"today", 0}, {"tomorrow", 1}};
	struct moment moment = {0};

	if (!strcasecmp(text, "now")) {
		*time_ns = now_ns;
		return true;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		time_t day;

		if (strcasecmp(text, words[i].word) != 0)
			continue;
		set_today(now_ns, &moment.tm);
		moment.tm.tm_mday += words[i].days;
		moment.tm.tm_isdst = -1;
		day = mktime(&moment.tm);
		*time_ns = (uint64_t)day * SECOND;
		return day >= 0;
	}
	return false;
}

/* RFC 3339 as the library takes it, where it says by itself what its offset is. */
static bool parse_with_offset(const char *text, uint64_t *time_ns)
{
	bool has_offset = strlen(text) > sizeof("2026-11-22T") - 1 &&
			  strpbrk(text + sizeof("2026-11-22T") - 1, "Zz+-");

	return (*text == '@' || has_offset) && !wal_time_parse(text, time_ns);
}

bool parse_when(const char *text, uint64_t now_ns, uint64_t *time_ns)
{
	text = skip_spaces(text);
	return parse_with_offset(text, time_ns) || parse_word(text, now_ns, time_ns) ||
	       parse_relative(text, now_ns, time_ns) || parse_moment(text, now_ns, time_ns);
}
