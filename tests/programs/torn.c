/* A thread exchanges the names of two folders, again and again, while another one uses a file in one of them. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "check.h"

#define USES 600000

/* Names so short lie in the dentry, and are exchanged word by word. */
static const char *first = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", *second = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static atomic_bool is_over;

static void *exchange(void *none)
{
	while (!is_over)
		MUST(syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE));
	return none;
}

int main(void)
{
	pthread_t thread;
	char path[64];
	int fd;

	MUST(mkdir(first, 0700));
	MUST(mkdir(second, 0700));
	snprintf(path, sizeof(path), "%s/file", first);
	fd = MUST(open(path, O_CREAT | O_RDWR, 0600));
	MUST(-pthread_create(&thread, NULL, exchange, NULL));
	for (int i = 0; i < USES; i++)
		MUST(lseek(fd, 0, SEEK_CUR));
	is_over = 1;
	MUST(-pthread_join(thread, NULL));
	return 0;
}
