/* A file below 340 directories, the first of which are made one by one: more than the kernel program follows. It is
 * opened before the trace; says where it is, waits for a line, writes, says so and waits again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

int main(void)
{
	char path[PATH_MAX], line[8];
	int fd;

	for (int i = 0; i < 340; i++) {
		MUST(mkdir("d", 0700));
		MUST(chdir("d"));
	}
	fd = MUST(open("file", O_CREAT | O_RDWR, 0600));
	MUST(dup2(fd, 10));
	printf("%s/file\n", getcwd(path, sizeof(path)));
	fflush(stdout);
	MUST(fgets(line, sizeof(line), stdin) ? 0 : -1);
	MUST(pwrite(10, "x", 1, 0));
	puts("done");
	fflush(stdout);
	MUST(fgets(line, sizeof(line), stdin) ? 0 : -1);
	MUST(pwrite(10, "y", 1, 0));
	return 0;
}
