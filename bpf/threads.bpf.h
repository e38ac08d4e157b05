// SPDX-License-Identifier: MIT
/* Which threads user space has been told the name of.
 *
 * A fork, an exec and a renaming tell it. A thread that was there before the trace tells it right before the first call
 * that is seen of it: /proc would be asked when it may be called otherwise, or be gone.
 */
#ifndef TRACER_THREADS_BPF_H
#define TRACER_THREADS_BPF_H

#include "records.bpf.h"

#define MISNAMED (1U << 31) /* beside a thread's number, which has 22 bits */

static __always_inline int was_thread_named(u32 tid)
{
	u64 *word = named_threads_word(tid);

	return word && *word >> (tid & 63) & 1;
}

/* Of the current thread, or of one that has not run yet: no other one may change that bit at the same time. */
static __always_inline void note_thread(u32 tid, int is_named)
{
	u64 *word = named_threads_word(tid);
	u64 bit = 1ULL << (tid & 63);

	if (word && was_thread_named(tid) != is_named)
		__sync_fetch_and_add(word, is_named ? bit : -bit); /* as an atomic or: the other bits stay */
}

/* The thread was renamed, perhaps by another one, and there was no room to tell: it does so itself at its next call. */
static __always_inline void note_misnamed(u32 tid)
{
	note_retry(tid | MISNAMED);
}

/* Whether user space knows what the current thread is called. */
static __always_inline int is_thread_named(u32 tid)
{
	if (was_ring_full() && take_retry(tid | MISNAMED))
		note_thread(tid, 0);
	return was_thread_named(tid);
}

/* Tells what the current thread is called; 0 if the ring was full. */
static __always_inline int name_thread(u64 id)
{
	struct {
		struct event_header header;
		struct comm_body body;
	} record = {};

	fill_header_of(&record.header, id, TRACER_COMM, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	if (send(&record, sizeof(record)))
		return 0;
	note_thread(id, 1);
	return 1;
}

#endif
