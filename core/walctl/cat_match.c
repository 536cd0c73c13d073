/* SPDX-License-Identifier: MIT */
/* cat --grep: regular expressions of Perl, by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "cat.h"

struct matcher {
	pcre2_code *code;
	pcre2_match_data *data;
};

static struct matcher matcher;

bool cat_match_compile(const char *pattern, bool ignore_case, char why[MATCH_WHY])
{
	/* Bytes that are no UTF-8 match nothing, and hide nothing. */
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
	PCRE2_SIZE offset;
	int err;

	if (ignore_case)
		options |= PCRE2_CASELESS;
	matcher.code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &err,
				     &offset, NULL);
	if (!matcher.code) {
		int length = pcre2_get_error_message(err, (PCRE2_UCHAR *)why, MATCH_WHY);

		if (length < 0)
			why[0] = '\0';
		return false;
	}
	pcre2_jit_compile(matcher.code, PCRE2_JIT_COMPLETE); /* without it, it is slower */
	matcher.data = pcre2_match_data_create_from_pattern(matcher.code, NULL);
	if (!matcher.data)
		die_no_memory();
	return true;
}

bool cat_match(const uint8_t *payload, size_t size)
{
	if (size > 0 && payload[size - 1] == '\n')
		size--;
	return pcre2_match(matcher.code, payload, size, 0, 0, matcher.data, NULL) >= 0;
}

void cat_match_free(void)
{
	pcre2_match_data_free(matcher.data);
	pcre2_code_free(matcher.code);
	matcher = (struct matcher){0};
}
