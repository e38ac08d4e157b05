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
#define CLONE_NEWNS_FLAG 0x20000
#define CLOSE_RANGE_UNSHARE 2 /* include/uapi/linux/close_range.h */

#define MAX_THREADS_LOOKED_AT 512
#define ANON_NAME_BYTES 32 /* the kernel's own are shorter; a memfd, whose is the user's, has its own inode */

/* The bytes of a name, and a few behind it. Those of a dentry stay as they are, so that they are equal for the same one. */
static __always_inline u64 mixed_name(u64 sum, void *name, u32 length)
{
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < ANON_NAME_BYTES; at += sizeof(u64)) {
		if (at >= length)
			break;
		sum = mixed(sum, read_u64(name + at));
	}
	return sum;
}

/* A number that changes when the descriptor's name does, but for a renamed directory further up (which moves the
 * epoch); 0 if it is not open.
 *
 * Not the address of the file alone: the kernel uses it again at once. Nor those of the dentry and the inode. A file
 * without a directory is its own parent, has no hash, and mostly shares its inode with all others of its kind.
 */
static __always_inline u64 identity_of_path(const struct path_pointers *path, u64 inode)
{
	if (!path->dentry)
		return 0;
	void *parent = read_pointer(path->dentry + OFF_DENTRY_PARENT);
	u64 hash_len = read_u64(path->dentry + OFF_DENTRY_HASH_LEN), sum = inode;

	sum = mixed(sum, (u64)path->mnt);
	sum = mixed(sum, namespace_of(path->mnt));
	sum = mixed(sum, (u64)parent);
	sum = mixed(sum, hash_len);
	sum = mixed(sum, !read_u64(path->dentry + OFF_DENTRY_HASH_PPREV));
	if (parent == path->dentry)
		sum = mixed_name(sum, read_pointer(path->dentry + OFF_DENTRY_NAME), hash_len >> 32);
	return sum | 1;
}

static __always_inline u64 identity_of(s32 fd)
{
	struct path_pointers path = {};
	u8 status = 0;
	u64 inode = path_of(fd, &path, &status);

	return identity_of_path(&path, inode);
}

/* From now on the current process is watched, at least so closely. */
static __always_inline void watch(struct process *process, u8 how)
{
	if (!HAS_IDENTITY || process->watches_identity >= how)
		return;
	process->watches_identity = how;
	move_version(bpf_get_current_pid_tgid() >> 32);
}

/* From now on other tasks' changes of tables are looked at, too: one of them may be a traced process's. */
static __always_inline void note_outsiders(void)
{
	struct filter_config *cfg = filter();

	if (cfg)
		cfg->has_outsiders = 1;
}

static __always_inline u32 thread_count(void)
{
	void *signal = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL));

	return read_u32(signal + OFF_SIGNAL_NR_THREADS);
}

/* How the current process has to be watched for the sake of its threads: one has a table or a working directory of its
 * own, or may have, where there are too many to look at.
 */
static __always_inline u8 division(void *files, void *fs)
{
	void *head = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL)) + OFF_SIGNAL_THREAD_HEAD;
	void *node = read_pointer(head);

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_THREADS_LOOKED_AT; i++) {
		if (node == head)
			return WATCH_NOT;
		void *task = node - OFF_TASK_THREAD_NODE;

		if (read_pointer(task + OFF_TASK_FILES) != files || read_pointer(task + OFF_TASK_FS) != fs)
			return WATCH_DIVIDED;
		node = read_pointer(node);
	}
	return WATCH_DIVIDED;
}

/* How a process has to be watched that began before its first call was seen. A count of users alone does not say that
 * they are its threads: one that has left may be made up for by another process.
 */
static __always_inline void watch_sharing(struct process *process)
{
	u64 task = bpf_get_current_task();
	void *files = read_pointer((void *)(task + OFF_TASK_FILES));
	void *fs = read_pointer((void *)(task + OFF_TASK_FS));
	u32 threads = thread_count();

	int shares_table = read_u32(files + OFF_FILES_COUNT) != threads;

	if (shares_table)
		note_outsiders();
	if (shares_table || read_u32(fs + OFF_FS_USERS) != threads) {
		process->has_sharers = 1;
		watch(process, shares_table ? WATCH_DIVIDED : WATCH_COMPARED);
	}
	if (threads > 1) {
		u8 how = division(files, fs);

		process->had_threads = 1;
		process->has_sharers |= how != WATCH_NOT;
		watch(process, how);
	}
}

