// SPDX-License-Identifier: MIT
/* What io_uring does to names: it renames and unlinks without a call, for a process that need not be traced. */
#ifndef TRACER_RINGS_BPF_H
#define TRACER_RINGS_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define IORING_OP_RENAMEAT 35 /* include/uapi/linux/io_uring.h */
#define IORING_OP_UNLINKAT 36

/* A request begins or has succeeded or failed, as the calls of its kind do. Null for a completion without a request. */
static __always_inline void note_request(const void *request)
{
	u8 operation = 0;

	bpf_probe_read_kernel(&operation, sizeof(operation), request + OFF_REQUEST_OPCODE);
	if (operation == IORING_OP_RENAMEAT || operation == IORING_OP_UNLINKAT)
		move_epoch();
}

#endif
