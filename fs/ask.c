/* SPDX-License-Identifier: MIT */
/* Questions about a segment: which one is meant, and who looks. */
#include <errno.h>
#include <stdlib.h>

#include "walfs.h"

static void aim_at(struct walfs_question *question, uint32_t segment)
{
	question->segment = segment;
	question->ino = walfs_ino(WALFS_CURRENT, segment, 0);
}

void walfs_question_aim(struct walfs_question *question, const struct walfs_handle *handle)
{
	struct walfs *fs = walfs_of(question->req);

	if (!handle)
		handle = walfs_handle_find(fs, question->ino);
	question->is_open = handle && handle->readable;
	if (question->is_open) {
		question->open_size = atomic_load(&handle->size);
		question->open_time_ns = atomic_load(&handle->time_ns);
	}
	if (walfs_ino_kind(question->ino) == WALFS_CURRENT)
		aim_at(question, question->is_open ? handle->segment : wal_log_current(fs->log));
}

/* Return: whether `current` has gone on since the question was aimed: then it is aimed again. */
static bool move_on(struct walfs_question *question)
{
	uint32_t segment = wal_log_current(walfs_of(question->req)->log);

	if (walfs_ino_kind(question->ino) != WALFS_CURRENT || question->segment == segment ||
	    (question->is_open && question->removed))
		return false;
	aim_at(question, segment);
	return true;
}

/* Where segments are removed fast, the one that was active, or opened, a moment ago may be gone. */
static int look(struct walfs_question *question,
		int (*get)(struct wal_log *, uint32_t, struct wal_segment_info *),
		struct wal_segment_info *info)
{
	int err;

	do
		err = get(walfs_of(question->req)->log, question->segment, info);
	while (err == -ENOENT && move_on(question));
	return err;
}

static void answer(const struct walfs_question *question, int err,
		   const struct wal_segment_info *info)
{
	if (err == -ENOENT && question->is_open && question->removed) {
		question->removed(question);
		return;
	}
	if (err) {
		fuse_reply_err(question->req, err == -ENOENT ? ENOENT : walfs_read_errno(err));
		return;
	}
	question->answer(question, info);
}

static bool answer_job(struct walfs_job *job, void *buffer)
{
	struct walfs_question *question = (struct walfs_question *)job; /* its first member */
	struct wal_segment_info info;
	int err = look(question, wal_log_segment_info, &info);

	(void)buffer;
	answer(question, err, &info);
	free(question);
	return true;
}

void walfs_ask(const struct walfs_question *question)
{
	struct walfs *fs = walfs_of(question->req);
	struct walfs_question asked = *question, *parked;
	struct wal_segment_info info;
	int err = look(&asked, wal_log_segment_known, &info);

	if (err != -EAGAIN) {
		answer(&asked, err, &info);
		return;
	}
	parked = malloc(sizeof(*parked));
	if (!parked) {
		fuse_reply_err(question->req, ENOMEM);
		return;
	}
	*parked = asked;
	parked->job.run = answer_job;
	walfs_workers_submit(&fs->workers, &parked->job, NULL);
}
