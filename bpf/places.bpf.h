// SPDX-License-Identifier: MIT
/* Where a file is: its dentry and mount, the way up from there, and whether that may change without a call. */
#ifndef TRACER_PLACES_BPF_H
#define TRACER_PLACES_BPF_H

#include "kernel.bpf.h"

#define MAX_COMPONENTS 320 /* what lies deeper has no name: each round is dear to verify */

#define TMPFS_MAGIC 0x01021994 /* include/uapi/linux/magic.h */
#define RAMFS_MAGIC 0x858458f6
#define HUGETLBFS_MAGIC 0x958458f6
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define ZFS_SUPER_MAGIC 0x2fc12fc1 /* of OpenZFS, which gets its disks by itself */
#define FS_REQUIRES_DEV 1          /* include/linux/fs.h */

#define DCACHE_OP_REVALIDATE (1U << 2) /* include/linux/dcache.h */
#define DCACHE_OP_WEAK_REVALIDATE (1U << 11)

#define MNT_NS_INTERNAL (-22ULL) /* fs/mount.h: of the kernel's own mounts, which are in no tree */

#define MEM_MAJOR 1 /* include/uapi/linux/major.h */
#define TTYAUX_MAJOR 5
#define MISC_MAJOR 10

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

static __always_inline u64 mixed(u64 sum, u64 word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 29;
}

/* From the root of a mount to where that is mounted; 0 at the top. */
static __always_inline int leave_mount(struct path_pointers *at)
{
	void *mount = at->mnt - OFF_MOUNT_MNT;
	void *parent = read_pointer(mount + OFF_MOUNT_PARENT);

	if (parent == mount)
		return 0;
	at->dentry = read_pointer(mount + OFF_MOUNT_MOUNTPOINT);
	at->mnt = parent + OFF_MOUNT_MNT;
	return 1;
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

/* Whether its file system looks at each use of a name whether that still holds: another machine or process (NFS, SMB,
 * 9p, FUSE) or the kernel itself (sysfs, cgroup) changes it without a call, and a lookup finds out.
 */
static __always_inline int is_revalidated(void *dentry)
{
	return read_u32(dentry + OFF_DENTRY_FLAGS) & (DCACHE_OP_REVALIDATE | DCACHE_OP_WEAK_REVALIDATE);
}

static __always_inline struct path_pointers current_root(void)
{
	struct path_pointers root = {};
	void *fs = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FS));

	bpf_probe_read_kernel(&root, sizeof(root), fs + OFF_FS_ROOT);
	return root;
}

/* What is read of a dentry on the way up. The kernel counts the changes of its name and parent (d_seq): the count is odd
 * during one.
 */
struct step {
	void *parent;
	const void *name;
	u32 changes;
};

#define STEP_AT (OFF_DENTRY_SEQ & ~7ULL)
#define STEP_BYTES (OFF_DENTRY_NAME + 8 - STEP_AT)
#define IS_STEP_IN_ONE_PIECE (STEP_AT < OFF_DENTRY_PARENT && OFF_DENTRY_PARENT < OFF_DENTRY_NAME && STEP_BYTES <= 64)

/* In one read where the kernel has them together, since each costs 40 ns. */
static __always_inline void read_step(struct step *step, const void *dentry)
{
	u64 words[8] = {};

	if (!IS_STEP_IN_ONE_PIECE) {
		step->changes = read_u32(dentry + OFF_DENTRY_SEQ);
		step->parent = read_pointer(dentry + OFF_DENTRY_PARENT);
		step->name = read_pointer(dentry + OFF_DENTRY_NAME);
		return;
	}
	bpf_probe_read_kernel(words, STEP_BYTES & 127, dentry + STEP_AT);
	step->changes = words[0] >> (OFF_DENTRY_SEQ - STEP_AT) * 8;
	step->parent = (void *)words[(OFF_DENTRY_PARENT - STEP_AT) / 8 & 7];
	step->name = (void *)words[(OFF_DENTRY_NAME - STEP_AT) / 8 & 7];
}

