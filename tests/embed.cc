// SPDX-License-Identifier: MIT
// A program in C++ that uses the library: both public headers can be included, and linked with.
#include <walfs/format.h>
#include <walfs/wal.h>

#include <cstring>

int main()
{
	char name[WAL_NAME_MAX];

	wal_segment_name(WAL_FIRST_SEGMENT_INDEX, name);
	return std::strcmp(name, "0000000001.wal") != 0 || !wal_state_name(WAL_ACTIVE);
}
