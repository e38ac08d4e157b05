// SPDX-License-Identifier: MIT
/* The records that are whole once they are begun: a call's number and arguments, or its return value. */
#ifndef TRACER_RECORDS_BPF_H
#define TRACER_RECORDS_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"

static __always_inline void fill_header_of(struct event_header *header, u64 id, u8 type, u64 time_ns)
{
	header->time_ns = time_ns;
	header->tgid = id >> 32;
	header->tid = id;
	header->type = type;
	header->flags = 0;
	header->syscall = 0;
	header->reserved = 0;
}

static __always_inline void fill_header(struct event_header *header, u8 type, u64 time_ns)
{
	fill_header_of(header, bpf_get_current_pid_tgid(), type, time_ns);
}

struct short_enter {
	struct event_header header;
	u64 args[TRACER_MAX_ARGS];
};

static __always_inline void send_enter_of(u32 nargs, u64 id, u32 number, const u64 *args, u64 time_ns)
{
	struct short_enter *record = reserve(sizeof(struct event_header) + nargs * 8);

	if (!record)
		return note_lost_enter(id);
	fill_header_of(&record->header, id, TRACER_ENTER, time_ns);
	record->header.syscall = number;
	record->header.flags = nargs;
	record->header.size = sizeof(struct event_header) + nargs * 8;
#pragma unroll
	for (int i = 0; i < nargs; i++)
		record->args[i] = args[i];
	submit(record);
}

/* An enter of so many arguments. One branch for each count, since room in the ring is of constant size. */
static __always_inline void send_short_enter(u32 nargs, u64 id, u32 number, const u64 *args, u64 time_ns)
{
	switch (nargs) {
	case 0:
		return send_enter_of(0, id, number, args, time_ns);
	case 1:
		return send_enter_of(1, id, number, args, time_ns);
	case 2:
		return send_enter_of(2, id, number, args, time_ns);
	case 3:
		return send_enter_of(3, id, number, args, time_ns);
	case 4:
		return send_enter_of(4, id, number, args, time_ns);
	case 5:
		return send_enter_of(5, id, number, args, time_ns);
	case 6:
		return send_enter_of(6, id, number, args, time_ns);
	}
}

struct short_exit {
	struct event_header header;
	struct exit_body body;
};

/* Whether the thread's enter found no room. Its exit is lost with it, and counted: it would complete an earlier call. */
static __always_inline int is_lost_with_enter(u64 id)
{
	if (!take_lost_enter(id))
		return 0;
	count_loss(TRACER_LOSS_RING_FULL);
	return 1;
}

/* An exit found no room. If the thread's next call is refused, the end of that would complete the lost one. */
static __always_inline void note_lost_exit(u64 id)
{
	if (exit_flags())
		note_lost_enter(id);
}

/* An exit that is more than its return value; not 0 if it was lost. */
static __always_inline int send_exit(void *record, u32 size)
{
	u64 id = bpf_get_current_pid_tgid();

	if (is_lost_with_enter(id))
		return 1;
	int failed = send(record, size);

	if (failed)
		note_lost_exit(id);
	return failed;
}

static __always_inline void send_short_exit(u64 id, u32 number, u8 flags, s64 ret, u64 time_ns)
{
	struct short_exit *record = reserve(sizeof(*record));

	if (!record)
		return note_lost_exit(id);
	fill_header_of(&record->header, id, TRACER_EXIT, time_ns);
	record->header.flags = flags;
	record->header.syscall = number;
	record->header.size = sizeof(*record);
	record->body.ret = ret;
	submit(record);
}

#endif
