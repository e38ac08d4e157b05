/* What a trace that begins in the middle has not seen: a ring that is open already, or a process that shares the table
 * (and is not traced), or a thread that has one of its own. Waits for a line; then a number is one file's after the
 * other, without a call of this process that tells of it where that can be, and in the end nobody's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include "ring.h"

static const char *const files[] = {"first", "second", "third", NULL};
static char stack[1 << 16] __attribute__((aligned(16)));
static int number = 30;
static int to_child[2], to_parent[2];
static struct ring ring;
static pthread_barrier_t turn;

static void use(int i)
{
	if (files[i])
		MUST(pwrite(number, "x", 1, 0));
	else
		FAILS(EBADF, pwrite(number, "x", 1, 0));
}

static void wait_for_line(void)
{
	char line[8];

	puts("ready");
	fflush(stdout);
	MUST(fgets(line, sizeof(line), stdin) ? 0 : -1);
}

static void by_ring(void)
{
	open_as(number, files[0]);
	ring_open(&ring);
	wait_for_line();
	use(0);
	for (int i = 1; i < 4; i++) {
		MUST(ring_close(&ring, number));
		if (files[i]) {
			/* The lowest free number is another one: fill up to it first. */
			int fd;

			while ((fd = MUST(ring_openat(&ring, files[i], O_CREAT | O_RDWR))) != number)
				;
		}
		use(i);
	}
}

static int change_for_parent(void *unused)
{
	char byte;

	(void)unused;
	for (int i = 1; i < 4; i++) {
		MUST(read(to_child[0], &byte, 1));
		if (files[i])
			open_as(number, files[i]);
		else
			MUST(close(number));
		MUST(write(to_parent[1], "x", 1));
	}
	return 0;
}

static void by_process(void)
{
	char byte;
	int pid;

	MUST(pipe(to_child));
	MUST(pipe(to_parent));
	open_as(number, files[0]);
	pid = MUST(clone(change_for_parent, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));
	wait_for_line();
	use(0);
	for (int i = 1; i < 4; i++) {
		MUST(write(to_child[1], "x", 1));
		MUST(read(to_parent[0], &byte, 1));
		use(i);
	}
	reap(pid);
}

/* What was told of a number above 1023 is remembered elsewhere, where both processes find it. */
static void by_process_with_a_high_number(void)
{
	const struct rlimit limit = {4096, 4096};

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	number = 3000;
	by_process();
}

/* The other table holds other files under the number, at the times between. */
static void *in_own_table(void *unused)
{
	(void)unused;
	MUST(unshare(CLONE_FILES));
	for (int i = 0; i < 4; i++) {
		pthread_barrier_wait(&turn);
		open_as(number, "elsewhere");
		MUST(write(number, "x", 1));
		pthread_barrier_wait(&turn);
	}
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	pthread_barrier_init(&turn, NULL, 2);
	open_as(number, files[0]);
	pthread_create(&thread, NULL, in_own_table, NULL);
	wait_for_line();
	for (int i = 0; i < 4; i++) {
		if (i && files[i])
			open_as(number, files[i]);
		else if (i)
			MUST(close(number));
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
		use(i);
	}
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "ring") == 0)
		by_ring();
	else if (argc > 1 && strcmp(argv[1], "process") == 0)
		by_process();
	else if (argc > 1 && strcmp(argv[1], "process-high") == 0)
		by_process_with_a_high_number();
	else
		by_thread();
	return 0;
}
