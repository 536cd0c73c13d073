/* SPDX-License-Identifier: MIT */
/* What a caller is shown of an error: a code, and words that name the file and the way out. */
#ifndef WALFS_CORE_ERROR_H
#define WALFS_CORE_ERROR_H

#include <walfs/wal.h>

/* Fills error, which may be NULL, and returns code. */
int wal_error_set(struct wal_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
