/* Two threads, each with a table and a working directory of its own, look at "p" in theirs at the same time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define TURNS 10000

static void *look(void *argument)
{
	const char *name = argument;

	MUST(unshare(CLONE_FILES | CLONE_FS));
	MUST(dup2(MUST(open(name, O_RDONLY | O_DIRECTORY)), NUMBER));
	MUST(fchdir(NUMBER));
	MUST(prctl(PR_SET_NAME, name));
	for (int i = 0; i < TURNS; i++) {
		MUST(syscall(SYS_faccessat, NUMBER, "p", F_OK));
		MUST(syscall(SYS_access, "p", F_OK));
	}
	return NULL;
}

int main(void)
{
	static char *const names[] = {"A", "B"};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		char path[8];

		MUST(mkdir(names[i], 0700));
		snprintf(path, sizeof(path), "%s/p", names[i]);
		MUST(close(MUST(open(path, O_CREAT | O_WRONLY, 0600))));
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, look, names[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
