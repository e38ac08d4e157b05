/* Descriptors that io_uring opens and closes, so that no call tells of it: a number that comes back as another file,
 * as no file, with another name, above 1023, and as a working directory's neighbour; then in threads and in a child.
 * First what the ring of another process renames and unlinks. Last by a ring that is called by its index, which is the
 * number of another file.
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
	int fd = MUST(open("before", O_CREAT | O_RDWR, 0600));

	use(fd, "before");
	MUST(ring_rename(ring, "before", "behind"));
	use(fd, "behind");
	MUST(ring_unlink(ring, "behind"));
	use(fd, "unlinked");
	MUST(close(fd));
}

/* What lies below it has another path. */
static void renamed_directory(struct ring *ring)
{
	int fd, dir;

	MUST(mkdir("above", 0700));
	dir = MUST(open("above", O_RDONLY | O_DIRECTORY));
	fd = MUST(open("above/file", O_CREAT | O_RDWR, 0600));
	use(fd, "above");
	MUST(ring_rename(ring, "above", "moved"));
	use(fd, "moved");
	FAILS(ENOENT, openat(dir, "missing", O_RDONLY));
	MUST(close(fd));
	MUST(close(dir));
}

/* Two requests begin at once, the second one when a byte has come through the gate. Where the queue is full, its end finds
 * no room there.
 */
static void unlink_later(const char *path, int gate, int ready, int is_full)
{
	struct io_uring_sqe nothing = {.opcode = IORING_OP_NOP};
	struct io_uring_sqe wait = {.opcode = IORING_OP_READ, .flags = IOSQE_IO_LINK, .fd = gate, .len = 1};
	struct io_uring_sqe request = {.opcode = IORING_OP_UNLINKAT, .fd = -100, .addr = (unsigned long)path};
	struct stat status;
	struct ring ring;
	char byte;

	wait.addr = (unsigned long)&byte;
	ring_open(&ring);
	for (unsigned int i = 0; is_full && i < ring.params.cq_entries; i++) {
		ring_put(&ring, &nothing);
		ring_enter(&ring, 1, 0);
	}
	ring_put(&ring, &wait);
	ring_put(&ring, &request);
	ring_enter(&ring, 2, 0);
	MUST(write(ready, "x", 1));
	while (stat(path, &status) == 0)
		usleep(1000);
	_exit(0);
}

/* A file is used after its unlinking has begun, and again when it is done. */
static void unlinked_by_another(int is_full)
{
	int fd = MUST(open("unlinked", O_CREAT | O_RDWR, 0600)), gate[2], ready[2], pid;
	char byte;

	MUST(pipe(gate));
	MUST(pipe(ready));
	use(fd, "there");
	pid = MUST(fork());
	if (pid == 0)
		unlink_later("unlinked", gate[0], ready[1], is_full);
	MUST(read(ready[0], &byte, 1));
	use(fd, "still there");
	MUST(write(gate[1], "x", 1));
	reap(pid);
	use(fd, "gone");
	for (int i = 0; i < 2; i++) {
		MUST(close(gate[i]));
		MUST(close(ready[i]));
	}
	MUST(close(fd));
}

/* Nobody is told when it is done. */
static void unlink_silently(const char *path)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_UNLINKAT, .fd = -100, .addr = (unsigned long)path};
	struct stat status;
	struct ring ring;

	ring_open(&ring);
	if (ring.params.features & IORING_FEAT_CQE_SKIP)
		request.flags = IOSQE_CQE_SKIP_SUCCESS;
	ring_put(&ring, &request);
	ring_enter(&ring, 1, 0);
	while (stat(path, &status) == 0)
		usleep(1000);
	_exit(0);
}

/* The same by a process that has nothing else in common with this one, which uses no ring. */
static void renamed_by_another(void)
{
	int below, dir, before, pid;
	struct ring ring;

	before = MUST(open("mine", O_CREAT | O_RDWR, 0600));
	MUST(mkdir("upper", 0700));
	dir = MUST(open("upper", O_RDONLY | O_DIRECTORY));
	below = MUST(open("upper/file", O_CREAT | O_RDWR, 0600));
	use(before, "mine");
	use(below, "upper");
	pid = MUST(fork());
	if (pid == 0) {
		ring_open(&ring);
		MUST(ring_rename(&ring, "mine", "yours"));
		MUST(ring_rename(&ring, "upper", "lower"));
		_exit(0);
	}
	reap(pid);
	use(before, "yours");
	use(below, "lower");
	FAILS(ENOENT, openat(dir, "missing", O_RDONLY));
	pid = MUST(fork());
	if (pid == 0)
		unlink_silently("yours");
	reap(pid);
	use(before, "unlinked");
	MUST(close(before));
	MUST(close(below));
	MUST(close(dir));
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

	renamed_by_another();
	unlinked_by_another(0);
	unlinked_by_another(1);
	ring_open(&ring);
	same_number(&ring);
	as_directory(&ring);
	high_number(&ring);
	renamed(&ring);
	renamed_directory(&ring);
	in_others(&ring);
	by_index(&ring);
	return 0;
}
