// SPDX-License-Identifier: MIT
/* Which names user space has been told and still hold.
 *
 * A tag is a moment: it changes with the epoch, which every rename or unlink on the machine moves on as it begins and
 * when it has succeeded, and with the process's own generation (exec, close_range). A name was told if its descriptor
 * carries the present tag; in a process that watches identities (identity.bpf.h), if it also still means the same file.
 * A fleeting file's never does, so that each use looks whether it is still there.
 *
 * The short cut: each CPU remembers the thread it traced last and which of its descriptors were found to be
 * named, so that a loop of reads and writes finds neither its process nor its tags anew. It holds until the epoch
 * or the process's version moves; whatever takes a tag away moves the version.
 */
#ifndef TRACER_TAGS_BPF_H
#define TRACER_TAGS_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"

static __always_inline u32 current_tag(const struct process *process)
{
	u32 tag = current_epoch() + process->generation;

	return tag ? tag : 1;
}

/* What is remembered of the process's names holds no longer. */
static __always_inline void move_version(u32 tgid)
{
	u32 *version = process_version(tgid);

	if (version)
		__sync_fetch_and_add(version, 1);
}

/* Whether the tag alone does not say if the name still holds. */
static __always_inline int is_kept_apart(const struct process *process, s32 fd)
{
	return process->watches_identity || fd >= NAMED_FDS;
}

/* Whether what was told may be in `told_names`. */
static __always_inline int may_be_kept_apart(const struct process *process, s32 fd)
{
	return is_kept_apart(process, fd) || process->has_fleeting;
}

/* The tag is the present one, or 0 for a name that holds no longer. */
static __always_inline void set_tag(struct process *process, s32 fd, u32 tag)
{
	u64 index = (u32)fd;

	OPAQUE(index);
	if (index < NAMED_FDS)
		process->named[index] = tag;
	else if (index == (u32)TRACER_CWD_FD)
		process->cwd_tag = tag;
	if (!tag && index < RECENT_FDS)
		move_version(bpf_get_current_pid_tgid() >> 32);
}

/* Every name of the current process has to be told again. */
static __always_inline void forget_all(struct process *process)
{
	process->generation++;
	move_version(bpf_get_current_pid_tgid() >> 32);
}

/* The tag that was there when the descriptor was named; 0 for one that was not, and for high numbers. */
static __always_inline u32 tag_of(const struct process *process, s32 fd)
{
	u64 index = (u32)fd;

	OPAQUE(index);
	if (index < NAMED_FDS)
		return process->named[index];
	return index == (u32)TRACER_CWD_FD ? process->cwd_tag : 0;
}

/* Whether the name has to be sent, as far as the tag tells: the rest is told_before's to say (identity.bpf.h). */
static __always_inline int may_need_name(const struct process *process, s32 fd)
{
	return (fd >= 0 || fd == TRACER_CWD_FD) &&
	       (process->watches_identity || tag_of(process, fd) != current_tag(process));
}

/* The name holds no longer, and user space knows. */
static __always_inline void forget_name(struct process *process, s32 fd)
{
	set_tag(process, fd, 0);
	if (may_be_kept_apart(process, fd))
		drop_told(fd);
}

/* Whether the thread is known to be traced, and the call's descriptor to be named or none. */
static __always_inline int is_remembered(const struct recent_thread *recent, u64 id, s32 fd)
{
	u32 *version = process_version(id >> 32);

	if (!version || recent->version != *version || recent->epoch != current_epoch())
		return 0;
	if ((u32)fd < RECENT_FDS)
		return recent->named >> (fd & (RECENT_FDS - 1)) & 1;
	return fd < 0 && fd != TRACER_CWD_FD;
}

/* Remembers that a descriptor was named; the version and epoch are those from before that was found. */
static __always_inline void remember(u64 id, u32 version, u64 epoch, s32 fd)
{
	struct recent_thread *recent = recent_thread();

	if (!recent)
		return;
	if (recent->id != id || recent->version != version || recent->epoch != epoch) {
		recent->id = id;
		recent->version = version;
		recent->epoch = epoch;
		recent->named = 0;
	}
	if ((u32)fd < RECENT_FDS)
		recent->named |= 1ULL << (fd & (RECENT_FDS - 1));
}

#endif
