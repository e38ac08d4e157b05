/* Threads that read, open, close and replace the same few numbers without asking each other. After each open, and each
 * read that got something, its thread says what: `lseek` to N on a number of its own is one of the file "N", whose
 * contents are N.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include "check.h"

#define THREADS 4
#define ROUNDS 60000
#define FILES 8

enum { FIRST = 20, NUMBERS = 5, BEHIND = FIRST + NUMBERS, OWN = 100 };

static unsigned int next_random(unsigned int *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8 & 0xffff;
}

static int open_one(unsigned int which, int own)
{
	char name[2] = {'0' + which % FILES, 0};
	int fd = MUST(open(name, O_RDONLY));

	MUST(lseek(own, which % FILES, SEEK_SET));
	return fd;
}

/* Numbers behind the few are nobody's: the lowest free one is among those, mostly. */
static void keep_if_among(int fd)
{
	if (fd >= BEHIND)
		MUST(close(fd));
}

static void read_from(int fd, int own)
{
	char byte;

	if (pread(fd, &byte, 1, 0) == 1)
		MUST(lseek(own, byte, SEEK_SET));
}

static void replace_by_open(int fd, unsigned int which, int own)
{
	int file = open_one(which, own);

	dup2(file, fd); /* it may be another's by now, or closed */
	close(file);
}

static void change(int fd, unsigned int which, int own)
{
	switch (which % 8) {
	case 0:
	case 1:
		keep_if_among(open_one(which >> 3, own));
		break;
	case 2:
		replace_by_open(fd, which >> 3, own);
		break;
	case 3:
		dup3(fd, FIRST + (which >> 3) % NUMBERS, O_CLOEXEC);
		break;
	case 5:
		syscall(SYS_close_range, fd > FIRST ? fd - 1 : fd, fd, 0);
		break;
	case 4:
		keep_if_among(fcntl(fd, F_DUPFD, FIRST));
		break;
	default:
		close(fd);
	}
}

static void *contend(void *number)
{
	int own = (int)(OWN + (uintptr_t)number);
	unsigned int state = (uintptr_t)number * 7919 + 1;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = FIRST + next_random(&state) % NUMBERS;

		if (next_random(&state) % 10 < 7)
			read_from(fd, own);
		else
			change(fd, next_random(&state), own);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (char i = 0; i < FILES; i++) {
		char name[2] = {'0' + i, 0};
		int fd = MUST(open(name, O_CREAT | O_RDWR, 0600));

		MUST(write(fd, &i, 1));
		MUST(close(fd));
	}
	for (int fd = STDERR_FILENO + 1; fd < FIRST; fd++)
		MUST(dup2(STDERR_FILENO, fd));
	for (int i = 0; i < THREADS; i++)
		open_as(OWN + i, "0");
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, contend, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
