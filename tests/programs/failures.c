/* Calls that fail, one for each way to: a missing file, a file where a directory should be, a loop of links, a closed
 * number, a pointer to nowhere, a null pointer, an empty path, the wrong mode, a file that is in use.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "check.h"

/* As volatile variables, lest the compiler see that these calls can't work. */
static char *volatile nowhere = (char *)8;
static char *volatile null;

static void by_path(void)
{
	char text[8];
	struct stat status;

	FAILS(ENOENT, open("missing", O_RDONLY));
	FAILS(ENOENT, stat("missing/below", &status));
	FAILS(ENOENT, rename("missing", "elsewhere"));
	FAILS(ENOENT, chmod("missing", 0600));
	FAILS(ENOENT, truncate("missing", 0));
	FAILS(ENOENT, execl("missing", "missing", NULL));
	FAILS(EACCES, execl("file", "file", NULL));
	FAILS(ENOTDIR, open("file/below", O_RDONLY));
	FAILS(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
	FAILS(ENOTDIR, rmdir("file"));
	FAILS(EISDIR, open(".", O_WRONLY));
	FAILS(EISDIR, unlink("dir"));
	FAILS(EEXIST, open("file", O_CREAT | O_EXCL, 0600));
	FAILS(EEXIST, mkdir("dir", 0755));
	FAILS(ENOTEMPTY, rmdir("dir"));
	FAILS(ELOOP, open("loop-a", O_RDONLY));
	FAILS(ELOOP, access("loop-a/below", F_OK));
	FAILS(EINVAL, readlink("file", text, sizeof(text)));
	FAILS(ENODATA, getxattr("file", "user.none", text, sizeof(text)));
	FAILS(ENXIO, open("fifo", O_WRONLY | O_NONBLOCK));
}

static void by_pointer(void)
{
	struct stat status;

	FAILS(EFAULT, open(nowhere, O_RDONLY));
	FAILS(EFAULT, open(null, O_RDONLY));
	FAILS(EFAULT, stat(nowhere, &status));
	FAILS(EFAULT, rename("file", nowhere));
	FAILS(EFAULT, rename(nowhere, "file"));
	FAILS(EFAULT, symlink(nowhere, "file"));
	FAILS(EFAULT, stat("file", (struct stat *)nowhere));
	FAILS(EFAULT, pipe((int *)nowhere));
	FAILS(ENOENT, open("", O_RDONLY));
	FAILS(ENOENT, stat("", &status));
	FAILS(ENOENT, fstatat(3, "", &status, 0));
	FAILS(ENOENT, rename("", "file"));
	FAILS(ENOENT, mkdir("", 0755));
	FAILS(ENOENT, chdir(""));
}

static void by_descriptor(void)
{
	char text[8];
	struct stat status;
	int read_only = MUST(open("file", O_RDONLY)), write_only = MUST(open("file", O_WRONLY)), pipes[2];

	FAILS(EBADF, close(500));
	FAILS(EBADF, close(-1));
	FAILS(EBADF, read(500, text, 1));
	FAILS(EBADF, fstat(500, &status));
	FAILS(EBADF, fchdir(500));
	FAILS(EBADF, fsync(-100));
	FAILS(EBADF, lseek(500, 0, SEEK_SET));
	FAILS(EBADF, openat(500, "file", O_RDONLY));
	FAILS(EBADF, write(read_only, "x", 1));
	FAILS(EBADF, read(write_only, text, 1));
	FAILS(EFAULT, read(read_only, nowhere, 1));
	FAILS(ENOTDIR, openat(read_only, "below", O_RDONLY));
	FAILS(ENOTDIR, fchdir(read_only));
	FAILS(EINVAL, lseek(read_only, -1, SEEK_SET));
	FAILS(ENOTTY, syscall(SYS_ioctl, read_only, 0x5401, text));
	FAILS(EINVAL, ftruncate(read_only, 0));
	FAILS(EBADF, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 500, 0) == MAP_FAILED ? -1 : 0);
	FAILS(EACCES, mmap(NULL, 4096, PROT_READ, MAP_SHARED, write_only, 0) == MAP_FAILED ? -1 : 0);
	MUST(pipe(pipes));
	FAILS(ESPIPE, lseek(pipes[0], 0, SEEK_SET));
	FAILS(ESPIPE, pread(pipes[0], text, 1, 0));
	FAILS(ENOTDIR, openat(pipes[0], "below", O_RDONLY));
}

int main(void)
{
	int file;

	MUST(open(".", O_RDONLY | O_DIRECTORY)); /* 3 */
	file = MUST(open("file", O_CREAT | O_WRONLY, 0600));
	MUST(write(file, "content", 7));
	MUST(close(file));
	MUST(mkdir("dir", 0755));
	MUST(mkdir("dir/full", 0755));
	MUST(symlink("loop-b", "loop-a"));
	MUST(symlink("loop-a", "loop-b"));
	MUST(mkfifo("fifo", 0600));
	by_path();
	by_pointer();
	by_descriptor();
	return 0;
}
