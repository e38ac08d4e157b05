/* Bytes by every road: read and write at a place, vectored, sendfile, copy_file_range, splice, tee, vmsplice, mmap;
 * with results of zero, short ones and none; large reads; getdents and getcwd.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "check.h"

static char big[200000];

static void at_a_place(int in, int out)
{
	struct iovec too_long[] = {{.iov_base = big, .iov_len = -1}, {.iov_base = big, .iov_len = 20}};
	struct iovec round[] = {{.iov_base = big, .iov_len = 1UL << 63}, {.iov_base = big, .iov_len = 1UL << 63}};
	struct iovec parts[2] = {{.iov_base = big, .iov_len = 1000}, {.iov_base = big + 1000, .iov_len = 2000}};

	MUST(write(in, big, sizeof(big)));
	MUST(lseek(in, 0, SEEK_SET));
	MUST(read(in, big, sizeof(big)));
	MUST(read(in, big, 1)); /* 0: the end */
	MUST(lseek(in, -100, SEEK_END));
	MUST(read(in, big, sizeof(big))); /* short */
	MUST(pwrite(out, big, 5000, 70000));
	MUST(pread(out, big, 5000, 69000));
	MUST(writev(out, parts, 2));
	MUST(pwritev(out, parts, 2, 12345));
	MUST(preadv(in, parts, 2, 100));
	MUST(preadv2(in, parts, 2, -1, 0));
	MUST(lseek(in, 0, SEEK_SET));
	MUST(readv(in, parts, 2));
	FAILS(EINVAL, syscall(SYS_writev, out, parts, -1));
	FAILS(EINVAL, syscall(SYS_writev, out, too_long, 2));
	FAILS(EINVAL, syscall(SYS_writev, out, round, 2));
}

static void from_file_to_file(int in, int out)
{
	off_t from = 0;

	MUST(sendfile(out, in, &from, 50000));
	from = 10;
	MUST(copy_file_range(in, &from, out, NULL, 3000, 0));
	FAILS(EINVAL, copy_file_range(in, &from, out, NULL, 1, 1));
	MUST(posix_fallocate(out, 0, 4096));
	MUST(posix_fadvise(in, 0, 0, POSIX_FADV_DONTNEED));
	MUST(readahead(in, 0, 4096));
	MUST(sync_file_range(out, 0, 4096, SYNC_FILE_RANGE_WRITE));
	MUST(fdatasync(out));
}

static void through_pipes(int in, int out)
{
	struct iovec part = {.iov_base = big, .iov_len = 4096};
	int first[2], second[2];

	MUST(pipe(first));
	MUST(pipe(second));
	MUST(lseek(in, 0, SEEK_SET));
	MUST(splice(in, NULL, first[1], NULL, 8192, 0));
	MUST(tee(first[0], second[1], 4096, 0));
	MUST(splice(first[0], NULL, out, NULL, 8192, 0));
	MUST(vmsplice(second[1], &part, 1, 0));
	MUST(read(second[0], big, sizeof(big)));
	FAILS(EINVAL, splice(in, NULL, out, NULL, 1, 0));
}

static void around_the_file(int in, int top)
{
	char text[PATH_MAX];

	MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, in, 0) == MAP_FAILED ? -1 : 0);
	MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, in, 0) == MAP_FAILED ? -1 : 0);
	MUST(flock(in, LOCK_EX));
	MUST(fchmod(in, 0640));
	MUST(fsetxattr(in, "user.mark", "value", 5, 0));
	MUST(fgetxattr(in, "user.mark", NULL, 0));
	MUST(fgetxattr(in, "user.mark", text, sizeof(text)));
	MUST(flistxattr(in, text, sizeof(text)));
	MUST(syscall(SYS_getdents64, top, big, sizeof(big)));
	MUST(syscall(SYS_getdents64, top, big, sizeof(big)));
	MUST(syscall(SYS_getcwd, text, sizeof(text)));
	FAILS(ERANGE, syscall(SYS_getcwd, text, 2));
}

int main(void)
{
	int top = MUST(open(".", O_RDONLY | O_DIRECTORY));
	int in = MUST(open("in", O_CREAT | O_RDWR, 0600)), out = MUST(open("out", O_CREAT | O_RDWR, 0600));

	at_a_place(in, out);
	from_file_to_file(in, out);
	through_pipes(in, out);
	around_the_file(in, top);
	return 0;
}
