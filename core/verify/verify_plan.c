/* SPDX-License-Identifier: MIT */
#include "core/verify/verify_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/recovery/recovery_make.h"

/*
 * Beside a daemon a look may fall between two steps of it. What two looks, one after the
 * other, find in the same way is there.
 */
#define LOOKS 20
#define PAUSE_NS 5000000

static bool is_step(const struct wal_store_plan *p, enum wal_step_kind kind, uint32_t index)
{
	size_t i;

	for (i = 0; i < p->rec.step_count; i++) {
		if (p->rec.steps[i].kind == kind && p->rec.steps[i].index == index)
			return true;
	}
	return false;
}

bool wal_store_plan_sets_aside(const struct wal_store_plan *p, uint32_t index)
{
	return is_step(p, WAL_STEP_SET_ASIDE, index);
}

const struct wal_probe *wal_store_plan_probe(const struct wal_store_plan *p, uint32_t index)
{
	size_t i;

	for (i = 0; i < p->plan.count; i++) {
		if (p->plan.probes[i].index == index)
			return &p->plan.probes[i];
	}
	return NULL;
}

const struct wal_fault *wal_store_plan_damage(const struct wal_store_plan *p, uint32_t index)
{
	size_t i;

	for (i = 0; i < p->rec.damaged_count; i++) {
		if (p->rec.damaged[i].index == index)
			return &p->rec.damaged[i].fault;
	}
	return NULL;
}

uint64_t wal_store_plan_torn(const struct wal_store_plan *p, const struct wal_probe *probe)
{
	if (probe->finding != FOUND_UNSEALED || !is_step(p, WAL_STEP_SEAL, probe->index))
		return 0;
	/* Beside a daemon that is an append on its way. */
	if (p->view.held && probe->index == wal_store_list_last(&p->rec.list))
		return 0;
	return probe->tail.behind_end - probe->tail.offset;
}

struct finding {
	uint64_t what;
	uint64_t index;
	uint64_t kind;
	uint64_t block;
	uint64_t offset;
};

static uint64_t add_finding(uint64_t sum, struct finding finding)
{
	return wal_checksum(&finding, sizeof(finding), sum);
}

static uint64_t add_fault(uint64_t sum, uint64_t what, uint32_t index,
			  const struct wal_fault *fault)
{
	return add_finding(sum, (struct finding){what, index, (uint64_t)fault->kind, fault->block,
						 fault->offset});
}

/* Return: 0 if there is nothing to tell; otherwise a number that stands for all of it. */
static uint64_t sum_findings(const struct wal_store_plan *p)
{
	const struct wal_recovery *rec = &p->rec;
	uint64_t sum = 0;
	size_t i;

	if (rec->meta_fault.kind)
		sum = add_fault(sum, 1, 0, &rec->meta_fault);
	for (i = 0; i < rec->damaged_count; i++)
		sum = add_fault(sum, 2, rec->damaged[i].index, &rec->damaged[i].fault);
	for (i = 0; i < p->plan.count; i++) {
		const struct wal_probe *probe = &p->plan.probes[i];
		uint64_t torn = wal_store_plan_torn(p, probe);

		if (wal_store_plan_sets_aside(p, probe->index))
			sum = add_fault(sum, 3, probe->index, &probe->fault);
		if (torn || probe->excess)
			sum = add_finding(sum, (struct finding){4, probe->index, torn,
								probe->excess, probe->end});
	}
	return sum;
}

/* Is that how wal.meta is? Permissions and descriptors are how we are. */
static bool says_something(int err)
{
	return !err || err == -ENOENT || err == -EBADMSG || err == -EUCLEAN ||
	       wal_is_media_error(err);
}

/* Return: 0; -ENOENT: a segment was removed since; or another -errno, told. */
static int look(struct wal_store_plan *p, int dirfd, const char *path, unsigned flags,
		struct wal_error *error)
{
	int err = wal_store_view_read(dirfd, &p->view);

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", path, strerror(-err));
	if (p->view.meta_err == -EPROTONOSUPPORT)
		return wal_error_set(error, p->view.meta_err, "%s/%s: written by a newer walfs",
				     path, WAL_META_FILE);
	if (!says_something(p->view.meta_err))
		return wal_error_set(error, p->view.meta_err, "%s/%s: cannot be read: %s", path,
				     WAL_META_FILE, strerror(-p->view.meta_err));
	p->rec = (struct wal_recovery){
		.io = &wal_io_system,
		.dirfd = dirfd,
		.path = path,
		.read_only = true,
		.read_flags = flags,
		.view = &p->view,
		.list = p->view.list,
	};
	memset(&p->view.list, 0, sizeof(p->view.list));
	p->plan = (struct wal_plan){.rec = &p->rec, .error = error};
	if (!p->rec.list.count && !p->rec.list.has_meta)
		return wal_error_set(error, -ENOTEMPTY, "%s: not a walfs store (no segment, no %s)",
				     path, WAL_META_FILE);
	error->code = 0;
	err = wal_plan_make(&p->plan);
	p->made = err == 0;
	if (err && error->code == 0)
		wal_error_set(error, err, "%s: cannot be checked: %s", path, strerror(-err));
	return err;
}

int wal_store_plan_make(struct wal_store_plan *p, int dirfd, const char *path, unsigned flags,
			struct wal_error *error)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	uint64_t found = 0, before;
	int err = 0, looks;

	memset(p, 0, sizeof(*p));
	for (looks = 0; looks < LOOKS; looks++) {
		before = found;
		if (looks > 0) {
			wal_store_plan_destroy(p);
			nanosleep(&pause, NULL);
		}
		err = look(p, dirfd, path, flags, error);
		if (err && err != -ENOENT)
			break;
		found = err ? 0 : sum_findings(p);
		if (found && !p->view.held && wal_store_is_locked(dirfd)) {
			p->view.held = true; /* by a process that cannot be seen from here */
			found = sum_findings(p);
		}
		if (!err && (!found || !p->view.held || found == before))
			break;
	}
	/* A newer format in a segment: the others can be checked all the same. */
	return err == -EPROTONOSUPPORT && p->view.meta_err != err ? 0 : err;
}

void wal_store_plan_destroy(struct wal_store_plan *p)
{
	wal_recovery_destroy(&p->rec);
	wal_store_view_destroy(&p->view);
	free(p->plan.probes);
	p->plan.probes = NULL;
	p->plan.count = 0;
	p->made = false;
}
