/* Files that are called otherwise than by the way to them: namespaces that lie in a folder, folders outside of what their
 * mount shows, and files in a table that processes with different root directories share.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>
#include "check.h"
#include "tell.h"

static void bind_a_namespace(void)
{
	int fd;

	MUST(close(MUST(open("namespace", O_CREAT | O_RDWR, 0600))));
	MUST(mount("/proc/self/ns/net", "namespace", NULL, MS_BIND, NULL));
	fd = MUST(open("namespace", O_RDONLY));
	use(fd);
	MUST(umount2("namespace", MNT_DETACH));
	use(fd);
	MUST(close(fd));
	fd = MUST(open("/proc/self/ns/net", O_RDONLY));
	use(fd);
	MUST(close(fd));
}

/* A folder is renamed out of what a bind mount shows, used, and renamed back. */
static void leave_a_mount(const char *home)
{
	int folder, file;

	MUST(mkdir("shown", 0700));
	MUST(mkdir("shown/folder", 0700));
	MUST(mkdir("window", 0700));
	MUST(close(MUST(open("shown/folder/file", O_CREAT | O_RDWR, 0600))));
	MUST(mount("shown", "window", NULL, MS_BIND, NULL));
	folder = MUST(open("window/folder", O_RDONLY | O_DIRECTORY));
	use(folder);
	MUST(rename("shown/folder", "outside"));
	use(folder);
	file = MUST(openat(folder, "file", O_RDONLY));
	use(file);
	MUST(fchdir(folder));
	miss_in_cwd();
	MUST(chdir(home));
	MUST(rename("outside", "shown/folder"));
	use(file);
	use(folder);
	miss(folder);
	MUST(close(file));
	MUST(close(folder));
	MUST(umount2("window", MNT_DETACH));
}

static void take_turns(int fd, int mine, int other, int turns)
{
	char byte = 'x';

	for (int i = 0; i < turns; i++) {
		MUST(read(mine, &byte, 1));
		use(fd);
		miss(fd);
		MUST(write(other, &byte, 1));
	}
}

static void share_a_table(void)
{
	int to_child[2], to_parent[2], child, fd;

	MUST(pipe(to_child));
	MUST(pipe(to_parent));
	MUST(mkdir("root", 0700));
	MUST(mkdir("root/below", 0700));
	fd = MUST(open("root/below", O_RDONLY | O_DIRECTORY));
	child = MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));
	if (child == 0) {
		MUST(chroot("root"));
		take_turns(fd, to_child[0], to_parent[1], 6);
		_exit(0);
	}
	MUST(write(to_parent[1], "x", 1));
	take_turns(fd, to_parent[0], to_child[1], 6);
	reap(child);
	MUST(close(fd));
}

int main(void)
{
	char home[4096];

	begin_to_tell();
	MUST(getcwd(home, sizeof(home)) ? 0 : -1);
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("none", home, "tmpfs", 0, NULL));
	MUST(chdir(home));
	bind_a_namespace();
	leave_a_mount(home);
	share_a_table();
	return 0;
}
