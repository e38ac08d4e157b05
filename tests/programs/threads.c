/* Threads that work on files of their own at the same time: more of them than cores, all in one descriptor table and
 * one working directory, so that numbers closed by one are at once given out to another.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define THREADS 6
#define ROUNDS 25

static void one_file(int dir, const char *name)
{
	char text[64];
	struct stat status;
	int fd = MUST(openat(dir, name, O_CREAT | O_RDWR | O_TRUNC, 0644));

	MUST(write(fd, name, strlen(name)));
	MUST(pread(fd, text, sizeof(text), 0));
	MUST(fstat(fd, &status));
	MUST(stat(name, &status));
	MUST(close(fd));
	MUST(unlinkat(dir, name, 0));
}

static void *work(void *number)
{
	char name[32];
	int dir = MUST(open(".", O_RDONLY | O_DIRECTORY));

	snprintf(name, sizeof(name), "worker-%ld", (long)number);
	pthread_setname_np(pthread_self(), name);
	for (int round = 0; round < ROUNDS; round++) {
		snprintf(name, sizeof(name), "file-%ld-%d", (long)number, round);
		one_file(dir, name);
	}
	MUST(close(dir));
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
