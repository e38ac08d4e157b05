/* Holds files that are called "core" open while a child dumps its core there: the kernel itself unlinks the old one.
 * Uses it by fstat before and meanwhile, and by lseek once it is gone.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"

#define TURNS 20
#define CORE_BYTES (8 << 20)

/* Whether its name is gone; the kernel takes a link away before. */
static int is_unlinked(int fd)
{
	char path[64], name[4096];
	struct stat status;
	ssize_t size;

	MUST(syscall(SYS_fstat, fd, &status));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = MUST(readlink(path, name, sizeof(name) - 1));
	name[size] = 0;
	return !!strstr(name, " (deleted)");
}

static pid_t start_dump(void)
{
	pid_t child = MUST(fork());
	void *memory;

	if (child)
		return child;
	memory = mmap(NULL, CORE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(memory, 1, CORE_BYTES);
	raise(SIGABRT);
	exit(1);
}

int main(void)
{
	struct rlimit room = {2 * CORE_BYTES, 2 * CORE_BYTES};
	int used_meanwhile = 0;

	MUST(setrlimit(RLIMIT_CORE, &room));
	for (int turn = 0; turn < TURNS; turn++) {
		int fd = MUST(open("core", O_RDWR | O_CREAT, 0600)), status;
		pid_t child = start_dump();

		while (!MUST(waitpid(child, &status, WNOHANG))) {
			if (is_unlinked(fd)) {
				MUST(lseek(fd, 0, SEEK_CUR));
				used_meanwhile++;
			}
		}
		MUST(WCOREDUMP(status) ? 0 : -1);
		MUST(is_unlinked(fd) ? 0 : -1);
		MUST(lseek(fd, 0, SEEK_CUR));
		MUST(close(fd));
	}
	MUST(used_meanwhile ? 0 : -1);
	return 0;
}
