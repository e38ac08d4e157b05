/* Paths that are resolved as if their directory were the root (openat2(2), RESOLVE_IN_ROOT). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static long open_in_root(int dir, const char *path)
{
	struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};

	return syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int main(void)
{
	MUST(mkdir("dir", 0700));
	MUST(close(MUST(open("dir/there", O_CREAT | O_RDWR, 0600))));
	int dir = MUST(open("dir", O_RDONLY | O_DIRECTORY));

	MUST(close(MUST(open_in_root(dir, "/there"))));
	MUST(close(MUST(open_in_root(dir, "../../there"))));
	FAILS(ENOENT, open_in_root(dir, "/missing"));
	FAILS(ENOENT, open_in_root(dir, "../missing"));
	FAILS(ENOENT, open_in_root(dir, "also/../missing"));
	FAILS(ENOENT, open_in_root(AT_FDCWD, "/missing"));
	FAILS(ENOENT, open_in_root(dir, "missing"));
	FAILS(ENOENT, open_in_root(dir, "..missing"));
	return 0;
}
