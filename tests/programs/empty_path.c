/* No path at all: AT_EMPTY_PATH (and a null path on kernels that take it), readlinkat with "", utimensat with NULL,
 * linkat of a descriptor, fexecve. The file is then the descriptor's, if the call succeeds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

static char *volatile null;

static void of_file(int file, int path_only)
{
	struct stat status;
	struct statx extended;

	MUST(fstatat(file, "", &status, AT_EMPTY_PATH));
	MUST(fstatat(path_only, "", &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	MUST(statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended));
	MUST(fchownat(file, "", -1, -1, AT_EMPTY_PATH));
	MUST(futimens(file, NULL)); /* utimensat with a null path */
	MUST(syscall(SYS_utimensat, AT_FDCWD, "file", NULL, 0));
	MUST(syscall(SYS_faccessat2, path_only, "", R_OK, AT_EMPTY_PATH));
	FAILS(ENOENT, fstatat(file, "", &status, 0));
	FAILS(ENOENT, statx(file, "", 0, STATX_BASIC_STATS, &extended));
	FAILS(EBADF, fstatat(500, "", &status, AT_EMPTY_PATH));
}

/* Since Linux 6.11 a null path is taken for an empty one; before, these fail. */
static void by_null(int file)
{
	struct stat status;
	struct statx extended;

	syscall(SYS_newfstatat, file, null, &status, AT_EMPTY_PATH);
	syscall(SYS_statx, file, null, AT_EMPTY_PATH, STATX_BASIC_STATS, &extended);
}

static void of_working_directory(int top)
{
	struct stat status;

	MUST(mkdir("dir", 0755));
	MUST(chdir("dir"));
	MUST(fstatat(AT_FDCWD, "", &status, AT_EMPTY_PATH));
	MUST(fchdir(top));
	MUST(fstatat(top, "", &status, AT_EMPTY_PATH));
}

static void of_links(int file, int top)
{
	char text[16];
	struct stat status;
	int link;

	MUST(linkat(file, "", top, "linked", AT_EMPTY_PATH));
	MUST(symlink("file", "link"));
	link = MUST(open("link", O_PATH | O_NOFOLLOW));
	MUST(readlinkat(link, "", text, sizeof(text)));
	MUST(fstatat(link, "", &status, AT_EMPTY_PATH));
	FAILS(ENOENT, readlinkat(file, "", text, sizeof(text)));
}

int main(int argc, char **argv)
{
	char *const again[] = {argv[0], "again", NULL};
	char *const environment[] = {NULL};
	int file, top, self;

	if (argc > 1)
		return access("linked", F_OK) != 0;
	top = MUST(open(".", O_RDONLY | O_DIRECTORY));
	file = MUST(open("file", O_CREAT | O_RDWR, 0600));
	of_file(file, MUST(open("file", O_PATH)));
	by_null(file);
	of_working_directory(top);
	of_links(file, top);
	FAILS(EACCES, fexecve(file, again, environment));
	self = MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	MUST(fexecve(self, again, environment));
	return 1;
}
