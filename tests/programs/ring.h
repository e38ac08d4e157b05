/* io_uring by hand: one request at a time, waited for. */
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "check.h"

struct ring {
	int fd; /* from ring_register on an index, not a descriptor */
	unsigned int flags;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *requests;
};

static inline unsigned int *ring_word(const struct ring *ring, unsigned int offset)
{
	return (unsigned int *)(ring->rings + offset);
}

static inline void ring_open(struct ring *ring)
{
	size_t size;

	memset(ring, 0, sizeof(*ring));
	ring->fd = MUST(syscall(SYS_io_uring_setup, 4, &ring->params));
	size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	MUST(ring->rings == MAP_FAILED ? -1 : 0);
	ring->requests = mmap(NULL, ring->params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			      MAP_SHARED, ring->fd, IORING_OFF_SQES);
	MUST(ring->requests == MAP_FAILED ? -1 : 0);
}

static inline void ring_put(struct ring *ring, const struct io_uring_sqe *request)
{
	unsigned int *tail = ring_word(ring, ring->params.sq_off.tail);
	unsigned int mask = *ring_word(ring, ring->params.sq_off.ring_mask), slot = *tail & mask;

	ring->requests[slot] = *request;
	ring_word(ring, ring->params.sq_off.array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

/* Has so many requests begun, and waits until so many have ended. */
static inline void ring_enter(struct ring *ring, int begins, int ends)
{
	unsigned int flags = ring->flags | (ends ? IORING_ENTER_GETEVENTS : 0);

	MUST(syscall(SYS_io_uring_enter, ring->fd, begins, ends, flags, NULL, 0));
}

/* Does one request and gives its result; a negative one is an errno. */
static inline int ring_do(struct ring *ring, const struct io_uring_sqe *request)
{
	unsigned int *head = ring_word(ring, ring->params.cq_off.head);
	struct io_uring_cqe *results = (struct io_uring_cqe *)(ring->rings + ring->params.cq_off.cqes);
	int result;

	ring_put(ring, request);
	ring_enter(ring, 1, 1);
	result = results[*head & *ring_word(ring, ring->params.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* From now on the ring goes by its index among those that the thread has registered; 0 where the kernel knows none. */
static inline int ring_register(struct ring *ring)
{
	struct io_uring_rsrc_update update = {.offset = -1U, .data = ring->fd};

	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_RING_FDS, &update, 1) != 1)
		return 0;
	ring->fd = update.offset;
	ring->flags = IORING_ENTER_REGISTERED_RING;
	return 1;
}

static inline int ring_openat(struct ring *ring, const char *path, int flags)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_OPENAT, .fd = -100, .addr = (unsigned long)path};

	request.open_flags = flags;
	request.len = 0600;
	return ring_do(ring, &request);
}

static inline int ring_rename(struct ring *ring, const char *path, const char *new_path)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_RENAMEAT, .fd = -100, .addr = (unsigned long)path};

	request.len = -100;
	request.addr2 = (unsigned long)new_path;
	return ring_do(ring, &request);
}

static inline int ring_unlink(struct ring *ring, const char *path)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_UNLINKAT, .fd = -100, .addr = (unsigned long)path};

	return ring_do(ring, &request);
}

static inline int ring_close(struct ring *ring, int fd)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_CLOSE, .fd = fd};

	return ring_do(ring, &request);
}

#endif
