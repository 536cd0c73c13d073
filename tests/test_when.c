/* SPDX-License-Identifier: MIT */
/* Times as people give them to walctl. */
#include "core/walctl/when.h"

#include <stdlib.h>
#include <time.h>

#include "tests/support.h"

#define SECOND UINT64_C(1000000000)
#define NOW (UINT64_C(1795341662) * SECOND + 500) /* 2026-11-22T10:01:02.0000005Z, a Sunday */
#define AT(seconds) (UINT64_C(seconds) * SECOND)

struct example {
	const char *text;
	uint64_t time_ns;
};

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void expect(const struct example *example)
{
	uint64_t time_ns = 1;

	ck_assert_msg(parse_when(example->text, NOW, &time_ns), "'%s' is no time", example->text);
	ck_assert_msg(time_ns == example->time_ns, "'%s' is %llu", example->text,
		      (unsigned long long)time_ns);
}

static const struct example in_utc[] = {
	{"now", NOW},
	{"2026-11-22T10:01:02Z", AT(1795341662)},
	{"2026-11-22T10:01:02.000000500Z", NOW},
	{"2026-11-22T12:01:02+02:00", AT(1795341662)},
	{"2026-11-22 05:01:02-05:00", AT(1795341662)},
	{"2026-11-22T10:01:02", AT(1795341662)},
	{"2026-11-22 10:01:02", AT(1795341662)},
	{"2026-11-22 10:01", AT(1795341660)},
	{"2026-11-22", AT(1795305600)},
	{" 2026-11-22 ", AT(1795305600)},
	{"10:01", AT(1795341660)},
	{"10:01:02.5", AT(1795341662) + SECOND / 2},
	{"@1795341662", AT(1795341662)},
	{"@1795341662.25", AT(1795341662) + SECOND / 4},
	{"today", AT(1795305600)},
	{"Yesterday", AT(1795219200)},
	{"tomorrow", AT(1795392000)},
	{"2 hours ago", NOW - 7200 * SECOND},
	{"1h 30min ago", NOW - 5400 * SECOND},
	{"-1h30min", NOW - 5400 * SECOND},
	{"-90", NOW - 90 * SECOND},
	{"-1.5m", NOW - 90 * SECOND},
	{"+5s", NOW + 5 * SECOND},
	{"-1M", NOW - 2629800 * SECOND},
	{"3 Weeks ago", NOW - 1814400 * SECOND},
	{"500 ms ago", NOW - SECOND / 2},
	{"100 years ago", 0},
};

START_TEST(a_time_is_taken_as_journalctl_takes_it)
{
	set_zone("UTC");
	expect(&in_utc[_i]);
}
END_TEST

/* Two hours before UTC in winter, one hour more in summer. */
static const struct example elsewhere[] = {
	{"2026-11-22 12:01:02", AT(1795341662)},
	{"2026-11-22T12:01:02", AT(1795341662)},
	{"2026-11-22 10:01:02 UTC", AT(1795341662)},
	{"2026-11-22 UTC", AT(1795305600)},
	{"2026-11-22", AT(1795298400)},
	{"today", AT(1795298400)},
	{"12:01", AT(1795341660)},
	{"2026-07-01 13:00", AT(1782900000)},
	{"2026-11-22T10:01:02Z", AT(1795341662)},
	{"2 hours ago", NOW - 7200 * SECOND},
};

START_TEST(without_an_offset_a_time_is_local)
{
	set_zone("XST-2XDT,M3.5.0,M10.5.0");
	expect(&elsewhere[_i]);
}
END_TEST

static const char *const no_times[] = {
	"",
	"later",
	"2026-13-01",
	"2026-02-30",
	"2026-11-22 24:00",
	"10:60",
	"2026-11-22T10",
	"2026-11-22 10:01 CET",
	"2 fortnights ago",
	"ago",
	"h ago",
	"-",
	"-1x",

	"@",
	"1969-12-31",
	"12",
	"-inf",
	"2h",
	"yesterday 10:00",
	"2026-11-22x",
	"99999999 years ago",
};

START_TEST(what_is_no_time_is_refused)
{
	uint64_t time_ns;

	set_zone("UTC");
	ck_assert_msg(!parse_when(no_times[_i], NOW, &time_ns), "'%s' is %llu", no_times[_i],
		      (unsigned long long)time_ns);
}
END_TEST

static Suite *when_suite(void)
{
	Suite *suite = suite_create("when");
	TCase *t = test_case(suite, "when", 10);

	tcase_add_loop_test(t, a_time_is_taken_as_journalctl_takes_it, 0,
			    (int)(sizeof(in_utc) / sizeof(in_utc[0])));
	tcase_add_loop_test(t, without_an_offset_a_time_is_local, 0,
			    (int)(sizeof(elsewhere) / sizeof(elsewhere[0])));
	tcase_add_loop_test(t, what_is_no_time_is_refused, 0,
			    (int)(sizeof(no_times) / sizeof(no_times[0])));
	return suite;
}

int main(void)
{
	return test_main(when_suite());
}
