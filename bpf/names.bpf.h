// SPDX-License-Identifier: MIT
/* What a descriptor or the working directory is called: the dentries from the file up to the root. */
#ifndef TRACER_NAMES_BPF_H
#define TRACER_NAMES_BPF_H

#include "kernel.bpf.h"

#define MAX_COMPONENTS 320 /* longer ways are left to user space */
#define NAME_MAX_BYTES 256 /* NAME_MAX and its NUL */
#define TEXT_MASK 0xfff
#define NAME_AT 32 /* where the name section of a name or exit record begins, when there is no aux before it */

#define PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define NSFS_MAGIC 0x6e736673
#define DEVPTS_SUPER_MAGIC 0x1cd1
#define PROC_SUPER_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define TMPFS_MAGIC 0x01021994
#define RAMFS_MAGIC 0x858458f6

#define MNT_NS_INTERNAL (-22ULL) /* fs/mount.h: of the kernel's own mounts, which are in no tree */
#define PLACE_DELETED 1          /* in bits that addresses have no use for */
#define PLACE_KNOWN 2

#define MEM_MAJOR 1 /* include/uapi/linux/major.h */
#define TTYAUX_MAJOR 5
#define MISC_MAJOR 10

struct path_pointers {
	void *mnt;
	void *dentry;
};

static __always_inline void *file_of(s32 fd, u8 *status)
{
	void *files = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FILES));
	void *fdt = read_pointer(files + OFF_FILES_FDT);

	if (!fdt || (u32)fd >= read_u32(fdt + OFF_FDT_MAX_FDS))
		return 0;
	u64 word = read_u64(read_pointer(fdt + OFF_FDT_CLOSE_ON_EXEC) + ((u32)fd >> 6) * 8);

	*status |= TRACER_NAME_CLOEXEC_KNOWN;
	if (word >> ((u32)fd & 63) & 1)
		*status |= TRACER_NAME_CLOEXEC;
	return read_pointer(read_pointer(fdt + OFF_FDT_FD) + (u64)(u32)fd * 8);
}

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
static __always_inline void walk(struct name_section *section, u8 *text, struct path_pointers at)
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
			void *mount = at.mnt - OFF_MOUNT_MNT;
			void *parent = read_pointer(mount + OFF_MOUNT_PARENT);

			if (parent == mount) {
				section->status &= ~TRACER_NAME_INCOMPLETE;
				return;
			}
			at.dentry = read_pointer(mount + OFF_MOUNT_MOUNTPOINT);
			at.mnt = parent + OFF_MOUNT_MNT;
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

/* Where a descriptor's file (or the working directory) is, null if it is not open; its inode's number. */
static __always_inline u64 path_of(s32 fd, struct path_pointers *path, u8 *status)
{
	if (fd == TRACER_CWD_FD) {
		void *fs = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FS));

		bpf_probe_read_kernel(path, sizeof(*path), fs + OFF_FS_PWD);
		return 0;
	}
	void *file = file_of(fd, status);

	if (!file)
		return 0;
	bpf_probe_read_kernel(path, sizeof(*path), file + OFF_FILE_PATH);
	return read_u64(read_pointer(file + OFF_FILE_INODE) + OFF_INODE_INO);
}

/* As d_unlinked has it (include/linux/dcache.h): the root of a file system is in no hash, and there nevertheless. */
static __always_inline int is_deleted(const struct path_pointers *path)
{
	return !read_u64(path->dentry + OFF_DENTRY_HASH_PPREV) &&
	       read_pointer(path->dentry + OFF_DENTRY_PARENT) != path->dentry;
}

/* The namespace that the mount is in; null once it has been taken apart. */
static __always_inline u64 namespace_of(void *mnt)
{
	return HAS_IDENTITY ? read_u64(mnt - OFF_MOUNT_MNT + OFF_MOUNT_MNT_NS) : MNT_NS_INTERNAL;
}

/* Whether the mount may be taken apart without a call that is seen: it is in another namespace of mounts than the
 * current task, which may end with its last process, or is a tree of mounts that somebody holds by a descriptor
 * (open_tree(2)). One's own lasts.
 */
static __always_inline int is_elsewhere(void *mnt)
{
	u64 namespace = namespace_of(mnt);
	void *own = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_NSPROXY)) + OFF_NSPROXY_MNT_NS;

	return namespace != MNT_NS_INTERNAL && namespace != read_u64(own);
}

/* A number that changes when a file's name does without a call: it is deleted, or its mount has been taken apart. 0 as
 * long as that is not done: the mounts of a tree that is gone lose each other one by one, as the last file of each goes.
 */
static __always_inline u64 place_of(const struct path_pointers *path)
{
	void *mount = path->mnt - OFF_MOUNT_MNT;
	u64 namespace = namespace_of(path->mnt);

	if (!namespace && read_pointer(mount + OFF_MOUNT_PARENT) != mount)
		return 0;
	return namespace | PLACE_KNOWN | (is_deleted(path) ? PLACE_DELETED : 0);
}

/* Whether a file at that place may have had a longer name before. */
static __always_inline int is_gone(u64 place)
{
	return (place & PLACE_DELETED) || !(place & ~(u64)PLACE_KNOWN);
}

/* Whether the descriptor's file (or the working directory) is still where it was. */
static __always_inline int is_still_at(s32 fd, u64 place)
{
	struct path_pointers path = {};
	u8 status = 0;

	path_of(fd, &path, &status);
	return place && path.dentry && place_of(&path) == place;
}

/* The kernel's own file system for /dev, which has the magic number of another one. */
static __always_inline int is_devtmpfs(void *inode, u32 magic)
{
	u64 wanted;

	if (magic != TMPFS_MAGIC && magic != RAMFS_MAGIC)
		return 0;
	void *type = read_pointer(read_pointer(inode + OFF_INODE_SB) + OFF_SB_TYPE);

	__builtin_memcpy(&wanted, "devtmpfs", sizeof(wanted));
	return read_u64(read_pointer(type + OFF_FS_TYPE_NAME)) == wanted;
}

/* Whether the kernel takes the device away when it is unplugged. Those that are not are used most: /dev/null, /dev/zero,
 * /dev/tty, /dev/fuse.
 */
static __always_inline int is_removable(void *inode)
{
	u32 major = read_u32(inode + OFF_INODE_RDEV) >> 20;

	return major != MEM_MAJOR && major != TTYAUX_MAJOR && major != MISC_MAJOR;
}

/* Whether a file may be deleted without a call that is seen, as the kernel does it with a terminal whose master is closed,
 * with the folder of a process, and with a device that is gone.
 */
static __always_inline int is_fleeting(void *inode, u32 magic)
{
	return magic == DEVPTS_SUPER_MAGIC || magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC ||
	       (is_devtmpfs(inode, magic) && is_removable(inode));
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
	path_of(naming->fd, &path, &section->status);
	if (!path.dentry)
		return;
	void *inode = read_pointer(path.dentry + OFF_DENTRY_INODE);
	u32 magic = name_inode(section, inode);

	if (is_deleted(&path))
		section->status |= TRACER_NAME_DELETED;
	naming->now.is_fleeting = is_fleeting(inode, magic);
	naming->now.place = place_of(&path);
	if (!name_special(section, text, &path, inode, magic)) {
		naming->now.is_fleeting |= is_elsewhere(path.mnt);
		walk(section, text, path);
	}
	naming->end = naming->at + sizeof(*section) + (section->len & TEXT_MASK);
}

#endif
