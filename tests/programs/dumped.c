/* Holds files that are called "core" open while a child dumps its core there: the kernel itself unlinks the old one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define TURNS 30

static void dump_core(void)
{
	int status;
	pid_t child = MUST(fork());

	if (!child) {
		raise(SIGABRT);
		_exit(1);
	}
	MUST(waitpid(child, &status, 0));
	MUST(WCOREDUMP(status) ? 0 : -1);
}

int main(void)
{
	struct rlimit room = {1 << 22, 1 << 22};

	MUST(setrlimit(RLIMIT_CORE, &room));
	for (int turn = 0; turn < TURNS; turn++) {
		struct stat status;
		int fd = MUST(open("core", O_RDWR | O_CREAT, 0600));

		MUST(syscall(SYS_fstat, fd, &status));
		dump_core();
		MUST(syscall(SYS_fstat, fd, &status));
		MUST(status.st_nlink ? -1 : 0);
		MUST(close(fd));
	}
	return 0;
}
