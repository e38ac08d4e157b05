// SPDX-License-Identifier: MIT
/* What a descriptor or the working directory is called: the dentries from the file up to the root. */
#ifndef TRACER_NAMES_BPF_H
#define TRACER_NAMES_BPF_H

#include "places.bpf.h"

#define NAME_MAX_BYTES 256 /* NAME_MAX and its NUL */
#define TEXT_MASK 0xfff
#define NAME_AT 32 /* where the name section of a name or exit record begins, when there is no aux before it */

#define PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define NSFS_MAGIC 0x6e736673

/* Copies the dentry's name behind what is there; 0 when it did not fit.
 *
 * What the section holds so far is read back from the buffer each time: the verifier knows nothing of values in
 * maps, so that all rounds of a walk look the same to it.
 */
static __always_inline int add_component(struct name_section *section, u8 *text, void *dentry)
{
	u32 used = section->len & TEXT_MASK;
	void *name = read_pointer(dentry + OFF_DENTRY_NAME);
	int length = bpf_probe_read_kernel_str(text + used, NAME_MAX_BYTES, name);

	if (length <= 0 || used + length > TEXT_MASK)
		return 0;
	section->len = used + length;
	return 1;
}

/* The way from a dentry up to the process's root, leaf first. */
static __always_inline void walk(struct name_section *section, struct naming *naming, u8 *text, struct path_pointers at)
{
	struct path_pointers root = {};
	void *fs = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FS));

	bpf_probe_read_kernel(&root, sizeof(root), fs + OFF_FS_ROOT);
	section->kind = TRACER_NAME_COMPONENTS;
	section->status |= TRACER_NAME_INCOMPLETE;
#pragma clang loop unroll(disable)
	for (int step = 0; step < MAX_COMPONENTS; step++) {
		if (at.dentry == root.dentry && at.mnt == root.mnt) {
			section->status &= ~TRACER_NAME_INCOMPLETE;
			return;
		}
		if (at.dentry == read_pointer(at.mnt + OFF_VFSMOUNT_ROOT)) {
			if (!leave_mount(&at)) {
				section->status &= ~TRACER_NAME_INCOMPLETE;
				return;
			}
			naming->now.is_fleeting |= !!is_revalidated(at.dentry);
			continue;
		}
		void *parent = read_pointer(at.dentry + OFF_DENTRY_PARENT);

		if (parent == at.dentry || !add_component(section, text, at.dentry))
			return;
		at.dentry = parent;
	}
}

static __always_inline u32 name_inode(struct name_section *section, void *inode)
{
	void *superblock = read_pointer(inode + OFF_INODE_SB);

	section->inode = read_u64(inode + OFF_INODE_INO);
	section->device = read_u32(superblock + OFF_SB_DEV);
	return read_u64(superblock + OFF_SB_MAGIC);
}

/* A file without a directory is its own parent, and not the root of a mount. */
static __always_inline int is_pseudo(const struct path_pointers *path)
{
	return read_pointer(path->dentry + OFF_DENTRY_PARENT) == path->dentry &&
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

/* The names that are not the way up to the root; 0 if it is none of them. */
static __always_inline int name_special(struct name_section *section, u8 *text, const struct path_pointers *path,
					void *inode, u32 magic)
{
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
	} else if (magic == ANON_INODE_FS_MAGIC || is_pseudo(path)) {
		section->kind = magic == ANON_INODE_FS_MAGIC ? TRACER_NAME_ANON : TRACER_NAME_PSEUDO;
		if (add_component(section, text, path->dentry))
			section->len--;
	} else {
		return 0;
	}
	section->status &= ~TRACER_NAME_DELETED;
	return 1;
}

/* Writes the name of a descriptor (or the working directory) into the record.
 *
 * What is found out goes into maps, not into variables: so the verifier has one way into the walk to follow.
 */
static __always_inline void fill_name(struct record_buffer *buffer, struct naming *naming)
{
	struct name_section *section = (struct name_section *)(buffer->bytes + (naming->at & 127));
	u8 *text = (u8 *)(section + 1);
	struct path_pointers path = {};

	__builtin_memset(section, 0, sizeof(*section));
	naming->end = 0;
	naming->now.is_fleeting = 0;
	path_of(naming->fd, &path, &section->status);
	if (!path.dentry)
		return;
	void *inode = read_pointer(path.dentry + OFF_DENTRY_INODE);
	u32 magic = name_inode(section, inode);

	if (is_deleted(&path))
		section->status |= TRACER_NAME_DELETED;
	if (!name_special(section, text, &path, inode, magic)) {
		naming->now.is_fleeting = !!is_fleeting(&path, inode, magic);
		walk(section, naming, text, path);
	}
	naming->end = naming->at + sizeof(*section) + (section->len & TEXT_MASK);
}

#endif
