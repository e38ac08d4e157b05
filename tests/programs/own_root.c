/* chroot: files inside by absolute and relative paths, and one that was opened outside before. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

int main(void)
{
	int outside = MUST(open("outside", O_CREAT | O_RDWR, 0600));

	MUST(mkdir("root", 0700));
	MUST(mkdir("root/dir", 0700));
	MUST(chroot("root"));
	MUST(chdir("/dir"));
	MUST(pwrite(MUST(open("/file", O_CREAT | O_RDWR, 0600)), "x", 1, 0));
	MUST(pwrite(MUST(open("file", O_CREAT | O_RDWR, 0600)), "x", 1, 0));
	MUST(pwrite(outside, "x", 1, 0));
	MUST(unlink("file"));
	MUST(unlink("/file"));
	return 0;
}
