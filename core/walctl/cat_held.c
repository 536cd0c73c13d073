/* SPDX-License-Identifier: MIT */
/* Events that are kept for a while: to be printed in another order, or together. */
#include <stdlib.h>
#include <string.h>

#include "cat.h"

static void *grow(void *list, size_t *capacity, size_t wanted, size_t size)
{
	if (wanted <= *capacity)
		return list;
	while (*capacity < wanted)
		*capacity = *capacity ? *capacity * 2 : 256;
	list = reallocarray(list, *capacity, size);
	if (!list)
		die_no_memory();
	return list;
}

void held_add(struct held *held, const struct wal_event *event, bool damaged)
{
	struct held_event *kept;

	held->events =
		grow(held->events, &held->event_capacity, held->count + 1, sizeof(*held->events));
	held->bytes = grow(held->bytes, &held->byte_capacity, held->size + event->size, 1);
	kept = &held->events[held->count++];
	*kept = (struct held_event){.event = *event, .at = held->size, .damaged = damaged};
	memcpy(held->bytes + held->size, event->payload, event->size);
	held->size += event->size;
}

size_t held_record(const struct held *held, size_t end)
{
	size_t first = end - 1;

	while (first > 0 && (held->events[first].event.flags & WAL_FLAG_CONT) &&
	       held->events[first - 1].event.id + 1 == held->events[first].event.id)
		first--;
	return first;
}

const uint8_t *held_payload(const struct held *held, size_t first, size_t end, size_t *size)
{
	const struct held_event *last = &held->events[end - 1];

	*size = last->at + last->event.size - held->events[first].at;
	return held->bytes + held->events[first].at;
}

bool held_put(struct cat *cat, size_t first, size_t end)
{
	const struct held *held = &cat->held;

	for (size_t i = first; i < end; i++) {
		struct wal_event event = held->events[i].event;

		event.payload = held->bytes + held->events[i].at;
		if (!cat_put(cat, &event, held->events[i].damaged))
			return false;
	}
	return true;
}

void held_clear(struct held *held)
{
	held->count = 0;
	held->size = 0;
}

void held_destroy(struct held *held)
{
	free(held->events);
	free(held->bytes);
	*held = (struct held){0};
}
