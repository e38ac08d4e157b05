/* Threads that do not share what threads share: one with a descriptor table of its own (unshare), in which the same
 * numbers are other files, and one with a working directory of its own. By turns, then all at once.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 30
#define ROUNDS 60

static pthread_barrier_t turn;

static void use(const char *text)
{
	struct stat status;
	char byte;

	MUST(write(NUMBER, text, strlen(text)));
	MUST(pread(NUMBER, &byte, 1, 0));
	MUST(fstat(NUMBER, &status));
}

static void use_often(const char *text)
{
	for (int i = 0; i < ROUNDS; i++)
		use(text);
}

static void *with_own_table(void *unused)
{
	(void)unused;
	MUST(unshare(CLONE_FILES));
	open_as(NUMBER, "own");
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&turn);
		use("own");
		pthread_barrier_wait(&turn);
	}
	use_often("own");
	pthread_barrier_wait(&turn); /* the number is in doubt while it is closed, in whichever table */
	MUST(close(NUMBER));
	FAILS(EBADF, write(NUMBER, "", 0));
	return NULL;
}

static void by_turns(void)
{
	pthread_t thread;

	open_as(NUMBER, "common");
	use("common");
	pthread_create(&thread, NULL, with_own_table, NULL);
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
		use("common");
	}
	use_often("common");
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	use("common");
}

static void make_file(void)
{
	MUST(close(MUST(open("file", O_CREAT | O_RDWR, 0600))));
}

static void *with_own_directory(void *unused)
{
	(void)unused;
	MUST(unshare(CLONE_FS));
	MUST(chdir("aside"));
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&turn);
		make_file();
		pthread_barrier_wait(&turn);
	}
	return NULL;
}

static void in_two_directories(void)
{
	pthread_t thread;

	MUST(mkdir("aside", 0700));
	make_file();
	pthread_create(&thread, NULL, with_own_directory, NULL);
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
		make_file();
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	pthread_barrier_init(&turn, NULL, 2);
	by_turns();
	in_two_directories();
	return 0;
}
