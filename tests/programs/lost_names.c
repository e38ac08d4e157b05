/* Two directories with long names in turn under one number: access to "p" tells by its result which one it was. Two
 * files under another one, and none: pread tells by its result. Faster than a small ring is drained.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define FILE_NUMBER 40
#define DEPTH 10
#define TURNS 5000

/* A directory below ten of a long name made of `letter`. */
static int deep(char letter)
{
	char name[200];
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY)), fd;

	memset(name, letter, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < DEPTH; i++) {
		MUST(mkdir(name, 0700));
		MUST(chdir(name));
	}
	fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
	MUST(fchdir(top));
	MUST(close(top));
	return fd;
}

static void look(int directory)
{
	MUST(dup2(directory, NUMBER));
	for (int i = 0; i < 6; i++)
		faccessat(NUMBER, "p", F_OK, 0);
}

static int sized(const char *name, int size)
{
	int fd = MUST(open(name, O_CREAT | O_RDWR, 0600));

	MUST(ftruncate(fd, size));
	return fd;
}

static void use(int file)
{
	char bytes[64];

	MUST(dup2(file, FILE_NUMBER));
	MUST(pread(FILE_NUMBER, bytes, sizeof(bytes), 0));
	MUST(close(FILE_NUMBER));
	FAILS(EBADF, pread(FILE_NUMBER, bytes, sizeof(bytes), 0));
}

int main(void)
{
	int with = deep('a'), without = deep('b'), ten = sized("10", 10), twenty = sized("20", 20);

	MUST(close(MUST(openat(with, "p", O_CREAT | O_WRONLY, 0600))));
	for (int i = 0; i < TURNS; i++) {
		look(with);
		use(ten);
		look(without);
		use(twenty);
	}
	return 0;
}
