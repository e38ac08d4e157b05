// SPDX-License-Identifier: MIT
/* Where only failed calls are shown: an enter is held back until its call has failed, and so are the names it needs.
 *
 * What they are then may not be what they were, since a call can block while others change the table. So it is kept
 * what each descriptor meant at the enter, unless there is nobody who could; a name that may have been another one is
 * told to be unknown.
 */
#ifndef TRACER_HELD_BPF_H
#define TRACER_HELD_BPF_H

#include "arguments.bpf.h"
#include "identity.bpf.h"

/* What may be wrong with a name that is looked up at the exit. */
enum doubt {
	DOUBT_NOTHING = 0,
	DOUBT_PLACE = 1, /* it is not known where it was, which matters if it is fleeting */
	DOUBT_PATH = 2,  /* something was renamed on the machine: a path may have been another one */
	DOUBT_FILE = 3,  /* it is another file, or another name of it */
};

static __always_inline int is_descriptor(s32 fd)
{
	return fd >= 0 || fd == TRACER_CWD_FD;
}

/* All descriptors whose names the record may need; which of them its paths do need is not known yet. */
static __always_inline void list_descriptors(const struct syscall_rule *rule, struct call *call)
{
	call->fds[0] = worked_on(rule, call);
	call->fds[1] = rule->path_arg >= 0 ? directory(call, rule->dirfd_arg) : -1;
	call->fds[2] = rule->path2_arg >= 0 ? directory(call, rule->dirfd2_arg) : -1;
}

/* The place of a descriptor's file if its name may change without a call; else 0. */
static __always_inline u64 fleeting_place(const struct process *process, s32 fd)
{
	struct path_pointers path = {};
	u8 status = 0;

	path_of(fd, &path, &status);
	if (!path.dentry)
		return 0;
	void *inode = read_pointer(path.dentry + OFF_DENTRY_INODE);
	u32 magic = read_u64(read_pointer(inode + OFF_INODE_SB) + OFF_SB_MAGIC);

	return process->has_fleeting || is_fleeting(&path, inode, magic) ? place_of(&path) : 0;
}

static __always_inline void fill_start(struct start *start, const struct process *process, const struct call *call)
{
	start->time_ns = call->time_ns;
	start->nr = call->nr;
	start->epoch = current_epoch();
	start->is_compared = may_change_meanwhile(process);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++) {
		s32 fd = call->fds[i];

		if (!is_descriptor(fd))
			continue;
		if (start->is_compared)
			start->identities[i] = identity_of(fd);
		start->places[i] = fleeting_place(process, fd);
	}
}

static __always_inline enum doubt doubt_of(const struct call *call, u32 index, s32 fd)
{
	if (!call->exit_follows)
		return DOUBT_NOTHING;
	u64 place = call->start.places[index & 3];

	if (call->start.is_compared && call->start.identities[index & 3] != identity_of(fd))
		return DOUBT_FILE;
	if (place && place != place_of_fd(fd))
		return DOUBT_FILE;
	if (call->start.epoch != current_epoch())
		return DOUBT_PATH;
	return place ? DOUBT_NOTHING : DOUBT_PLACE;
}

static __always_inline int is_doubtful(const struct name_section *section, const struct naming *naming)
{
	switch (naming->doubt) {
	case DOUBT_NOTHING:
		return 0;
	case DOUBT_PLACE:
		return naming->now.is_fleeting;
	case DOUBT_PATH:
		return section->kind == TRACER_NAME_COMPONENTS;
	case DOUBT_FILE:
		return 1;
	}
	return 1;
}

#endif
