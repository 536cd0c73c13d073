/* SPDX-License-Identifier: MIT */
/*
 * What walctl says of a store before the mount that recovers it: for every state of the
 * decision table cat hands out what the log has afterwards, verify and info agree with it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/states.h"

#define STORE "store"
#define MAX_EVENTS 4096

struct said {
	int status;
	char text[65536]; /* stdout and stderr, or the start of it */
	size_t count;
	uint64_t ids[MAX_EVENTS]; /* that cat printed */
};

static const struct state *state;

#define ck_state(condition, format, ...) \
	ck_assert_msg(condition, "%s, %s: " format, state->row, state->name, __VA_ARGS__)

/* The walctl that was built with this test. */
static const char *walctl(void)
{
	static char path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	strcpy(strrchr(path, '/'), "/walctl");
	return path;
}

static void ask(const char *command, struct said *said)
{
	char shell[PATH_MAX + 1024], line[65536];
	unsigned long long id;
	FILE *out;

	*said = (struct said){0};
	snprintf(shell, sizeof(shell), "timeout 60 %s %s %s 2>&1", walctl(), command,
		 test_path(STORE));
	out = popen(shell, "r"); /* NOLINT: paths of our own */
	ck_assert_ptr_nonnull(out);
	while (fgets(line, sizeof(line), out)) {
		size_t used = strlen(said->text);

		if (sscanf(line, "{\"id\":%llu", &id) == 1 ||
		    sscanf(line, "{\"id\": %llu", &id) == 1) {
			ck_assert_uint_lt(said->count, MAX_EVENTS);
			said->ids[said->count++] = id;
		} else {
			snprintf(said->text + used, sizeof(said->text) - used, "%s", line);
		}
	}
	said->status = pclose(out);
	ck_assert(WIFEXITED(said->status));
	said->status = WEXITSTATUS(said->status);
}

static void recover(void)
{
	struct test_log_handle handle;

	log_prepare(&handle, test_path(STORE), NULL);
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
}

static bool build(int i)
{
	state = &states[i];
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	state->build(test_path(STORE));
	return !state->error && !state->bad_segment; /* a disk that fails is not walctl's here */
}

START_TEST(cat_hands_out_what_the_log_has_after_recovery)
{
	static struct said before, after;
	struct listing listing, looked;

	if (!build(_i))
		return;
	list_dir(test_path(STORE), &listing);
	ask("cat --json", &before);
	list_dir(test_path(STORE), &looked);
	assert_same_listing(&listing, &looked);
	recover();
	ask("cat --json", &after);
	for (size_t n = 0; n < before.count || n < after.count; n++)
		ck_state(n < before.count && n < after.count && before.ids[n] == after.ids[n],
			 "event %llu before recovery, %llu after it; cat said: %s",
			 (unsigned long long)(n < before.count ? before.ids[n] : 0),
			 (unsigned long long)(n < after.count ? after.ids[n] : 0), before.text);
}
END_TEST

START_TEST(verify_cat_and_info_agree_on_what_is_damaged)
{
	static struct said verify, cat, info;

	if (!build(_i))
		return;
	ask("verify", &verify);
	ask("cat --json", &cat);
	ask("info", &info);
	ck_state(cat.status == verify.status && info.status == verify.status,
		 "verify %d, cat %d, info %d\n%s\n%s\n%s", verify.status, cat.status, info.status,
		 verify.text, cat.text, info.text);
	ck_state(!strstr(verify.text, "recovery will") == !strstr(cat.text, "recovery will") &&
			 !strstr(verify.text, "recovery will") ==
				 !strstr(info.text, "recovery will"),
		 "one says what recovery will do, and another does not\n%s\n%s\n%s", verify.text,
		 cat.text, info.text);
}
END_TEST

static Suite *outlook_suite(void)
{
	Suite *suite = suite_create("outlook");
	TCase *t = test_case(suite, "outlook", 120);
	const int rows = (int)state_count;

	tcase_add_loop_test(t, cat_hands_out_what_the_log_has_after_recovery, 0, rows);
	tcase_add_loop_test(t, verify_cat_and_info_agree_on_what_is_damaged, 0, rows);
	return suite;
}

int main(void)
{
	return test_main_in_memory(outlook_suite());
}
