/* Paths relative to directory descriptors and to a working directory that moves: chdir, fchdir, `..`, through symlinks
 * to directories, out of a directory that was renamed or removed meanwhile. getcwd says after each move where it led.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static char where[PATH_MAX];

static void go(const char *path)
{
	MUST(chdir(path));
	getcwd(where, sizeof(where));
}

static void touch_at(int dir, const char *path)
{
	MUST(close(MUST(openat(dir, path, O_CREAT | O_WRONLY, 0644))));
}

static void by_descriptor(void)
{
	struct stat status;
	struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
	int dir = MUST(open("a/b", O_RDONLY | O_DIRECTORY));
	int path_only = MUST(openat(dir, "c", O_PATH));
	char absolute[PATH_MAX + 16];

	touch_at(dir, "in-b");
	touch_at(path_only, "in-c");
	touch_at(path_only, "../beside-c");
	touch_at(path_only, "../../in-a");
	touch_at(dir, "./c/.//dotted");
	snprintf(absolute, sizeof(absolute), "%s/absolute", getcwd(where, sizeof(where)));
	touch_at(dir, absolute);
	MUST(fstatat(dir, "c/../in-b", &status, 0));
	MUST(faccessat(dir, "in-b", R_OK, 0));
	MUST(mkdirat(path_only, "made", 0755));
	MUST(unlinkat(path_only, "made", AT_REMOVEDIR));
	MUST(syscall(SYS_openat2, dir, "in-b", &how, sizeof(how)));
	FAILS(EXDEV, syscall(SYS_openat2, dir, "../in-a", &how, sizeof(how)));
	FAILS(ENOTDIR, openat(MUST(openat(dir, "in-b", O_RDONLY)), "x", O_RDONLY));
	FAILS(EBADF, openat(999, "x", O_RDONLY));
}

static void by_working_directory(void)
{
	struct stat status;
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY));

	go("a");
	touch_at(AT_FDCWD, "one");
	go("b/c");
	touch_at(AT_FDCWD, "two");
	MUST(stat("two", &status));
	MUST(stat("../in-b", &status));
	go("..");
	MUST(lstat("in-b", &status));
	go("../..");
	MUST(access("a/one", F_OK));
	MUST(chdir("/"));
	MUST(access("../../etc/passwd", R_OK));
	MUST(fchdir(top));
	MUST(access("a/one", F_OK));
	FAILS(ENOENT, chdir("missing"));
	FAILS(ENOTDIR, chdir("a/one"));
	MUST(access("a/one", F_OK));
}

/* `link` leads to a/b/c: `..` behind it is a/b, not the folder that holds the link. */
static void through_symlinks(int top)
{
	struct stat status;
	int dir;

	MUST(symlink("a/b/c", "link"));
	MUST(stat("link/two", &status));
	MUST(stat("link/../in-b", &status));
	go("link");
	MUST(stat("two", &status));
	MUST(stat("../in-b", &status));
	touch_at(AT_FDCWD, "../through-link");
	MUST(fchdir(top));
	dir = MUST(open("link", O_RDONLY | O_DIRECTORY));
	touch_at(dir, "../through-descriptor");
	MUST(fchdir(dir));
	MUST(access("../in-b", F_OK));
	MUST(fchdir(top));
}

static void renamed_and_removed(int top)
{
	int dir = MUST(open("a/b", O_RDONLY | O_DIRECTORY));

	go("a/b/c");
	MUST(renameat(top, "a", top, "A"));
	getcwd(where, sizeof(where));
	touch_at(AT_FDCWD, "after-rename");
	touch_at(dir, "after-rename");
	MUST(fchdir(top));
	MUST(mkdir("gone", 0755));
	go("gone");
	MUST(rmdir("../gone"));
	FAILS(ENOENT, openat(AT_FDCWD, "x", O_CREAT | O_RDWR, 0600));
	FAILS(ENOENT, syscall(SYS_getcwd, where, sizeof(where)));
	MUST(fchdir(top));
	getcwd(where, sizeof(where));
}

/* A child inherits the directory and moves on its own. */
static void in_a_child(void)
{
	int pid = MUST(fork());

	if (pid == 0) {
		MUST(access("A/one", F_OK));
		go("A/b");
		MUST(access("in-b", F_OK));
		_exit(0);
	}
	reap(pid);
	MUST(access("A/b/in-b", F_OK));
}

int main(void)
{
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY));

	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0755));
	MUST(mkdir("a/b/c", 0755));
	by_descriptor();
	by_working_directory();
	through_symlinks(top);
	renamed_and_removed(top);
	in_a_child();
	return 0;
}
