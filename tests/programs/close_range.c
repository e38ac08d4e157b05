/* close_range: a range, one with holes, to the end of the numbers, with CLOSE_RANGE_CLOEXEC (which only marks: seen
 * after exec), and with CLOSE_RANGE_UNSHARE in a thread, which leaves the other threads their descriptors.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static long close_numbers(unsigned int first, unsigned int last, unsigned int flags)
{
	return syscall(SYS_close_range, first, last, flags);
}

static void fill(int from, int to)
{
	char name[16];

	for (int fd = from; fd <= to; fd++) {
		int opened;

		snprintf(name, sizeof(name), "file-%d", fd);
		opened = MUST(open(name, O_CREAT | O_RDWR, 0600));
		if (opened != fd) {
			MUST(dup2(opened, fd));
			MUST(close(opened));
		}
	}
}

static void probe(int from, int to)
{
	char byte;

	for (int fd = from; fd <= to; fd++)
		if (pread(fd, &byte, 1, 0) < 0 && errno != EBADF)
			exit(1);
}

static void *unshare_and_close(void *unused)
{
	(void)unused;
	MUST(close_numbers(20, 25, CLOSE_RANGE_UNSHARE));
	probe(18, 27);
	return NULL;
}

static int after_exec(void)
{
	probe(3, 32);
	MUST(write(26, "kept", 4));
	FAILS(EBADF, write(29, "marked", 6));
	return 0;
}

int main(int argc, char **argv)
{
	char *const again[] = {argv[0], "again", NULL};
	pthread_t thread;

	if (argc > 1)
		return after_exec();
	fill(20, 30);
	MUST(close_numbers(21, 23, 0));
	probe(19, 31);
	MUST(close_numbers(22, 24, 0));
	probe(19, 31);
	FAILS(EINVAL, close_numbers(9, 8, 0));
	FAILS(EINVAL, close_numbers(20, 30, 0x80));
	probe(19, 31);
	fill(20, 24);
	pthread_create(&thread, NULL, unshare_and_close, NULL);
	pthread_join(thread, NULL);
	MUST(write(20, "still here", 10));
	MUST(close_numbers(31, ~0U, 0));
	MUST(close_numbers(27, ~0U, CLOSE_RANGE_CLOEXEC));
	probe(19, 31);
	MUST(write(29, "only marked", 11));
	MUST(execv("/proc/self/exe", again));
	return 1;
}
