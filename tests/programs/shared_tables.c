/* Processes that share: a child with CLONE_FILES opens and closes for its parent, one with CLONE_FS changes its
 * parent's directory, one makes files without names, which the parent does then, too, one shares until it execs, or calls
 * unshare or close_range. Then the tables must part.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/close_range.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "check.h"

#define SHARED 30

static char stack[1 << 16] __attribute__((aligned(16)));
static char *self;

static void clone_and_wait(int (*child)(void *), int flags)
{
	reap(MUST(clone(child, stack + sizeof(stack), flags | SIGCHLD, NULL)));
}

/* Files that no argument names get numbers which had others before. */
static int make_without_names(void *unused)
{
	int pair[2];

	(void)unused;
	for (int i = 0; i < 3; i++) {
		MUST(close(MUST(eventfd(0, 0))));
		MUST(close(MUST(socket(AF_UNIX, SOCK_STREAM, 0))));
		MUST(close(MUST(epoll_create1(0))));
		MUST(close(MUST(timerfd_create(CLOCK_MONOTONIC, 0))));
		MUST(close(MUST(inotify_init1(0))));
		MUST(pipe(pair));
		MUST(close(pair[0]));
		MUST(close(pair[1]));
	}
	return 0;
}

static int open_for_parent(void *unused)
{
	int fd = MUST(open("by-child", O_CREAT | O_RDWR, 0600));

	(void)unused;
	MUST(dup2(fd, SHARED));
	MUST(close(fd));
	return 0;
}

static int close_for_parent(void *unused)
{
	(void)unused;
	MUST(close(SHARED));
	return 0;
}

static int part_by_unshare(void *unused)
{
	(void)unused;
	MUST(unshare(CLONE_FILES));
	MUST(close(SHARED));
	MUST(dup2(MUST(open("own", O_CREAT | O_RDWR, 0600)), SHARED));
	MUST(write(SHARED, "own", 3));
	return 0;
}

static int part_by_close_range(void *unused)
{
	(void)unused;
	MUST(syscall(SYS_close_range, 900, 1000, CLOSE_RANGE_UNSHARE));
	return 0;
}

static int part_by_exec(void *unused)
{
	char *const argv[] = {self, "exec", NULL};

	(void)unused;
	MUST(execv("/proc/self/exe", argv));
	return 1;
}

static int move_parent(void *unused)
{
	(void)unused;
	MUST(chdir("dir"));
	return 0;
}

static int move_alone(void *unused)
{
	(void)unused;
	MUST(unshare(CLONE_FS));
	MUST(chdir(".."));
	MUST(access("dir", F_OK));
	return 0;
}

int main(int argc, char **argv)
{
	char cwd[PATH_MAX];

	self = argv[0];
	if (argc > 1)
		return dup2(MUST(open("after-exec", O_CREAT | O_RDWR, 0600)), SHARED) != SHARED;
	MUST(mkdir("dir", 0755));
	clone_and_wait(make_without_names, CLONE_FILES);
	make_without_names(NULL);
	clone_and_wait(open_for_parent, CLONE_FILES);
	MUST(write(SHARED, "parent", 6));
	clone_and_wait(part_by_unshare, CLONE_FILES);
	MUST(write(SHARED, "parent", 6));
	clone_and_wait(part_by_close_range, CLONE_FILES);
	MUST(write(SHARED, "parent", 6));
	clone_and_wait(part_by_exec, CLONE_FILES);
	MUST(write(SHARED, "parent", 6));
	clone_and_wait(close_for_parent, CLONE_FILES);
	FAILS(EBADF, write(SHARED, "parent", 6));
	clone_and_wait(move_parent, CLONE_FS);
	MUST(getcwd(cwd, sizeof(cwd)) == NULL ? -1 : 0);
	MUST(close(MUST(open("below", O_CREAT | O_RDWR, 0600))));
	clone_and_wait(move_alone, CLONE_FS);
	MUST(access("below", F_OK));
	return 0;
}
