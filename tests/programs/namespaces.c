/* Namespaces as files, and a mount namespace of its own: a file system and a bind mount that only this process has,
 * and the way back into another namespace through its file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static void as_files(void)
{
	static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts", "time"};
	char path[64], text[8];
	struct stat status;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd, copy;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		fd = MUST(open(path, O_RDONLY));
		MUST(fstat(fd, &status));
		FAILS(EINVAL, read(fd, text, sizeof(text)));
		copy = MUST(dup(fd));
		MUST(close(fd));
		MUST(fstat(copy, &status));
		MUST(close(copy));
	}
}

static void use(const char *path)
{
	struct stat status;
	char byte;
	int fd = MUST(open(path, O_CREAT | O_RDWR, 0600));

	MUST(write(fd, "x", 1));
	MUST(pread(fd, &byte, 1, 0));
	MUST(fstat(fd, &status));
	MUST(stat(path, &status));
	MUST(close(fd));
}

static void own_mounts(void)
{
	struct stat status;
	int before = MUST(open("/proc/self/ns/mnt", O_RDONLY)), kept = MUST(open("kept", O_CREAT | O_RDWR, 0600));
	int here = MUST(open(".", O_RDONLY | O_DIRECTORY));

	MUST(mkdir("mounted", 0700));
	MUST(mkdir("bound", 0700));
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(write(kept, "kept", 4));
	MUST(mount("none", "mounted", "tmpfs", 0, NULL));
	use("mounted/file");
	MUST(mkdir("mounted/below", 0700));
	MUST(mount("mounted/below", "bound", NULL, MS_BIND, NULL));
	use("bound/file");
	MUST(chdir("bound"));
	use("file");
	MUST(write(kept, "kept", 4));
	MUST(chdir(".."));
	use("after");
	MUST(umount("bound"));
	MUST(umount("mounted"));
	MUST(setns(before, CLONE_NEWNS));
	MUST(fstat(before, &status));
	MUST(write(kept, "kept", 4));
	MUST(fchdir(here));
	use("back");
}

int main(void)
{
	as_files();
	own_mounts();
	return 0;
}
