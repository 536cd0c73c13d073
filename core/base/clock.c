/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t kernel_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t wal_clock_ns(void)
{
	return kernel_ns(CLOCK_MONOTONIC);
}

#if defined(__x86_64__)

#include <x86intrin.h>

/*
 * The rate is measured over this time: readings are 100 ns wrong, and it so to 1 in 100,000.
 * Not over a longer one: a machine can have slept meanwhile.
 */
#define MEASURED_MIN_NS UINT64_C(10000000)
#define MEASURED_MAX_NS UINT64_C(1000000000)
/* A rate that can be: 0.5 to 10 GHz. */
#define NS_A_TICK_MIN ((UINT64_C(1) << 32) / 10)
#define NS_A_TICK_MAX (UINT64_C(2) << 32)
/* A reading of the kernel's clock between these many ticks was not interrupted. */
#define TICKS_CLOSE 2000u

/* A moment by the counter and by the kernel. */
struct moment {
	uint64_t ticks;
	uint64_t ns; /* 0: not known */
};

static struct {
	uint64_t base_ns;	    /* there once ns_a_tick is */
	_Atomic uint64_t ns_a_tick; /* times 2^32; 0: not known, or the counter is not used */
} counter;

static uint64_t scale(uint64_t ticks, uint64_t ns_a_tick)
{
	return (uint64_t)((unsigned __int128)ticks * ns_a_tick >> 32);
}

/* Both clocks as of one moment, if nothing came between. */
static struct moment read_both(clockid_t clock)
{
	uint64_t before = __rdtsc();
	uint64_t ns = kernel_ns(clock);
	uint64_t between = __rdtsc() - before;

	return (struct moment){before + between / 2, between < TICKS_CLOSE ? ns : 0};
}

/* If the kernel does not trust the counter, or has a better clock, so do we. */
static bool kernel_tells_time_by_counter(void)
{
	FILE *file =
		fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	char name[16] = "";

	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strcmp(name, "tsc\n") == 0;
}

/* The rate is found once. */
static void use_counter(const struct moment *first, const struct moment *now)
{
	uint64_t ns_a_tick = (uint64_t)(((unsigned __int128)(now->ns - first->ns) << 32) /
					(now->ticks - first->ticks));

	if (ns_a_tick < NS_A_TICK_MIN || ns_a_tick > NS_A_TICK_MAX)
		return;
	counter.base_ns = now->ns - scale(now->ticks, ns_a_tick);
	atomic_store_explicit(&counter.ns_a_tick, ns_a_tick, memory_order_release);
}

/* Called whenever the rate is not known; one thread at a time is enough. */
static void measure(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static _Atomic enum { UNKNOWN, TRUSTED, NOT_TRUSTED } verdict;
	static struct moment first;
	struct moment now;

	if (verdict == NOT_TRUSTED || pthread_mutex_trylock(&lock))
		return;
	if (verdict == UNKNOWN)
		verdict = kernel_tells_time_by_counter() ? TRUSTED : NOT_TRUSTED;
	if (verdict == TRUSTED && atomic_load(&counter.ns_a_tick) == 0) {
		now = read_both(CLOCK_MONOTONIC);
		if (first.ns == 0 || now.ticks <= first.ticks ||
		    (now.ns && now.ns - first.ns > MEASURED_MAX_NS))
			first = now;
		else if (now.ns && now.ns - first.ns >= MEASURED_MIN_NS)
			use_counter(&first, &now);
	}
	pthread_mutex_unlock(&lock);
}

/* Return: false if the counter is not used, or its rate is not known yet. */
static bool read_counter(uint64_t *ns)
{
	uint64_t rate = atomic_load_explicit(&counter.ns_a_tick, memory_order_acquire);

	if (rate == 0)
		return false;
	*ns = counter.base_ns + scale(__rdtsc(), rate);
	return true;
}

static __attribute__((noinline)) uint64_t read_kernel(struct wal_clock_reading *reading)
{
	uint64_t rate = atomic_load_explicit(&counter.ns_a_tick, memory_order_acquire);
	struct moment now;

	if (rate == 0) {
		measure();
		return kernel_ns(CLOCK_REALTIME);
	}
	now = read_both(CLOCK_REALTIME);
	reading->quick_ns = counter.base_ns + scale(now.ticks, rate);
	reading->real_ns = now.ns;
	return now.ns ? now.ns : kernel_ns(CLOCK_REALTIME);
}

#else

static bool read_counter(uint64_t *ns)
{
	(void)ns;
	return false;
}

static uint64_t read_kernel(struct wal_clock_reading *reading)
{
	(void)reading;
	return kernel_ns(CLOCK_REALTIME);
}

#endif

uint64_t wal_clock_quick_ns(void)
{
	uint64_t ns;

	return read_counter(&ns) ? ns : wal_clock_ns();
}

uint64_t wal_clock_realtime_ns(void)
{
	static _Thread_local struct wal_clock_reading reading;
	uint64_t quick_ns, real_ns;

	if (read_counter(&quick_ns) && wal_clock_carry_on(&reading, quick_ns, &real_ns))
		return real_ns;
	return read_kernel(&reading);
}
