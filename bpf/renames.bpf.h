// SPDX-License-Identifier: MIT
/* Which calls change names that others have been told: those that the table says, and a few ioctls. Which ioctls close. */
#ifndef TRACER_RENAMES_BPF_H
#define TRACER_RENAMES_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"
#include "threads.bpf.h"

#define SECCOMP_IOCTL_NOTIF_ADDFD 0x40182103 /* include/uapi/linux/seccomp.h */
#define BTRFS_IOC_SNAP_DESTROY 0x5000940f    /* include/uapi/linux/btrfs.h */
#define BTRFS_IOC_SNAP_DESTROY_V2 0x5000943f
/* SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS (signal(7), x86 and arm64) */
#define CORE_SIGNALS (1ULL << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 24 | 1 << 25 | 1ULL << 31)
#define SIGNAL_UNKILLABLE 0x40 /* include/linux/sched/signal.h: the first process of a namespace */
#define AUTOFS_IOCTL 0x93      /* include/uapi/linux/auto_fs.h */

/* Whether the ioctl removes a folder, or puts a descriptor into the table of a process that waits for it
 * (seccomp_unotify(2)), which may be any.
 */
static __always_inline int ioctl_renames(u32 command)
{
	switch (command) {
	case SECCOMP_IOCTL_NOTIF_ADDFD:
	case BTRFS_IOC_SNAP_DESTROY:
	case BTRFS_IOC_SNAP_DESTROY_V2:
		return 1;
	}
	return 0;
}

/* Whether the ioctl closes the descriptor that it is told in memory (those of /dev/autofs, one of which does). */
static __always_inline int ioctl_closes(u32 command)
{
	return (command >> 8 & 0xff) == AUTOFS_IOCTL;
}

static __always_inline int renames(const struct syscall_rule *rule, u64 registers)
{
	u64 args[TRACER_MAX_ARGS];

	if (rule->effect == TRACER_EFFECT_IOCTL)
		return !read_few_args(args, current_task(), registers) && ioctl_renames(args[1]);
	return !!(rule->flags & TRACER_RULE_RENAMES);
}

static __always_inline void count_dump(int change)
{
	u32 *dumps = core_dumps();

	if (dumps)
		__sync_fetch_and_add(dumps, change);
	move_epoch();
}

/* The current thread gets a signal. One that ends its process with a core dump makes the kernel itself unlink what the
 * dump before left (do_coredump of fs/coredump.c), at some time until the thread is gone.
 */
static __always_inline void note_signal(u32 signal, void *action)
{
	u32 tid = bpf_get_current_pid_tgid();
	void *process = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL));

	if (signal >= 64 || !(CORE_SIGNALS >> signal & 1) || read_u64(action + OFF_ACTION_HANDLER))
		return;
	if (read_u32(process + OFF_SIGNAL_FLAGS) & SIGNAL_UNKILLABLE)
		return;
	note_mark(tid, MARK_DUMPS);
	count_dump(1);
}

/* The current thread is gone. */
static __always_inline void end_dump(u32 tid)
{
	if (take_mark(tid, MARK_DUMPS))
		count_dump(-1);
}

/* A call has succeeded, whoever made it. */
static __always_inline void note_success(const struct syscall_rule *rule, u64 registers, u64 id)
{
	if (renames(rule, registers))
		move_epoch();
	if (leaves_namespace(rule))
		note_thread(id, 0);
}

#endif
