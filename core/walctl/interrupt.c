/* SPDX-License-Identifier: MIT */
/* A first SIGINT or SIGTERM asks for an end in order; the second ends the program at once. */
#include <signal.h>

#include "walctl.h"

static volatile sig_atomic_t came;

static void on_interrupt(int number)
{
	(void)number;
	came = 1;
}

/* One that is ignored stays so. */
static void catch_one(int number)
{
	const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
	struct sigaction before;

	if (!sigaction(number, NULL, &before) && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void interrupt_catch(void)
{
	catch_one(SIGINT);
	catch_one(SIGTERM);
}

bool interrupted(void)
{
	return came;
}
