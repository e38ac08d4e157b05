/* Files whose names go without a call of anybody's: a terminal's as its master closes, a process's folder as it ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define FAR 2000
#define TURNS 4

static void use(int fd)
{
	struct stat status;

	for (int i = 0; i < 2; i++)
		MUST(syscall(SYS_fstat, fd, &status));
}

static int open_master(void)
{
	int master = MUST(posix_openpt(O_RDWR | O_NOCTTY));

	MUST(grantpt(master));
	MUST(unlockpt(master));
	return master;
}

static void lose_a_terminal(void)
{
	int master = open_master();
	int terminal = MUST(open(ptsname(master), O_RDWR | O_NOCTTY));
	int copy = MUST(dup2(terminal, FAR));

	use(terminal);
	use(copy);
	MUST(close(master));
	use(terminal);
	use(copy);
	MUST(close(copy));
	MUST(close(terminal));
}

static void lose_a_process(void)
{
	int child = MUST(fork()), status;
	char folder[32];

	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(folder, sizeof(folder), "/proc/%d", child);
	int fd = MUST(open(folder, O_RDONLY | O_DIRECTORY));

	use(fd);
	MUST(kill(child, SIGKILL));
	MUST(waitpid(child, &status, 0));
	use(fd);
	MUST(close(fd));
}

int main(void)
{
	struct rlimit most = {.rlim_cur = FAR + 1, .rlim_max = FAR + 1};

	MUST(setrlimit(RLIMIT_NOFILE, &most));
	for (int turn = 0; turn < TURNS; turn++) {
		lose_a_terminal();
		lose_a_process();
	}
	return 0;
}
