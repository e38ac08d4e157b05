/* Everything that crosses from the kernel side to user space.
 *
 * Read by three compilers: clang for bpf/tracer.bpf.c, gcc for the Cython modules, and the layout test. Fixed
 * widths, explicit padding, sizes asserted at the end.
 *
 * A record is one `struct event_header`, then a body that its type and flags describe completely: a reader needs
 * no table to find the end of any part. Records travel in blocks, each one padded with zeros to a multiple of 8
 * bytes. The byte order is the machine's.
 */
#ifndef TRACER_EVENTS_H
#define TRACER_EVENTS_H

#ifdef TRACER_BPF
typedef unsigned char tr_u8;
typedef signed char tr_s8;
typedef unsigned short tr_u16;
typedef unsigned int tr_u32;
typedef signed int tr_s32;
typedef unsigned long long tr_u64;
typedef signed long long tr_s64;
#else
#include <stdint.h>
typedef uint8_t tr_u8;
typedef int8_t tr_s8;
typedef uint16_t tr_u16;
typedef uint32_t tr_u32;
typedef int32_t tr_s32;
typedef uint64_t tr_u64;
typedef int64_t tr_s64;
#endif

#define TRACER_ABI_VERSION 1

#define TRACER_MAX_SYSCALLS 512 /* size of the rule table; the highest number in use is below 480 */
#define TRACER_MAX_ARGS 6
#define TRACER_COMM_BYTES 16
#define TRACER_PATH_BYTES 4096 /* PATH_MAX, NUL included */
#define TRACER_AUX_BYTES 24
#define TRACER_CWD_FD (-100)             /* AT_FDCWD: in a name record, the working directory */
#define TRACER_MOUNT_NAMESPACE_FD (-101) /* in a name record, the thread's namespace of mounts: its inode is told */

/* event_header.type */
enum tracer_record {
	TRACER_ENTER = 1,     /* a syscall begins */
	TRACER_EXIT = 2,      /* a syscall ended */
	TRACER_NAME = 3,      /* what a descriptor (or what has no number) is called from here on */
	TRACER_FORK = 4,      /* a new task, before its first instruction */
	TRACER_EXEC = 5,      /* a task runs a new program */
	TRACER_TASK_EXIT = 6, /* a task is gone */
	TRACER_COMM = 7,      /* a task has a new name */
};

/* event_header.flags of an enter: the low three bits are the number of arguments that follow */
#define TRACER_NARGS_MASK 0x07
/* event_header.flags: which optional parts follow, always in this order */
#define TRACER_HAS_AUX 0x08   /* TRACER_AUX_BYTES of what an argument points at (see enum tracer_aux) */
#define TRACER_HAS_PATHS 0x10 /* struct path_section and both texts, no NUL */
#define TRACER_HAS_NAME 0x20  /* struct name_section and its text */
/* event_header.flags of TRACER_NAME and TRACER_COMM: the answer came from /proc, not from the kernel program */
#define TRACER_FROM_PROC 0x40
/* event_header.flags of TRACER_FORK and TRACER_EXEC: while the kernel copied them, another task may have changed the
 * table of descriptors and the working directory. What they are called now is not known.
 */
#define TRACER_COPY_UNSURE 0x80
/* event_header.flags of TRACER_EXIT: seccomp watches the thread. Of a call that it refuses the kernel shows the end alone. */
#define TRACER_MAY_BE_REFUSED 0x80
/* The same: while the call ran, another process may have given one of its descriptors, or its working directory, to
 * another file. What they were called is not known.
 */
#define TRACER_MEANT_UNSURE 0x40

struct event_header {
	tr_u64 time_ns; /* CLOCK_BOOTTIME */
	tr_u32 tgid;
	tr_u32 tid;
	tr_u16 size; /* of the whole record, this header included, before padding */
	tr_u8 type;
	tr_u8 flags;
	tr_u16 syscall; /* number on the machine that recorded; 0 where there is none */
	tr_u16 reserved;
};

/* TRACER_ENTER: header, nargs * tr_u64, [aux], [paths] */
/* TRACER_EXIT: header, struct exit_body, [aux], [paths] or [name] */
struct exit_body {
	tr_s64 ret;
};

/* path_section.status1, status2 */
enum tracer_path_status {
	TRACER_PATH_ABSENT = 0, /* the call has no such argument, or the reader did not look */
	TRACER_PATH_OK = 1,
	TRACER_PATH_NULL = 2,       /* a null pointer */
	TRACER_PATH_UNREADABLE = 3, /* its page was not resident; read again at exit */
	TRACER_PATH_TRUNCATED = 4,  /* longer than PATH_MAX: the first bytes of it */
};

struct path_section {
	tr_u16 len1;
	tr_u16 len2;
	tr_u8 status1;
	tr_u8 status2;
	tr_u16 reserved;
};

