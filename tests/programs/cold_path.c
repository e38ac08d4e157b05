/* A path whose page is not in memory when the call begins: a reader in the kernel that may not sleep can't see it
 * then. The path stands in a file that is mapped privately; its pages are thrown out of the page cache before each
 * use. The names asked for go to standard output.
 *
 * Under strace the case does not happen: strace reads the path first and so brings the page in.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define PATHS 16
#define PAGE 4096

static void write_paths(int fd)
{
	char path[PAGE] = "";

	for (int i = 0; i < PATHS; i++) {
		snprintf(path, sizeof(path), "cold/file-%d", i);
		MUST(pwrite(fd, path, sizeof(path), i * PAGE));
	}
	MUST(fsync(fd));
}

/* Nothing may have touched the mapping since: a fresh one for each use. */
static const char *cold(int fd, int number)
{
	char *pages;
	unsigned char resident;

	MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	pages = mmap(NULL, PATHS * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(pages == MAP_FAILED ? -1 : 0);
	MUST(madvise(pages, PATHS * PAGE, MADV_RANDOM));
	MUST(mincore(pages + number * PAGE, PAGE, &resident));
	if (resident & 1)
		fprintf(stderr, "page %d is still in memory\n", number);
	return pages + number * PAGE;
}

int main(void)
{
	struct stat status;
	int fd = MUST(open("strings", O_CREAT | O_RDWR, 0600));

	MUST(mkdir("cold", 0755));
	write_paths(fd);
	for (int i = 0; i < PATHS; i++) {
		if (i % 2)
			FAILS(ENOENT, stat(cold(fd, i), &status));
		else
			MUST(close(MUST(open(cold(fd, i), O_CREAT | O_RDWR, 0600))));
		printf("cold/file-%d\n", i);
	}
	return 0;
}
