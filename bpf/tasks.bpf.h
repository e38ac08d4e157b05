// SPDX-License-Identifier: MIT
/* The records of tasks: that one was made, runs another program, has another name, or is gone. */
#ifndef TRACER_TASKS_BPF_H
#define TRACER_TASKS_BPF_H

#include "kernel.bpf.h"
#include "records.bpf.h"
#include "tags.bpf.h"
#include "threads.bpf.h"

static __always_inline void send_fork(void *task, u32 child_tgid, u64 clone_flags)
{
	struct {
		struct event_header header;
		struct fork_body body;
	} record = {};

	fill_header(&record.header, TRACER_FORK, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.body.child_tgid = child_tgid;
	record.body.child_tid = read_u32(task + OFF_TASK_PID);
	record.body.clone_flags = clone_flags;
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	note_thread(record.body.child_tid, !send(&record, sizeof(record)));
}

static __always_inline void send_exec(u32 old_tid)
{
	struct {
		struct event_header header;
		struct exec_body body;
	} record = {};

	fill_header(&record.header, TRACER_EXEC, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.body.old_tid = old_tid;
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	note_thread(old_tid, 0);
	note_thread(record.header.tid, !send(&record, sizeof(record)));
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
	if (send(&record, sizeof(record)) && record.header.tid == (u32)bpf_get_current_pid_tgid()) {
		note_thread(record.header.tid, 0); /* told again at its next call */
		move_version(record.header.tgid);
	}
}

#endif
