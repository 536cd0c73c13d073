/* SPDX-License-Identifier: MIT */
/*
 * Our own mistakes, found where they are made: real where WAL_CHECKED is defined, which the
 * sanitizers' builds and the fuzz programs do, and nothing at all anywhere else. Nothing that
 * was read from a file is ever asserted: the disk's bytes get an error code.
 */
#ifndef WALFS_CORE_ASSERT_H
#define WALFS_CORE_ASSERT_H

#ifdef WAL_CHECKED
#undef NDEBUG
#include <assert.h>
#define WAL_ASSERT(condition) assert(condition)
#else
/* Compiled, so that it does not rot, and never evaluated. */
#define WAL_ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#endif
