/* Uses a number that a task which is not traced makes an event's, a timer's, an event's again and so on: files without a
 * directory, whose names are as long, and whose structures the kernel takes from where those of the last one were.
 *
 * That is another process with the same table, which is there already when a line is waited for, or a thread of another
 * name.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "check.h"

#define TURNS 20
#define UNTIL_FREED_US 50000 /* the kernel gives a dentry back some time after it was closed (RCU) */

static char stack[1 << 16] __attribute__((aligned(16)));
static int to_other[2], to_user[2], number;

static void stay_on_one_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
}

static int change(void *unused)
{
	char byte;

	(void)unused;
	prctl(PR_SET_NAME, "other");
	stay_on_one_processor();
	for (int turn = 1; turn < TURNS; turn++) {
		MUST(read(to_other[0], &byte, 1));
		MUST(close(number));
		usleep(UNTIL_FREED_US);
		int fd = MUST(turn % 2 ? timerfd_create(CLOCK_MONOTONIC, 0) : eventfd(0, 0));

		MUST(fd == number ? 0 : -1);
		MUST(write(to_user[1], "x", 1));
	}
	return 0;
}

static void *change_as_thread(void *unused)
{
	change(unused);
	return NULL;
}

static void use(void)
{
	char bytes[8];

	for (int turn = 0; turn < TURNS; turn++) {
		if (turn) {
			MUST(write(to_other[1], "x", 1));
			MUST(read(to_user[0], bytes, 1));
		}
		FAILS(ESPIPE, pread(number, bytes, sizeof(bytes), turn));
	}
}

static void with_a_process(void)
{
	char line[8];
	int pid = MUST(clone(change, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));

	puts("ready");
	fflush(stdout);
	MUST(fgets(line, sizeof(line), stdin) ? 0 : -1);
	use();
	reap(pid);
}

static void with_a_thread(void)
{
	pthread_t thread;

	prctl(PR_SET_NAME, "seen");
	MUST(-pthread_create(&thread, NULL, change_as_thread, NULL));
	use();
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	stay_on_one_processor();
	MUST(pipe(to_other));
	MUST(pipe(to_user));
	number = MUST(eventfd(0, 0));
	if (argc > 1 && strcmp(argv[1], "process") == 0)
		with_a_process();
	else
		with_a_thread();
	return 0;
}
