/* A thread called `seen` uses a number, another one gives it to one file after the other, and then closes it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30

static pthread_barrier_t turn;

static void wait_for_turn(void)
{
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
}

static void *use(void *unused)
{
	(void)unused;
	prctl(PR_SET_NAME, "seen");
	for (int i = 0; i < 3; i++) {
		wait_for_turn();
		MUST(pwrite(NUMBER, "x", 1, 0));
	}
	wait_for_turn();
	FAILS(EBADF, pwrite(NUMBER, "x", 1, 0));
	return NULL;
}

int main(void)
{
	static const char *const files[] = {"first", "second", "third", NULL};
	pthread_t thread;

	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&thread, NULL, use, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_barrier_wait(&turn);
		MUST(close(NUMBER) < 0 && i ? -1 : 0);
		if (files[i])
			open_as(NUMBER, files[i]);
		pthread_barrier_wait(&turn);
	}
	pthread_join(thread, NULL);
	return 0;
}
