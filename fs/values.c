/* SPDX-License-Identifier: MIT */
/* Numbers, sizes and times as people write them in options. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

bool walfs_parse_number(const char *text, int base, uint64_t max, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, base);
	return !errno && !*end && *value <= max;
}

/* A number followed by one of the units' letters, or with none: then it counts ones. */
static bool parse_with_unit(const char *text, const struct walfs_unit *units, uint64_t max,
			    uint64_t *value)
{
	char digits[24];
	size_t length = strlen(text);
	uint64_t factor = 1;

	for (; length && units->letter; units++) {
		if (tolower((unsigned char)text[length - 1]) != units->letter)
			continue;
		factor = units->factor;
		length--;
		break;
	}
	if (length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (!walfs_parse_number(digits, 10, max / factor, value))
		return false;
	*value *= factor;
	return true;
}

bool walfs_parse_size(const char *text, uint64_t max, uint64_t *value)
{
	static const struct walfs_unit units[] = {
		{'k', UINT64_C(1) << 10},
		{'m', UINT64_C(1) << 20},
		{'g', UINT64_C(1) << 30},
		{'t', UINT64_C(1) << 40},
		{0, 0},
	};

	return parse_with_unit(text, units, max, value);
}

bool walfs_parse_seconds(const char *text, uint64_t max, uint64_t *value)
{
	static const struct walfs_unit units[] = {
		{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 24 * 3600}, {0, 0},
	};

	return parse_with_unit(text, units, max, value);
}
