/* A storm of children that live for a moment: some do nothing, some leave files open, some leave a grandchild that
 * nobody waits for, and some are killed. All inherit a descriptor table with holes in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include "check.h"

#define CHILDREN 120

static void touch(int number)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "child-%d", number);
	fd = MUST(open(name, O_CREAT | O_WRONLY, 0600));
	MUST(write(fd, "x", 1));
	/* Left open: its end closes it without a close. */
}

_Noreturn static void orphan(int number, int gone)
{
	if (MUST(fork()) != 0)
		_exit(0);
	touch(number);
	MUST(write(gone, "o", 1));
	_exit(0);
}

static void child(int number, int inherited, int gone)
{
	switch (number % 4) {
	case 0:
		_exit(0);
	case 1:
		touch(number);
		_exit(0);
	case 2:
		orphan(number, gone);
	default:
		MUST(dup(inherited));
		MUST(close(inherited));
		raise(SIGKILL);
	}
}

int main(void)
{
	int inherited = MUST(open("/dev/null", O_WRONLY));
	int ends[2];
	char byte;

	MUST(pipe(ends));
	for (int i = 0; i < CHILDREN; i++)
		if (MUST(fork()) == 0)
			child(i, inherited, ends[1]);
	while (wait(NULL) > 0)
		;
	MUST(close(ends[1]));
	/* The orphans are waited for, too: they hold the other end. */
	while (MUST(read(ends[0], &byte, 1)) == 1)
		;
	return 0;
}
