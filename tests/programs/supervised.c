/* A supervisor puts files under a thread's number, as seccomp's notifications let it: no call of the thread tells. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define TURNS 20

static pthread_barrier_t ready;
static int listener;

/* Every getppid of the current thread waits for the supervisor's answer. */
static int notify_of_getppid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return MUST(
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static void use(const char *text)
{
	struct stat status;
	char byte;

	MUST(write(NUMBER, text, strlen(text)));
	MUST(pread(NUMBER, &byte, 1, 0));
	MUST(fstat(NUMBER, &status));
}

static void *work(void *unused)
{
	(void)unused;
	listener = notify_of_getppid();
	pthread_barrier_wait(&ready);
	use("first");
	for (int turn = 0; turn < TURNS; turn++) {
		MUST(syscall(SYS_getppid));
		use("another");
	}
	return NULL;
}

/* Answers one getppid, after the number has become another file's. */
static void supervise(int turn)
{
	struct seccomp_notif request = {};
	struct seccomp_notif_resp answer = {};
	struct seccomp_notif_addfd file = {.flags = SECCOMP_ADDFD_FLAG_SETFD, .newfd = NUMBER};
	char name[16];

	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request));
	snprintf(name, sizeof(name), "other-%d", turn);
	file.id = answer.id = request.id;
	file.srcfd = MUST(open(name, O_CREAT | O_RDWR, 0600));
	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &file));
	MUST(close(file.srcfd));
	MUST(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer));
}

int main(void)
{
	pthread_t thread;

	open_as(NUMBER, "first");
	pthread_barrier_init(&ready, NULL, 2);
	pthread_create(&thread, NULL, work, NULL);
	pthread_barrier_wait(&ready);
	for (int turn = 0; turn < TURNS; turn++)
		supervise(turn);
	pthread_join(thread, NULL);
	return 0;
}
