/* Descriptors above 1023: used again, renamed, unlinked, closed and opened anew, in a child that closes its own, and
 * after exec.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define FIRST 1020
#define LAST 1030
#define FAR 3000

static void use(int fd)
{
	struct stat status;
	char byte;

	MUST(write(fd, "x", 1));
	MUST(pread(fd, &byte, 1, 0));
	MUST(fstat(fd, &status));
}

static void open_and_use(int number, const char *path)
{
	open_as(number, path);
	use(number);
}

static void across_the_border(void)
{
	char path[32], other[32];

	for (int fd = FIRST; fd <= LAST; fd++) {
		snprintf(path, sizeof(path), "file-%d", fd);
		open_and_use(fd, path);
	}
	for (int fd = FIRST; fd <= LAST; fd++) {
		snprintf(path, sizeof(path), "file-%d", fd);
		snprintf(other, sizeof(other), "renamed-%d", fd);
		MUST(rename(path, other));
		use(fd);
		if (fd % 2)
			continue;
		MUST(unlink(other));
		use(fd);
		MUST(close(fd));
		FAILS(EBADF, write(fd, "x", 1));
		open_and_use(fd, path);
	}
}

static void in_a_child(void)
{
	int pid;

	open_and_use(FAR, "far");
	pid = MUST(fork());
	if (pid == 0) {
		use(FAR);
		MUST(close(FAR));
		open_and_use(FAR, "of the child");
		_exit(0);
	}
	reap(pid);
	use(FAR);
}

static int after_exec(void)
{
	use(FAR);
	use(LAST);
	FAILS(EBADF, write(FIRST, "x", 1));
	return 0;
}

int main(int argc, char **argv)
{
	char *const again[] = {argv[0], "again", NULL};
	struct rlimit limit = {FAR + 1, FAR + 1};

	if (argc > 1)
		return after_exec();
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	across_the_border();
	in_a_child();
	MUST(fcntl(FIRST, F_SETFD, FD_CLOEXEC));
	MUST(execv("/proc/self/exe", again));
	return 1;
}