/* name_section.kind */
enum tracer_name_kind {
	TRACER_NAME_NONE = 0,       /* not open any more: what was told of it is void */
	TRACER_NAME_COMPONENTS = 1, /* path components, leaf first, each ended by a NUL: "b\0a\0" is /a/b, "" is / */
	TRACER_NAME_TEXT = 2,       /* the text as readlink gives it */
	TRACER_NAME_PIPE = 3,       /* pipe:[inode] */
	TRACER_NAME_SOCKET = 4,     /* socket:[inode] */
	TRACER_NAME_ANON = 5,       /* anon_inode:TEXT */
	TRACER_NAME_PSEUDO = 6,     /* /TEXT (deleted): memfd and other files that never had a directory */
	TRACER_NAME_NAMESPACE = 7,  /* TEXT:[inode]: net:[4026531840] */
};

/* name_section.status */
#define TRACER_NAME_DELETED 0x01    /* unlinked: " (deleted)" belongs behind the text */
#define TRACER_NAME_INCOMPLETE 0x02 /* the walk did not reach the root: the text is not the whole path */
#define TRACER_NAME_CLOEXEC_KNOWN 0x04
#define TRACER_NAME_CLOEXEC 0x08

struct name_section {
	tr_u64 inode;
	tr_u32 device; /* the kernel's packing: major << 20 | minor */
	tr_u16 len;
	tr_u8 kind;
	tr_u8 status;
};

/* TRACER_NAME: header, struct name_body, name (always present, TRACER_HAS_NAME set) */
struct name_body {
	tr_s32 fd; /* or TRACER_CWD_FD, TRACER_MOUNT_NAMESPACE_FD */
	tr_u32 reserved;
};

/* TRACER_FORK: the header names the creator */
struct fork_body {
	tr_u32 child_tgid;
	tr_u32 child_tid;
	tr_u64 clone_flags;
	tr_u8 comm[TRACER_COMM_BYTES]; /* the child's, inherited */
};

/* TRACER_EXEC: the header names the task after the change */
struct exec_body {
	tr_u32 old_tid; /* the thread that called execve; the group's leader from now on */
	tr_u32 reserved;
	tr_u8 comm[TRACER_COMM_BYTES]; /* the new program's */
};

struct task_exit_body {
	tr_u32 group_dead; /* 1: the last thread of its process */
	tr_u32 reserved;
};

/* TRACER_COMM: the header names the task that is renamed */
struct comm_body {
	tr_u8 comm[TRACER_COMM_BYTES];
};

/* syscall_rule.aux_kind: what TRACER_HAS_AUX carries. Enter side unless said otherwise */
enum tracer_aux {
	TRACER_AUX_NONE = 0,
	TRACER_AUX_OPEN_HOW = 1,    /* u64 flags, u64 mode, u64 resolve */
	TRACER_AUX_TIMESPEC = 2,    /* s64 seconds, s64 nanoseconds, u64 1 if it was read */
	TRACER_AUX_TIMEVAL = 3,     /* s64 seconds, s64 microseconds, u64 1 if it was read */
	TRACER_AUX_EPOLL_EVENT = 4, /* u32 events, the rest zero */
	TRACER_AUX_XATTR_ARGS = 5,  /* u64 value, u32 size, u32 flags */
	TRACER_AUX_IOVEC = 6,     /* u64 sum of the lengths, u64 1 if all of it was read; count is the next argument */
	TRACER_AUX_MSGHDR = 7,    /* as TRACER_AUX_IOVEC, of the message's vector */
	TRACER_AUX_UTIMES = 8,    /* u64 nanosecond fields of both timespecs, u64 1 if read */
	TRACER_AUX_FD_PAIR = 9,   /* at EXIT: s32 first fd, s32 second fd */
	TRACER_AUX_CWD_TEXT = 10, /* at EXIT: no aux; the text is path 1 of a path section */
};

