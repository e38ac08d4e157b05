/* Forks while a thread opens, copies and closes descriptors: the child's table is a copy of some moment in between.
 *
 * The file "N" has N bytes, so what pread returns tells which one it was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 50
#define FORKS 200

static atomic_int done;

static void use(void)
{
	char bytes[64];

	pread(NUMBER, bytes, sizeof(bytes), 0);
}

static void *change(void *unused)
{
	static const char *const names[] = {"10", "20", "30"};

	for (int i = 0; !done; i = (i + 1) % 3) {
		int fd = MUST(open(names[i], O_RDONLY));

		MUST(dup2(fd, NUMBER));
		MUST(close(fd));
		use();
		MUST(close(NUMBER));
	}
	return unused;
}

static void make(const char *name, int size)
{
	int fd = MUST(open(name, O_CREAT | O_WRONLY, 0600));

	MUST(ftruncate(fd, size));
	MUST(close(fd));
}

int main(void)
{
	pthread_t thread;

	make("10", 10);
	make("20", 20);
	make("30", 30);
	pthread_create(&thread, NULL, change, NULL);
	for (int i = 0; i < FORKS; i++) {
		pid_t child = MUST(i % 2 ? fork() : vfork());

		if (!child) {
			use();
			_exit(0);
		}
		MUST(waitpid(child, NULL, 0));
	}
	done = 1;
	pthread_join(thread, NULL);
	return 0;
}
