// SPDX-License-Identifier: MIT
/* Calls by the entry for 32 bits, which programs of 64 bits can use, too (`int 0x80`).
 *
 * Their numbers are another table's and their arguments lie in other registers: taken for what they look like, they would
 * be rows that the program has made up. They are counted, and what they may have done to names is told anew.
 */
#ifndef TRACER_COMPAT_BPF_H
#define TRACER_COMPAT_BPF_H

#include "filter.bpf.h"
#include "identity.bpf.h"
#include "renames.bpf.h"
#include "tags.bpf.h"

#define TS_COMPAT 0x2 /* arch/x86/include/asm/thread_info.h */

/* Whether that is the current call of the current task: the kernel says so from before its enter until after its exit. */
static __always_inline int is_compat(const void *task)
{
	return HAS_COMPAT && (load_u32(task, OFF_TASK_STATUS) & TS_COMPAT);
}

/* As `renames` has it, but for the numbers of arch/x86/entry/syscalls/syscall_32.tbl. */
static __always_inline int compat_renames(u64 registers, u32 number)
{
	switch (number) {
	case 10:  /* unlink */
	case 21:  /* mount */
	case 22:  /* umount */
	case 38:  /* rename */
	case 40:  /* rmdir */
	case 52:  /* umount2 */
	case 61:  /* chroot */
	case 217: /* pivot_root */
	case 278: /* mq_unlink */
	case 301: /* unlinkat */
	case 302: /* renameat */
	case 346: /* setns */
	case 353: /* renameat2 */
	case 429: /* move_mount */
		return 1;
	case 54: /* ioctl */
		return ioctl_renames(read_second_compat_arg(registers));
	}
	return 0;
}

/* From here on the process's table may be another one. A thread among others may get one of its own. */
static __always_inline void enter_compat(u64 id, u64 registers, u32 number)
{
	struct filter_config *cfg = filter();
	struct process *process = cfg ? traced(cfg, id) : 0;

	if (compat_renames(registers, number))
		move_epoch();
	if (process)
		count_loss(TRACER_LOSS_COMPAT);
	else
		process = current_process(); /* of a thread that a filter hides */
	if (process)
		watch(process, thread_count() > 1 ? WATCH_DIVIDED : WATCH_COMPARED);
}

static __always_inline void exit_compat(u64 registers, u32 number, s64 ret)
{
	struct process *process = current_process();

	if (process) {
		forget_all(process);
		note_thread(bpf_get_current_pid_tgid(), 0);
	}
	if ((ret >= 0 && compat_renames(registers, number)) || (process && process->shares_fs))
		move_epoch();
}

#endif
