/* Copies of descriptors: dup, dup2 (onto an open one, onto itself, out of nothing), dup3, F_DUPFD; and the mark that
 * closes on exec, set and cleared by fcntl and ioctl. Run again with an argument, it looks at what was left open.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static void copies(int a, int b)
{
	struct stat status;
	int c = MUST(dup(a));

	MUST(write(c, "c", 1));
	MUST(dup2(b, c));
	MUST(write(c, "b", 1));
	MUST(dup2(c, c));
	MUST(write(c, "b", 1));
	MUST(dup3(a, 40, 0));
	MUST(fstat(40, &status));
	FAILS(EINVAL, dup3(a, a, 0));
	FAILS(EBADF, dup2(999, a));
	FAILS(EBADF, dup2(a, -1));
	FAILS(EBADF, dup(-1));
	MUST(write(a, "still a", 7));
	MUST(close(c));
	FAILS(EBADF, close(c));
	FAILS(EBADF, write(c, "gone", 4));
	/* The number comes back as another file. */
	MUST(open("third", O_CREAT | O_RDWR, 0600));
	MUST(write(c, "new", 3));
}

static void by_fcntl(int a)
{
	int d = MUST(fcntl(a, F_DUPFD, 50));

	MUST(write(d, "d", 1));
	MUST(fcntl(d, F_DUPFD_CLOEXEC, 60));
	MUST(fcntl(60, F_GETFD));
	MUST(fcntl(60, F_GETFL));
	FAILS(EBADF, fcntl(999, F_DUPFD, 0));
	FAILS(EINVAL, fcntl(a, F_DUPFD, -1));
	FAILS(EBADF, fcntl(999, F_SETFD, FD_CLOEXEC));
}

static void over_the_limit(int a)
{
	struct rlimit limit, low = {.rlim_cur = 4, .rlim_max = RLIM_INFINITY};

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	low.rlim_max = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &low));
	FAILS(EMFILE, dup(a));
	FAILS(EMFILE, open("first", O_RDONLY));
	FAILS(EMFILE, open("no-such", O_RDONLY));
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
}

static void marks(int a, int b)
{
	MUST(dup2(a, 70));
	MUST(fcntl(70, F_SETFD, FD_CLOEXEC)); /* gone after exec */
	MUST(dup2(a, 71));
	MUST(fcntl(71, F_SETFD, FD_CLOEXEC));
	MUST(fcntl(71, F_SETFD, 0)); /* stays */
	MUST(dup2(b, 72));
	MUST(ioctl(72, FIOCLEX)); /* gone */
	MUST(dup3(b, 73, O_CLOEXEC));
	MUST(ioctl(73, FIONCLEX)); /* stays */
	MUST(dup3(b, 74, O_CLOEXEC));
	MUST(dup(74)); /* a copy does not inherit the mark: stays, lowest free number */
}

static int after_exec(void)
{
	char byte;
	struct stat status;

	for (int fd = 3; fd < 80; fd++)
		fstat(fd, &status);
	FAILS(EBADF, read(70, &byte, 1));
	MUST(pread(71, &byte, 1, 0));
	FAILS(EBADF, ioctl(72, FIONCLEX));
	MUST(pread(73, &byte, 1, 0));
	FAILS(EBADF, fcntl(74, F_GETFD));
	return 0;
}

int main(int argc, char **argv)
{
	char *const again[] = {argv[0], "again", NULL};
	int a, b;

	if (argc > 1)
		return after_exec();
	a = MUST(open("first", O_CREAT | O_RDWR | O_TRUNC, 0600));
	b = MUST(open("second", O_CREAT | O_RDWR | O_TRUNC, 0600));
	copies(a, b);
	by_fcntl(a);
	over_the_limit(a);
	marks(a, b);
	MUST(execv("/proc/self/exe", again));
	return 1;
}
