/* rename, link and symlink with all their variants: over an open file, of a directory under an open file, exchanged,
 * refused. Every descriptor is used again afterwards, when its file has another name.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static int make(const char *path)
{
	int fd = MUST(open(path, O_CREAT | O_RDWR, 0644));

	MUST(write(fd, path, strlen(path)));
	return fd;
}

static void look(int fd)
{
	char byte;
	struct stat status;

	MUST(pread(fd, &byte, 1, 0));
	MUST(fstat(fd, &status));
}

static void renames(int dir)
{
	int one = make("one"), two = make("two"), deep = make("dir/sub/deep");

	MUST(rename("one", "uno"));
	look(one);
	MUST(rename("uno", "two")); /* two's file is gone, its descriptor is not */
	look(one);
	look(two);
	MUST(renameat(AT_FDCWD, "two", dir, "moved"));
	look(one);
	MUST(renameat2(dir, "moved", AT_FDCWD, "back", RENAME_NOREPLACE));
	look(one);
	MUST(rename("dir/sub", "dir/renamed"));
	look(deep);
	MUST(renameat2(AT_FDCWD, "back", dir, "renamed/deep", RENAME_EXCHANGE));
	look(one);
	look(deep);
	FAILS(EEXIST, renameat2(AT_FDCWD, "back", dir, "renamed/deep", RENAME_NOREPLACE));
	FAILS(ENOENT, rename("missing", "anything"));
	FAILS(ENOTEMPTY, rename("empty", "dir"));
	FAILS(EINVAL, rename("dir", "dir/renamed/inside"));
	MUST(rename("dir", "Dir"));
	look(deep);
	MUST(close(MUST(openat(dir, "renamed/deep", O_RDONLY))));
}

static void links(int dir)
{
	int fd = make("file");

	MUST(link("file", "hard"));
	MUST(linkat(AT_FDCWD, "file", dir, "hard-in-dir", 0));
	FAILS(EEXIST, link("file", "hard"));
	FAILS(EPERM, link("Dir", "dir-link"));
	MUST(symlink("../some//target/./here", "soft"));
	MUST(symlinkat("/absolute/target", dir, "soft-in-dir"));
	MUST(symlink("file", "to-file"));
	MUST(linkat(AT_FDCWD, "to-file", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	FAILS(EEXIST, symlink("anything", "soft"));
	FAILS(ENOENT, symlink("", "no-target"));
	MUST(unlink("file"));
	look(fd); /* deleted under this name, alive under three others */
	MUST(close(MUST(open("to-file", O_CREAT | O_RDWR, 0600))));
}

static void read_links(int dir)
{
	char text[64];
	struct stat status;

	MUST(readlink("soft", text, sizeof(text)));
	MUST(readlinkat(dir, "soft-in-dir", text, sizeof(text)));
	FAILS(EINVAL, readlink("hard", text, sizeof(text)));
	MUST(lstat("soft", &status));
	FAILS(ENOENT, stat("soft", &status));
	FAILS(ELOOP, open("soft", O_RDONLY | O_NOFOLLOW));
	MUST(close(MUST(open("soft", O_PATH | O_NOFOLLOW))));
}

int main(void)
{
	int dir;

	MUST(mkdir("dir", 0755));
	MUST(mkdir("dir/sub", 0755));
	MUST(mkdir("empty", 0755));
	dir = MUST(open("dir", O_RDONLY | O_DIRECTORY));
	renames(dir);
	links(dir);
	read_links(dir);
	return 0;
}
