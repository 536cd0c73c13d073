/* SPDX-License-Identifier: MIT */
/* Times as people give them: those of journalctl (systemd.time(7)), and RFC 3339. */
#ifndef WALCTL_WHEN_H
#define WALCTL_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "2026-11-22T10:01:02.5Z", "2026-11-22 10:01", "10:01", "yesterday", "2 hours ago", "-1h30min",
 * "@1795341662". Without Z, an offset or UTC it is local time (TZ); without a date, today's.
 * Return: whether it is a time from 1970 on.
 */
bool parse_when(const char *text, uint64_t now_ns, uint64_t *time_ns);

#endif
