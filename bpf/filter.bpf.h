// SPDX-License-Identifier: MIT
/* Whom to trace. */
#ifndef TRACER_FILTER_BPF_H
#define TRACER_FILTER_BPF_H

#include "maps.bpf.h"

/* What has to be asked of a thread at each call, since it may change. */
#define THREAD_FILTERS (TRACER_FILTER_UID | TRACER_FILTER_TID | TRACER_FILTER_CGROUP | TRACER_FILTER_COMM)

#define STOPPED (1ULL << 63) /* STOPPED of tracer/capture/kernel.py */

/* Whether the trace is over. Links are taken away one by one, and a call whose enter came too late must have no exit
 * either: a thread's records end at one moment. It is the epoch that says so, since the short cut of an enter looks at
 * that already; the one of an exit needs no look, for it follows an enter that was sent.
 */
static __always_inline int is_stopped(u64 epoch)
{
	return epoch >= STOPPED;
}

static __always_inline int comm_differs(const struct filter_config *cfg)
{
	u64 comm[2] = {};
	const u64 *want = (const u64 *)cfg->comm;

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] != want[0] || comm[1] != want[1];
}

static __always_inline int passes(const struct filter_config *cfg, u32 tid)
{
	if ((cfg->flags & TRACER_FILTER_TID) && tid != cfg->tid)
		return 0;
	if ((cfg->flags & TRACER_FILTER_UID) && (u32)bpf_get_current_uid_gid() != cfg->uid)
		return 0;
	if ((cfg->flags & TRACER_FILTER_CGROUP) &&
	    bpf_get_current_ancestor_cgroup_id(cfg->cgroup_level) != cfg->cgroup_id)
		return 0;
	return !((cfg->flags & TRACER_FILTER_COMM) && comm_differs(cfg));
}

static __always_inline struct process *current_process(void)
{
	return find_process(bpf_get_current_pid_tgid() >> 32);
}

/* A command that was started to be traced calls execve: from here on it is shown, if the filters let it pass. */
static __always_inline void disarm(u32 tgid)
{
	struct process *process = find_process(tgid);

	if (process)
		process->armed = 0;
}

/* The current process if the current thread is traced, else null. */
static __always_inline struct process *traced(const struct filter_config *cfg, u64 id)
{
	u32 tgid = id >> 32;
	struct process *process = find_process(tgid);

	if (process ? process->armed : !(cfg->flags & TRACER_FILTER_ALL) || tgid == cfg->excluded_tgid)
		return 0;
	if ((cfg->flags & THREAD_FILTERS) && !passes(cfg, (u32)id))
		return 0;
	return process ? process : add_process(tgid, 0);
}

/* The same for a call that ends: the filters were asked as it began. It may have changed what they ask for. */
static __always_inline struct process *traced_since_enter(const struct filter_config *cfg, u64 id)
{
	if (!(cfg->flags & THREAD_FILTERS))
		return traced(cfg, id);
	return take_mark(id, MARK_SHOWN) ? current_process() : 0;
}

#endif
