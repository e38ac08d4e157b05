/* Says of its descriptors which files they are: after an F_GETFD of one its inode, device and the thread's namespace of
 * mounts are where `lseek` goes to on a number of its own. Inherited by processes, changed by threads, and in namespaces
 * of their own. With an argument it waits for a line first, its files and threads being there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

enum { OWN = 100, MOST_FILES = 64 };

static int files[MOST_FILES], file_count;
static pthread_barrier_t turn;

static long namespace_number(void)
{
	char text[64] = {};

	MUST(readlink("/proc/thread-self/ns/mnt", text, sizeof(text) - 1));
	return strtol(strchr(text, '[') + 1, NULL, 10);
}

static void tell_one(int fd, int own)
{
	struct stat status;

	MUST(fstat(fd, &status));
	MUST(fcntl(fd, F_GETFD));
	MUST(lseek(own, status.st_ino, SEEK_SET));
	MUST(lseek(own, status.st_dev, SEEK_SET));
	MUST(lseek(own, namespace_number(), SEEK_SET));
}

static void tell(int own)
{
	for (int i = 0; i < file_count; i++)
		tell_one(files[i], own);
}

static void keep(int fd)
{
	files[file_count++] = fd;
}

static void open_many(void)
{
	int pair[2];

	for (int i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "file-%d", i);
		keep(MUST(open(name, O_CREAT | O_RDWR, 0600)));
	}
	MUST(unlink("file-1"));
	MUST(rename("file-2", "renamed"));
	MUST(rename("file-3", "file-4"));
	keep(MUST(open(".", O_PATH)));
	keep(MUST(open("/proc/self/status", O_RDONLY)));
	keep(MUST(open("/dev/null", O_RDWR)));
	keep(MUST(memfd_create("memory", 0)));
	keep(MUST(epoll_create1(0)));
	keep(MUST(dup(files[0])));
	keep(MUST(fcntl(files[5], F_DUPFD, 200)));
	keep(MUST(open(".", O_TMPFILE | O_RDWR, 0600)));
	MUST(pipe(pair));
	keep(pair[0]);
	keep(pair[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	keep(pair[0]);
	keep(pair[1]);
}

static void mount_own(void)
{
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("none", "mounted", "tmpfs", 0, NULL));
}

/* A process in a namespace of its own from its first instruction on. */
static void in_new_namespace(void)
{
	int child = MUST(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));

	if (child == 0) {
		tell(OWN);
		mount_own();
		tell_one(MUST(open("mounted/file", O_CREAT | O_RDWR, 0600)), OWN);
		exit(0);
	}
	reap(child);
}

/* One that leaves its creator's, and comes back. */
static void there_and_back(void)
{
	int before = MUST(open("/proc/self/ns/mnt", O_RDONLY)), child = MUST(fork());

	if (child == 0) {
		MUST(unshare(CLONE_NEWNS));
		mount_own();
		tell(OWN);
		MUST(setns(before, CLONE_NEWNS));
		tell(OWN);
		exit(0);
	}
	reap(child);
}

/* A thread in a namespace of its own, beside others, and one that begins there. */
static void *begun_there(void *argument)
{
	tell((int)(intptr_t)argument);
	return NULL;
}

static void *by_itself(void *argument)
{
	int own = (int)(intptr_t)argument;
	pthread_t other;

	pthread_barrier_wait(&turn);
	tell(own);
	MUST(unshare(CLONE_FS));
	MUST(unshare(CLONE_NEWNS));
	pthread_create(&other, NULL, begun_there, (void *)(intptr_t)(own + 1));
	tell(own);
	pthread_join(other, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;

	MUST(mkdir("mounted", 0700));
	open_many();
	for (int i = 0; i < 3; i++)
		open_as(OWN + i, "own");
	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&thread, NULL, by_itself, (void *)(intptr_t)(OWN + 1));
	if (argc > 1 && strcmp(argv[1], "wait") == 0) {
		puts("ready");
		fflush(stdout);
		MUST(read(0, &byte, 1));
	}
	pthread_barrier_wait(&turn);
	tell(OWN);
	pthread_join(thread, NULL);
	there_and_back();
	in_new_namespace();
	tell(OWN);
	return 0;
}
