/* SPDX-License-Identifier: MIT */
#include "core/verify/verify_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* Why recovery finds it damaged; NULL: it does not. */
static const struct wal_fault *find_damage(const struct wal_store_plan *p, uint32_t index)
{
	size_t i;

	for (i = 0; i < p->rec.damaged_count; i++) {
		if (p->rec.damaged[i].index == index)
			return &p->rec.damaged[i].fault;
	}
	return NULL;
}

/* Bytes after its events that recovery cuts off an unsealed one. */
static uint64_t torn_bytes(const struct wal_store_plan *p, const struct wal_probe *probe)
{
	if (probe->finding != FOUND_UNSEALED || !is_step(p, WAL_STEP_SEAL, probe->index))
		return 0;
	/* Beside a daemon that is an append on its way. */
	if (p->view.held && probe->index == wal_store_list_last(&p->rec.list))
		return 0;
	return probe->tail.nonzero_end - probe->tail.offset;
}

/* R27: is all that is too much zero? R28: something else is there. */
static bool excess_is_zero(const struct wal_store_plan *p, const struct wal_probe *probe)
{
	char name[WAL_NAME_MAX];
	bool zero;
	int fd;

	wal_segment_name(probe->index, name);
	fd = openat(p->rec.dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	zero = wal_recovery_is_zero_from(fd, probe->info.file_bytes) > 0;
	close(fd);
	return zero;
}

/* R12, R23, R30: there before it was written, or before what it continues. */
static void describe_set_aside(const struct wal_probe *probe, struct wal_fault *fault)
{
	const char *why = probe->fault.detail;

	if (probe->fault.kind == WAL_FAULT_NONE)
		fault->kind = WAL_FAULT_SEQUENCE;
	else
		*fault = probe->fault;
	snprintf(fault->detail, sizeof(fault->detail),
		 "%.90s%snothing in it was durable, recovery will set it aside", why,
		 why[0] ? "; " : "");
}

/* R17: bytes after the last event, none of them promised. */
static void describe_torn(const struct wal_probe *probe, uint64_t torn, struct wal_fault *fault)
{
	const struct wal_tail *tail = &probe->tail;

	fault->kind = WAL_FAULT_TAIL;
	fault->block = tail->block;
	fault->offset = tail->offset;
	snprintf(fault->detail, sizeof(fault->detail),
		 "torn tail of %" PRIu64 " bytes after event %" PRIu64 ", recovery will cut it",
		 torn, tail->next_event - 1);
}

static void describe_excess(const struct wal_store_plan *p, const struct wal_probe *probe,
			    struct wal_verdict *verdict)
{
	struct wal_fault *fault = &verdict->fault;
	bool zero = excess_is_zero(p, probe);

	if (!zero) {
		verdict->fate = WAL_FATE_DAMAGED;
		verdict->is_note = false;
	}
	fault->kind = WAL_FAULT_TOO_LONG;
	fault->offset = probe->info.file_bytes;
	snprintf(fault->detail, sizeof(fault->detail),
		 zero ? "%" PRIu64 " zeros too many, recovery will cut them off"
		      : "%" PRIu64 " bytes too many",
		 probe->excess);
}

bool wal_store_plan_verdict(const struct wal_store_plan *p, const struct wal_probe *probe,
			    struct wal_verdict *verdict)
{
	const struct wal_fault *damage = find_damage(p, probe->index);
	uint64_t torn = torn_bytes(p, probe);

	*verdict = (struct wal_verdict){.segment = probe->index,
					.fate = WAL_FATE_CUT,
					.is_note = !p->rec.clean, /* then no crash explains it */
					.fault.block = WAL_NO_BLOCK};
	if (wal_store_plan_sets_aside(p, probe->index)) {
		verdict->fate = WAL_FATE_SET_ASIDE;
		describe_set_aside(probe, &verdict->fault);
	} else if (damage) {
		verdict->fate = WAL_FATE_DAMAGED;
		verdict->is_note = false;
		verdict->fault = *damage;
	} else if (torn) {
		describe_torn(probe, torn, &verdict->fault);
	} else if (probe->excess && probe->finding == FOUND_SEALED) {
		describe_excess(p, probe, verdict);
	} else {
		return false;
	}
	verdict->fault.segment = probe->index;
	return true;
}

bool wal_store_plan_meta_verdict(const struct wal_store_plan *p, struct wal_verdict *verdict)
{
	const struct wal_recovery *rec = &p->rec;
	int err = p->view.meta_err;
	/* A file that holds something else was damaged, or is not this store's. */
	bool lost = err == -ENOENT || (err == -EBADMSG && !rec->meta_is_bad);

	*verdict = (struct wal_verdict){.fate = WAL_FATE_REBUILT,
					.is_note = lost || rec->has_meta,
					.fault = rec->meta_fault};
	return rec->meta_fault.kind != WAL_FAULT_NONE;
}

uint32_t wal_store_plan_sealed_to(const struct wal_store_plan *p)
{
	return p->plan.count && p->plan.probes[0].finding == FOUND_SEALED ? p->plan.probes[0].index
									  : 0;
}

enum wal_hint wal_store_plan_hint(const struct wal_store_plan *p)
{
	if (p->plan.told_copy)
		return WAL_HINT_COPIED_WHILE_WRITTEN;
	if (!p->rec.list.has_meta && wal_store_has_stray_current(p->rec.dirfd, &p->rec.list))
		return WAL_HINT_COPY_OF_A_MOUNT;
	return WAL_HINT_NONE;
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

/* Return: 0 if there is nothing to report; otherwise a number that stands for all of it. */
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
		uint64_t torn = torn_bytes(p, probe);

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

/* Return: 0; -ENOENT: a segment was removed since; or another -errno, reported. */
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
	if (!p->rec.list.count && !p->rec.list.compressed_count && !p->rec.list.has_meta)
		return wal_store_is_none(dirfd, path, &p->rec.list, error);
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

static int take_verdicts(const struct wal_store_plan *p, struct wal_store_outlook *outlook)
{
	size_t i;

	outlook->verdicts = calloc(p->plan.count + 1, sizeof(*outlook->verdicts));
	if (!outlook->verdicts)
		return -ENOMEM;
	outlook->hint = wal_store_plan_hint(p);
	outlook->decided = p->made;
	outlook->sealed_to = wal_store_plan_sealed_to(p);
	outlook->count = wal_store_plan_meta_verdict(p, outlook->verdicts);
	for (i = 0; i < p->plan.count && p->made; i++)
		outlook->count += wal_store_plan_verdict(p, &p->plan.probes[i],
							 &outlook->verdicts[outlook->count]);
	return 0;
}

int wal_store_outlook_read(const char *path, struct wal_store_outlook *outlook,
			   struct wal_error *error)
{
	struct wal_store_plan p;
	int dirfd, err;

	*outlook = (struct wal_store_outlook){0};
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return wal_error_set(error, -errno, "%s: cannot be opened: %s", path,
				     strerror(errno));
	err = wal_store_plan_make(&p, dirfd, path, 0, error);
	if (!err) {
		err = take_verdicts(&p, outlook);
		if (err)
			wal_error_set(error, err, "%s: %s", path, strerror(-err));
	}
	wal_store_plan_destroy(&p);
	close(dirfd);
	return err;
}

void wal_store_outlook_destroy(struct wal_store_outlook *outlook)
{
	free(outlook->verdicts);
	outlook->verdicts = NULL;
	outlook->count = 0;
}
