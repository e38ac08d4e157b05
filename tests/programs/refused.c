/* Calls that a seccomp filter refuses, among others that it lets pass; in a second thread too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define TURNS 20

static void refuse(int number, int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* Refused are the pread, which is a plain call, the openat and the close, which change what names mean. */
static void do_nothing(int number)
{
	(void)number;
}

static void *work(void *unused)
{
	int fd = MUST(dup(0));
	char byte;

	(void)unused;
	refuse(SYS_pread64, EPERM);
	refuse(SYS_openat, EACCES);
	refuse(SYS_close, EXDEV);
	for (int turn = 0; turn < TURNS; turn++) {
		MUST(write(1, "x", 1));
		MUST(raise(SIGUSR1)); /* its handler ends with a call that never returns, right before one that is refused */
		FAILS(EPERM, syscall(SYS_pread64, fd, &byte, 1, 0));
		FAILS(EACCES, syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY, 0));
		FAILS(EXDEV, syscall(SYS_close, fd));
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;

	signal(SIGUSR1, do_nothing);
	MUST(-pthread_create(&thread, NULL, work, NULL));
	MUST(-pthread_join(thread, NULL));
	work(NULL);
	return 0;
}
