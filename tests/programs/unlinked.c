/* Files that have no name any more, or never had one: deleted while open, in a deleted directory, a name that only
 * looks deleted, O_TMPFILE (and given a name later), memfd.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static void use(int fd)
{
	char text[8];
	struct stat status;

	MUST(write(fd, "content", 7));
	MUST(pread(fd, text, sizeof(text), 0));
	MUST(fstat(fd, &status));
	MUST(ftruncate(fd, 3));
}

static void deleted(void)
{
	int fd = MUST(open("file", O_CREAT | O_RDWR, 0600)), copy, dir;

	use(fd);
	MUST(unlink("file"));
	use(fd);
	copy = MUST(dup(fd));
	MUST(close(MUST(open("file", O_CREAT | O_RDWR, 0600)))); /* another file of that name */
	use(copy);
	MUST(mkdir("dir", 0755));
	dir = MUST(open("dir", O_RDONLY | O_DIRECTORY));
	MUST(rmdir("dir"));
	FAILS(ENOENT, openat(dir, "new", O_CREAT | O_RDWR, 0600));
	MUST(close(dir));
	MUST(close(fd));
	use(copy);
}

static void looks_deleted(void)
{
	int fd = MUST(open("odd (deleted)", O_CREAT | O_RDWR, 0600));

	use(fd);
	MUST(unlink("odd (deleted)"));
	use(fd);
}

static void nameless(void)
{
	char link[32];
	int fd = MUST(open(".", O_TMPFILE | O_RDWR, 0600)), dir = MUST(open(".", O_RDONLY | O_DIRECTORY));

	use(fd);
	use(MUST(openat(dir, ".", O_TMPFILE | O_RDWR | O_EXCL, 0600)));
	FAILS(ENOENT, open("missing", O_TMPFILE | O_RDWR, 0600));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	MUST(linkat(AT_FDCWD, link, dir, "named at last", AT_SYMLINK_FOLLOW));
	MUST(fsync(fd));
}

static void in_memory(void)
{
	int fd = MUST(memfd_create("a label / with a slash", MFD_CLOEXEC));

	use(fd);
	use(MUST(memfd_create("", 0)));
	MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	FAILS(EINVAL, memfd_create("flags", 0x8000));
}

int main(void)
{
	deleted();
	looks_deleted();
	nameless();
	in_memory();
	return 0;
}
