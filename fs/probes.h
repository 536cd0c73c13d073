/* SPDX-License-Identifier: MIT */
/*
 * What was said to those who asked how long a value is.
 *
 * Programs ask for the length of an attribute first, and then for that many bytes. A
 * live value may have grown or shrunk by a digit meanwhile, and then rsync(1) takes
 * any answer for an error, and others ERANGE for one. So who asks within a moment for
 * exactly as many bytes as it was told of gets what was true when it was told.
 *
 * Any thread.
 */
#ifndef WALFS_FS_PROBES_H
#define WALFS_FS_PROBES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALFS_PROBES 64 /* so many threads between their two questions */
#define WALFS_PROBE_NS UINT64_C(1000000000)
#define WALFS_VALUE_MAX 256 /* of an attribute */

/* Whose question, and what about. */
struct walfs_probe_key {
	uint64_t thread;
	uint64_t file;
	const void *attribute;
};

struct walfs_probe {
	struct walfs_probe_key key;
	uint64_t time_ns; /* 0: none */
	size_t length;
	char text[WALFS_VALUE_MAX];
};

struct walfs_probes {
	pthread_mutex_t lock; /* protects the rest */
	struct walfs_probe last[WALFS_PROBES];
	size_t next;
};

void walfs_probes_init(struct walfs_probes *probes);
void walfs_probes_destroy(struct walfs_probes *probes);
/* It was told that the value is length bytes, those of text. */
void walfs_probes_note(struct walfs_probes *probes, const struct walfs_probe_key *key,
		       const char *text, size_t length, uint64_t now_ns);
/*
 * It asks for size bytes. Return: whether it was told of just so many a moment ago; then
 * text has them. Forgets in any case what it was told.
 */
bool walfs_probes_take(struct walfs_probes *probes, const struct walfs_probe_key *key,
		       char text[WALFS_VALUE_MAX], size_t size, uint64_t now_ns);

#endif
