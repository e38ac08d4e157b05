/* One thread uses a number and the working directory while another gives both to other files, by close and open, by dup2
 * and by chdir. Then that is over, and calls say by their arguments what the number and the directory are: `lseek` to N
 * is one on "N", "isN" is looked for in "dN".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

#define NUMBER 3
#define ROUNDS 8000

static atomic_int racing, idle, done;

static void *use(void *unused)
{
	char byte;
	struct stat status;

	while (!done) {
		idle = !racing;
		if (idle)
			continue;
		pread(NUMBER, &byte, 1, 0);
		stat("none", &status);
	}
	return unused;
}

static void change(int which)
{
	MUST(chdir(which ? "../d1" : "../d0"));
	if (which) {
		MUST(close(NUMBER));
		if (MUST(open("../1", O_RDONLY)) != NUMBER)
			_exit(2);
	} else {
		int fd = MUST(open("../0", O_RDONLY));

		MUST(dup2(fd, NUMBER));
		MUST(close(fd));
	}
}

static void look(int which)
{
	for (int i = 0; i < 2; i++) {
		MUST(lseek(NUMBER, which, SEEK_SET));
		access(which ? "is1" : "is0", F_OK);
	}
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		MUST(mkdir(i ? "d1" : "d0", 0700));
		MUST(close(MUST(open(i ? "1" : "0", O_CREAT | O_WRONLY, 0600))));
	}
	MUST(chdir("d0"));
	MUST(dup2(MUST(open("../0", O_RDONLY)), NUMBER));
	MUST(-pthread_create(&thread, NULL, use, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		racing = 1;
		while (idle)
			;
		for (int j = 0; j < 3; j++)
			change((i + j) & 1);
		racing = 0;
		while (!idle)
			;
		look(i & 1);
	}
	done = 1;
	pthread_join(thread, NULL);
	return 0;
}
