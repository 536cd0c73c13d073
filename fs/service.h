/* SPDX-License-Identifier: MIT */
/*
 * What a service manager that started the daemon is told: systemd's Type=notify, a datagram
 * to the socket that NOTIFY_SOCKET names. Without that variable all of this does nothing.
 */
#ifndef WALFS_FS_SERVICE_H
#define WALFS_FS_SERVICE_H

#include <stdbool.h>

/* text is lines of sd_notify(3), as "READY=1". Waits a second at most. Any thread. */
void walfs_service_notify(const char *text);
/* STATUS=status, of one line. Does not wait. Any thread. */
void walfs_service_status(const char *status);
/* Return: whether stderr goes to systemd's journal, which takes "<3>" for a message's level. */
bool walfs_service_has_journal(void);

#endif
