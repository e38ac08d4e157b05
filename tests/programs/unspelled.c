/* Files whose whole names are more than the kernel program spells: below 330 folders ("deep"), or of more than 4095
 * bytes ("long"). Each way to give one a number is used after the number was another file's, which is called "first";
 * what a number is at last is told by the offset of its pread. Then a symlink to the folder is the working directory.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sys/stat.h>
#include "check.h"

#define NUMBER 60
#define DEEP 330
#define LONG 17
#define COMPONENT 250

static int top, folder, first;
static long uses;

static void use(int fd)
{
	char byte;

	MUST(pread(fd, &byte, 1, uses++));
}

static void descend(int deep)
{
	char component[COMPONENT + 1];

	memset(component, 'd', COMPONENT);
	component[deep ? 1 : COMPONENT] = 0;
	for (int level = 0; level < (deep ? DEEP : LONG); level++) {
		MUST(mkdir(component, 0700));
		MUST(chdir(component));
	}
	MUST(close(MUST(open("leaf", O_CREAT | O_WRONLY, 0600))));
}

/* The lowest free number was the first file's. */
static void open_after_another(int dir, const char *path)
{
	int other = MUST(openat(top, "first", O_RDWR)), fd;

	use(other);
	MUST(close(other));
	fd = MUST(openat(dir, path, O_RDWR));
	if (fd != other)
		exit(73);
	use(fd);
	MUST(close(fd));
}

static void copy_after_another(int leaf)
{
	int other = MUST(dup(first)), fd;

	use(other);
	MUST(close(other));
	fd = MUST(dup(leaf));
	if (fd != other)
		exit(74);
	use(fd);
	MUST(close(fd));
	MUST(dup2(first, NUMBER));
	use(NUMBER);
	MUST(dup2(leaf, NUMBER));
	use(NUMBER);
	MUST(dup3(first, NUMBER, O_CLOEXEC));
	use(NUMBER);
	MUST(dup3(leaf, NUMBER, O_CLOEXEC));
	use(NUMBER);
	MUST(close(NUMBER));
	MUST(fcntl(first, F_DUPFD, NUMBER));
	use(NUMBER);
	MUST(close(NUMBER));
	MUST(fcntl(leaf, F_DUPFD, NUMBER));
	use(NUMBER);
}

/* Only a path that is short enough can be given whole. */
static void go_there_by_a_link(const char *path)
{
	MUST(symlink(path, "link"));
	MUST(chdir("link"));
	FAILS(ENOENT, access("../missing", F_OK));
	FAILS(ENOENT, access("missing", F_OK));
	MUST(fchdir(top));
	FAILS(ENOENT, access("missing", F_OK));
}

int main(int argc, char **argv)
{
	int deep = argc > 1 && strcmp(argv[1], "deep") == 0;
	char path[PATH_MAX], leaf[PATH_MAX + 8];

	top = MUST(open(".", O_RDONLY | O_DIRECTORY));
	first = MUST(open("first", O_CREAT | O_RDWR, 0600));
	descend(deep);
	if (deep)
		MUST(getcwd(path, sizeof(path)) ? 0 : -1);
	folder = MUST(open(".", O_RDONLY | O_DIRECTORY));
	MUST(fchdir(top));
	open_after_another(folder, "leaf");
	copy_after_another(MUST(openat(folder, "leaf", O_RDWR)));
	if (deep) {
		snprintf(leaf, sizeof(leaf), "%s/leaf", path);
		open_after_another(AT_FDCWD, leaf);
		go_there_by_a_link(path);
	}
	return 0;
}
