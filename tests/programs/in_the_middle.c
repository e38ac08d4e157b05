/* A process that has lived for a while when somebody attaches: files open (some renamed, unlinked, above 1023, on
 * numbers that others had), threads in the middle of calls, a working directory that is not the first one. Says that
 * it is ready, waits for a line, and works on with all of it. Its first call from then on is getcwd.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define FILES 12
#define HIGH 1500
#define THREADS 3

static int wake[THREADS][2], files[FILES], dir, high;

static void use(int fd)
{
	struct stat status;
	char byte;

	MUST(write(fd, "x", 1));
	MUST(pread(fd, &byte, 1, 0));
	MUST(fstat(fd, &status));
}

/* Sleeps in a read when the trace begins, and goes on when the pipe is written to. */
static void *work(void *number)
{
	long self = (long)number;
	char byte, name[32];

	MUST(read(wake[self][0], &byte, 1));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "thread-%ld-%d", self, i % 3);
		MUST(close(MUST(openat(i % 2 ? dir : AT_FDCWD, name, O_CREAT | O_RDWR, 0600))));
		use(files[(self + i) % FILES]);
	}
	return NULL;
}

/* Sleeps in an open when the trace begins, and reads from what that gave it. */
static void *open_late(void *name)
{
	int fd = MUST(open(name, O_RDONLY));
	char byte;

	MUST(read(fd, &byte, 1));
	MUST(close(fd));
	return NULL;
}

static void open_all(void)
{
	struct rlimit limit;
	char name[32], other[32];

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = HIGH + 10;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	MUST(mkdir("before", 0700));
	MUST(chdir("before"));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		snprintf(other, sizeof(other), "renamed-%d", i);
		files[i] = MUST(open(name, O_CREAT | O_RDWR, 0600));
		if (i % 3 == 1)
			MUST(rename(name, other));
		else if (i % 3 == 2)
			MUST(unlink(name));
	}
	dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
	high = MUST(fcntl(files[0], F_DUPFD, HIGH));
	MUST(rename("../before", "../moved"));
}

int main(void)
{
	char path[PATH_MAX], line[8];
	pthread_t threads[THREADS], late;
	struct stat status;
	int ends[2];

	open_all();
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	for (long i = 0; i < THREADS; i++) {
		MUST(pipe(wake[i]));
		pthread_create(&threads[i], NULL, work, (void *)i);
	}
	MUST(mkfifo("fifo", 0600));
	pthread_create(&late, NULL, open_late, "fifo");
	puts("ready");
	fflush(stdout);
	MUST(fgets(line, sizeof(line), stdin) ? 0 : -1);
	MUST(getcwd(path, sizeof(path)) ? 0 : -1);
	MUST(stat("file-0", &status));
	MUST(write(ends[1], "s", 1));
	MUST(read(ends[0], line, 1));
	for (int i = 0; i < FILES; i++)
		use(files[i]);
	use(high);
	for (int i = 0; i < THREADS; i++)
		MUST(write(wake[i][1], "w", 1));
	int writer = MUST(open("fifo", O_WRONLY));
	MUST(write(writer, "w", 1));
	pthread_join(late, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	MUST(close(high));
	MUST(open("last", O_CREAT | O_RDWR, 0600));
	use(files[0]);
	return 0;
}