/* syscall_rule.effect: what a call does to descriptors and directories */
enum tracer_effect {
	TRACER_EFFECT_NONE = 0,
	TRACER_EFFECT_OPEN = 1,   /* returns a descriptor of the file named by the path argument */
	TRACER_EFFECT_NEW_FD = 2, /* returns a descriptor that no argument names */
	TRACER_EFFECT_DUP = 3,    /* returns a copy of the descriptor in argument 0 */
	TRACER_EFFECT_DUP2 = 4,   /* same, onto argument 1; flags_arg holds O_CLOEXEC where there is one */
	TRACER_EFFECT_FCNTL = 5,  /* F_DUPFD copies, F_SETFD marks */
	TRACER_EFFECT_IOCTL = 6,  /* FIOCLEX and FIONCLEX mark */
	TRACER_EFFECT_CLOSE = 7,
	TRACER_EFFECT_CLOSE_RANGE = 8,
	TRACER_EFFECT_FD_PAIR = 9,  /* writes two new descriptors (pipe, socketpair) */
	TRACER_EFFECT_CHDIR = 10,   /* the path argument becomes the working directory */
	TRACER_EFFECT_FCHDIR = 11,  /* the descriptor does */
	TRACER_EFFECT_CHROOT = 12,  /* every absolute name means something else: forget the working directory's */
	TRACER_EFFECT_UNSHARE = 13, /* CLONE_FILES and CLONE_FS in argument 0 */
	TRACER_EFFECT_EXEC = 14,
	TRACER_EFFECT_LANDLOCK = 15, /* NEW_FD, but only with flags 0 */
	TRACER_EFFECT_BPF = 16,      /* NEW_FD, but only for the commands that return one */
	TRACER_EFFECT_SIGNALFD = 17, /* NEW_FD if argument 0 is -1, else nothing */
	TRACER_EFFECT_RING = 18,     /* NEW_FD if the exit has a name section, else the index of a registered ring */
};

/* Commands of bpf(2) that return a descriptor, a bit each, in the order of enum bpf_cmd (include/uapi/linux/bpf.h):
 * MAP_CREATE, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD, BTF_GET_FD_BY_ID,
 * LINK_CREATE, LINK_GET_FD_BY_ID, ENABLE_STATS, ITER_CREATE, TOKEN_CREATE.
 */
#define TRACER_BPF_RETURNS_FD 0x13500e60a1ULL
#define TRACER_BPF_COMMON_ATTRS 0x10000 /* in a command: only that more attributes follow */

/* syscall_rule.size_type: what the kernel takes the argument for */
enum tracer_size_type {
	TRACER_SIZE_LONG = 0, /* all 64 bits, which are unsigned there; negative here from 2^63 on */
	TRACER_SIZE_INT = 1,  /* the low 32 bits, signed */
	TRACER_SIZE_UINT = 2, /* the low 32 bits, unsigned */
};

/* syscall_rule.byte_class */
enum tracer_bytes {
	TRACER_BYTES_NONE = 0,
	TRACER_BYTES_READ = 1,
	TRACER_BYTES_WRITE = 2,
	TRACER_BYTES_TRANSFER = 3,
};

/* syscall_rule.byte_rule: what else decides how many bytes a positive return counts */
enum tracer_byte_rule {
	TRACER_BYTE_RULE_RET = 0,   /* all of them */
	TRACER_BYTE_RULE_PROBE = 1, /* none if the requested size is 0: the caller asked how much there is (xattr) */
	TRACER_BYTE_RULE_RECV = 2,  /* none with MSG_PEEK; with MSG_TRUNC at most what was asked for, if known */
};

/* syscall_rule.empty_path: when an empty first path means the directory descriptor itself (on success) */
enum tracer_empty_path {
	TRACER_EMPTY_NEVER = 0,
	TRACER_EMPTY_AT_FLAG = 1,    /* AT_EMPTY_PATH 0x1000 in the flags; a null path counts as empty then */
	TRACER_EMPTY_ALWAYS = 2,     /* readlinkat */
	TRACER_EMPTY_NULL = 3,       /* a null path, no flag needed (utimensat, futimesat) */
	TRACER_EMPTY_FSPICK = 4,     /* FSPICK_EMPTY_PATH 0x8 */
	TRACER_EMPTY_MOVE_MOUNT = 5, /* MOVE_MOUNT_F_EMPTY_PATH 0x4 for path 1, _T_EMPTY_PATH 0x40 for path 2 */
};

/* syscall_rule.quantity: what the address-space, sleep, poll and epoll columns are filled from */
enum tracer_quantity {
	TRACER_QUANTITY_NONE = 0,
	TRACER_QUANTITY_MMAP = 1,        /* length in argument 1 */
	TRACER_QUANTITY_MUNMAP = 2,      /* length in argument 1 */
	TRACER_QUANTITY_MREMAP = 3,      /* the larger of arguments 1 and 2 */
	TRACER_QUANTITY_BRK = 4,         /* movement since the process's last brk */
	TRACER_QUANTITY_NO_SPACE = 5,    /* memory calls that change no extent: 0 */
	TRACER_QUANTITY_SLEEP = 6,       /* timespec in aux, relative */
	TRACER_QUANTITY_CLOCK_SLEEP = 7, /* same, TIMER_ABSTIME in flags_arg makes it unknown */
	TRACER_QUANTITY_POLL_MS = 8,     /* count in nfds_arg, milliseconds (int) in timeout_arg */
	TRACER_QUANTITY_POLL_SPEC = 9,   /* count in nfds_arg, timespec or timeval that timeout_arg points at in aux */
	TRACER_QUANTITY_EPOLL_CTL = 10,  /* operation in argument 1, target in argument 2, event in aux */
};

