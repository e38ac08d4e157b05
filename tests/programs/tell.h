/* Writes to the standard output what the next call works on, as the kernel has it at that moment: "newfstat /a/b". For
 * what strace can't tell, or changes by looking.
 */
#ifndef TELL_H
#define TELL_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"

static int proc = -1; /* the folder, so that it can be told in another root directory, too */

static inline void begin_to_tell(void)
{
	proc = MUST(open("/proc", O_PATH | O_DIRECTORY));
}

static inline void tell(const char *call, const char *link, const char *below)
{
	char path[4096];
	long length = MUST(readlinkat(proc, link, path, sizeof(path)));

	MUST(dprintf(1, "%s %.*s%s\n", call, (int)length, path, below));
}

static inline void tell_fd(const char *call, int fd, const char *below)
{
	char link[64];

	snprintf(link, sizeof(link), "self/fd/%d", fd);
	tell(call, link, below);
}

static inline void use(int fd)
{
	struct stat status;

	for (int i = 0; i < 2; i++) {
		tell_fd("newfstat", fd, "");
		MUST(syscall(SYS_fstat, fd, &status));
	}
}

static inline void miss(int dir)
{
	tell_fd("openat", dir, "/missing");
	FAILS(ENOENT, openat(dir, "missing", O_RDONLY));
}

static inline void miss_in_cwd(void)
{
	tell("openat", "self/cwd", "/missing");
	FAILS(ENOENT, open("missing", O_RDONLY));
}

#endif
