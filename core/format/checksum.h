/* SPDX-License-Identifier: MIT */
/* XXH3-64 of long inputs; core/format/format.h has wal_checksum(), for all lengths. Any thread. */
#ifndef WALFS_CORE_CHECKSUM_H
#define WALFS_CORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t wal_checksum_long(const void *data, size_t size, uint64_t seed);

#endif
