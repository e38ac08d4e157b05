/* Mounts that are taken apart without a call: those of a namespace as its last process ends, and a tree that is held by
 * a descriptor as that is closed. Files in them have shorter names from then on, also at numbers above 1023, as
 * directories, and in processes that have left the namespace or were made without it.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"

#define FAR 2000
#define TREE_CLONE 1	      /* include/uapi/linux/mount.h */
#define TREE_RECURSIVE 0x8000 /* AT_RECURSIVE of include/uapi/linux/fcntl.h */
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif

static void use(int fd)
{
	struct stat status;

	for (int i = 0; i < 2; i++)
		MUST(syscall(SYS_fstat, fd, &status));
}

static void use_directory(int dir)
{
	struct stat status;

	use(dir);
	MUST(fstatat(dir, "below", &status, 0));
	FAILS(ENOENT, openat(dir, "missing", O_RDONLY));
}

static void make(const char *path)
{
	MUST(close(MUST(open(path, O_CREAT | O_RDWR, 0600))));
}

static void mount_on(const char *folder)
{
	MUST(mount("none", folder, "tmpfs", 0, NULL));
}

static void own_namespace(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static void send_fd(int channel, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	MUST(sendmsg(channel, &message, 0));
}

static int receive_fd(int channel)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd;

	MUST(recvmsg(channel, &message, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* Is alone in its namespace, and sends a file of it. */
static void live_there(int channel)
{
	own_namespace();
	mount_on("there");
	make("there/file");
	MUST(mkdir("there/dir", 0700));
	make("there/dir/below");
	send_fd(channel, MUST(open("there/file", O_RDONLY)));
	pause();
}

static void end(int child)
{
	int status;

	MUST(kill(child, SIGKILL));
	MUST(waitpid(child, &status, 0));
}

/* From outside, by /proc and by a message. */
static void lose_a_namespace(const char *home)
{
	int channel[2], child, sent, opened, dir, copy;
	char path[4400];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
	child = MUST(fork());
	if (child == 0) {
		live_there(channel[1]);
		_exit(0);
	}
	sent = receive_fd(channel[0]);
	snprintf(path, sizeof(path), "/proc/%d/root%s/there/file", child, home);
	opened = MUST(open(path, O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d/root%s/there/dir", child, home);
	dir = MUST(open(path, O_RDONLY | O_DIRECTORY));
	copy = MUST(dup2(opened, FAR));
	use(sent);
	use(opened);
	use(copy);
	use_directory(dir);
	MUST(fchdir(dir));
	FAILS(ENOENT, open("missing", O_RDONLY));
	end(child);
	for (int turn = 0; turn < 3; turn++) {
		use(sent);
		use(opened);
		use(copy);
		use_directory(dir);
		FAILS(ENOENT, open("missing", O_RDONLY));
	}
	MUST(chdir(home));
	MUST(close(sent));
	MUST(close(opened));
	MUST(close(copy));
	MUST(close(dir));
	MUST(close(channel[0]));
	MUST(close(channel[1]));
}

/* The kernel needs a moment to take it apart when its last process has gone another way than by its end. */
static void use_until_lost(int fd)
{
	struct stat status;
	char path[64], text[64];
	long length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		usleep(1000);
		length = MUST(readlink(path, text, sizeof(text)));
	} while (length != 5 || memcmp(text, "/file", 5) != 0);
	for (int i = 0; i < 2; i++)
		MUST(syscall(SYS_fstat, fd, &status));
}

/* What is inherited into a namespace of its own lies in the one that it was made from. */
static void outlive_the_creator(void)
{
	int living[2], child, fd;
	char byte;

	MUST(pipe(living));
	child = MUST(fork());
	if (child) {
		reap(child);
		MUST(close(living[1]));
		MUST(read(living[0], &byte, 1)); /* until the last one has gone */
		MUST(close(living[0]));
		return;
	}
	own_namespace();
	mount_on("there");
	make("there/file");
	fd = MUST(open("there/file", O_RDONLY));
	use(fd);
	if (MUST(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL)) == 0)
		use_until_lost(fd);
	_exit(0);
}

static void leave_a_namespace(void)
{
	int fd;

	own_namespace();
	mount_on("there");
	make("there/file");
	fd = MUST(open("there/file", O_RDONLY));
	use(fd);
	MUST(unshare(CLONE_NEWNS));
	use_until_lost(fd);
	MUST(close(fd));
}

/* The mounts lose each other as the tree is closed, and as the last file of the upper one is. */
static void lose_a_tree(void)
{
	int tree, top, file, only;

	own_namespace();
	mount_on("there");
	make("there/top");
	MUST(mkdir("there/sub", 0700));
	mount_on("there/sub");
	make("there/sub/file");
	for (int turn = 0; turn < 3; turn++) {
		tree = MUST(syscall(SYS_open_tree, AT_FDCWD, "there", TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC));
		only = MUST(openat(tree, "sub/file", O_RDONLY));
		use(only);
		MUST(close(tree));
		use(only);
		MUST(close(only));
		tree = MUST(syscall(SYS_open_tree, AT_FDCWD, "there", TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC));
		top = MUST(openat(tree, "top", O_RDONLY));
		file = MUST(openat(tree, "sub/file", O_RDONLY));
		use(file);
		MUST(close(tree));
		use(file);
		MUST(close(top));
		use(file);
		use(file);
		MUST(close(file));
	}
}

int main(void)
{
	struct rlimit most = {.rlim_cur = FAR + 1, .rlim_max = FAR + 1};
	char home[4096];

	MUST(setrlimit(RLIMIT_NOFILE, &most));
	MUST(getcwd(home, sizeof(home)) ? 0 : -1);
	MUST(mkdir("there", 0700));
	for (int turn = 0; turn < 3; turn++) {
		lose_a_namespace(home);
		outlive_the_creator();
	}
	leave_a_namespace();
	lose_a_tree();
	return 0;
}
