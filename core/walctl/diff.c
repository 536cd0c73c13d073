/* SPDX-License-Identifier: MIT */
/*
 * Two logs side by side, by the ids of their events. A sealed segment is not read where the
 * other has one whose header and chained checksum are the same.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "diff.h"

static const char *const finding_names[FINDINGS] = {
	[ONLY_IN_STORE] = "only in store",
	[ONLY_IN_COPY] = "only in copy",
	[DIFFERS] = "differs",
};

/* --- rows ------------------------------------------------------------------------- */

static void row_json(struct diff *diff)
{
	json_t *row = json_object();

	json_put(row, "kind", json_string(finding_names[diff->finding]));
	json_put(row, "first_event", json_number(diff->first));
	json_put(row, "last_event", json_number(diff->last));
	json_put(row, "what", diff->what ? json_string(diff->what) : json_null());
	json_put(row, "allowed", json_boolean(diff->allowed));
	json_add(diff->differences, row);
}

static void row_text(const struct diff *diff)
{
	const struct gap ids = {.first = diff->first, .last = diff->last};
	char text[GAP_EVENTS_TEXT];

	gap_events(&ids, text);
	*strrchr(text, ' ') = '\0'; /* "events 17 to 20", without what they "are" */
	printf("%s%s: %s", diff->allowed ? "note: " : "", text, finding_names[diff->finding]);
	if (diff->what)
		printf(": %s", diff->what);
	putchar('\n');
}

static void close_row(struct diff *diff)
{
	if (!diff->first)
		return;
	progress_clear(&diff->progress);
	if (diff->json)
		row_json(diff);
	else if (!diff->quiet)
		row_text(diff);
	if (!diff->allowed)
		diff->worst = worse(diff->worst, STATUS_DAMAGED);
	diff->first = 0;
}

/* What is before its first segment was removed by retention, as far as it says. */
static bool lacks_nothing_before(const struct side *store)
{
	const struct wal_store_info *info = &store->stream.target.info;

	return !store->began && store->has_event &&
	       (!info->meta_valid || info->kept_from >= info->first_segment);
}

/* what: a static phrase, or NULL. */
static void add_row(struct diff *diff, enum finding finding, uint64_t id, const char *what)
{
	const struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];
	bool allowed = diff->prefix && ((finding == ONLY_IN_STORE && !copy->has_event &&
					 (!copy->began || id > copy->last)) ||
					(finding == ONLY_IN_COPY && lacks_nothing_before(store)));

	if (diff->first && finding == diff->finding && what == diff->what && id == diff->last + 1 &&
	    allowed == diff->allowed) {
		diff->last = id;
		return;
	}
	close_row(diff);
	diff->finding = finding;
	diff->first = diff->last = id;
	diff->what = what;
	diff->allowed = allowed;
}

void diff_note(struct diff *diff, const char *format, ...)
{
	char text[320];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	progress_clear(&diff->progress);
	if (diff->json)
		json_add(diff->notes, json_string(text));
	else if (!diff->quiet)
		printf("note: %s\n", text);
}

/* --- segments --------------------------------------------------------------------- */

/* What both say of a segment: that its bytes are the same, as far as their checksums go. */
static bool headers_agree(const struct wal_segment_info *a, const struct wal_segment_info *b)
{
	return a->index == b->index && a->state == WAL_SEALED && b->state == WAL_SEALED &&
	       !memcmp(a->log, b->log, sizeof(a->log)) && a->first_event == b->first_event &&
	       a->last_event == b->last_event && a->block_count == b->block_count &&
	       a->block_size == b->block_size && a->file_bytes == b->file_bytes &&
	       a->prev_chain == b->prev_chain && a->chain == b->chain &&
	       a->header_checksum == b->header_checksum;
}

/* The same events, and another file. NULL: nothing says so. */
static const char *other_bytes(const struct wal_segment_info *a, const struct wal_segment_info *b)
{
	if (a->index != b->index || a->first_event != b->first_event ||
	    a->last_event != b->last_event || headers_agree(a, b))
		return NULL;
	if (a->state != b->state)
		return "they are not in the same state";
	if (a->block_size != b->block_size)
		return "their blocks have other sizes";
	if (a->prev_chain != b->prev_chain)
		return "their chains begin with other checksums";
	if (a->state == WAL_SEALED && a->chain != b->chain)
		return "their blocks are other ones";
	if (a->sealed_by_recovery != b->sealed_by_recovery)
		return "one was sealed by recovery";
	if (a->header_checksum != b->header_checksum)
		return "their headers say other times or sizes";
	return NULL;
}

