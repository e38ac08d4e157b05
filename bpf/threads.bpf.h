// SPDX-License-Identifier: MIT
/* Which threads user space has been told the name of, and the namespace of mounts.
 *
 * A fork, an exec and a renaming tell the name; a thread begins in the namespace of its creator, unless its flags say
 * otherwise. A thread that was there before the trace tells both right before the first call that is seen of it, and so
 * does one that may be in another namespace now: /proc would be asked when it may be called otherwise, or be gone.
 */
#ifndef TRACER_THREADS_BPF_H
#define TRACER_THREADS_BPF_H

#include "records.bpf.h"

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
	note_mark(tid, MARK_MISNAMED);
}

/* Whether user space knows what the current thread is called. */
static __always_inline int is_thread_named(u32 tid)
{
	if (was_ring_full() && take_mark(tid, MARK_MISNAMED))
		note_thread(tid, 0);
	return was_thread_named(tid);
}

/* The thread is gone. */
static __always_inline void forget_marks(u32 tid)
{
	take_mark(tid, MARK_REREAD);
	take_mark(tid, MARK_SHOWN);
	take_mark(tid, MARK_MISNAMED);
}

/* The calls that may take the current thread to another namespace of mounts. */
static __always_inline int leaves_namespace(const struct syscall_rule *rule)
{
	return rule->effect == TRACER_EFFECT_UNSHARE || rule->effect == TRACER_EFFECT_CHROOT;
}

/* The number of the current thread's namespace of mounts, as /proc/thread-self/ns/mnt has it; 0 if it is not known. */
static __always_inline u32 mount_namespace(void)
{
	void *proxy = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_NSPROXY));

	return HAS_IDENTITY ? read_u32(read_pointer(proxy + OFF_NSPROXY_MNT_NS) + OFF_MNT_NS_INUM) : 0;
}

/* Tells what the current thread is called, and where it is; 0 if the ring was full. */
static __always_inline int name_thread(u64 id)
{
	struct {
		struct event_header header;
		struct comm_body body;
		struct event_header name_header;
		struct name_body name_body;
		struct name_section name;
	} records = {};

	fill_header_of(&records.header, id, TRACER_COMM, bpf_ktime_get_boot_ns());
	records.header.size = sizeof(records.header) + sizeof(records.body);
	bpf_get_current_comm(records.body.comm, sizeof(records.body.comm));
	records.name_header = records.header;
	records.name_header.type = TRACER_NAME;
	records.name_header.flags = TRACER_HAS_NAME;
	records.name_header.size = sizeof(records) - sizeof(records.header) - sizeof(records.body);
	records.name_body.fd = TRACER_MOUNT_NAMESPACE_FD;
	records.name.kind = TRACER_NAME_NAMESPACE;
	records.name.inode = mount_namespace();
	if (send(&records, sizeof(records)))
		return 0;
	note_thread(id, 1);
	return 1;
}

#endif
