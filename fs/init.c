/* SPDX-License-Identifier: MIT */
/* What the connection can do. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "service.h"
#include "walfs.h"

/* A RELEASE waits for background reads if there are this many of them. */
#define MAX_BACKGROUND 4096

/* The kernel has its first answer, and so has whoever asks next. */
static void say_ready(struct walfs *fs)
{
	struct wal_log_position position;
	char text[128];

	wal_log_position(fs->log, &position);
	snprintf(text, sizeof(text),
		 "READY=1\nMAINPID=%d\nSTATUS=mounted, segment %" PRIu32 ", next event %" PRIu64,
		 (int)getpid(), position.segment, position.next_event);
	walfs_service_notify(text);
}

void walfs_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->max_write = WALFS_IO_MAX;
	conn->max_background = MAX_BACKGROUND;
	/* the parts of one large asynchronous write could be answered in any order */
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
	/* sealed files never change; `current` is not cached */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	say_ready(userdata);
}
