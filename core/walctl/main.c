/* SPDX-License-Identifier: MIT */
/* walctl: what can be done with a log besides mounting it. */
#include <getopt.h>
#include <locale.h>
#include <string.h>

#include "walctl.h"

/* clang-format off */
static const struct command *const commands[] = {
	&command_verify,
	&command_cat,
	&command_follow,
	&command_info,
	&command_ls,
	&command_rotate,
	&command_status,
	&command_diff,
	&command_backup,
};
/* clang-format on */

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void put_overview(FILE *stream)
{
	fputs("usage: walctl COMMAND [OPTIONS] PATH...\n"
	      "       walctl help [COMMAND]\n"
	      "       walctl -h | --help | -V | --version\n"
	      "\n"
	      "A PATH is a segment file (0000000017.wal, also a copy of one), a store's\n"
	      "directory, or the directory on which walfs has mounted a store. Nothing is\n"
	      "ever changed but by rotate, and a store may be in use meanwhile.\n"
	      "\n"
	      "commands:\n",
	      stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "exit status: 0 sound, 1 damaged, 2 could not look (wrong usage, no such file,\n"
	      "no permission, interrupted).\n",
	      stream);
}

static enum status unknown_command(const char *name)
{
	complain(name, "no such command; 'walctl help' lists them");
	return STATUS_TROUBLE;
}

/* walctl help [COMMAND] */
static enum status help(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		put_overview(stdout);
		return STATUS_SOUND;
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	fputs(command->help, stdout);
	return STATUS_SOUND;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			return true;
	return false;
}

static enum status run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		put_overview(stderr);
		return STATUS_TROUBLE;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("walctl " WAL_VERSION);
		return STATUS_SOUND;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	if (asks_for_help(argc - 1, argv + 1)) {
		fputs(command->help, stdout);
		return STATUS_SOUND;
	}
	opterr = 0;
	return command->run(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, ""); /* which characters a terminal can show */
	return finish_output(run(argc, argv));
}
