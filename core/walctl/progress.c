/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "walctl.h"

#define REDRAW_SECONDS 0.1
#define BAR_MAX 40

void progress_start(struct progress *progress, bool wanted)
{
	memset(progress, 0, sizeof(*progress));
	progress->wanted = wanted && isatty(STDERR_FILENO);
	progress->started = seconds_now();
	progress->updated = progress->started; /* short work shows no bar */
}

/* What the words leave of the line. */
static int bar_width(int words)
{
	struct winsize window = {0};
	int columns = 80;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &window) && window.ws_col)
		columns = window.ws_col;
	columns -= words + 1;
	return columns > BAR_MAX ? BAR_MAX : columns;
}

static void draw(double part, const char *words)
{
	int width = bar_width((int)strlen(words) + (int)sizeof("[] 100 %  ") - 1);
	int done = (int)(part * width);

	fputs("\r\033[K", stderr);
	if (width > 0) {
		fputc('[', stderr);
		for (int i = 0; i < width; i++)
			fputc(i < done ? '#' : '-', stderr);
		fputs("] ", stderr);
	}
	fprintf(stderr, "%3d %%", (int)(part * 100));
	if (width > 0) /* else the line is too short for them */
		fprintf(stderr, "  %s", words);
	fflush(stderr);
}

void progress_update(struct progress *progress, const struct wal_verify_progress *now)
{
	double clock = seconds_now();
	double elapsed = clock - progress->started;
	char rate[SIZE_TEXT], words[80];
	double part;

	if (!progress->wanted || clock - progress->updated < REDRAW_SECONDS || !now->total_bytes)
		return;
	part = (double)now->done_bytes / (double)now->total_bytes;
	if (part > 1)
		part = 1;
	format_size((double)now->done_bytes / elapsed, rate);
	snprintf(words, sizeof(words), "segment %" PRIu32 "  %s/s  %.0f s left", now->segment, rate,
		 part > 0 ? elapsed / part - elapsed : 0.0);
	draw(part, words);
	progress->updated = clock;
	progress->shown = true;
}

void progress_clear(struct progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
