/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"

#include <stdarg.h>
#include <stdio.h>

int wal_error_set(struct wal_error *error, int code, const char *format, ...)
{
	va_list args;

	if (!error)
		return code;
	error->code = code;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return code;
}
