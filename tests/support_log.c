/* SPDX-License-Identifier: MIT */
/* A log opened with its notices kept. */
#include "tests/support.h"

#include <string.h>

static void keep_notice(void *ctx, enum wal_notice_level level, const char *text)
{
	struct notices *notices = ctx;

	pthread_mutex_lock(&notices->lock);
	if (level >= WAL_NOTICE_WARNING)
		notices->warnings++;
	if (notices->count < sizeof(notices->text) / sizeof(notices->text[0]))
		snprintf(notices->text[notices->count++], sizeof(notices->text[0]), "%s", text);
	pthread_mutex_unlock(&notices->lock);
}

void log_prepare(struct test_log_handle *handle, const char *store, const struct wal_io *io)
{
	char path[sizeof(handle->path)];

	snprintf(path, sizeof(path), "%s", store); /* it may be the handle's own */
	memset(handle, 0, sizeof(*handle));
	memcpy(handle->path, path, sizeof(path));
	pthread_mutex_init(&handle->notices.lock, NULL);
	handle->options = (struct wal_log_options){
		.io = io,
		.path = handle->path,
		.block_size = TEST_BLOCK,
		.segment_size = 4 * TEST_BLOCK, /* of blocks; the header area comes on top */
		.framing = {.kind = WAL_FRAME_LINE},
		.prepare_segments = 1,
		.notice = keep_notice,
		.notice_ctx = &handle->notices,
	};
}

int log_open(struct test_log_handle *handle)
{
	memset(&handle->error, 0, sizeof(handle->error));
	handle->notices.count = 0;
	handle->notices.warnings = 0;
	return wal_log_open(&handle->options, &handle->log, &handle->error);
}

void log_open_ok(struct test_log_handle *handle, const char *store, const struct wal_io *io)
{
	int err;

	log_prepare(handle, store, io);
	err = log_open(handle);
	ck_assert_msg(err == 0, "wal_log_open: %s (%s)", strerror(-err), handle->error.text);
}

int log_close(struct test_log_handle *handle)
{
	int err = wal_log_close(handle->log);

	handle->log = NULL;
	pthread_mutex_destroy(&handle->notices.lock);
	return err;
}

bool log_noticed(struct test_log_handle *handle, const char *part)
{
	bool found = false;

	pthread_mutex_lock(&handle->notices.lock);
	for (size_t i = 0; i < handle->notices.count; i++)
		found = found || strstr(handle->notices.text[i], part);
	pthread_mutex_unlock(&handle->notices.lock);
	return found;
}

ssize_t log_put(struct test_log_handle *handle, const char *text)
{
	struct wal_record record = {.data = text, .size = (uint32_t)strlen(text)};

	return wal_log_append(handle->log, &record, 1, NULL);
}

void log_put_lines(struct test_log_handle *handle, uint64_t first, uint64_t last)
{
	for (uint64_t id = first; id <= last; id++) {
		char line[32];
		ssize_t n;

		snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)id);
		n = log_put(handle, line);
		ck_holds(n == 1, "append of event %llu: %zd", (unsigned long long)id, n);
	}
}
