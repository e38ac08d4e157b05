// The load of bench_live.py: system calls at a steady rate, and what they took.
//
//     paced_load KIND CALLS_PER_SECOND SECONDS THREADS FOLDER FILES REPORT
//     paced_load exec REPORT COMMAND...
//
// KIND      `rw` reads a byte of /dev/zero and writes one to /dev/null, as dd bs=1 does (2 calls a step); `files` opens,
//           stats and closes the FILES files f0, f1, ... of FOLDER in turn (3 calls a step).
// CALLS_PER_SECOND  of all threads together; 0: as fast as they go. The calls come in bursts: every tick (a millisecond,
//           or the time of one step if that is longer) as many as are due, then a sleep up to the next tick. A load
//           that is behind doesn't sleep, so it catches up if it can; what it reached is in the report.
// REPORT    gets one line of JSON: `calls`, `busy_ns` (the time of the bursts, all threads; the sleeps left out),
//           `typical_ns` (per call: half of the calls were in bursts that were faster), `wall_ns`, and of the process that started this one, the tracer: its number, and the CPU time it had used
//           when the load began and when it ended. Of `exec`, which becomes another program, only the tracer and the first of these.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 1000000ULL
#define BURST_STEPS 256 // at most, between two looks at the clock

static int step_calls, zero_fd, null_fd, files;
static char (*paths)[32];
static uint64_t end_ns;
static double calls_per_ns; // of one thread; 0: no pauses

#define MOST_NS (1 << 18) // that a call of a burst takes, for the median; what is slower counts as this

struct result {
	uint64_t calls, busy_ns;
	uint32_t *calls_by_ns; // calls that were in bursts of so many ns per call
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	if (clock_gettime(clock, &now))
		die("clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec then = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

static void read_and_write(uint64_t steps)
{
	char byte = 0;
	for (; steps; steps--)
		if (read(zero_fd, &byte, 1) != 1 || write(null_fd, &byte, 1) != 1)
			die("read or write");
}

static void visit_files(uint64_t steps, uint64_t *next)
{
	struct stat status;
	for (; steps; steps--) {
		const char *path = paths[(*next)++ % (uint64_t)files];
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstatat(AT_FDCWD, path, &status, 0) || close(fd))
			die(path);
	}
}

static void run_burst(struct result *result, uint64_t steps, uint64_t *next_file)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC), calls = steps * (uint64_t)step_calls;
	if (step_calls == 2)
		read_and_write(steps);
	else
		visit_files(steps, next_file);
	uint64_t took_ns = now_ns(CLOCK_MONOTONIC) - begin, call_ns = took_ns / calls;
	result->busy_ns += took_ns;
	result->calls_by_ns[call_ns < MOST_NS ? call_ns : MOST_NS - 1] += (uint32_t)calls;
	result->calls += calls;
}

static void *run_thread(void *argument)
{
	struct result *result = argument;
	uint64_t start = now_ns(CLOCK_MONOTONIC), tick = start, steps = 0, next_file = 0;
	double step_ns = calls_per_ns > 0 ? step_calls / calls_per_ns : 0;
	uint64_t tick_ns = step_ns > TICK_NS ? (uint64_t)step_ns : TICK_NS;
	while (tick < end_ns) {
		uint64_t due = step_ns > 0 ? (uint64_t)((double)(tick - start) / step_ns) + 1 : UINT64_MAX;
		due = due < steps + BURST_STEPS ? due : steps + BURST_STEPS;
		int is_early = due <= steps; // a tick that is no multiple of a step, within one that has been made
		if (!is_early) {
			run_burst(result, due - steps, &next_file);
			tick = now_ns(CLOCK_MONOTONIC);
			steps = due;
		}
		if (is_early || (step_ns > 0 && (double)(tick - start) < (double)steps * step_ns)) {
			tick = start + ((tick - start) / tick_ns + 1) * tick_ns;
			sleep_until(tick);
		}
	}
	return NULL;
}

static uint64_t median_ns(const struct result *results, int threads, uint64_t calls)
{
	uint64_t ns, below = 0;
	for (ns = 0; ns < MOST_NS && below * 2 < calls; ns++)
		for (int i = 0; i < threads; i++)
			below += results[i].calls_by_ns[ns];
	return ns ? ns - 1 : 0;
}

static void become(char **argv, clockid_t tracers_cpu)
{
	FILE *report = fopen(argv[2], "w");
	if (report == NULL)
		die(argv[2]);
	fprintf(report, "{\"tracer\": %d, \"cpu_begin_ns\": %lu}\n", getppid(), now_ns(tracers_cpu));
	fclose(report);
	execv(argv[3], argv + 3);
	die(argv[3]);
}

int main(int argc, char **argv)
{
	clockid_t tracers_cpu = (clockid_t)((~(unsigned)getppid() << 3) | 2); // as clock_getcpuclockid(3) makes it
	if (argc > 3 && !strcmp(argv[1], "exec"))
		become(argv, tracers_cpu);
	if (argc != 8 || atoi(argv[4]) < 1 || atoi(argv[4]) > 64 || chdir(argv[5]))
		return 2;
	int threads = atoi(argv[4]);
	pthread_t ids[64];
	struct result results[64] = {0}, sum = {0};
	step_calls = strcmp(argv[1], "files") ? 2 : 3;
	calls_per_ns = atof(argv[2]) / 1e9 / threads;
	files = atoi(argv[6]);
	paths = calloc((size_t)files, sizeof(*paths));
	zero_fd = open("/dev/zero", O_RDONLY);
	null_fd = open("/dev/null", O_WRONLY);
	if (paths == NULL || zero_fd < 0 || null_fd < 0)
		die("the load can't start");
	for (int i = 0; i < threads; i++)
		if ((results[i].calls_by_ns = calloc(MOST_NS, sizeof(uint32_t))) == NULL)
			die("the load can't start");
	for (int i = 0; i < files; i++)
		snprintf(paths[i], sizeof(*paths), "f%d", i);

	uint64_t cpu_begin = now_ns(tracers_cpu), begin = now_ns(CLOCK_MONOTONIC);
	end_ns = begin + (uint64_t)(atof(argv[3]) * 1e9);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&ids[i], NULL, run_thread, &results[i]))
			die("pthread_create");
	run_thread(&results[0]);
	for (int i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	uint64_t wall = now_ns(CLOCK_MONOTONIC) - begin, cpu_end = now_ns(tracers_cpu);
	for (int i = 0; i < threads; i++) {
		sum.calls += results[i].calls;
		sum.busy_ns += results[i].busy_ns;
	}
	FILE *report = fopen(argv[7], "w");
	if (report == NULL)
		die(argv[7]);
	fprintf(report, "{\"calls\": %lu, \"busy_ns\": %lu, \"typical_ns\": %lu, \"wall_ns\": %lu, ", sum.calls,
		sum.busy_ns, median_ns(results, threads, sum.calls), wall);
	fprintf(report, "\"tracer\": %d, \"cpu_begin_ns\": %lu, \"cpu_end_ns\": %lu}\n", getppid(), cpu_begin, cpu_end);
	return fclose(report) ? 1 : 0;
}
