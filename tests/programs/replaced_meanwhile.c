/* One thread gives a number to one file and the other, and goes into one directory and the other, while the first thread
 * uses both. What a call returns tells which it was: the file "N" has N bytes, and so has the text of the link "dN/link".
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include "check.h"

#define NUMBER 50
#define ROUNDS 20000

static atomic_int done;

static void make(const char *file, const char *directory, int size)
{
	static const char text[] = "12345678901234567890";
	char link[20], target[21];
	int fd = MUST(open(file, O_CREAT | O_WRONLY, 0600));

	MUST(write(fd, text, size));
	MUST(close(fd));
	MUST(mkdir(directory, 0700));
	snprintf(link, sizeof(link), "%s/link", directory);
	snprintf(target, sizeof(target), "%.*s", size, text);
	MUST(symlink(target, link));
}

static void *change(void *unused)
{
	int files[] = {MUST(open("10", O_RDONLY)), MUST(open("20", O_RDONLY))};
	int directories[] = {MUST(open("d10", O_RDONLY)), MUST(open("d20", O_RDONLY))};

	for (int i = 0; !done; i = !i) {
		MUST(dup2(files[i], NUMBER));
		MUST(fchdir(directories[i]));
	}
	return unused;
}

int main(void)
{
	pthread_t thread;
	char bytes[64];

	make("10", "d10", 10);
	make("20", "d20", 20);
	MUST(dup2(MUST(open("10", O_RDONLY)), NUMBER));
	pthread_create(&thread, NULL, change, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		MUST(pread(NUMBER, bytes, sizeof(bytes), 0));
		readlink("link", bytes, sizeof(bytes)); /* fails as long as nobody has gone into either */
	}
	done = 1;
	pthread_join(thread, NULL);
	return 0;
}