static void note_bytes(struct diff *diff)
{
	const struct wal_segment_info *a = diff->sides[STORE].stream.info;
	const struct wal_segment_info *b = diff->sides[COPY].stream.info;
	const char *why = a && b ? other_bytes(a, b) : NULL;

	if (why)
		diff_note(diff, "segment %" PRIu32 ": its bytes differ: %s (%s, %s)", a->index, why,
			  wal_state_name(a->state), wal_state_name(b->state));
}

static void count_done(struct diff *diff, const struct side *side)
{
	diff->done.segment = side->stream.info->index;
	diff->done.done_bytes += side->stream.info->file_bytes;
}

/* Goes to its next segment, if it is in none. */
static void enter(struct diff *diff, struct side *side)
{
	if (side->stream.info || !stream_next_segment(&side->stream))
		return;
	side->at_start = true;
	count_done(diff, side);
	if (!side->has_log && wal_segment_says_log(side->stream.info)) {
		memcpy(side->log, side->stream.info->log, sizeof(side->log));
		side->has_log = true;
	}
}

static void leave(struct side *side)
{
	side->stream.info = NULL; /* the next one closes it */
	side->at_start = false;
}

/* Both stand before equal segments: these are done. */
static bool skip_equal(struct diff *diff)
{
	struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];

	if (diff->full || !store->at_start || !copy->at_start ||
	    !headers_agree(store->stream.info, copy->stream.info))
		return false;
	diff->compared += store->stream.info->event_count;
	diff->skipped++;
	if (store->stream.info->event_count) {
		store->began = copy->began = true;
		store->last = copy->last = store->stream.info->last_event;
	}
	leave(store);
	leave(copy);
	return true;
}

/* --- events ----------------------------------------------------------------------- */

/* The next event of the segment that it is in; at the end of that it is in none. */
static void read_on(struct side *side)
{
	bool damaged;

	side->at_start = false;
	side->has_event = stream_next_event(&side->stream, &side->event, &damaged);
	if (!side->has_event)
		leave(side);
}

/* The next event, of whatever segment. Return: whether there is one. */
static bool fill(struct diff *diff, struct side *side)
{
	while (!side->has_event) {
		enter(diff, side);
		if (!side->stream.info)
			return false;
		read_on(side);
	}
	return true;
}

static void take(struct side *side)
{
	side->has_event = false;
	side->began = true;
	side->last = side->event.id;
}

static const char *difference(const struct wal_event *a, const struct wal_event *b)
{
	if (a->size != b->size || memcmp(a->payload, b->payload, a->size) != 0)
		return "payload";
	if (a->timestamp_ns != b->timestamp_ns)
		return "time";
	return a->flags != b->flags ? "flags" : NULL;
}

static void compare(struct diff *diff)
{
	struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];
	const char *what = difference(&store->event, &copy->event);

	if (what)
		add_row(diff, DIFFERS, store->event.id, what);
	diff->compared++;
	take(store);
	take(copy);
}

static void step(struct diff *diff, bool has_store, bool has_copy)
{
	struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];

	if (has_store && has_copy && store->event.id == copy->event.id) {
		compare(diff);
	} else if (has_store && (!has_copy || store->event.id < copy->event.id)) {
		add_row(diff, ONLY_IN_STORE, store->event.id, NULL);
		take(store);
	} else {
		add_row(diff, ONLY_IN_COPY, copy->event.id, NULL);
		take(copy);
	}
}

/* Where neither has an event at hand: do both begin a segment, and is it the same one? */
static bool pass_segment(struct diff *diff)
{
	struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];

	if (store->has_event || copy->has_event)
		return false;
	enter(diff, store);
	enter(diff, copy);
	if (!store->at_start || !copy->at_start)
		return false;
	if (skip_equal(diff))
		return true;
	note_bytes(diff);
	return false;
}

bool diff_walk(struct diff *diff)
{
	struct side *store = &diff->sides[STORE], *copy = &diff->sides[COPY];

	while (!interrupted() && !output_failed()) {
		bool has_store, has_copy;

		for (int i = 0; i < SIDES; i++)
			if (!diff->sides[i].has_event && !diff->sides[i].at_start &&
			    diff->sides[i].stream.info)
				read_on(&diff->sides[i]);
		if (pass_segment(diff))
			continue;
		has_store = fill(diff, store);
		has_copy = fill(diff, copy);
		if (!has_store && !has_copy) {
			close_row(diff);
			return true;
		}
		step(diff, has_store, has_copy);
		if (diff->compared % 4096 == 0)
			progress_update(&diff->progress, &diff->done);
	}
	close_row(diff);
	return false;
}
