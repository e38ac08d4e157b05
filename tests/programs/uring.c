/* Descriptors that io_uring opens and closes, so that no call tells of it: a number that comes back as another file,
 * as no file, with another name, above 1023, and as a working directory's neighbour; then in threads and in a child.
 * Last by a ring that is called by its index, which is the number of another file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "ring.h"

#define HIGH 1500
#define USE_REGISTERED_RING (1U << 31) /* include/uapi/linux/io_uring.h, Linux 6.3 */

static void use(int fd, const char *text)
{
	struct stat status;
	char byte;

	MUST(write(fd, text, strlen(text)));
	MUST(pread(fd, &byte, 1, 0));
	MUST(fstat(fd, &status));
}

/* The number of `fd` becomes another file's, unseen. */
static void replace(struct ring *ring, int fd, const char *path)
{
	MUST(ring_close(ring, fd));
	if (ring_openat(ring, path, O_CREAT | O_RDWR) != fd)
		exit(73);
}

static void same_number(struct ring *ring)
{
	char name[16];
	int fd = MUST(open("seen", O_CREAT | O_RDWR, 0600));

	use(fd, "seen");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "unseen-%d", i);
		replace(ring, fd, name);
		use(fd, name);
	}
	MUST(ring_close(ring, fd));
	FAILS(EBADF, write(fd, "gone", 4));
	FAILS(EBADF, lseek(fd, 0, SEEK_SET));
	MUST(open("seen again", O_CREAT | O_RDWR, 0600));
	use(fd, "again");
	MUST(close(fd));
}

static void as_directory(struct ring *ring)
{
	struct stat status;
	int dir;

	MUST(mkdir("one", 0700));
	MUST(mkdir("two", 0700));
	dir = MUST(open("one", O_RDONLY | O_DIRECTORY));
	MUST(close(MUST(openat(dir, "file", O_CREAT | O_RDWR, 0600))));
	MUST(ring_close(ring, dir));
	if (ring_openat(ring, "two", O_RDONLY | O_DIRECTORY) != dir)
		exit(74);
	MUST(close(MUST(openat(dir, "file", O_CREAT | O_RDWR, 0600))));
	MUST(fstatat(dir, "file", &status, 0));
	MUST(fchdir(dir));
	MUST(stat("file", &status));
	MUST(chdir(".."));
	MUST(close(dir));
}

static void high_number(struct ring *ring)
{
	struct rlimit limit = {4096, 4096};
	int fd = MUST(open("low", O_CREAT | O_RDWR, 0600)), other;

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	MUST(dup2(fd, HIGH));
	use(HIGH, "high");
	MUST(ring_close(ring, HIGH));
	other = MUST(open("other", O_CREAT | O_RDWR, 0600));
	MUST(fcntl(other, F_DUPFD, HIGH));
	use(HIGH, "other");
	MUST(ring_close(ring, HIGH));
	FAILS(EBADF, write(HIGH, "gone", 4));
}

static void renamed(struct ring *ring)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_RENAMEAT, .fd = -100, .len = -100};
	int fd = MUST(open("before", O_CREAT | O_RDWR, 0600));

	use(fd, "before");
	request.addr = (unsigned long)"before";
	request.addr2 = (unsigned long)"behind";
	MUST(ring_do(ring, &request));
	use(fd, "behind");
	request = (struct io_uring_sqe){.opcode = IORING_OP_UNLINKAT, .fd = -100, .addr = (unsigned long)"behind"};
	MUST(ring_do(ring, &request));
	use(fd, "unlinked");
	MUST(close(fd));
}

static void *in_a_thread(void *number)
{
	use(*(int *)number, "thread");
	return NULL;
}

static void in_others(struct ring *ring)
{
	pthread_t thread;
	int fd = MUST(open("shared", O_CREAT | O_RDWR, 0600)), pid;

	use(fd, "shared");
	replace(ring, fd, "for the thread");
	pthread_create(&thread, NULL, in_a_thread, &fd);
	pthread_join(thread, NULL);
	replace(ring, fd, "for the child");
	pid = MUST(fork());
	if (pid == 0) {
		use(fd, "child");
		_exit(0);
	}
	reap(pid);
}

static void by_index(struct ring *ring)
{
	struct io_uring_sqe nothing = {.opcode = IORING_OP_NOP};
	struct io_uring_probe probe = {};

	if (!ring_register(ring))
		return; /* before Linux 5.18 */
	MUST(ring_do(ring, &nothing));
	syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PROBE | USE_REGISTERED_RING, &probe, 0);
}

int main(void)
{
	struct ring ring;

	ring_open(&ring);
	same_number(&ring);
	as_directory(&ring);
	high_number(&ring);
	renamed(&ring);
	in_others(&ring);
	by_index(&ring);
	return 0;
}
