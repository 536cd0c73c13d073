/* SPDX-License-Identifier: MIT */
/* Where walctl follow was, kept in a file. */
#ifndef WALCTL_CURSOR_H
#define WALCTL_CURSOR_H

#include "walctl.h"

struct cursor {
	uint64_t next_id;	 /* 0: there is no file yet */
	uint64_t last_ns;	 /* time of the event before it; 0: not known */
	char log[WAL_UUID_TEXT]; /* ""; not known */
};

/* Return: STATUS_SOUND, also if there is no file; STATUS_TROUBLE after a complaint. */
enum status cursor_read(const char *file, struct cursor *cursor);
/* In one step, and synced: after a loss of power there is the old or the new. Likewise. */
enum status cursor_write(const char *file, const struct cursor *cursor);

#endif
