/* SPDX-License-Identifier: MIT */
/* Names and times as people read them, and back. */
#include <errno.h>
#include <string.h>

#include "tests/support.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define SECOND UINT64_C(1000000000)

static const struct {
	uint64_t time_ns;
	const char *text;
} formatted[] = {
	{0, "1970-01-01T00:00:00.000000000Z"},
	{TEST_TIME, "2026-11-22T10:01:02.000000017Z"},
	{951827696 * SECOND + 999999999, "2000-02-29T12:34:56.999999999Z"},
	{UINT64_MAX, "2554-07-21T23:34:33.709551615Z"},
};

START_TEST(a_time_is_formatted_in_utc_with_nanoseconds)
{
	char text[WAL_TIME_TEXT];

	wal_time_format(formatted[_i].time_ns, text);
	ck_assert_str_eq(text, formatted[_i].text);
}
END_TEST

START_TEST(a_formatted_time_is_parsed_back_to_itself)
{
	uint64_t back = 0;

	if (formatted[_i].time_ns == UINT64_MAX)
		return; /* the last second may be refused */
	ck_ok(wal_time_parse(formatted[_i].text, &back));
	ck_assert_uint_eq(back, formatted[_i].time_ns);
}
END_TEST

#define DAY UINT64_C(1795305600) /* 2026-11-22 */

static const struct {
	const char *text;
	uint64_t time_ns;
} parsed[] = {
	{"2026-11-22", DAY *SECOND},
	{"2026-11-22T00:00:00", DAY *SECOND},
	{"2026-11-22T00:00:00Z", DAY *SECOND},
	{"2026-11-22t00:00:00z", DAY *SECOND},
	{"2026-11-22 00:00:00", DAY *SECOND},
	{"2026-11-22T00:00:00.5Z", DAY *SECOND + 500000000},
	{"2026-11-22T00:00:00.000000017", DAY *SECOND + 17},
	{"2026-11-22T00:00:00+02:00", (DAY - 7200) * SECOND},
	{"2026-11-22T00:00:00.25-05:30", (DAY + 19800) * SECOND + 250000000},
	{"2024-02-29", UINT64_C(1709164800) * SECOND},
	{"@0", 0},
	{"@1795305600", DAY *SECOND},
	{"@1795305600.000000001", DAY *SECOND + 1},
	{"1970-01-01", 0},
};

START_TEST(a_time_is_parsed)
{
	uint64_t time_ns = 1;

	ck_ok(wal_time_parse(parsed[_i].text, &time_ns));
	ck_assert_uint_eq(time_ns, parsed[_i].time_ns);
}
END_TEST

static const char *const not_times[] = {
	"",
	" ",
	"now",
	"yesterday",
	"2026",
	"2026-11",
	"2026-11-",
	"2026-13-01",
	"2026-00-10",
	"2026-11-31",
	"2026-02-30",
	"2025-02-29",
	"2026-1-2",
	" 2026-11-22",
	"2026-11-22 ",
	"2026-11-22T",
	"2026-11-22T10",
	"2026-11-22T10:01",
	"2026-11-22T10:01:02.",
	"2026-11-22T24:00:00",
	"2026-11-22T10:60:00",
	"2026-11-22T10:01:02.0000000001",
	"2026-11-22T10:01:02ZZ",
	"2026-11-22T10:01:02+",
	"2026-11-22T10:01:02+2",
	"2026-11-22T10:01:02+0200",
	"2026-11-22T10:01:02+24:00",
	"2026-11-22T10:01:02+02:60",
	"2026-11-22T10:01:02+ 1:30",
	"2026-11-22T10:01:02+02:00x",
	"2026-11-22T10:01:02 UTC",
	"1969-12-31",
	"1970-01-01T00:00:00+01:00",
	"9999-12-31",
	"@",
	"@-1",
	"@x",
	"@1.",
	"@1x",
	"@1.0000000001",
	"@99999999999999999999",
	"@18446744074",
	"-2026-11-22",
};

START_TEST(what_is_no_time_is_refused)
{
	uint64_t time_ns;
	int err = wal_time_parse(not_times[_i], &time_ns);

	ck_assert_msg(err == -EINVAL, "\"%s\": %d", not_times[_i], err);
}
END_TEST

START_TEST(a_uuid_is_formatted_in_the_order_of_its_bytes)
{
	char text[WAL_UUID_TEXT];

	wal_uuid_format(test_log, text);
	ck_assert_str_eq(text, "00112233-4455-4677-8899-aabbccddeeff");
}
END_TEST

START_TEST(a_segment_name_has_ten_digits)
{
	static const uint32_t indexes[] = {1, 17, 1234567890, UINT32_MAX - 1};
	static const char *const names[] = {"0000000001.wal", "0000000017.wal", "1234567890.wal",
					    "4294967294.wal"};

	for (size_t i = 0; i < 4; i++) {
		char name[WAL_NAME_MAX];

		wal_segment_name(indexes[i], name);
		ck_assert_str_eq(name, names[i]);
		ck_assert_uint_eq(wal_segment_name_parse(name), indexes[i]);
	}
}
END_TEST

static const char *const not_segments[] = {
	"",
	".",
	"..",
	"wal.meta",
	"0000000000.wal",
	"4294967295.wal",
	"4294967296.wal",
	"9999999999.wal",
	"000000001.wal",
	"00000000001.wal",
	"0000000001",
	"0000000001.",
	"0000000001.log",
	"0000000001.WAL",
	"0000000001.wal ",
	" 000000001.wal",
	"+000000001.wal",
	"-000000001.wal",
	"0000000001.wal.new",
	"0000000001.wal.torn-20261122T100102.000000017Z",
	"000000000a.wal",
	"0x00000001.wal",
	"0000000001.wal\n",
};

