/* apart HOW: two tasks call different files by one number, or one file by different names, each again and again. What
 * the reads' offset tells is whose they are, and the file is called like it, too: "1" and "2".
 *
 *	many	Threads with tables of their own, among so many that share one that nobody looks at all of them. Says
 *		that it is ready, and waits for the input's end.
 *	hidden	Threads that got theirs while they were called "hidden"; they read as "reader".
 *	roots	Processes with one table, whose roots are not the same: it is "root/2" and "/2" then.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "check.h"

#define NUMBER 50
#define ROUNDS 20000
#define IDLE 700

static pthread_barrier_t everybody;
static char stack[1 << 16] __attribute__((aligned(16)));

static void read_all(int who)
{
	char bytes[4];

	for (int i = 0; i < ROUNDS; i++)
		MUST(pread(NUMBER, bytes, 1, who));
}

static void *idle(void *unused)
{
	pthread_barrier_wait(&everybody);
	pthread_barrier_wait(&everybody);
	return unused;
}

static void *be_apart(void *name)
{
	prctl(PR_SET_NAME, "hidden");
	MUST(unshare(CLONE_FILES));
	open_as(NUMBER, name);
	prctl(PR_SET_NAME, "reader");
	pthread_barrier_wait(&everybody);
	pthread_barrier_wait(&everybody);
	read_all(atoi(name));
	return NULL;
}

static int read_in_root(void *unused)
{
	(void)unused;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	MUST(chroot("root"));
	read_all(2);
	return 0;
}

static void run_threads(int idle_count)
{
	static pthread_t threads[IDLE + 2];
	char byte;

	prctl(PR_SET_NAME, "reader");
	open_as(NUMBER, "shared"); /* the process is known before they come */
	pthread_barrier_init(&everybody, NULL, idle_count + 3);
	for (int i = 0; i < idle_count; i++)
		MUST(-pthread_create(&threads[i], NULL, idle, NULL));
	MUST(-pthread_create(&threads[idle_count], NULL, be_apart, "1"));
	MUST(-pthread_create(&threads[idle_count + 1], NULL, be_apart, "2"));
	pthread_barrier_wait(&everybody);
	if (idle_count) {
		MUST(dprintf(1, "ready\n"));
		MUST(read(0, &byte, 1));
		MUST(pread(NUMBER, &byte, 1, 0)); /* the first call that is seen is of one that shares */
	}
	pthread_barrier_wait(&everybody);
	for (int i = 0; i < idle_count + 2; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "roots")) {
		MUST(mkdir("root", 0700));
		open_as(NUMBER, "root/2");
		MUST(write(NUMBER, "12345", 5));
		int other = MUST(clone(read_in_root, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));

		read_all(1);
		reap(other);
		return 0;
	}
	run_threads(argc == 2 && !strcmp(argv[1], "many") ? IDLE : 0);
	return 0;
}
