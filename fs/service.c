/* SPDX-License-Identifier: MIT */
/* What a service manager is told. */
#include "service.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* "@name" is one without a file. Return: the address's size; 0: there is none, or no room. */
static socklen_t address_of(struct sockaddr_un *address)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t length = name ? strlen(name) : 0;

	if (!length || length >= sizeof(address->sun_path))
		return 0;
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, length);
	if (*name == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void send_to_manager(const char *text, int flags)
{
	const struct timeval second = {.tv_sec = 1};
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	socklen_t size = address_of(&address);
	int fd;

	if (!size)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | flags, (struct sockaddr *)&address,
		     size);
	close(fd);
}

void walfs_service_notify(const char *text)
{
	send_to_manager(text, 0);
}

void walfs_service_status(const char *status)
{
	char text[1024];

	snprintf(text, sizeof(text), "STATUS=%s", status);
	send_to_manager(text, MSG_DONTWAIT);
}

bool walfs_service_has_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}
