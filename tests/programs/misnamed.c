/* A thread makes a call. At the first line it is renamed by another one, which then has made more calls than a small
 * ring holds; at the second line it makes many calls, with pauses.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "check.h"

static pthread_barrier_t turn;
static volatile int number;

static void *called(void *unused)
{
	prctl(PR_SET_NAME, "before");
	number = gettid();
	pthread_barrier_wait(&turn);
	syscall(SYS_getppid);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	for (int i = 0; i < 500; i++) {
		syscall(SYS_getppid);
		usleep(1000);
	}
	return unused;
}

static void wait_for_line(void)
{
	char byte;

	MUST(read(0, &byte, 1) == 1 ? 0 : -1);
}

int main(void)
{
	char path[64];
	pthread_t thread;

	pthread_barrier_init(&turn, NULL, 2);
	MUST(-pthread_create(&thread, NULL, called, NULL));
	MUST(dprintf(1, "ready\n"));
	wait_for_line();
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	MUST(dprintf(1, "called\n"));
	wait_for_line();
	for (int i = 0; i < 20000; i++)
		syscall(SYS_getppid);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", number);
	int comm = MUST(open(path, O_WRONLY));

	MUST(write(comm, "after", 5));
	MUST(dprintf(1, "renamed\n"));
	wait_for_line();
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	return 0;
}