/* Looks at a process when its first call is seen: it may have begun long before the trace. */
static __always_inline void begin_life(struct process *process, const struct filter_config *cfg)
{
	process->life = bpf_ktime_get_ns();
	if (cfg->flags & (THREAD_FILTERS | TRACER_FILTER_IDENTITY))
		watch(process, WATCH_COMPARED);
	watch_sharing(process);
}

/* Whether another task may change the current process's table or working directory while the kernel copies them, long
 * before it says that it did.
 */
static __always_inline int may_change_meanwhile(const struct process *process)
{
	return !HAS_IDENTITY || !process->life || process->had_threads || process->watches_identity;
}

/* The process of a thread that a filter hides, if it has shown threads that its call may concern; else null. */
static __always_inline struct process *hidden_process(const struct filter_config *cfg, const struct syscall_rule *rule)
{
	struct process *process = 0;

	if ((cfg->flags & THREAD_FILTERS) && rule->effect != TRACER_EFFECT_NONE)
		process = current_process();
	return process && !process->armed && process->life ? process : 0;
}

/* What execve leaves behind: threads, shared tables and rings of the old program are gone. */
static __always_inline void end_life(struct process *process)
{
	process->life = 0;
	process->watches_identity = 0;
	process->had_threads = 0;
	process->has_fleeting = 0;
	process->has_sharers = 0;
}

/* A new task, by its creator. A thread shares both, a process neither; all else has to be watched. Processes with one
 * table may have different roots, and call one file by different names.
 */
static __always_inline void note_sharing(struct process *creator, u64 clone_flags, int is_thread)
{
	u64 shared = clone_flags & (CLONE_FS_FLAG | CLONE_FILES_FLAG);

	creator->had_threads |= is_thread;
	if (shared != (is_thread ? CLONE_FS_FLAG | CLONE_FILES_FLAG : 0)) {
		creator->has_sharers |= !is_thread;
		if (!is_thread && (clone_flags & CLONE_FILES_FLAG))
			note_outsiders();
		watch(creator, is_thread || (clone_flags & CLONE_FILES_FLAG) ? WATCH_DIVIDED : WATCH_COMPARED);
	}
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
		watch(process, WATCH_DIVIDED);
}

/* What the descriptor of `naming` is now, to be kept when its name has been sent. */
static __always_inline void note_now(const struct process *process, struct naming *naming)
{
	naming->now.life = process->life;
	naming->now.tag = current_tag(process);
	naming->now.identity = process->watches_identity ? identity_of(naming->fd) : 0;
	naming->now.place = naming->place;
}

/* The name that was read is that of the file which the descriptor had then, which may be another one than it had before. */
static __always_inline void note_named(const struct process *process, struct naming *naming)
{
	if (process->watches_identity)
		naming->now.identity = identity_of_path(&naming->path, naming->inode);
}

/* Whether user space knows the present name of a descriptor, which is `now`. */
static __always_inline int told_before(const struct process *process, s32 fd, const struct told_name *now)
{
	if (process->watches_identity == WATCH_DIVIDED)
		return 0;
	if (!is_kept_apart(process, fd) && tag_of(process, fd) == now->tag)
		return 1;
	if (!may_be_kept_apart(process, fd))
		return 0;
	struct told_name *told = find_told(process, fd);

	return told && told->tag == now->tag && told->identity == now->identity &&
	       (!told->is_fleeting || (told->place && told->place == now->place));
}

/* The name has been sent. */
static __always_inline void note_told(struct process *process, s32 fd, const struct told_name *now)
{
	set_tag(process, fd, now->is_fleeting ? 0 : now->tag);
	process->has_fleeting |= now->is_fleeting;
	if (now->life && (is_kept_apart(process, fd) || now->is_fleeting))
		keep_told(fd, now);
}

#endif
