/* A thread has a table of its own, and another process shares the others': the table has as many users as the process
 * has threads. Waits for a line; then a number is one file's after the other by the other process's doing.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30

static char stack[1 << 16] __attribute__((aligned(16)));
static int to_child[2], to_parent[2];
static pthread_barrier_t turn;

static void *leave(void *unused)
{
	MUST(unshare(CLONE_FILES | CLONE_FS));
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	return unused;
}

static int change_for_parent(void *unused)
{
	char byte;

	(void)unused;
	MUST(read(to_child[0], &byte, 1));
	open_as(NUMBER, "second");
	MUST(write(to_parent[1], "x", 1));
	_exit(0);
}

int main(void)
{
	pthread_t thread;
	char byte;

	open_as(NUMBER, "first");
	MUST(pipe(to_child));
	MUST(pipe(to_parent));
	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&thread, NULL, leave, NULL);
	pthread_barrier_wait(&turn);
	pid_t child = MUST(clone(change_for_parent, stack + sizeof(stack), CLONE_FILES | CLONE_FS | CLONE_VM | SIGCHLD, NULL));

	puts("ready");
	fflush(stdout);
	MUST(read(0, &byte, 1));
	MUST(pwrite(NUMBER, "x", 1, 0));
	MUST(write(to_child[1], "x", 1));
	MUST(read(to_parent[0], &byte, 1));
	MUST(pwrite(NUMBER, "x", 1, 0));
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	MUST(waitpid(child, NULL, 0));
	return 0;
}
