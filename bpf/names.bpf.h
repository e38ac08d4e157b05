// SPDX-License-Identifier: MIT
/* What a descriptor or the working directory is called: the dentries from the file up to the root. */
#ifndef TRACER_NAMES_BPF_H
#define TRACER_NAMES_BPF_H

#include "places.bpf.h"

#define NAME_MAX_BYTES 4096 /* of a component and its NUL: 255 and one as a rule, but FUSE has longer ones */
#define MOST_TRIES 3        /* for all names of a call: the kernel goes from program to program 33 times at most */
#define TEXT_MASK 0xfff
#define NAME_AT 32 /* where the name section of a name or exit record begins, when there is no aux before it */

#define PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define NSFS_MAGIC 0x6e736673

/* Copies a dentry's name behind what is there; 0 when it did not fit.
 *
 * What the section holds so far is read back from the buffer each time: the verifier knows nothing of values in
 * maps, so that all rounds of a walk look the same to it.
 */
static __always_inline int add_component(struct name_section *section, u8 *text, const void *name)
{
	u32 used = section->len & TEXT_MASK;
	int length = bpf_probe_read_kernel_str(text + used, NAME_MAX_BYTES, name);

	if (length <= 0 || used + length > TEXT_MASK)
		return 0;
	section->len = used + length;
	return 1;
}

/* The way from a dentry up to the process's root, leaf first. Not 0 if it was read to its end.
 *
 * What is not below the root that its mount shows, or in no folder at all, is called by that root alone, as the kernel
 * has it (__prepend_path of fs/d_path.c).
 */
static __always_inline int walk(struct name_section *section, struct naming *naming, u8 *text)
{
	struct path_pointers at = naming->path, root = current_root();
	void *top = read_pointer(at.mnt + OFF_VFSMOUNT_ROOT);

	section->kind = TRACER_NAME_COMPONENTS;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_COMPONENTS; i++) {
		struct step step;

		if (at.dentry == root.dentry && at.mnt == root.mnt)
			return 1;
		if (at.dentry == top) {
			if (!leave_mount(&at))
				return 1;
			top = read_pointer(at.mnt + OFF_VFSMOUNT_ROOT);
			naming->now.is_fleeting |= !!is_revalidated(at.dentry);
			continue;
		}
		read_step(&step, at.dentry);
		if (step.parent == at.dentry) {
			section->len = 0;
			return 1;
		}
		if (!add_component(section, text, step.name))
			return 0;
		step.changes = read_u32(at.dentry + OFF_DENTRY_SEQ); /* once more, since the name may have changed */
		naming->walked = add_step(naming->walked, at.dentry, step.changes);
		naming->changes |= step.changes;
		at.dentry = step.parent;
	}
	return 0;
}

static __always_inline u32 name_inode(struct name_section *section, void *inode)
{
	void *superblock = read_pointer(inode + OFF_INODE_SB);

	section->inode = read_u64(inode + OFF_INODE_INO);
	section->device = read_u32(superblock + OFF_SB_DEV);
	return read_u64(superblock + OFF_SB_MAGIC);
}

/* Whether the file is called by what it is, not by where it is: as d_path has it (fs/d_path.c). */
static __always_inline int has_own_name(const struct path_pointers *path)
{
	void *operations = read_pointer(path->dentry + OFF_DENTRY_OP);

	if (!operations || !read_pointer(operations + OFF_DENTRY_OP_DNAME))
		return 0;
	return read_pointer(path->dentry + OFF_DENTRY_PARENT) != path->dentry ||
	       read_pointer(path->mnt + OFF_VFSMOUNT_ROOT) != path->dentry;
}

/* The kind of a namespace, "net" for one; its number is the inode's. */
static __always_inline void name_namespace(struct name_section *section, u8 *text, void *inode)
{
	void *operations = read_pointer(read_pointer(inode + OFF_INODE_PRIVATE) + OFF_NS_OPS);
	int length = bpf_probe_read_kernel_str(text, 32, read_pointer(operations + OFF_NS_OPS_NAME));

	section->kind = TRACER_NAME_NAMESPACE;
	if (length > 1)
		section->len = length - 1;
	else
		section->status |= TRACER_NAME_INCOMPLETE;
}

/* The name of a file that has one of its own. */
static __always_inline void name_special(struct name_section *section, u8 *text, const struct path_pointers *path,
					 void *inode, u32 magic)
{
	section->status &= ~TRACER_NAME_DELETED;
	if (magic == PIPEFS_MAGIC) {
		section->kind = TRACER_NAME_PIPE;
	} else if (magic == SOCKFS_MAGIC) {
		section->kind = TRACER_NAME_SOCKET;
	} else if (magic == PID_FS_MAGIC) {
		section->kind = TRACER_NAME_ANON;
		__builtin_memcpy(text, "[pidfd]", 8);
		section->len = 7;
	} else if (magic == NSFS_MAGIC) {
		name_namespace(section, text, inode);
	} else {
		section->kind = magic == ANON_INODE_FS_MAGIC ? TRACER_NAME_ANON : TRACER_NAME_PSEUDO;
		if (add_component(section, text, read_pointer(path->dentry + OFF_DENTRY_NAME)))
			section->len--;
	}
}

/* Whether the name is to be read once more. */
static __always_inline int is_read_again(struct call *call)
{
	if (!call->naming.is_torn || call->tries >= MOST_TRIES)
		return 0;
	call->tries++;
	call->naming.next_of_place = STAGE_NAME;
	return 1;
}

/* Writes the name of a descriptor (or the working directory) into the record. Without an end if it is not open, can't be
 * read whole, or was changed meanwhile: what was read then is the name of no moment.
 *
 * What is found out goes into maps, not into variables: so the verifier has one way into the walk to follow.
 */
static __always_inline void fill_name(struct record_buffer *buffer, struct naming *naming)
{
	struct name_section *section = (struct name_section *)(buffer->bytes + (naming->at & 127));
	u8 *text = (u8 *)(section + 1);
	struct path_pointers path = naming->path;

	__builtin_memset(section, 0, sizeof(*section));
	naming->end = 0;
	naming->is_torn = 0;
	naming->now.is_fleeting = 0;
	naming->now.place = naming->place;
	if (!path.dentry)
		return;
	void *inode = read_pointer(path.dentry + OFF_DENTRY_INODE);
	u32 magic = name_inode(section, inode);

	section->status = naming->status;
	if (is_deleted(&path))
		section->status |= TRACER_NAME_DELETED;
	naming->walked = 0;
	naming->changes = 0;
	if (has_own_name(&path)) {
		name_special(section, text, &path, inode, magic);
	} else {
		naming->now.is_fleeting = !!is_fleeting(&path, inode, magic);
		if (!walk(section, naming, text))
			return;
		naming->is_torn = naming->changes & 1 || (naming->walked | 1) != naming->place;
		if (naming->is_torn)
			return;
	}
	naming->end = naming->at + sizeof(*section) + (section->len & TEXT_MASK);
}

#endif
