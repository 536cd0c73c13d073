/* SPDX-License-Identifier: MIT */
/* Where follow was, in a file that is replaced as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cursor.h"

static enum status complain_cursor(const char *file)
{
	complain(file,
		 "no cursor of walctl follow: that is {\"log\": ..., \"next_id\": 17, ...}, or "
		 "an id alone");
	return STATUS_TROUBLE;
}

static bool take_number(const json_t *value, uint64_t *number)
{
	*number = json_is_integer(value) && json_integer_value(value) > 0
			  ? (uint64_t)json_integer_value(value)
			  : 0;
	return *number > 0;
}

static bool take_object(const json_t *object, struct cursor *cursor)
{
	const char *log = json_string_value(json_object_get(object, "log"));
	const char *time = json_string_value(json_object_get(object, "last_time"));

	if (!log || strlen(log) >= sizeof(cursor->log))
		return false;
	strcpy(cursor->log, log);
	if (time && wal_time_parse(time, &cursor->last_ns))
		return false;
	return take_number(json_object_get(object, "next_id"), &cursor->next_id);
}

enum status cursor_read(const char *file, struct cursor *cursor)
{
	FILE *stream = fopen(file, "re");
	enum status status = STATUS_SOUND;
	json_t *value;

	memset(cursor, 0, sizeof(*cursor));
	if (!stream && errno == ENOENT)
		return STATUS_SOUND;
	if (!stream) {
		complain_errno(file, errno);
		return STATUS_TROUBLE;
	}
	value = json_loadf(stream, JSON_DECODE_ANY, NULL);
	if (!take_number(value, &cursor->next_id) && !take_object(value, cursor))
		status = complain_cursor(file);
	json_decref(value);
	fclose(stream);
	return status;
}

/* Return: 0 or an errno. */
static int write_new(const char *name, const struct cursor *cursor)
{
	char text[256], time[WAL_TIME_TEXT];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
	size_t length;
	int err = 0;

	if (fd < 0)
		return errno;
	wal_time_format(cursor->last_ns, time);
	length = (size_t)snprintf(text, sizeof(text), "{\"log\": \"%s\", \"next_id\": %ju",
				  cursor->log, (uintmax_t)cursor->next_id);
	length += (size_t)snprintf(text + length, sizeof(text) - length,
				   cursor->last_ns ? ", \"last_time\": \"%s\"}\n" : "}\n", time);
	errno = ENOSPC; /* of a short write */
	if (write(fd, text, length) != (ssize_t)length || fsync(fd))
		err = errno;
	if (close(fd) && !err)
		err = errno;
	return err;
}

static int sync_directory(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *directory = slash ? strndup(file, (size_t)(slash - file) + 1) : strdup(".");
	int fd, err = 0;

	if (!directory)
		die_no_memory();
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	if (fd < 0 || fsync(fd))
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

enum status cursor_write(const char *file, const struct cursor *cursor)
{
	char *name;
	int err;

	if (asprintf(&name, "%s.new", file) < 0)
		die_no_memory();
	err = write_new(name, cursor);
	if (!err && rename(name, file))
		err = errno;
	if (!err)
		err = sync_directory(file);
	free(name);
	if (!err)
		return STATUS_SOUND;
	complain(file, "the cursor cannot be written: %s", strerror(err));
	return STATUS_TROUBLE;
}
