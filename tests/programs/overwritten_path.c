/* Calls whose path is on a page that is not in memory when they begin, and some of which write over it: who reads the
 * path when they have ended finds what they wrote. The names of their rows go to standard output, an empty line for one
 * that can't be known.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "check.h"

#define PATH "the-link"
#define ATTRIBUTE "trusted.attribute"
#define PAGE 4096
#define PAGES 32
#define OFFSET 200 /* of the path in its page */

static int strings;
static char there[PAGE];

/* A page that nothing has touched, with the path and an attribute's name in it, behind and before many others. */
static char *cold(void)
{
	char *pages;

	MUST(posix_fadvise(strings, 0, 0, POSIX_FADV_DONTNEED));
	pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, strings, 0);
	MUST(pages == MAP_FAILED ? -1 : 0);
	MUST(madvise(pages, PAGES * PAGE, MADV_RANDOM));
	return pages + PAGES / 2 * PAGE + OFFSET;
}

static void write_strings(void)
{
	char page[PAGE] = "";

	strings = MUST(open("strings", O_CREAT | O_RDWR, 0600));
	strcpy(page + OFFSET, PATH);
	strcpy(page + OFFSET + 1000, ATTRIBUTE);
	for (int i = 0; i < PAGES; i++)
		MUST(pwrite(strings, page, sizeof(page), i * PAGE));
	MUST(fsync(strings));
}

static void over_it(void)
{
	static const char attribute[] = ATTRIBUTE;
	char *path;

	path = cold(), MUST(syscall(SYS_readlink, path, path, 100));
	path = cold(), MUST(syscall(SYS_readlinkat, AT_FDCWD, path, path, 100));
	path = cold(), MUST(syscall(SYS_readlinkat, AT_FDCWD, path, path - 3, 100));
	path = cold(), MUST(syscall(SYS_readlinkat, AT_FDCWD, path, path - PAGE, 100));
	path = cold(), MUST(syscall(SYS_readlinkat, AT_FDCWD, path, path + 4, 100));
	path = cold(), MUST(syscall(SYS_lgetxattr, path, attribute, path, 100));
	path = cold(), MUST(syscall(SYS_llistxattr, path, path, 100));
	path = cold(), MUST(syscall(SYS_lstat, path, path));
	path = cold(), MUST(syscall(SYS_newfstatat, AT_FDCWD, path, path, AT_SYMLINK_NOFOLLOW));
	path = cold(), MUST(syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, path));
	path = cold(), MUST(syscall(SYS_statfs, path, path));
	for (int i = 0; i < 11; i++)
		MUST(write(STDOUT_FILENO, "\n", 1));
}

static void elsewhere(void)
{
	char *path;

	path = cold(), MUST(syscall(SYS_readlink, path, there, 100));
	path = cold(), MUST(syscall(SYS_readlinkat, AT_FDCWD, path, path + PAGE, 100));
	path = cold(), MUST(syscall(SYS_lgetxattr, path, path + 1000, there, 100));
	path = cold(), MUST(syscall(SYS_lstat, path, there));
	path = cold(), MUST(syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, there));
	for (int i = 0; i < 5; i++)
		MUST(write(STDOUT_FILENO, PATH "\n", sizeof(PATH)));
}

int main(void)
{
	write_strings();
	MUST(symlink("/etc", PATH));
	MUST(syscall(SYS_lsetxattr, PATH, ATTRIBUTE, "innocent", 9, 0));
	memset(there, 1, sizeof(there));
	over_it();
	elsewhere();
	return 0;
}
