/* SPDX-License-Identifier: MIT */
/* What the connection can do. */
#include "walfs.h"

/* A RELEASE waits for background reads if there are this many of them. */
#define MAX_BACKGROUND 4096

void walfs_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = WALFS_IO_MAX;
	conn->max_background = MAX_BACKGROUND;
	/* the parts of one large asynchronous write could be answered in any order */
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
	/* sealed files never change; `current` is not cached */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}
