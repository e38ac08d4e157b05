/* Descriptors that are no files: pipes, socket pairs, eventfd, epoll, inotify, timerfd, signalfd, pidfd, those of bpf. Then
 * descriptors that arrive without a call that names them: through SCM_RIGHTS and pidfd_getfd.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "check.h"

static void pipes(void)
{
	int ends[2];
	char byte;

	MUST(pipe(ends));
	MUST(write(ends[1], "p", 1));
	MUST(read(ends[0], &byte, 1));
	MUST(close(ends[0]));
	FAILS(EPIPE, write(ends[1], "p", 1));
	MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
	FAILS(EAGAIN, read(ends[0], &byte, 1));
	FAILS(EINVAL, pipe2(ends, 0x7));
	MUST(pipe2(ends, O_DIRECT));
	MUST(write(ends[1], "q", 1));
}

static void events(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
	struct pollfd poll_fd;
	uint64_t count = 1;
	int epoll = MUST(epoll_create1(EPOLL_CLOEXEC)), bell = MUST(eventfd(0, 0));
	int timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	fd_set set;

	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event));
	MUST(write(bell, &count, sizeof(count)));
	MUST(epoll_wait(epoll, &event, 1, -1));
	MUST(epoll_ctl(epoll, EPOLL_CTL_DEL, bell, NULL));
	FAILS(ENOENT, epoll_ctl(epoll, EPOLL_CTL_MOD, bell, &event));
	poll_fd = (struct pollfd){.fd = bell, .events = POLLIN};
	MUST(poll(&poll_fd, 1, 100));
	FD_ZERO(&set);
	FD_SET(bell, &set);
	MUST(select(bell + 1, &set, NULL, NULL, NULL));
	MUST(read(bell, &count, sizeof(count)));
	MUST(timerfd_settime(timer, 0, &soon, NULL));
	MUST(read(timer, &count, sizeof(count)));
	MUST(timerfd_gettime(timer, &soon));
}

static void watches(void)
{
	char buffer[4096];
	int notify = MUST(inotify_init1(IN_CLOEXEC)), watch = MUST(inotify_add_watch(notify, ".", IN_CREATE));

	MUST(close(MUST(open("created", O_CREAT | O_RDWR, 0600))));
	MUST(read(notify, buffer, sizeof(buffer)));
	MUST(inotify_rm_watch(notify, watch));
	FAILS(ENOENT, inotify_add_watch(notify, "missing", IN_CREATE));
}

static void signals(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd, pidfd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = MUST(signalfd(-1, &set, SFD_CLOEXEC));
	MUST(signalfd(fd, &set, 0)); /* the same descriptor again */
	pidfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	MUST(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0));
	MUST(read(fd, &info, sizeof(info)));
	MUST(close(MUST(syscall(SYS_pidfd_getfd, pidfd, fd, 0))));
	FAILS(EBADF, syscall(SYS_pidfd_getfd, pidfd, 999, 0));
}

static long bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static void programs(void)
{
	struct bpf_insn give_zero[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	union bpf_attr program = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2}, other = {}, none = {};
	int first = MUST(bpf(BPF_MAP_CREATE, &map)), key = 0, value = 1;

	MUST(fcntl(first, F_GETFD));
	program.insns = (uintptr_t)give_zero;
	program.license = (uintptr_t)"GPL";
	MUST(fcntl(MUST(bpf(BPF_PROG_LOAD, &program)), F_GETFD));
	other.map_fd = first;
	other.key = (uintptr_t)&key;
	other.value = (uintptr_t)&value;
	MUST(bpf(BPF_MAP_UPDATE_ELEM, &other)); /* its 0 is no descriptor */
	FAILS(EINVAL, bpf(BPF_MAP_CREATE, &none));
}

struct message {
	char byte;
	struct iovec vector;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct msghdr header;
};

static void prepare(struct message *message)
{
	memset(message, 0, sizeof(*message));
	message->vector = (struct iovec){.iov_base = &message->byte, .iov_len = 1};
	message->header.msg_iov = &message->vector;
	message->header.msg_iovlen = 1;
	message->header.msg_control = message->control.bytes;
	message->header.msg_controllen = sizeof(message->control.bytes);
}

static void send_descriptor(int socket, int fd)
{
	struct message message;
	struct cmsghdr *header;

	prepare(&message);
	header = CMSG_FIRSTHDR(&message.header);
	*header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	MUST(sendmsg(socket, &message.header, 0));
}

static int receive_descriptor(int socket)
{
	struct message message;
	int fd;

	prepare(&message);
	MUST(recvmsg(socket, &message.header, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message.header)), sizeof(fd));
	return fd;
}

/* The receiver never opened the file that it reads. */
static void passed_on(void)
{
	int ends[2], pid, fd;
	char text[8];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid = MUST(fork());
	if (pid == 0) {
		fd = receive_descriptor(ends[1]);
		MUST(pread(fd, text, sizeof(text), 0));
		MUST(close(fd));
		fd = receive_descriptor(ends[1]); /* the same number, another file */
		MUST(write(fd, "back", 4));
		_exit(0);
	}
	fd = MUST(open("passed", O_CREAT | O_RDWR, 0600));
	MUST(write(fd, "content", 7));
	send_descriptor(ends[0], fd);
	send_descriptor(ends[0], MUST(open("passed-too", O_CREAT | O_RDWR, 0600)));
	reap(pid);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	pipes();
	events();
	watches();
	signals();
	programs();
	passed_on();
	return 0;
}
