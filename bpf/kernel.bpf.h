// SPDX-License-Identifier: MIT
/* Reading the kernel's memory and the registers a syscall came with. */
#ifndef TRACER_KERNEL_BPF_H
#define TRACER_KERNEL_BPF_H

#include "state.bpf.h"

#define USER32_CS 0x23 /* __USER32_CS of arch/x86/include/asm/segment.h */

/* include/uapi/linux/bpf.h */
#define BPF_PROBE_READ_USER 112
#define BPF_PROBE_READ_USER_STR 114
#define BPF_GET_CURRENT_TASK_BTF 158 /* older ones of bcc's don't know it */
#define BPF_TASK_PT_REGS 175         /* nor this one */

/* Where these helpers go by their own names, bcc reads all of /proc/kallsyms to see whether the kernel has them (Linux
 * 5.5): a third of the time that it takes to compile all this.
 */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)BPF_PROBE_READ_USER;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)BPF_PROBE_READ_USER_STR;

/* Keeps the compiler from checking one copy of an index and using another: the verifier follows registers. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

static __always_inline u64 read_u64(const void *address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), address);
	return value;
}

static __always_inline u32 read_u32(const void *address)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), address);
	return value;
}

static __always_inline void *read_pointer(const void *address)
{
	return (void *)read_u64(address);
}

/* The current task, whose fields can be loaded as they are (Linux 5.11), where reading one by a helper takes 40 ns. */
static __always_inline void *current_task(void)
{
	static void *(*loadable_task)(void) = (void *)BPF_GET_CURRENT_TASK_BTF;

	return HAS_TASK_LOADS ? loadable_task() : (void *)bpf_get_current_task();
}

static __always_inline u32 load_u32(const void *task, u64 offset)
{
	return HAS_TASK_LOADS ? *(const u32 *)(task + offset) : read_u32(task + offset);
}

/* As bpf_get_current_pid_tgid gives it, of the current task. */
static __always_inline u64 id_of(const void *task)
{
	if (!HAS_TASK_LOADS)
		return bpf_get_current_pid_tgid();
	return (u64)load_u32(task, OFF_TASK_TGID) << 32 | load_u32(task, OFF_TASK_PID);
}

/* The flags of an exit of the current thread whose enter is not known to have been seen. */
static __always_inline u8 exit_flags(void)
{
	if (!HAS_SECCOMP || !read_u32((void *)(bpf_get_current_task() + OFF_TASK_SECCOMP_MODE)))
		return 0;
	return TRACER_MAY_BE_REFUSED;
}

#if defined(__x86_64__)
/* The first `count` arguments; as read_args. They are loaded from the registers with which the current task came into
 * the kernel, which are those that the tracepoints tell of (Linux 5.15). Here they are counted from the first, r15.
 */
static __always_inline int load_args(u64 *args, int count, void *task)
{
	static const u64 *(*registers_of)(const void *task) = (void *)BPF_TASK_PT_REGS;
	const u64 *registers = registers_of(task);

	if (*(const u16 *)(registers + 17) == USER32_CS)
		return -1;
	args[0] = registers[14];
	args[1] = registers[13];
	args[2] = registers[12];
	if (count <= 3)
		return 0;
	args[3] = registers[7];
	args[4] = registers[9];
	args[5] = registers[8];
	return 0;
}

/* Reads the arguments; not 0 for a program of 32 bits, whose numbers mean other calls, where the kernel does not tell it
 * of each call (compat.bpf.h).
 *
 * struct pt_regs from r10 on: r10 r9 r8 ax cx dx si di orig_ax ip cs (arch/x86/include/asm/ptrace.h). One read,
 * since each costs 40 ns.
 */
static __always_inline int read_all_args(u64 *args, void *task, u64 registers)
{
	u64 part[11];

	if (HAS_TASK_REGISTERS)
		return load_args(args, TRACER_MAX_ARGS, task);
	if (bpf_probe_read_kernel(part, sizeof(part), (void *)(registers + 7 * 8)) || part[10] == USER32_CS)
		return -1;
	args[0] = part[7];
	args[1] = part[6];
	args[2] = part[5];
	args[3] = part[0];
	args[4] = part[2];
	args[5] = part[1];
	return 0;
}

/* The first three arguments alone, as most calls have no more. */
static __always_inline int read_few_args(u64 *args, void *task, u64 registers)
{
	u64 part[6]; /* dx si di orig_ax ip cs */

	if (HAS_TASK_REGISTERS)
		return load_args(args, 3, task);
	if (bpf_probe_read_kernel(part, sizeof(part), (void *)(registers + 12 * 8)) || part[5] == USER32_CS)
		return -1;
	args[0] = part[2];
	args[1] = part[1];
	args[2] = part[0];
	return 0;
}

static __always_inline u32 read_number(u64 registers)
{
	return read_u32((void *)(registers + 15 * 8));
}

/* Of a call by the entry for 32 bits: ecx. */
static __always_inline u32 read_second_compat_arg(u64 registers)
{
	return read_u32((void *)(registers + 11 * 8));
}

#elif defined(__aarch64__)
/* struct user_pt_regs: regs[31], sp, pc, pstate; then orig_x0 and syscallno (arch/arm64/include/asm/ptrace.h) */
static __always_inline int read_all_args(u64 *args, void *task, u64 registers)
{
	if (bpf_probe_read_kernel(args, TRACER_MAX_ARGS * 8, (void *)registers))
		return -1;
	args[0] = read_u64((void *)(registers + 34 * 8));
	return 0;
}

static __always_inline int read_few_args(u64 *args, void *task, u64 registers)
{
	return read_all_args(args, task, registers);
}

static __always_inline u32 read_number(u64 registers)
{
	return read_u32((void *)(registers + 35 * 8));
}

/* There is no such entry that is looked at (COMPAT_FIELDS of tracer/capture/btf.py). */
static __always_inline u32 read_second_compat_arg(u64 registers)
{
	return 0;
}

#else
#error "only x86_64 and aarch64 are known"
#endif

static __always_inline int read_args(u64 *args, u64 registers)
{
	return read_all_args(args, current_task(), registers);
}

#endif
