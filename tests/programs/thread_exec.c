/* A thread that is not the leader runs execve: it takes over the leader's number, and all other threads die, the
 * leader in the middle of a read. Descriptors marked close-on-exec are gone afterwards, the others are not. Three
 * times over.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include "check.h"

#define KEPT 20
#define MARKED 21

static int never[2];
static char **arguments;

static void *block(void *unused)
{
	char byte;

	(void)unused;
	MUST(read(never[0], &byte, 1));
	return NULL;
}

static void *replace(void *next)
{
	char *const argv[] = {arguments[0], next, NULL};

	MUST(execv("/proc/self/exe", argv));
	return NULL;
}

static void look_back(void)
{
	char text[8];

	MUST(pread(KEPT, text, sizeof(text), 0));
	FAILS(EBADF, pread(MARKED, text, sizeof(text), 0));
}

int main(int argc, char **argv)
{
	static char next[] = "1";
	pthread_t thread;

	arguments = argv;
	if (argc > 1) {
		look_back();
		next[0] = argv[1][0] + 1;
	}
	if (next[0] > '3')
		return 0;
	MUST(pipe2(never, O_CLOEXEC));
	MUST(dup2(open("kept", O_CREAT | O_RDWR, 0600), KEPT));
	MUST(dup3(open("marked", O_CREAT | O_RDWR, 0600), MARKED, O_CLOEXEC));
	pthread_create(&thread, NULL, block, NULL);
	pthread_create(&thread, NULL, replace, next);
	block(NULL);
	return 1;
}
