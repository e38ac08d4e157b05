/* Ends a program whose case did not happen: a comparison must not pass because there was nothing to compare. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static inline long must(long result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(70);
}

static inline void fails(long result, int code, const char *what)
{
	if (result < 0 && errno == code)
		return;
	fprintf(stderr, "%s = %ld (%s), not %s\n", what, result, strerror(errno), strerror(code));
	exit(71);
}

/* The call must succeed; its value is the result. */
#define MUST(call) must((long)(call), #call)
/* The call must fail with this errno. */
#define FAILS(code, call) fails((long)(call), code, #call)

/* Waits for a child that must end with status 0. */
static inline void reap(int pid)
{
	int status = -1;

	MUST(waitpid(pid, &status, 0));
	if (status != 0) {
		fprintf(stderr, "child ended with wait status %#x\n", status);
		exit(72);
	}
}

/* Gives a number to a file, which is made if it is not there. */
static inline void open_as(int number, const char *path)
{
	int fd = MUST(open(path, O_CREAT | O_RDWR, 0600));

	MUST(dup2(fd, number));
	MUST(close(fd));
}

#endif
