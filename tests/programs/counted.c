// Makes exactly as many getppid calls as it is told: a number a line on stdin, `done` on stdout after each. With an
// argument, so many threads, which live as long as it does, make as many calls each.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long calls;
static pthread_barrier_t begin, end;

static void make_calls(void)
{
	for (unsigned long made = 0; made < calls; made++)
		syscall(SYS_getppid);
}

static void *whenever_told(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_barrier_wait(&begin);
		make_calls();
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void start(int threads)
{
	pthread_barrier_init(&begin, NULL, threads + 1);
	pthread_barrier_init(&end, NULL, threads + 1);
	for (int n = 0; n < threads; n++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, whenever_told, NULL))
			exit(1);
	}
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 0;
	char line[32];
	start(threads);
	while (fgets(line, sizeof(line), stdin)) {
		calls = 0;
		sscanf(line, "%lu", &calls);
		if (threads) {
			pthread_barrier_wait(&begin);
			pthread_barrier_wait(&end);
		} else {
			make_calls();
		}
		puts("done");
		fflush(stdout);
	}
	return 0;
}
