/* Paths of 300 to 4000 bytes: of few long components, and of 300 short ones. Built and left step by step, since no
 * single call takes more than PATH_MAX; used absolute, relative to the working directory and to a descriptor. And one
 * too long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static char path[2 * PATH_MAX];

static void use(int dir, const char *name)
{
	char byte;
	struct stat status;
	int fd = MUST(openat(dir, name, O_CREAT | O_RDWR, 0600));

	MUST(write(fd, "x", 1));
	MUST(pread(fd, &byte, 1, 0));
	MUST(fstatat(dir, name, &status, 0));
	MUST(close(fd));
}

static void descend(const char *component)
{
	MUST(mkdir(component, 0755));
	MUST(chdir(component));
}

/* A path of exactly this many bytes below the working directory, as long components. */
static void of_length(int top, size_t bytes)
{
	char component[NAME_MAX + 1], other[sizeof(path)];
	size_t length;

	MUST(fchdir(top));
	MUST(getcwd(path, sizeof(path)) == NULL ? -1 : 0);
	length = strlen(path);
	while (length + 2 < bytes) {
		size_t room = bytes - length - 1, size = room > NAME_MAX ? NAME_MAX : room;

		if (room > size && room - size < 2)
			size -= 2; /* leave room for a slash and a byte */
		memset(component, 'a' + (int)(bytes / 100 % 26), size);
		component[size] = 0;
		sprintf(path + length, "/%s", component);
		length += size + 1;
		if (length < bytes)
			descend(component);
	}
	use(AT_FDCWD, path);
	use(AT_FDCWD, component);
	use(top, path);
	snprintf(other, sizeof(other), "%.*s", (int)length - 1, path);
	MUST(rename(path, strcat(other, "Z")));
	FAILS(ENOENT, unlink(path));
	MUST(unlink(other));
}

static void of_many_components(int top)
{
	char byte[8];
	int dir, fd;

	MUST(fchdir(top));
	for (int level = 0; level < 300; level++) {
		snprintf(byte, sizeof(byte), "%x", level % 16);
		descend(byte);
	}
	use(AT_FDCWD, "leaf");
	MUST(getcwd(path, sizeof(path)) == NULL ? -1 : 0);
	dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
	fd = MUST(openat(dir, "kept-open", O_CREAT | O_RDWR, 0600));
	MUST(fchdir(top));
	use(dir, "leaf");
	use(dir, "../leaf");
	use(AT_FDCWD, strcat(path, "/leaf"));
	MUST(write(fd, "x", 1));
	MUST(unlinkat(dir, "kept-open", 0));
	MUST(write(fd, "x", 1));
}

static void too_long(int top)
{
	MUST(fchdir(top));
	memset(path, 'x', NAME_MAX + 1);
	path[NAME_MAX + 1] = 0;
	FAILS(ENAMETOOLONG, open(path, O_RDONLY));
	for (size_t at = 0; at < PATH_MAX + 200; at += 2)
		memcpy(path + at, "./", 3);
	FAILS(ENAMETOOLONG, open(path, O_RDONLY));
	path[PATH_MAX - 1] = 0; /* the longest that is allowed */
	MUST(access(path, F_OK));
}

int main(void)
{
	static const size_t lengths[] = {300,  511,  512,  513,  1023, 1024,        1025,
					 2047, 2048, 2049, 3000, 4000, PATH_MAX - 1};
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY));

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char name[16];
		int dir;

		snprintf(name, sizeof(name), "%zu", lengths[i]);
		MUST(mkdirat(top, name, 0755));
		dir = MUST(openat(top, name, O_RDONLY | O_DIRECTORY));
		of_length(dir, lengths[i]);
		MUST(close(dir));
	}
	of_many_components(top);
	too_long(top);
	return 0;
}
