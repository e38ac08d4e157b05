// SPDX-License-Identifier: MIT
/* The records of tasks: that one was made, runs another program, has another name, or is gone. */
#ifndef TRACER_TASKS_BPF_H
#define TRACER_TASKS_BPF_H

#include "filter.bpf.h"
#include "identity.bpf.h"
#include "kernel.bpf.h"
#include "records.bpf.h"
#include "tags.bpf.h"
#include "threads.bpf.h"

/* Not 0 if it found no room. */
static __always_inline int send_fork(void *task, u32 child_tgid, u64 clone_flags, u8 flags)
{
	struct {
		struct event_header header;
		struct fork_body body;
	} record = {};

	fill_header(&record.header, TRACER_FORK, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.header.flags = flags;
	record.body.child_tgid = child_tgid;
	record.body.child_tid = read_u32(task + OFF_TASK_PID);
	record.body.clone_flags = clone_flags;
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	int is_told = was_thread_named(bpf_get_current_pid_tgid()) && !(clone_flags & CLONE_NEWNS_FLAG);
	int failed = send(&record, sizeof(record));

	note_thread(record.body.child_tid, is_told && !failed);
	return failed;
}

/* The child begins with what its creator has been told, unless what it copied is not sure to be that; it has a life
 * and, mostly, a table of its own.
 */
static __always_inline void add_child(u32 tgid, struct process *creator, u64 clone_flags, int unsure)
{
	int shares_table = (clone_flags & CLONE_FILES_FLAG) != 0;
	struct process *child = add_process(tgid, unsure && !shares_table ? 0 : creator);

	if (!child)
		return;
	child->armed = creator->armed;
	child->shares_fs = creator->shares_fs;
	child->had_threads = 0;
	child->has_sharers = 0; /* its first call sees */
	child->life = 0;
	/* In a namespace of mounts of its own, files that it has from its creator are elsewhere (names.bpf.h). */
	child->generation = creator->generation + (unsure || (clone_flags & CLONE_NEWNS_FLAG));
	child->watches_identity = shares_table && creator->watches_identity ? WATCH_DIVIDED : WATCH_NOT;
}

/* A new task that has not run yet; the current one is its creator. */
static __always_inline void note_new_task(const struct filter_config *cfg, void *task, u64 clone_flags)
{
	struct process *creator = current_process();
	u32 tgid = bpf_get_current_pid_tgid() >> 32, child = read_u32(task + OFF_TASK_TGID);

	if (!creator && (!(cfg->flags & TRACER_FILTER_ALL) || tgid == cfg->excluded_tgid))
		return;
	if (creator)
		note_sharing(creator, clone_flags, child == tgid);
	if (child != tgid && !(cfg->flags & (TRACER_FILTER_ALL | TRACER_FILTER_FOLLOW)))
		return;
	int unsure = creator && may_change_meanwhile(creator);

	if (!creator || !creator->armed)
		unsure |= send_fork(task, child, clone_flags, unsure ? TRACER_COPY_UNSURE : 0) != 0;
	if (creator && child != tgid)
		add_child(child, creator, clone_flags, unsure);
}

static __always_inline void send_exec(u32 old_tid, u8 flags)
{
	struct {
		struct event_header header;
		struct exec_body body;
	} record = {};

	fill_header(&record.header, TRACER_EXEC, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.header.flags = flags;
	record.body.old_tid = old_tid;
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	int is_told = was_thread_named(old_tid);

	note_thread(old_tid, 0);
	note_thread(record.header.tid, !send(&record, sizeof(record)) && is_told);
}

/* The process runs another program, by an execve of the thread whose number was `old_tid`. */
static __always_inline void note_exec(struct process *process, u32 old_tid)
{
	int unsure = may_change_meanwhile(process);

	if (old_tid != (u32)bpf_get_current_pid_tgid()) {
		move_start(old_tid);
		if (take_mark(old_tid, MARK_SHOWN))
			note_mark(bpf_get_current_pid_tgid(), MARK_SHOWN);
	}
	end_life(process);
	forget_all(process);
	send_exec(old_tid, unsure ? TRACER_COPY_UNSURE : 0);
}

/* Whether the current thread was the last one of its process: do_exit has counted it out of signal->live before it
 * comes here (kernel/exit.c).
 */
static __always_inline int is_group_dead(void)
{
	void *signal = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL));

	return read_u32(signal + OFF_SIGNAL_LIVE) == 0;
}

static __always_inline void send_task_exit(int group_dead)
{
	struct {
		struct event_header header;
		struct task_exit_body body;
	} record = {};

	fill_header(&record.header, TRACER_TASK_EXIT, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.body.group_dead = group_dead;
	send(&record, sizeof(record));
}

static __always_inline void send_comm(void *task, const void *comm)
{
	struct {
		struct event_header header;
		struct comm_body body;
	} record = {};

	fill_header(&record.header, TRACER_COMM, bpf_ktime_get_boot_ns());
	record.header.tgid = read_u32(task + OFF_TASK_TGID);
	record.header.tid = read_u32(task + OFF_TASK_PID);
	record.header.size = sizeof(record);
	bpf_probe_read_kernel_str(record.body.comm, sizeof(record.body.comm), comm);
	if (send(&record, sizeof(record))) {
		note_misnamed(record.header.tid);
		move_version(record.header.tgid);
	}
}

#endif
