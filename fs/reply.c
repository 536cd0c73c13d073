/* SPDX-License-Identifier: MIT */
/* What answers have in common. */
#include <errno.h>

#include "walfs.h"

void walfs_reply_value(fuse_req_t req, const void *value, size_t length, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, length);
	else if (size < length)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, length);
}

int walfs_read_errno(int err)
{
	switch (err) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EINTR:
	case -ENOENT:
		return -err;
	default:
		return EIO;
	}
}
