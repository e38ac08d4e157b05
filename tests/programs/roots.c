/* Works in and on roots of file systems: they are in no folder, and there nevertheless. */
#include "check.h"

#include <sys/stat.h>

static void work_in(const char *root)
{
	struct stat status;
	int fd = MUST(open(root, O_RDONLY | O_DIRECTORY));

	MUST(fstat(fd, &status));
	FAILS(ENOENT, openat(fd, "missing", O_RDONLY));
	MUST(chdir(root));
	FAILS(ENOENT, open("missing", O_RDONLY));
	MUST(stat(".", &status));
	FAILS(ENOENT, unlink("missing/too"));
	MUST(close(fd));
}

int main(void)
{
	work_in("/");
	work_in("/proc");
	work_in("/sys");
	work_in("/dev");
	return 0;
}