/* syscall_rule.flags */
#define TRACER_RULE_KNOWN 0x01         /* the entry is filled */
#define TRACER_RULE_WANTED 0x02        /* its calls are rows */
#define TRACER_RULE_STATE 0x04         /* captured whether wanted or not: it changes what names mean */
#define TRACER_RULE_NEVER_RETURNS 0x08 /* exit, exit_group, rt_sigreturn: a row at enter */
#define TRACER_RULE_RENAMES 0x10       /* on success names in use may change (rename, unlink, mount ...) */
#define TRACER_RULE_OLD_IS_TEXT 0x20   /* path 1 is a text, not a file (a symlink's target): never joined */
#define TRACER_RULE_LABEL 0x40  /* path 1 is a label, not a file (memfd_create, fsopen): no row is named after it */
#define TRACER_RULE_UNSEEN 0x80 /* from here on descriptors may change without a call that is seen (io_uring) */

/* One row of the syscall table as both sides use it. An argument index is 0 to 5, or -1 where there is none. */
struct syscall_rule {
	tr_u8 flags;
	tr_u8 nargs;
	tr_s8 fd_arg; /* the descriptor the call works on */
	tr_s8 path_arg;
	tr_s8 path2_arg;
	tr_s8 dirfd_arg;  /* the directory path 1 is relative to; -1: the working directory */
	tr_s8 dirfd2_arg; /* the same for path 2 */
	tr_s8 flags_arg;  /* what the flags column shows */
	tr_s8 size_arg;   /* what the requested_bytes column shows */
	tr_s8 offset_arg; /* what the offset column shows; -2: the return value (lseek) */
	tr_s8 aux_arg;    /* the pointer that aux is read from */
	tr_s8 nfds_arg;
	tr_s8 timeout_arg;
	tr_u8 aux_kind;
	tr_u8 effect;
	tr_u8 byte_class;
	tr_u8 byte_rule;
	tr_u8 empty_path;
	tr_u8 quantity;
	tr_u8 family;    /* index into the list of families, for the family column */
	tr_s8 no_fd_arg; /* the argument that says with one of its bits that what fd_arg holds is no descriptor */
	tr_u8 no_fd_bit; /* 0 to 31: that bit */
	tr_u8 writes;    /* of a call with a path: a bit for each argument that points at where the call writes */
	tr_u8 size_type;
};

/* What the kernel program is told to look at. */
#define TRACER_FILTER_ALL 0x01    /* every process but the excluded one; else only those in the process table */
#define TRACER_FILTER_FOLLOW 0x02 /* children of a traced process are traced */
#define TRACER_FILTER_UID 0x04
#define TRACER_FILTER_TID 0x08
#define TRACER_FILTER_CGROUP 0x10 /* the task's cgroup or one above it */
#define TRACER_FILTER_COMM 0x20
#define TRACER_FILTER_FAILED 0x40   /* only calls that return an error */
#define TRACER_FILTER_IDENTITY 0x80 /* each use of a descriptor is compared, whatever its process does */

struct filter_config {
	tr_u32 flags;
	tr_u32 excluded_tgid; /* the tracer itself */
	tr_u32 uid;
	tr_u32 tid;
	tr_u64 cgroup_id;
	tr_u32 cgroup_level;
	tr_u32 has_outsiders; /* set by the kernel program: tasks that are not traced may share a table with those that are */
	tr_u8 comm[TRACER_COMM_BYTES];
};

/* Why something is missing from a recording: index of the per-CPU loss counters. */
enum tracer_loss {
	TRACER_LOSS_RING_FULL = 0,
	TRACER_LOSS_PATH_TRUNCATED = 1,
	TRACER_LOSS_PATH_UNREADABLE = 2,
	TRACER_LOSS_MAP_FULL = 3,
	TRACER_LOSS_COMPAT = 4, /* a 32-bit call: its numbers are another table's */
	TRACER_LOSS_COUNT = 5,
};

_Static_assert(sizeof(struct event_header) == 24, "event_header");
_Static_assert(sizeof(struct exit_body) == 8, "exit_body");
_Static_assert(sizeof(struct path_section) == 8, "path_section");
_Static_assert(sizeof(struct name_section) == 16, "name_section");
_Static_assert(sizeof(struct name_body) == 8, "name_body");
_Static_assert(sizeof(struct fork_body) == 32, "fork_body");
_Static_assert(sizeof(struct exec_body) == 24, "exec_body");
_Static_assert(sizeof(struct task_exit_body) == 8, "task_exit_body");
_Static_assert(sizeof(struct comm_body) == 16, "comm_body");
_Static_assert(sizeof(struct syscall_rule) == 24, "syscall_rule");
_Static_assert(sizeof(struct filter_config) == 48, "filter_config");

#endif