static __always_inline u64 add_step(u64 place, const void *dentry, u32 changes)
{
	return mixed(mixed(place, (u64)dentry), changes);
}

/* A number that changes when the file's name does: the way up to the process's root, as far as it is followed. It does so
 * when the file is deleted as well, which d_seq counts, too (__d_drop of fs/dcache.c). 0 if it changes just now.
 */
static __always_inline u64 place_of(const struct path_pointers *path)
{
	struct path_pointers at = *path, root = current_root();
	void *top = read_pointer(at.mnt + OFF_VFSMOUNT_ROOT);
	u64 place = 0;
	u32 changes = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_COMPONENTS; i++) {
		struct step step;

		if (at.dentry == root.dentry && at.mnt == root.mnt)
			break;
		if (at.dentry == top) {
			if (!leave_mount(&at))
				break;
			top = read_pointer(at.mnt + OFF_VFSMOUNT_ROOT);
			continue;
		}
		read_step(&step, at.dentry);
		if (step.parent == at.dentry)
			break;
		place = add_step(place, at.dentry, step.changes);
		changes |= step.changes;
		at.dentry = step.parent;
	}
	return changes & 1 ? 0 : place | 1;
}

/* Whether the kernel takes the device away when it is unplugged. Those that are not are used most: /dev/null, /dev/zero,
 * /dev/tty, /dev/fuse.
 */
static __always_inline int is_removable(void *inode)
{
	u32 major = read_u32(inode + OFF_INODE_RDEV) >> 20;

	return major != MEM_MAJOR && major != TTYAUX_MAJOR && major != MISC_MAJOR;
}

/* The kernel's own file system for /dev, which has the magic number of another one. */
static __always_inline int is_devtmpfs(void *type)
{
	u64 wanted;

	__builtin_memcpy(&wanted, "devtmpfs", sizeof(wanted));
	return read_u64(read_pointer(type + OFF_FS_TYPE_NAME)) == wanted;
}

/* Whether calls alone remove the file: on a disk, in memory, and where one lies on the other. The file systems that are
 * left show what is in the kernel, which it takes away by itself: a terminal as its master is closed, the folder of a
 * process, what belongs to a module.
 */
static __always_inline int is_kept(void *inode, u32 magic)
{
	void *type = read_pointer(read_pointer(inode + OFF_INODE_SB) + OFF_SB_TYPE);

	switch (magic) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		return !is_devtmpfs(type) || !is_removable(inode);
	case HUGETLBFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case ZFS_SUPER_MAGIC:
		return 1;
	}
	return read_u32(type + OFF_FS_TYPE_FLAGS) & FS_REQUIRES_DEV;
}

/* Whether the kernel itself may unlink one file or another just now (renames.bpf.h). */
static __always_inline int is_core_dumped(void)
{
	u32 *dumps = core_dumps();

	return dumps && *dumps;
}

/* Whether a file's name may change without a call that is seen. */
static __always_inline int is_fleeting(const struct path_pointers *path, void *inode, u32 magic)
{
	return is_revalidated(path->dentry) || !is_kept(inode, magic) || is_elsewhere(path->mnt) || is_core_dumped();
}

/* Whether the file of a descriptor (or the working directory) is such a one. */
static __always_inline int is_fd_fleeting(s32 fd)
{
	struct path_pointers path = {};
	u8 status = 0;

	path_of(fd, &path, &status);
	if (!path.dentry)
		return 0;
	void *inode = read_pointer(path.dentry + OFF_DENTRY_INODE);

	return is_fleeting(&path, inode, read_u64(read_pointer(inode + OFF_INODE_SB) + OFF_SB_MAGIC));
}

/* Finds the descriptor's file (or the working directory), and its place. */
static __always_inline void find_place(struct naming *naming)
{
	struct path_pointers path = {};
	u8 status = 0;

	naming->inode = path_of(naming->fd, &path, &status);
	naming->path = path;
	naming->status = status;
	naming->place = path.dentry ? place_of(&path) : 0;
}

#endif
