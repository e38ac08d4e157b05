// SPDX-License-Identifier: MIT
/* What others change while a call runs: which file a number means, and the working directory.
 *
 * A close, a dup2 and a close_range take effect somewhere between their begin and their end; so does the use that
 * another task makes of the number meanwhile. Nobody can tell which came first: the use has no name then. User space
 * sees that by itself where threads of one process do it. Here it is seen for processes that share a table or a working
 * directory with others, which user space may not know of; and where an enter is held back until its call has failed,
 * and comes behind the changes. The kernel counts a directory's changes itself (fs_struct's seq).
 */
#ifndef TRACER_CHANGES_BPF_H
#define TRACER_CHANGES_BPF_H

#include "arguments.bpf.h"
#include "identity.bpf.h"

#define CLOSE_RANGE_CLOEXEC 4 /* include/uapi/linux/close_range.h */

#define ANY_FD (-1) /* of a call that closes many */
#define NO_FD (-2)
#define DIRECTORY_CHANGE 2 /* the kernel counts its begin and its end */

static __always_inline int is_descriptor(s32 fd)
{
	return fd >= 0 || fd == TRACER_CWD_FD;
}

/* All descriptors whose names the record may need; which of them its paths do need is not known here. */
static __always_inline void list_descriptors(const struct syscall_rule *rule, struct call *call)
{
	call->fds[0] = worked_on(rule, call);
	call->fds[1] = rule->path_arg >= 0 ? directory(call, rule->dirfd_arg) : -1;
	call->fds[2] = rule->path2_arg >= 0 ? directory(call, rule->dirfd2_arg) : -1;
}

static __always_inline u32 directory_changes(void)
{
	return read_u32(read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FS)) + OFF_FS_SEQ);
}

/* From where on changes are looked for. */
static __always_inline void note_start(struct start *start)
{
	start->directory_changes = directory_changes();
	start->files = read_u64((void *)(bpf_get_current_task() + OFF_TASK_FILES));
}

/* Whether others may change what a call means, without user space noticing by itself. */
static __always_inline int is_changed_by_others(const struct process *process)
{
	struct filter_config *cfg = filter();

	return process->has_sharers || (cfg && (cfg->flags & TRACER_FILTER_FAILED) && may_change_meanwhile(process));
}

/* The number that the call frees or gives to another file. With UNSHARE it does that in a table of its own. */
static __always_inline s32 changed_fd(const struct syscall_rule *rule, const struct call *call)
{
	s32 fd = NO_FD;

	switch (rule->effect) {
	case TRACER_EFFECT_CLOSE:
		fd = call->args[0];
		break;
	case TRACER_EFFECT_DUP2:
		fd = call->args[0] == call->args[1] ? NO_FD : (s32)call->args[1];
		break;
	case TRACER_EFFECT_CLOSE_RANGE:
		if (call->args[2] & (CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
			return NO_FD;
		if ((u32)call->args[0] != (u32)call->args[1])
			return ANY_FD;
		fd = call->args[0];
	}
	return fd >= 0 ? fd : NO_FD;
}

/* Those of a number of a table, and of numbers of other tables that share its slot. */
static __always_inline struct change *change_of(u64 files, s32 fd)
{
	return change_in((mixed(files, 0) + (u32)fd) & (CHANGE_SLOTS - 1));
}

static __always_inline void note_change(struct change *change, u64 now)
{
	if (change->last_ns < now)
		change->last_ns = now;
}

/* A call begins: what it means may change from here on, and it may change what those of others mean. */
static __always_inline void note_begin(const struct syscall_rule *rule, const struct call *call)
{
	s32 fd = changed_fd(rule, call);
	struct start start = {.time_ns = call->time_ns, .nr = call->nr};

	note_start(&start);
	keep_start(&start);
	struct change *change = fd == NO_FD ? 0 : change_of(start.files, fd);

	if (!change)
		return;
	__sync_fetch_and_add(&change->under_way, 1);
	note_change(change, call->time_ns);
}

/* The same, if the process's calls may be changed by others. */
static __always_inline void begin_use(const struct process *process, const struct syscall_rule *rule,
				      const struct call *call)
{
	if (is_changed_by_others(process))
		note_begin(rule, call);
}

/* The end of what was noted as begun. */
static __always_inline void end_change(const struct syscall_rule *rule, const struct call *call)
{
	s32 fd = changed_fd(rule, call);
	struct change *change = fd == NO_FD ? 0 : change_of(call->start.files, fd);

	if (!change)
		return;
	note_change(change, call->exit_time_ns);
	__sync_fetch_and_add(&change->under_way, -1);
}

/* Whether more than so many change the number, or one has changed it since the call began. */
static __always_inline int was_changed(s32 fd, const struct start *start, u32 under_way)
{
	struct change *change = change_of(start->files, fd);

	return change && (change->under_way > under_way || change->last_ns > start->time_ns);
}

/* Whether a descriptor (or the working directory) may have been another file's since the call began, but for so many
 * changes by itself.
 */
static __always_inline int is_changed(s32 fd, const struct start *start, u32 by_itself)
{
	if (fd == TRACER_CWD_FD)
		return directory_changes() - start->directory_changes != by_itself;
	return fd >= 0 && (was_changed(fd, start, by_itself) || was_changed(ANY_FD, start, 0));
}

/* What the call does itself to a number, or a directory, that it is named after. */
static __always_inline u32 own_changes(const struct syscall_rule *rule, const struct call *call, s32 fd)
{
	if (fd != TRACER_CWD_FD)
		return rule->effect == TRACER_EFFECT_CLOSE;
	switch (rule->effect) {
	case TRACER_EFFECT_CHDIR:
	case TRACER_EFFECT_FCHDIR:
	case TRACER_EFFECT_CHROOT:
		return call->ret ? 0 : DIRECTORY_CHANGE;
	}
	return 0;
}

/* Whether what one of the call's names meant may have changed. */
static __always_inline int is_use_unsure(const struct syscall_rule *rule, struct call *call)
{
	int unsure = 0;

	list_descriptors(rule, call);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++)
		unsure |= is_changed(call->fds[i], &call->start, own_changes(rule, call, call->fds[i]));
	return unsure;
}

/* The end of a call whose enter was sent. Of one whose begin was not noted nothing is known; but an execve, after which
 * nobody shares with the process, is one of a process that did not, either.
 */
static __always_inline void end_use(const struct process *process, const struct syscall_rule *rule, struct call *call)
{
	int is_exec = rule->effect == TRACER_EFFECT_EXEC;

	if (!is_exec && !is_changed_by_others(process))
		return;
	if (take_start(call)) {
		if (is_use_unsure(rule, call))
			call->is_unsure = TRACER_MEANT_UNSURE;
		end_change(rule, call);
	} else if (!is_exec) {
		call->start.time_ns = 0;
		call->is_unsure = TRACER_MEANT_UNSURE;
	}
}

#endif
