/* SPDX-License-Identifier: MIT */
/* Numbers, sizes and times as people write them in options. Any thread. */
#ifndef WALFS_FS_VALUES_H
#define WALFS_FS_VALUES_H

#include <stdbool.h>
#include <stdint.h>

struct walfs_unit {
	char letter;
	uint64_t factor;
};

/* Each returns whether text is such a value, at most max, and nothing else. */
bool walfs_parse_number(const char *text, int base, uint64_t max, uint64_t *value);
/* "65536", "64K", "64M", "1G", "2T": bytes. */
bool walfs_parse_size(const char *text, uint64_t max, uint64_t *value);
/* "90", "90s", "15m", "24h", "30d": seconds. */
bool walfs_parse_seconds(const char *text, uint64_t max, uint64_t *value);

#endif
