/* SPDX-License-Identifier: MIT */
#include "probes.h"

#include <string.h>

void walfs_probes_init(struct walfs_probes *probes)
{
	memset(probes, 0, sizeof(*probes));
	pthread_mutex_init(&probes->lock, NULL);
}

void walfs_probes_destroy(struct walfs_probes *probes)
{
	pthread_mutex_destroy(&probes->lock);
}

static struct walfs_probe *find(struct walfs_probes *probes, const struct walfs_probe_key *key)
{
	size_t i;

	for (i = 0; i < WALFS_PROBES; i++) {
		const struct walfs_probe_key *had = &probes->last[i].key;

		if (probes->last[i].time_ns && had->thread == key->thread &&
		    had->file == key->file && had->attribute == key->attribute)
			return &probes->last[i];
	}
	return NULL;
}

void walfs_probes_note(struct walfs_probes *probes, const struct walfs_probe_key *key,
		       const char *text, size_t length, uint64_t now_ns)
{
	struct walfs_probe *probe;

	pthread_mutex_lock(&probes->lock);
	probe = find(probes, key);
	if (!probe)
		probe = &probes->last[probes->next++ % WALFS_PROBES];
	probe->key = *key;
	probe->time_ns = now_ns;
	probe->length = length;
	memcpy(probe->text, text, length);
	pthread_mutex_unlock(&probes->lock);
}

bool walfs_probes_take(struct walfs_probes *probes, const struct walfs_probe_key *key,
		       char text[WALFS_VALUE_MAX], size_t size, uint64_t now_ns)
{
	struct walfs_probe *probe;
	bool told;

	pthread_mutex_lock(&probes->lock);
	probe = find(probes, key);
	told = probe && probe->length == size && now_ns - probe->time_ns < WALFS_PROBE_NS;
	if (told)
		memcpy(text, probe->text, size);
	if (probe)
		probe->time_ns = 0;
	pthread_mutex_unlock(&probes->lock);
	return told;
}
