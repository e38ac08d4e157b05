/* A ring that has no descriptor: what io_uring_setup returns is its index among those that the thread has registered, and
 * the number of a file or, the second time, of none. Last a ring that has a descriptor.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include "ring.h"

/* include/uapi/linux/io_uring.h, Linux 6.5 */
#define NO_MMAP (1U << 14)
#define REGISTERED_FD_ONLY (1U << 15)
#define USER_ADDRESS 32 /* in both structures of offsets */

static void *memory(void)
{
	void *address = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED | MAP_POPULATE, -1, 0);

	MUST(address == MAP_FAILED ? -1 : 0);
	return address;
}

/* Fails before Linux 6.5, and then returns no number either. */
static void ring_without_number(void)
{
	struct io_uring_params params = {.flags = NO_MMAP | REGISTERED_FD_ONLY};
	void *rings = memory(), *requests = memory();

	memcpy((char *)&params.cq_off + USER_ADDRESS, &rings, sizeof(rings));
	memcpy((char *)&params.sq_off + USER_ADDRESS, &requests, sizeof(requests));
	syscall(SYS_io_uring_setup, 4, &params);
}

int main(void)
{
	struct ring ring;
	char byte;

	MUST(close(0));
	MUST(open("zero", O_CREAT | O_RDWR, 0600));
	ring_without_number();
	MUST(pread(0, &byte, 1, 0));
	MUST(dup2(0, 1));
	MUST(close(1));
	ring_without_number();
	FAILS(EBADF, pread(1, &byte, 1, 0));
	ring_open(&ring);
	MUST(fcntl(ring.fd, F_GETFD));
	return 0;
}