START_TEST(what_is_no_segment_name_is_told)
{
	ck_assert_msg(wal_segment_name_parse(not_segments[_i]) == 0, "\"%s\"", not_segments[_i]);
}
END_TEST

static const struct {
	const char *text;
	struct wal_framing framing;
} framings[] = {
	{"line", {WAL_FRAME_LINE, 0}},
	{"write", {WAL_FRAME_WRITE, 0}},
	{"fixed:1", {WAL_FRAME_FIXED, 1}},
	{"fixed:64", {WAL_FRAME_FIXED, 64}},
	{"fixed:1048576", {WAL_FRAME_FIXED, WAL_FIXED_FRAME_MAX}},
};

START_TEST(a_framing_is_parsed_and_formatted)
{
	struct wal_framing framing;
	char text[24];

	ck_ok(wal_framing_parse(framings[_i].text, &framing));
	ck_assert_int_eq(framing.kind, framings[_i].framing.kind);
	ck_assert_uint_eq(framing.size, framings[_i].framing.size);
	wal_framing_format(framing, text, sizeof(text));
	ck_assert_str_eq(text, framings[_i].text);
}
END_TEST

static const char *const not_framings[] = {
	"",
	"lines",
	"Line",
	" line",
	"line ",
	"fixed",
	"fixed:",
	"fixed:0",
	"fixed:-1",
	"fixed:+1",
	"fixed: 1",
	"fixed:1 ",
	"fixed:01",
	"fixed:0x10",
	"fixed:1048577",
	"fixed:4294967297",
	"fixed:99999999999999999999",
	"fixed:1k",
	"write:1",
};

START_TEST(what_is_no_framing_is_refused)
{
	struct wal_framing framing;
	int err = wal_framing_parse(not_framings[_i], &framing);

	ck_assert_msg(err == -EINVAL, "\"%s\": %d", not_framings[_i], err);
}
END_TEST

START_TEST(every_fault_kind_has_a_name_of_its_own_and_an_errno)
{
	for (int i = 0; i < WAL_FAULT_KINDS; i++) {
		const char *name = wal_fault_kind_name((enum wal_fault_kind)i);

		ck_assert_ptr_nonnull(name);
		ck_assert_str_ne(name, "");
		ck_assert((wal_fault_errno((enum wal_fault_kind)i) < 0) == (i != WAL_FAULT_NONE));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(name, wal_fault_kind_name((enum wal_fault_kind)j));
	}
	ck_assert_str_eq(wal_fault_kind_name(WAL_FAULT_CHAIN), "chained checksum mismatch");
	ck_assert_int_eq(wal_fault_errno(WAL_FAULT_CHAIN), -EBADMSG);
	ck_assert_int_eq(wal_fault_errno(WAL_FAULT_PADDING), -EUCLEAN);
	ck_assert_int_eq(wal_fault_errno(WAL_FAULT_VERSION), -EPROTONOSUPPORT);
	ck_assert_int_eq(wal_fault_errno(WAL_FAULT_IO), -EIO);
}
END_TEST

START_TEST(a_fault_is_formatted_with_its_block_and_detail)
{
	struct wal_fault fault = {.kind = WAL_FAULT_CHAIN, .block = 17};
	char text[128];
	char small[8];

	wal_fault_format(&fault, text, sizeof(text));
	ck_assert_str_eq(text, "block 17: chained checksum mismatch");
	snprintf(fault.detail, sizeof(fault.detail), "of what");
	fault.block = WAL_NO_BLOCK;
	wal_fault_format(&fault, text, sizeof(text));
	ck_assert_str_eq(text, "chained checksum mismatch (of what)");
	wal_fault_format(&fault, small, sizeof(small));
	ck_assert_str_eq(small, "chained");
}
END_TEST

START_TEST(states_have_the_names_that_the_attributes_show)
{
	ck_assert_str_eq(wal_state_name(WAL_ACTIVE), "active");
	ck_assert_str_eq(wal_state_name(WAL_SEALING), "sealing");
	ck_assert_str_eq(wal_state_name(WAL_SEALED), "sealed");
	ck_assert_str_eq(wal_state_name(WAL_DAMAGED), "damaged");
}
END_TEST

static Suite *names_suite(void)
{
	Suite *suite = suite_create("time_and_names");
	TCase *t = test_case(suite, "time_and_names", 10);

	tcase_add_loop_test(t, a_time_is_formatted_in_utc_with_nanoseconds, 0, ROWS(formatted));
	tcase_add_loop_test(t, a_formatted_time_is_parsed_back_to_itself, 0, ROWS(formatted));
	tcase_add_loop_test(t, a_time_is_parsed, 0, ROWS(parsed));
	tcase_add_loop_test(t, what_is_no_time_is_refused, 0, ROWS(not_times));
	tcase_add_test(t, a_uuid_is_formatted_in_the_order_of_its_bytes);
	tcase_add_test(t, a_segment_name_has_ten_digits);
	tcase_add_loop_test(t, what_is_no_segment_name_is_told, 0, ROWS(not_segments));
	tcase_add_loop_test(t, a_framing_is_parsed_and_formatted, 0, ROWS(framings));
	tcase_add_loop_test(t, what_is_no_framing_is_refused, 0, ROWS(not_framings));
	tcase_add_test(t, every_fault_kind_has_a_name_of_its_own_and_an_errno);
	tcase_add_test(t, a_fault_is_formatted_with_its_block_and_detail);
	tcase_add_test(t, states_have_the_names_that_the_attributes_show);
	return suite;
}

int main(void)
{
	return test_main(names_suite());
}
