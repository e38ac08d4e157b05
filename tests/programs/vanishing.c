/* Files whose names go without a call that says so: a terminal's as its master closes, a process's folder as it ends, a
 * device and its folder in /sys as it is taken away, a group's files after its folder, a format of programs by what is
 * written into its file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define FAR 2000
#define TURNS 12

static void use(int fd)
{
	struct stat status;

	for (int i = 0; i < 2; i++)
		MUST(syscall(SYS_fstat, fd, &status));
}

static int open_master(void)
{
	int master = MUST(posix_openpt(O_RDWR | O_NOCTTY));

	MUST(grantpt(master));
	MUST(unlockpt(master));
	return master;
}

static void lose_a_terminal(void)
{
	int master = open_master();
	int terminal = MUST(open(ptsname(master), O_RDWR | O_NOCTTY));
	int copy = MUST(dup2(terminal, FAR));

	use(terminal);
	use(copy);
	MUST(close(master));
	use(terminal);
	use(copy);
	MUST(close(copy));
	MUST(close(terminal));
}

static void lose_a_process(void)
{
	int child = MUST(fork()), status;
	char folder[32];

	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(folder, sizeof(folder), "/proc/%d", child);
	int fd = MUST(open(folder, O_RDONLY | O_DIRECTORY));

	use(fd);
	MUST(kill(child, SIGKILL));
	MUST(waitpid(child, &status, 0));
	use(fd);
	MUST(close(fd));
}

static void remove_device(int control, int device)
{
	while (ioctl(control, LOOP_CTL_REMOVE, device) < 0) {
		MUST(errno == EBUSY ? 0 : -1); /* who hears of a new device looks at it */
		usleep(1000);
	}
}

static void lose_a_device(void)
{
	int control = MUST(open("/dev/loop-control", O_RDWR));
	int device = MUST(ioctl(control, LOOP_CTL_ADD, -1));
	struct stat status;
	char path[64], folder[64];

	snprintf(path, sizeof(path), "/dev/loop%d", device);
	snprintf(folder, sizeof(folder), "/sys/devices/virtual/block/loop%d", device);
	int fd = MUST(open(path, O_PATH)), folder_fd = MUST(open(folder, O_PATH | O_DIRECTORY));

	use(fd);
	use(folder_fd);
	remove_device(control, device);
	FAILS(ENOENT, stat(folder, &status)); /* its name goes when somebody looks for it */
	use(fd);
	use(folder_fd);
	MUST(close(folder_fd));
	MUST(close(fd));
	MUST(close(control));
}

static void lose_a_group(void)
{
	MUST(mkdir("groups/group", 0700));
	int folder = MUST(open("groups/group", O_RDONLY | O_DIRECTORY));
	int fd = MUST(openat(folder, "cgroup.procs", O_RDONLY));

	use(fd);
	MUST(rmdir("groups/group"));
	use(fd);
	FAILS(ENOENT, faccessat(folder, "cgroup.procs", F_OK, 0)); /* its name goes when somebody looks for it */
	use(fd);
	MUST(close(fd));
	MUST(close(folder));
}

static void lose_a_format(void)
{
	static const char description[] = ":vanishing:M::vanishing::/bin/true:";
	int all = MUST(open("formats/register", O_WRONLY));

	MUST(write(all, description, sizeof(description) - 1));
	int fd = MUST(open("formats/vanishing", O_RDWR));

	use(fd);
	MUST(write(fd, "-1", 2));
	use(fd);
	MUST(close(fd));
	MUST(close(all));
}

static void mount_on(const char *folder, const char *type)
{
	MUST(mkdir(folder, 0700));
	MUST(mount("none", folder, type, 0, NULL));
}

int main(void)
{
	struct rlimit most = {.rlim_cur = FAR + 1, .rlim_max = FAR + 1};

	MUST(setrlimit(RLIMIT_NOFILE, &most));
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mount_on("groups", "cgroup2");
	mount_on("formats", "binfmt_misc");
	for (int turn = 0; turn < TURNS; turn++) {
		lose_a_terminal();
		lose_a_process();
		lose_a_device();
		lose_a_group();
		lose_a_format();
	}
	return 0;
}
