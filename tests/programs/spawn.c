/* vfork and exec, an exec that fails first, and posix_spawn with file actions (the child opens, copies and closes
 * before it becomes the new program). Run with an argument it is the new program: it reads what descriptor 0 was made
 * to be.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

extern char **environ;

static int be_the_program(void)
{
	char text[16];

	MUST(read(0, text, sizeof(text)));
	MUST(access("made-by-parent", R_OK));
	return 0;
}

static void by_vfork(char *self)
{
	char *const argv[] = {self, "child", NULL};
	int pid = vfork();

	if (pid == 0) {
		execve("no-such-program", argv, environ);
		execve("/proc/self/exe", argv, environ);
		_exit(127);
	}
	MUST(pid);
	reap(pid);
}

static void by_posix_spawn(char *self)
{
	char *const argv[] = {self, "child", NULL};
	posix_spawn_file_actions_t actions;
	int pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 7, "made-by-parent", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 7, 0);
	posix_spawn_file_actions_addclose(&actions, 7);
	if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ) != 0)
		exit(1);
	reap(pid);
	posix_spawn_file_actions_destroy(&actions);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc > 1)
		return be_the_program();
	fd = MUST(open("made-by-parent", O_CREAT | O_RDWR | O_TRUNC, 0644));
	MUST(write(fd, "hello", 5));
	MUST(close(fd));
	for (int i = 0; i < 5; i++) {
		by_vfork(argv[0]);
		by_posix_spawn(argv[0]);
	}
	return 0;
}
