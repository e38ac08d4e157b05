/* A supervisor opens files for a thread whose openat is refused, under a number that was another file's: the kernel shows
 * no more of it than that a number is returned (seccomp_unotify(2)).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define TURNS 20

static pthread_barrier_t ready;
static int listener;

/* Every openat of the current thread waits for the supervisor's answer. */
static int notify_of_openat(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static void *work(void *unused)
{
	(void)unused;
	listener = notify_of_openat();
	pthread_barrier_wait(&ready);
	MUST(pwrite(NUMBER, "x", 1, 0));
	for (int turn = 1; turn <= TURNS; turn++) {
		int fd = MUST(syscall(SYS_openat, AT_FDCWD, "not this one", O_RDWR, 0));

		MUST(pwrite(fd, "x", 1, turn));
	}
	return NULL;
}

/* Opens a file of its own for the thread; its number is what openat returns. */
static void supervise(int turn)
{
	struct seccomp_notif request = {};
	struct seccomp_notif_addfd file = {.flags = SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND,
					   .newfd = NUMBER};
	char name[16];

	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request));
	snprintf(name, sizeof(name), "file-%d", turn);
	file.id = request.id;
	file.srcfd = MUST(open(name, O_CREAT | O_RDWR, 0600));
	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &file));
	MUST(close(file.srcfd));
}

int main(void)
{
	pthread_t thread;
	int fd = MUST(open("file-0", O_CREAT | O_RDWR, 0600));

	MUST(dup2(fd, NUMBER));
	MUST(-pthread_barrier_init(&ready, NULL, 2));
	MUST(-pthread_create(&thread, NULL, work, NULL));
	pthread_barrier_wait(&ready);
	for (int turn = 1; turn <= TURNS; turn++)
		supervise(turn);
	MUST(-pthread_join(thread, NULL));
	return 0;
}
