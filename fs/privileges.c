/* SPDX-License-Identifier: MIT */
/*
 * What a daemon that root started may still do. It keeps what it uses; the rest is given up
 * before there is another thread, as capabilities belong to threads:
 *
 *   CAP_SYS_ADMIN     to mount, and to unmount at the end
 *   CAP_DAC_OVERRIDE  files in the store that belong to others, or have odd modes
 *   CAP_CHOWN         in another user's store: what is made there becomes that user's
 *   CAP_FOWNER        there, too, to remove segments where the directory is sticky
 *
 * An ordinary user has none, and unmounts by fusermount3, which is set-user-id: that needs
 * new privileges, so only root gives those up.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "walfs.h"

#define BIT(capability) (UINT64_C(1) << (capability))

static const struct {
	int capability;
	const char *name;
} known[] = {
	{CAP_CHOWN, "chown"},
	{CAP_DAC_OVERRIDE, "dac_override"},
	{CAP_FOWNER, "fowner"},
	{CAP_SYS_ADMIN, "sys_admin"},
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

/* glibc has no functions for these two. Return: 0 or -errno. */
static int get_permitted(uint64_t *set)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return -errno;
	*set = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

static int set_all(uint64_t set)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)set, .permitted = (uint32_t)set},
		{.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Whose store is it, or will it be? One that does not exist yet is made by who asks. */
static bool is_of_another_user(const char *store)
{
	struct stat st;

	return stat(store, &st) == 0 && st.st_uid != geteuid();
}

/* Programs that are started (fusermount3) can then get no more either. */
static void bound(uint64_t keep)
{
	int capability;

	for (capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
		if (!(keep & BIT(capability)))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int walfs_privileges_drop(const char *store)
{
	uint64_t keep = BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_OVERRIDE), had;
	int err = get_permitted(&had);

	if (geteuid() != 0 || err)
		return err;
	if (is_of_another_user(store))
		keep |= BIT(CAP_CHOWN) | BIT(CAP_FOWNER);
	bound(keep);
	err = set_all(had & keep);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	return err;
}

void walfs_privileges_text(char *text, size_t size)
{
	uint64_t set = 0;
	size_t at = 0, i;

	text[0] = '\0';
	if (get_permitted(&set))
		return;
	for (i = 0; i < KNOWN && at < size; i++) {
		if (set & BIT(known[i].capability))
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "," : "",
					       known[i].name);
		set &= ~BIT(known[i].capability);
	}
	if (set && at < size)
		snprintf(text + at, size - at, "%smore", at ? "," : "");
}
