/* Calls that block and fail, and what happens to the names of their files until then: nothing, another file under the
 * number, no file, a renamed file, a renamed directory, another working directory; a pipe has no path to lose. Then, in
 * a process that shares nothing with anybody, a terminal that is not there any more, and a pipe whose mount is gone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define LARGEST 100

static void *volatile nowhere = (void *)1;
static int blocked_tid, number, source, leased;
static volatile int begins;

/* Whether the thread sleeps: by its state in /proc. */
static int sleeps(int tid)
{
	char path[64], text[256] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	fd = MUST(open(path, O_RDONLY));
	MUST(pread(fd, text, sizeof(text) - 1, 0));
	MUST(close(fd));
	return strrchr(text, ')')[2] == 'S';
}

/* Changes something while the main thread is in its call, then lets that go on. */
static void *work(void *change)
{
	while (!begins || !sleeps(blocked_tid))
		usleep(1000);
	((void (*)(void))change)();
	if (leased >= 0)
		MUST(fcntl(leased, F_SETLEASE, F_UNLCK));
	else
		MUST(write(source, "x", 1));
	return NULL;
}

static pthread_t meanwhile(void (*change)(void))
{
	pthread_t thread;

	begins = 0;
	MUST(-pthread_create(&thread, NULL, work, change));
	return thread;
}

/* Waits for a byte that it has no room for. */
static void read_from(int fd)
{
	FAILS(EFAULT, read(fd, nowhere, 1));
}

static void read_meanwhile(int fd, int writer, void (*change)(void))
{
	pthread_t thread = meanwhile(change);

	number = fd;
	source = writer;
	begins = 1;
	read_from(fd);
	MUST(-pthread_join(thread, NULL));
	MUST(close(writer));
}

static int open_fifo(const char *path)
{
	MUST(mkfifo(path, 0600));
	return MUST(open(path, O_RDWR));
}

/* A lease makes who would write to the file wait. */
static void truncate_meanwhile(const char *path, void (*change)(void))
{
	pthread_t thread = meanwhile(change);

	leased = MUST(open(path, O_CREAT | O_RDONLY, 0600));
	MUST(fcntl(leased, F_SETLEASE, F_RDLCK));
	begins = 1;
	FAILS(EFBIG, truncate(path, LARGEST + 1));
	MUST(-pthread_join(thread, NULL));
}

static void nothing(void)
{
}

static void replace(void)
{
	int fd = MUST(open("other", O_CREAT | O_RDWR, 0600));

	MUST(dup2(fd, number));
	MUST(close(fd));
}

static void close_it(void)
{
	MUST(close(number));
}

static void rename_it(void)
{
	MUST(rename("renamed", "renamed-2"));
}

static void rename_directory(void)
{
	MUST(rename("directory", "directory-2"));
}

static void rename_another(void)
{
	MUST(rename("renamed-2", "renamed-3"));
}

static void change_directory(void)
{
	MUST(chdir("directory-2"));
}

static void read_fifos(void)
{
	int fd = open_fifo("unchanged");

	read_meanwhile(fd, MUST(dup(fd)), nothing);
	fd = open_fifo("replaced");
	read_meanwhile(fd, MUST(dup(fd)), replace);
	FAILS(EINVAL, pread(fd, &fd, 1, -1));
	fd = open_fifo("closed");
	read_meanwhile(fd, MUST(dup(fd)), close_it);
	fd = open_fifo("renamed");
	read_meanwhile(fd, MUST(dup(fd)), rename_it);
	read_from(fd);
	fd = open_fifo("directory/below");
	read_meanwhile(fd, MUST(dup(fd)), rename_directory);
}

/* Its master is closed by the parent. */
static void read_terminal(void)
{
	int master = MUST(posix_openpt(O_RDWR | O_NOCTTY)), child;
	int ends[2];
	char byte;

	MUST(grantpt(master));
	MUST(unlockpt(master));
	MUST(pipe2(ends, O_CLOEXEC));
	child = MUST(fork());
	if (child == 0) {
		int terminal = MUST(open(ptsname(master), O_RDWR | O_NOCTTY));

		MUST(close(master));
		MUST(write(ends[1], "x", 1));
		FAILS(EIO, read(terminal, &byte, 1));
		_exit(0);
	}
	MUST(read(ends[0], &byte, 1));
	while (!sleeps(child))
		usleep(1000);
	MUST(close(master));
	reap(child);
}

/* In a namespace of mounts of its own there is a pipe. */
static int live_elsewhere(int ready)
{
	int child = MUST(fork());

	if (child == 0) {
		MUST(unshare(CLONE_NEWNS));
		MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		MUST(mount("none", "directory", "tmpfs", 0, NULL));
		MUST(mkfifo("directory/elsewhere", 0600));
		MUST(write(ready, "x", 1));
		pause();
		_exit(0);
	}
	return child;
}

/* Its mount goes as the last process of its namespace ends. */
static void read_elsewhere(void)
{
	char home[4096], path[4200], byte;
	int ends[2], other, child, fd;

	MUST(getcwd(home, sizeof(home)) ? 0 : -1);
	MUST(pipe2(ends, O_CLOEXEC));
	other = live_elsewhere(ends[1]);
	MUST(read(ends[0], &byte, 1));
	snprintf(path, sizeof(path), "/proc/%d/root%s/directory/elsewhere", other, home);
	fd = MUST(open(path, O_RDWR));
	child = MUST(fork());
	if (child == 0) {
		MUST(write(ends[1], "x", 1));
		read_from(fd);
		_exit(0);
	}
	MUST(read(ends[0], &byte, 1));
	while (!sleeps(child))
		usleep(1000);
	MUST(kill(other, SIGKILL));
	MUST(waitpid(other, NULL, 0));
	MUST(write(fd, "x", 1));
	reap(child);
}

int main(void)
{
	struct rlimit most = {.rlim_cur = LARGEST, .rlim_max = LARGEST};
	int ends[2];

	read_terminal();
	MUST(mkdir("directory", 0700));
	read_elsewhere();
	blocked_tid = getpid();
	leased = -1;
	read_fifos();
	MUST(pipe(ends));
	read_meanwhile(ends[0], ends[1], rename_another);
	MUST(setrlimit(RLIMIT_FSIZE, &most));
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	truncate_meanwhile("leased", nothing);
	truncate_meanwhile("leased-too", change_directory);
	return 0;
}
