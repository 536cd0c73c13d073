/* SPDX-License-Identifier: MIT */
/* One event on standard output, in each way but the plain one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "walctl.h"

static json_t *json_base64(const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = (size + 2) / 3 * 4;
	char *text = malloc(length + 1);
	json_t *value;

	if (!text)
		die_no_memory();
	for (size_t in = 0, out = 0; in < size; in += 3) {
		uint32_t bits = (uint32_t)data[in] << 16;

		if (in + 1 < size)
			bits |= (uint32_t)data[in + 1] << 8;
		if (in + 2 < size)
			bits |= data[in + 2];
		text[out++] = digits[bits >> 18];
		text[out++] = digits[bits >> 12 & 63];
		text[out++] = in + 1 < size ? digits[bits >> 6 & 63] : '=';
		text[out++] = in + 2 < size ? digits[bits & 63] : '=';
	}
	value = json_stringn(text, length);
	free(text);
	return value;
}

void put_event_json(const struct wal_event *event, bool damaged)
{
	json_t *object = json_object();
	json_t *payload = json_stringn((const char *)event->payload, event->size);

	json_put(object, "id", json_number(event->id));
	json_put(object, "time", json_time(event->timestamp_ns));
	json_put(object, "flags", json_bits(event_flags, event->flags));
	if (damaged)
		json_put(object, "damaged", json_true());
	if (payload)
		json_put(object, "payload", payload);
	else /* not UTF-8 */
		json_put(object, "payload_base64", json_base64(event->payload, event->size));
	json_print(object);
}

/* Each line has the mark, also one within a payload: so no payload can look like a mark. */
void put_event_marked(const struct wal_event *event, bool damaged)
{
	const char *mark = damaged ? "damaged" : "ok";
	const uint8_t *line = event->payload, *end = event->payload + event->size;

	while (line < end) {
		const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
		const uint8_t *next = newline ? newline + 1 : end;

		printf("%s\t%" PRIu64 "\t", mark, event->id);
		fwrite(line, 1, (size_t)(next - line), stdout);
		if (!newline)
			putchar('\n');
		line = next;
	}
}

static void put_local_time(uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	char text[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%06u", text, (unsigned)(time_ns % 1000000000u / 1000));
}

/* The payload as a line, whether it ends in a newline or not. */
static void put_line(const struct wal_event *event)
{
	fwrite(event->payload, 1, event->size, stdout);
	if (event->payload[event->size - 1] != '\n')
		putchar('\n');
}

void put_event_short(const struct wal_event *event)
{
	put_local_time(event->timestamp_ns);
	putchar(' ');
	put_line(event);
}

static void put_flags(uint32_t flags)
{
	const char *comma = "";

	for (const struct bit_name *bit = event_flags; bit->name; bit++) {
		if (!(flags & bit->bit))
			continue;
		printf("%s%s", comma, bit->name);
		comma = ",";
	}
}

/* Return: whether the letter means something. */
static bool put_field(const struct wal_event *event, char letter)
{
	uint32_t line = event->size - (event->payload[event->size - 1] == '\n');
	char time[WAL_TIME_TEXT];

	switch (letter) {
	case 'i':
		printf("%" PRIu64, event->id);
		return true;
	case 't':
		wal_time_format(event->timestamp_ns, time);
		fputs(time, stdout);
		return true;
	case 'T':
		put_local_time(event->timestamp_ns);
		return true;
	case 's':
		printf("%" PRIu64 ".%09u", event->timestamp_ns / 1000000000u,
		       (unsigned)(event->timestamp_ns % 1000000000u));
		return true;
	case 'f':
		put_flags(event->flags);
		return true;
	case 'p':
		fwrite(event->payload, 1, line, stdout);
		return true;
	case 'n':
		putchar('\n');
		return true;
	case '%':
		putchar('%');
		return true;
	default:
		return false;
	}
}

bool template_is_possible(const char *template)
{
	for (; *template; template ++)
		if (*template == '%' && !(*++template && strchr("itTsfpn%", *template)))
			return false;
	return true;
}

void put_event_template(const struct wal_event *event, const char *template)
{
	for (; *template; template ++) {
		if (*template == '%' && put_field(event, template[1]))
			template ++;
		else
			putchar(*template);
	}
	putchar('\n');
}
