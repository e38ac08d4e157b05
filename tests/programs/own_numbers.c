/* Threads that make, use and close what is their own: pipes, sockets, event counters, files without and with a name. Their
 * numbers go from hand to hand, since each gets what another one has just freed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "check.h"

#define THREADS 8
#define ROUNDS 500

static void use(int out, int in)
{
	uint64_t value = 1;

	MUST(write(out, &value, sizeof(value)));
	MUST(read(in, &value, sizeof(value)));
	MUST(close(out));
	if (in != out)
		MUST(close(in));
}

static void use_file(int fd)
{
	uint64_t value = 1;

	MUST(pwrite(fd, &value, sizeof(value), 0));
	MUST(close(fd));
}

static void *work(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		int pair[2], event;

		MUST(pipe2(pair, 0));
		use(pair[1], pair[0]);
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		use(pair[1], pair[0]);
		event = MUST(eventfd(0, 0));
		use(event, event);
		use_file(MUST(memfd_create("own", 0)));
		use_file(MUST(open(".", O_TMPFILE | O_RDWR, 0600)));
		use_file(MUST(open("link", O_RDWR)));
	}
	return unused;
}

int main(void)
{
	pthread_t threads[THREADS];

	MUST(close(MUST(open("file", O_CREAT | O_RDWR, 0600))));
	MUST(symlink("file", "link"));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
