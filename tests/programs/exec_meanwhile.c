/* Processes that share their working directory run a program by a relative path, while another one goes from one folder
 * to the other and back: "d0" has /bin/true by that name, "d1" /bin/false. Tells each one's pid and status.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "check.h"

#define ROUNDS 300

static char stacks[2][1 << 16] __attribute__((aligned(16)));
static char directories[2][4096];

static void make(int which, const char *name, const char *program)
{
	MUST(mkdir(name, 0700));
	MUST(chdir(name));
	MUST(symlink(program, "program"));
	MUST(getcwd(directories[which], sizeof(directories[which])) ? 0 : -1);
	MUST(chdir(".."));
}

/* Mostly between two changes, and not in step with the others. */
static int change(void *unused)
{
	unsigned random = 1;

	(void)unused;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (int i = 0;; i = !i) {
		MUST(chdir(directories[i]));
		random = random * 1103515245 + 12345;
		for (volatile unsigned spin = (random >> 8) % 200000; spin > 0; spin--)
			;
	}
	return 0;
}

static int run(void *unused)
{
	char program[] = "program"; /* on a page that the new process has */
	char *const arguments[] = {program, NULL};

	(void)unused;
	MUST(execv(program, arguments));
	return 1;
}

int main(void)
{
	int changer, pid, status;

	make(0, "d0", "/bin/true");
	make(1, "d1", "/bin/false");
	MUST(chdir("d0"));
	changer = MUST(clone(change, stacks[0] + sizeof(stacks[0]), CLONE_FS | SIGCHLD, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		pid = MUST(clone(run, stacks[1] + sizeof(stacks[1]), CLONE_FS | SIGCHLD, NULL));
		MUST(waitpid(pid, &status, 0));
		printf("%d %d\n", pid, WEXITSTATUS(status));
	}
	MUST(kill(changer, SIGKILL));
	MUST(waitpid(changer, NULL, 0));
	return 0;
}
