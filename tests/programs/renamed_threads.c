/* Threads that were there before the trace: each makes a call, takes another name, makes another call and is gone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "check.h"

#define THREADS 8

static pthread_barrier_t turn;
static int fd;

static void *work(void *argument)
{
	char name[16];
	long number = (long)argument;

	snprintf(name, sizeof(name), "first-%ld", number);
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	MUST(pwrite(fd, "x", 1, number));
	snprintf(name, sizeof(name), "second-%ld", number);
	prctl(PR_SET_NAME, name);
	MUST(pwrite(fd, "x", 1, number + THREADS));
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	char byte;

	fd = MUST(open("file", O_CREAT | O_RDWR, 0600));
	pthread_barrier_init(&turn, NULL, THREADS + 1);
	for (long number = 0; number < THREADS; number++)
		pthread_create(&threads[number], NULL, work, (void *)number);
	pthread_barrier_wait(&turn);
	puts("ready");
	fflush(stdout);
	MUST(read(0, &byte, 1));
	pthread_barrier_wait(&turn);
	for (int number = 0; number < THREADS; number++)
		pthread_join(threads[number], NULL);
	return 0;
}
