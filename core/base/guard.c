/* SPDX-License-Identifier: MIT */
#include "core/base/guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <walfs/wal.h>

#define GUARDS 256
#define GUARD_CLAIMED 1u

static struct wal_guard guards[GUARDS];
static uintptr_t page_size;

struct wal_guard *wal_guard_add(void *start, size_t size)
{
	size_t i;

	for (i = 0; i < GUARDS; i++) {
		uintptr_t unused = 0;

		if (!atomic_compare_exchange_strong(&guards[i].start, &unused, GUARD_CLAIMED))
			continue;
		atomic_store(&guards[i].hit, false);
		atomic_store(&guards[i].end, (uintptr_t)start + size);
		atomic_store(&guards[i].start, (uintptr_t)start);
		return &guards[i];
	}
	return NULL;
}

void wal_guard_remove(struct wal_guard *guard)
{
	if (!guard)
		return;
	atomic_store(&guard->start, GUARD_CLAIMED);
	atomic_store(&guard->end, 0);
	atomic_store(&guard->start, 0);
}

/* Only async-signal-safe calls: mmap is a bare system call here. */
static bool replace_page(uintptr_t address)
{
	uintptr_t page = address & ~(page_size - 1);

	return mmap((void *)page, page_size, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	int saved_errno = errno;
	size_t i;

	(void)context;
	for (i = 0; i < GUARDS; i++) {
		uintptr_t start = atomic_load(&guards[i].start);

		if (start <= GUARD_CLAIMED || address < start ||
		    address >= atomic_load(&guards[i].end) || !replace_page(address))
			continue;
		atomic_store(&guards[i].hit, true);
		errno = saved_errno;
		return;
	}
	/* Not ours: the default action kills, when this returns and the signal is let in. */
	signal(signo, SIG_DFL);
	raise(signo);
	errno = saved_errno;
}

int wal_fault_handler_install(void)
{
	struct sigaction action = {0};

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	action.sa_sigaction = on_sigbus;
	action.sa_flags = SA_SIGINFO;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}
