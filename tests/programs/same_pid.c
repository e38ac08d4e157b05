/* Processes and threads that get the number of one that has just ended, asked for through ns_last_pid: each has other
 * files under the same numbers, and another working directory, and leaves them open when it ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define TIMES 8

static int last_pid;

static void ask_for(int pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid - 1);
	MUST(pwrite(last_pid, text, strlen(text), 0));
}

static void use(const char *name)
{
	int fd = MUST(open(name, O_CREAT | O_RDWR, 0600));

	MUST(write(fd, name, strlen(name)));
	MUST(dup2(fd, 1100));
	MUST(write(1100, name, strlen(name)));
	MUST(close(MUST(open("relative", O_CREAT | O_RDWR, 0600))));
}

static void *as_thread(void *name)
{
	use(name);
	return NULL;
}

static void *as_process(void *name)
{
	MUST(mkdir(name, 0700));
	MUST(chdir(name));
	use(name);
	_exit(0);
}

/* Others on the machine may take the number first: it is enough if some of the children get it. */
int main(void)
{
	char name[32];
	pthread_t thread;
	int pid, wanted = 0, same = 0;

	last_pid = MUST(open("/proc/sys/kernel/ns_last_pid", O_RDWR));
	for (int i = 0; i < TIMES; i++) {
		snprintf(name, sizeof(name), "process-%d", i);
		if (wanted)
			ask_for(wanted);
		pid = MUST(fork());
		if (pid == 0)
			as_process(name);
		same += pid == wanted;
		wanted = pid;
		reap(pid);
		snprintf(name, sizeof(name), "thread-%d", i);
		ask_for(wanted);
		pthread_create(&thread, NULL, as_thread, name);
		pthread_join(thread, NULL);
	}
	return same > 0 ? 0 : 75;
}
