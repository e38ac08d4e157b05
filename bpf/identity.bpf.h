// SPDX-License-Identifier: MIT
/* Processes whose descriptors may change without a call that is seen, and what is done about it.
 *
 * That is so once io_uring opens and closes for a process, once two processes share a table or two threads do not
 * share one, and where a filter hides some threads of a process. From then on each use of a descriptor is compared
 * with what it was when its name was told: a dozen reads of the kernel's memory, which is why not every process is
 * watched.
 */
#ifndef TRACER_IDENTITY_BPF_H
#define TRACER_IDENTITY_BPF_H

#include "filter.bpf.h"
#include "names.bpf.h"
#include "tags.bpf.h"

#define CLONE_FS_FLAG 0x200 /* include/uapi/linux/sched.h */
#define CLONE_FILES_FLAG 0x400
#define CLOSE_RANGE_UNSHARE 2 /* include/uapi/linux/close_range.h */

static __always_inline u64 mixed(u64 sum, u64 word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 29;
}

/* A number that changes when the descriptor's name does, but for a renamed directory further up (which moves the
 * epoch); 0 if it is not open.
 *
 * Not the address of the file alone: the kernel uses it again at once. Nor those of the dentry and the inode.
 */
static __always_inline u64 identity_of(s32 fd)
{
	struct path_pointers path = {};
	u8 status = 0;
	u64 sum = path_of(fd, &path, &status);

	if (!path.dentry)
		return 0;
	sum = mixed(sum, (u64)path.mnt);
	sum = mixed(sum, read_u64(path.dentry + OFF_DENTRY_PARENT));
	sum = mixed(sum, read_u64(path.dentry + OFF_DENTRY_HASH_LEN));
	sum = mixed(sum, !read_u64(path.dentry + OFF_DENTRY_HASH_PPREV));
	return sum | 1;
}

/* From now on each use of a descriptor of the current process is compared. */
static __always_inline void watch_identity(struct process *process)
{
	if (!HAS_IDENTITY || process->watches_identity)
		return;
	process->watches_identity = 1;
	move_version(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline u32 thread_count(void)
{
	void *signal = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL));

	return read_u32(signal + OFF_SIGNAL_NR_THREADS);
}

/* Whether more or fewer tasks than the current process's threads use its table, or its working directory. */
static __always_inline int shares_unevenly(void)
{
	u64 task = bpf_get_current_task();
	u32 threads = thread_count();

	return read_u32(read_pointer((void *)(task + OFF_TASK_FILES)) + OFF_FILES_COUNT) != threads ||
	       read_u32(read_pointer((void *)(task + OFF_TASK_FS)) + OFF_FS_USERS) != threads;
}

/* Looks at a process when its first call is seen: it may have begun long before the trace. */
static __always_inline void begin_life(struct process *process, const struct filter_config *cfg)
{
	process->life = bpf_ktime_get_ns();
	if ((cfg->flags & (THREAD_FILTERS | TRACER_FILTER_IDENTITY)) || shares_unevenly())
		watch_identity(process);
}

/* What execve leaves behind: threads, shared tables and rings of the old program are gone. */
static __always_inline void end_life(struct process *process)
{
	process->life = 0;
	process->watches_identity = 0;
}

/* A new task, by its creator. A thread shares both, a process neither; all else has to be watched. */
static __always_inline void note_sharing(struct process *creator, u64 clone_flags, int is_thread)
{
	u64 shared = clone_flags & (CLONE_FS_FLAG | CLONE_FILES_FLAG);

	if (shared != (is_thread ? CLONE_FS_FLAG | CLONE_FILES_FLAG : 0))
		watch_identity(creator);
	if (!is_thread && (clone_flags & CLONE_FS_FLAG))
		creator->shares_fs = 1;
}

/* A thread has a table or a working directory of its own from now on, if it is not the only one. */
static __always_inline void note_unsharing(struct process *process, const struct syscall_rule *rule,
					   const struct call *call)
{
	if (rule->effect == TRACER_EFFECT_CLOSE_RANGE && !(call->args[2] & CLOSE_RANGE_UNSHARE))
		return;
	if (call->ret == 0 && thread_count() > 1)
		watch_identity(process);
}

/* Whether user space knows the descriptor's present name. What it is now goes to `now`, to be kept when the name has
 * been sent.
 */
static __always_inline int told_before(const struct process *process, s32 fd, struct told_name *now)
{
	u32 tag = current_tag(process);

	now->life = process->life;
	now->tag = tag;
	now->identity = process->watches_identity ? identity_of(fd) : 0;
	if (!is_kept_apart(process, fd))
		return tag_of(process, fd) == tag;
	struct told_name *told = find_told(process, fd);

	return told && told->tag == tag && told->identity == now->identity;
}

/* The name has been sent. */
static __always_inline void note_told(struct process *process, s32 fd, const struct told_name *now)
{
	set_tag(process, fd, now->tag);
	if (now->life && is_kept_apart(process, fd))
		keep_told(fd, now);
}

#endif
