// SPDX-License-Identifier: MIT
/* The kernel side: two raw tracepoints that a table drives, and four that keep track of tasks.
 *
 * User space fills `rules` (one row a syscall), `config` (the filter) and `processes` (whom to watch), then reads `events`.
 * The offsets OFF_* of kernel structures come from the running kernel's BTF as -D constants, so no kernel header is needed.
 *
 * Names of descriptors: the first time that a process uses a number, and at each call that returns one, the path is read from
 * the dentries and sent before (or with) the event. `struct process` remembers by a tag what has been sent. The tag changes
 * with `epoch`, which every successful rename or unlink on the machine moves on, and with the process's own generation (exec,
 * close_range), so that a name that may have changed is sent again at its next use.
 */
#define TRACER_BPF
#include "events.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define NAMED_FDS 1024      /* numbers above are named by user space */
#define MAX_COMPONENTS 48   /* deeper paths are left to user space */
#define MAX_IOVECS 16       /* longer vectors have no known size */
#define NAME_MAX_BYTES 256  /* NAME_MAX and its NUL */
#define TEXT_MASK 0xfff
#define USER32_CS 0x23      /* __USER32_CS of arch/x86/include/asm/segment.h */

#define ERRNO_FAULT (-14)

#define PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define NSFS_MAGIC 0x6e736673

#define FCNTL_DUPFD 0
#define FCNTL_DUPFD_CLOEXEC 1030
#define CLONE_THREAD_FLAG 0x00010000

#define NAME_AT 32 /* where the name section of a name or exit record begins, when there is no aux before it */

/* One traced process. */
struct process {
	u16 generation;
	u8 armed;   /* a command that has not called execve yet: nothing of it is shown */
	u8 padding;
	u16 cwd_tag;
	u16 named[NAMED_FDS];
};

struct record_buffer {
	u8 bytes[16384]; /* a record of two full paths is below 8400; the rest lets the verifier see that offsets stay inside */
};

/* The call at hand, handed from one program to the next. One a CPU: tracepoints of syscalls run without preemption. */
struct call {
	u64 args[8]; /* six; a masked index needs eight */
	u64 time_ns;
	s64 ret;
	u32 nr;
	u32 exit_follows; /* the enter was held back until the call failed: its exit is sent right behind it */
	u64 exit_time_ns;
	s32 fds[4];       /* up to three descriptors whose names the record needs */
};

/* Programs that go on where the first one of a tracepoint stops, for the verifier's sake one job each. */
enum stage {
	STAGE_ENTER_LONG = 0,
	STAGE_ENTER_NAMES = 1,
	STAGE_EXIT = 2,
	STAGE_EXIT_FD = 3,
	STAGE_EXIT_PATHS = 4,
	STAGE_COUNT = 5,
};

BPF_RINGBUF_OUTPUT(events, RING_PAGES);
BPF_ARRAY(rules, struct syscall_rule, TRACER_MAX_SYSCALLS);
BPF_ARRAY(config, struct filter_config, 1);
BPF_ARRAY(epoch, u32, 1);
BPF_F_TABLE("hash", u32, struct process, processes, 16384, BPF_F_NO_PREALLOC);
BPF_ARRAY(blank_process, struct process, 1);
BPF_HASH(retries, u32, u32, 16384); /* thread -> its path could not be read at enter */
BPF_HASH(starts, u32, u64, 16384);  /* thread -> time of its enter, where only failures are shown */
BPF_PERCPU_ARRAY(losses, u64, TRACER_LOSS_COUNT);
BPF_PROG_ARRAY(stages, STAGE_COUNT);
BPF_PERCPU_ARRAY(calls, struct call, 1);
BPF_PERCPU_ARRAY(event_buffer, struct record_buffer, 1);
BPF_PERCPU_ARRAY(name_buffer, struct record_buffer, 1);

static __always_inline void count_loss(int cause)
{
	u64 *counter = losses.lookup(&cause);

	if (counter)
		(*counter)++;
}

static __always_inline int send(void *record, u32 size)
{
	int failed = events.ringbuf_output(record, size, BPF_RB_NO_WAKEUP);

	if (failed)
		count_loss(TRACER_LOSS_RING_FULL);
	return failed;
}

static __always_inline u64 read_u64(const void *address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), address);
	return value;
}

static __always_inline u32 read_u32(const void *address)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), address);
	return value;
}

static __always_inline void *read_pointer(const void *address)
{
	return (void *)read_u64(address);
}

static __always_inline void fill_header(struct event_header *header, u8 type, u64 time_ns)
{
	u64 id = bpf_get_current_pid_tgid();

	header->time_ns = time_ns;
	header->tgid = id >> 32;
	header->tid = id;
	header->type = type;
	header->flags = 0;
	header->syscall = 0;
	header->reserved = 0;
}

#if defined(__x86_64__)
/* Reads the arguments; not 0 for a program of 32 bits, whose numbers mean other calls.
 *
 * struct pt_regs from r10 on: r10 r9 r8 ax cx dx si di orig_ax ip cs (arch/x86/include/asm/ptrace.h). One read, since each
 * costs 40 ns.
 */
static __always_inline int read_args(u64 *args, u64 registers)
{
	u64 part[11];

	if (bpf_probe_read_kernel(part, sizeof(part), (void *)(registers + 7 * 8)) || part[10] == USER32_CS)
		return -1;
	args[0] = part[7];
	args[1] = part[6];
	args[2] = part[5];
	args[3] = part[0];
	args[4] = part[2];
	args[5] = part[1];
	return 0;
}

static __always_inline u32 read_number(u64 registers)
{
	return read_u32((void *)(registers + 15 * 8));
}

#elif defined(__aarch64__)
/* struct user_pt_regs: regs[31], sp, pc, pstate; then orig_x0 and syscallno (arch/arm64/include/asm/ptrace.h) */
static __always_inline int read_args(u64 *args, u64 registers)
{
	if (bpf_probe_read_kernel(args, TRACER_MAX_ARGS * 8, (void *)registers))
		return -1;
	args[0] = read_u64((void *)(registers + 34 * 8));
	return 0;
}

static __always_inline u32 read_number(u64 registers)
{
	return read_u32((void *)(registers + 35 * 8));
}

#else
#error "only x86_64 and aarch64 are known"
#endif

static __always_inline u64 argument(const struct call *call, s8 index)
{
	return call->args[index & 7];
}

static __always_inline struct call *current_call(void)
{
	int zero = 0;

	return calls.lookup(&zero);
}

static __always_inline struct record_buffer *current_record(void)
{
	int zero = 0;

	return event_buffer.lookup(&zero);
}

static __always_inline struct process *current_process(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return processes.lookup(&tgid);
}

/* ---- filter ---- */

static __always_inline int comm_differs(const struct filter_config *cfg)
{
	u64 comm[2] = {};
	const u64 *want = (const u64 *)cfg->comm;

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] != want[0] || comm[1] != want[1];
}

static __always_inline int passes(const struct filter_config *cfg, u32 tid)
{
	if ((cfg->flags & TRACER_FILTER_TID) && tid != cfg->tid)
		return 0;
	if ((cfg->flags & TRACER_FILTER_UID) && (u32)bpf_get_current_uid_gid() != cfg->uid)
		return 0;
	if ((cfg->flags & TRACER_FILTER_CGROUP) && bpf_get_current_ancestor_cgroup_id(cfg->cgroup_level) != cfg->cgroup_id)
		return 0;
	return !((cfg->flags & TRACER_FILTER_COMM) && comm_differs(cfg));
}

static __always_inline struct process *add_process(u32 tgid)
{
	int zero = 0;
	struct process *blank = blank_process.lookup(&zero);

	if (!blank)
		return 0;
	processes.insert(&tgid, blank);
	struct process *process = processes.lookup(&tgid);

	if (!process)
		count_loss(TRACER_LOSS_MAP_FULL);
	return process;
}

/* The current process if the current thread is traced, else null. */
static __always_inline struct process *traced(const struct filter_config *cfg)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tgid = id >> 32;
	struct process *process = processes.lookup(&tgid);

	if (!process && (!(cfg->flags & TRACER_FILTER_ALL) || tgid == cfg->excluded_tgid))
		return 0;
	if ((cfg->flags & (TRACER_FILTER_UID | TRACER_FILTER_TID | TRACER_FILTER_CGROUP | TRACER_FILTER_COMM)) &&
	    !passes(cfg, (u32)id))
		return 0;
	return process ? process : add_process(tgid);
}

/* ---- names ---- */

static __always_inline u16 current_tag(const struct process *process)
{
	int zero = 0;
	u32 *now = epoch.lookup(&zero);
	u16 tag = (now ? *now : 0) + process->generation;

	return tag ? tag : 1;
}

/* Keeps the compiler from checking one copy of an index and using another: the verifier follows registers. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

static __always_inline void set_tag(struct process *process, s32 fd, u16 tag)
{
	u64 index = (u32)fd;

	OPAQUE(index);
	if (index < NAMED_FDS)
		process->named[index] = tag;
	else if (index == (u32)TRACER_CWD_FD)
		process->cwd_tag = tag;
}

static __always_inline int is_named(const struct process *process, s32 fd, u16 tag)
{
	u64 index = (u32)fd;

	OPAQUE(index);
	if (index < NAMED_FDS)
		return process->named[index] == tag;
	return index != (u32)TRACER_CWD_FD || process->cwd_tag == tag;
}

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
 * What the section holds so far is read back from the buffer each time: the verifier knows nothing of values in maps, so
 * that all rounds of a walk look the same to it.
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

/* The names that are not the way up to the root; 0 if it is none of them. */
static __always_inline int name_special(struct name_section *section, u8 *text, const struct path_pointers *path, u32 magic)
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
		section->kind = TRACER_NAME_TEXT;
		section->status |= TRACER_NAME_INCOMPLETE;
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

/* Writes the name of a descriptor (or the working directory) at buffer + at; the end of it, or 0 if it is not open. */
static __always_inline u32 fill_name(struct record_buffer *buffer, u32 at, s32 fd)
{
	struct name_section *section = (struct name_section *)(buffer->bytes + (at & 127));
	u8 *text = (u8 *)(section + 1);
	struct path_pointers path = {};
	u32 magic = 0;

	__builtin_memset(section, 0, sizeof(*section));
	if (fd == TRACER_CWD_FD) {
		void *fs = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_FS));

		bpf_probe_read_kernel(&path, sizeof(path), fs + OFF_FS_PWD);
	} else {
		void *file = file_of(fd, &section->status);

		if (!file)
			return 0;
		bpf_probe_read_kernel(&path, sizeof(path), file + OFF_FILE_PATH);
		magic = name_inode(section, read_pointer(file + OFF_FILE_INODE));
	}
	if (!path.dentry)
		return 0;
	if (!read_u64(path.dentry + OFF_DENTRY_HASH_PPREV))
		section->status |= TRACER_NAME_DELETED;
	if (!name_special(section, text, &path, magic))
		walk(section, text, path);
	return at + sizeof(*section) + (section->len & TEXT_MASK);
}

static __always_inline void send_name(struct process *process, struct record_buffer *buffer, s32 fd, u64 time_ns)
{
	u16 tag = current_tag(process);
	u32 size = fill_name(buffer, NAME_AT, fd);

	if (!size)
		return;
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct name_body *body = (struct name_body *)(header + 1);

	fill_header(header, TRACER_NAME, time_ns);
	header->flags = TRACER_HAS_NAME;
	header->size = size;
	body->fd = fd;
	body->reserved = 0;
	if (!send(buffer->bytes, size & 0x1fff))
		set_tag(process, fd, tag);
}

static __always_inline int needs_name(const struct process *process, s32 fd)
{
	return (fd >= 0 || fd == TRACER_CWD_FD) && !is_named(process, fd, current_tag(process));
}

/* ---- what arguments point at ---- */

static __always_inline int sum_iovecs(u64 *aux, u64 vector, u64 count)
{
	u64 total = 0;

	if (count > MAX_IOVECS)
		return -1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_IOVECS; i++) {
		u64 iov[2];

		if (i >= count)
			break;
		if (bpf_probe_read_user(iov, sizeof(iov), (void *)(vector + i * sizeof(iov))))
			return -1;
		total += iov[1];
	}
	aux[0] = total;
	aux[1] = 1;
	return 0;
}

static __always_inline int read_aux(u64 *aux, u8 kind, u64 pointer, u64 next)
{
	u64 part[4];

	if (kind == TRACER_AUX_OPEN_HOW)
		return bpf_probe_read_user(aux, 24, (void *)pointer);
	if (kind == TRACER_AUX_TIMESPEC || kind == TRACER_AUX_TIMEVAL) {
		aux[2] = 1;
		return bpf_probe_read_user(aux, 16, (void *)pointer);
	}
	if (kind == TRACER_AUX_EPOLL_EVENT)
		return bpf_probe_read_user(aux, 4, (void *)pointer);
	if (kind == TRACER_AUX_XATTR_ARGS)
		return bpf_probe_read_user(aux, 16, (void *)pointer);
	if (kind == TRACER_AUX_UTIMES) {
		if (bpf_probe_read_user(part, 32, (void *)pointer))
			return -1;
		aux[0] = part[1];
		aux[1] = part[3];
		aux[2] = 1;
		return 0;
	}
	if (kind == TRACER_AUX_MSGHDR) {
		/* struct user_msghdr: the vector's address and length are the third and fourth word */
		if (bpf_probe_read_user(part, 16, (void *)(pointer + 16)))
			return -1;
		pointer = part[0];
		next = part[1];
	}
	return sum_iovecs(aux, pointer, next);
}

/* Reads a path behind what is there; the bytes added. */
static __always_inline u32 read_path(struct record_buffer *buffer, u32 at, u64 pointer, u8 *status)
{
	if (!pointer) {
		*status = TRACER_PATH_NULL;
		return 0;
	}
	int length = bpf_probe_read_user_str(buffer->bytes + (at & 0x1fff), TRACER_PATH_BYTES, (void *)pointer);

	if (length <= 0) {
		*status = TRACER_PATH_UNREADABLE;
		return 0;
	}
	*status = TRACER_PATH_OK;
	if (length == TRACER_PATH_BYTES) {
		/* a full buffer holds a whole path only if its last byte ended it; one more byte tells */
		u8 beyond = 0;

		bpf_probe_read_user(&beyond, 1, (void *)(pointer + TRACER_PATH_BYTES - 1));
		if (beyond) {
			*status = TRACER_PATH_TRUNCATED;
			count_loss(TRACER_LOSS_PATH_TRUNCATED);
		}
	}
	return (length - 1) & TEXT_MASK;
}

/* Writes the path section at `at`; the end of it. */
static __always_inline u32 fill_paths(struct record_buffer *buffer, u32 at, const struct syscall_rule *rule,
				      const struct call *call, struct path_section *section)
{
	u32 end = at + sizeof(*section);

	if (rule->path_arg >= 0) {
		section->len1 = read_path(buffer, end, argument(call, rule->path_arg), &section->status1);
		end += section->len1;
	}
	if (rule->path2_arg >= 0) {
		section->len2 = read_path(buffer, end, argument(call, rule->path2_arg), &section->status2);
		end += section->len2;
	}
	__builtin_memcpy(buffer->bytes + (at & 127), section, sizeof(*section));
	return end;
}

/* ---- enter ---- */

static __always_inline int is_relative(const struct record_buffer *buffer, u32 at, u8 status)
{
	return status != TRACER_PATH_OK || buffer->bytes[at & 0x1fff] != '/';
}

static __always_inline s32 directory(const struct call *call, s8 dirfd_arg)
{
	return dirfd_arg < 0 ? TRACER_CWD_FD : (s32)argument(call, dirfd_arg);
}

static __always_inline int has_aux_at_enter(const struct syscall_rule *rule)
{
	return rule->aux_kind && rule->aux_kind < TRACER_AUX_FD_PAIR;
}

struct short_enter {
	struct event_header header;
	u64 args[TRACER_MAX_ARGS];
};

static __always_inline void send_short_enter(struct short_enter *record, const struct syscall_rule *rule, u32 number,
					     u64 time_ns)
{
	u32 nargs = rule->nargs & TRACER_NARGS_MASK;

	if (nargs > TRACER_MAX_ARGS)
		return;
	fill_header(&record->header, TRACER_ENTER, time_ns);
	record->header.syscall = number;
	record->header.flags = nargs;
	record->header.size = sizeof(record->header) + nargs * 8;
	send(record, sizeof(record->header) + nargs * 8);
}

/* What comes behind every enter that has been sent. A close's name belongs to the close, not to what comes after it. */
static __always_inline void end_enter(struct bpf_raw_tracepoint_args *ctx, struct process *process,
				      const struct syscall_rule *rule, const struct call *call)
{
	if (rule->effect == TRACER_EFFECT_CLOSE)
		set_tag(process, (s32)call->args[0], 0);
	if (call->exit_follows)
		stages.call(ctx, STAGE_EXIT);
}

static __always_inline int is_short(const struct syscall_rule *rule)
{
	return rule->path_arg < 0 && !has_aux_at_enter(rule);
}

/* Sends the enter through the stages, where a name may be sent before it. */
static __always_inline void begin_long_enter(struct bpf_raw_tracepoint_args *ctx, const struct syscall_rule *rule,
					     struct call *call)
{
	call->fds[0] = rule->fd_arg < 0 ? -1 : (s32)argument(call, rule->fd_arg);
	call->fds[1] = -1;
	call->fds[2] = -1;
	stages.call(ctx, STAGE_ENTER_LONG);
}

/* The descriptor that the call works on, from where the arguments lie in order. */
static __always_inline s32 fd_argument(const struct syscall_rule *rule, const u64 *args)
{
	switch (rule->fd_arg) {
	case 0:
		return args[0];
	case 1:
		return args[1];
	case 2:
		return args[2];
	case 3:
		return args[3];
	case 4:
		return args[4];
	}
	return -1;
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	int zero = 0;
	u32 number = ctx->args[1];
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule || !(rule->flags & (TRACER_RULE_WANTED | TRACER_RULE_STATE)))
		return 0;
	struct filter_config *cfg = config.lookup(&zero);

	if (!cfg)
		return 0;
	struct process *process = traced(cfg);

	if (!process)
		return 0;
	if (process->armed) {
		if (rule->effect != TRACER_EFFECT_EXEC)
			return 0;
		process->armed = 0;
	}
	struct short_enter record;
	u64 now = bpf_ktime_get_boot_ns();

	if (read_args(record.args, ctx->args[0])) {
		count_loss(TRACER_LOSS_COMPAT);
		return 0;
	}
	if ((cfg->flags & TRACER_FILTER_FAILED) && !(rule->flags & TRACER_RULE_STATE)) {
		u32 tid = bpf_get_current_pid_tgid();

		if (starts.update(&tid, &now))
			count_loss(TRACER_LOSS_MAP_FULL);
		return 0;
	}
	s32 fd = fd_argument(rule, record.args);

	if (is_short(rule) && !needs_name(process, fd)) {
		send_short_enter(&record, rule, number, now);
		if (rule->effect == TRACER_EFFECT_CLOSE)
			set_tag(process, fd, 0);
		return 0;
	}
	struct call *call = current_call();

	if (!call)
		return 0;
	__builtin_memcpy(call->args, record.args, sizeof(record.args));
	call->time_ns = now;
	call->nr = number;
	call->exit_follows = 0;
	begin_long_enter(ctx, rule, call);
	return 0;
}

static __always_inline u32 add_aux(struct record_buffer *buffer, const struct syscall_rule *rule,
				   const struct call *call, u32 end)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	u64 aux[3] = {};

	if (read_aux(aux, rule->aux_kind, argument(call, rule->aux_arg), argument(call, rule->aux_arg + 1)))
		return end;
	header->flags |= TRACER_HAS_AUX;
	__builtin_memcpy(buffer->bytes + (end & 127), aux, sizeof(aux));
	return end + sizeof(aux);
}

/* Adds both paths; notes the directories that they need, and that a path must be read again. */
static __always_inline u32 add_paths(struct record_buffer *buffer, const struct syscall_rule *rule, struct call *call,
				     u32 end)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct path_section section = {};
	u32 text = end + sizeof(section);

	header->flags |= TRACER_HAS_PATHS;
	end = fill_paths(buffer, end, rule, call, &section);
	if (section.status1 == TRACER_PATH_UNREADABLE || section.status2 == TRACER_PATH_UNREADABLE) {
		u32 tid = header->tid, once = 1;

		retries.update(&tid, &once);
	}
	if (!(rule->flags & (TRACER_RULE_OLD_IS_TEXT | TRACER_RULE_LABEL)) && is_relative(buffer, text, section.status1))
		call->fds[1] = directory(call, rule->dirfd_arg);
	if (rule->path2_arg >= 0 && is_relative(buffer, text + section.len1, section.status2))
		call->fds[2] = directory(call, rule->dirfd2_arg);
	return end;
}

/* The whole record of a call with paths, something pointed at, or a descriptor without a name. */
int on_enter_long(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct process *process = current_process();

	if (!call || !buffer || !process)
		return 0;
	u32 number = call->nr;
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule)
		return 0;
	struct event_header *header = (struct event_header *)buffer->bytes;
	u32 nargs = rule->nargs & TRACER_NARGS_MASK;
	u32 end = sizeof(*header) + nargs * 8;

	fill_header(header, TRACER_ENTER, call->time_ns);
	header->syscall = number;
	header->flags = nargs;
	__builtin_memcpy(buffer->bytes + sizeof(*header), call->args, TRACER_MAX_ARGS * 8);
	if (has_aux_at_enter(rule))
		end = add_aux(buffer, rule, call, end);
	if (rule->path_arg >= 0)
		end = add_paths(buffer, rule, call, end);
	header->size = end;
	if (needs_name(process, call->fds[0]) || needs_name(process, call->fds[1]) || needs_name(process, call->fds[2])) {
		stages.call(ctx, STAGE_ENTER_NAMES);
		return 0;
	}
	send(buffer->bytes, end & 0x3fff);
	end_enter(ctx, process, rule, call);
	return 0;
}

/* The next descriptor whose name must be sent before the record, taken off the list; -1 if there is none. */
static __always_inline s32 next_unnamed(const struct process *process, struct call *call)
{
#pragma unroll
	for (int i = 0; i < 3; i++) {
		s32 fd = call->fds[i];

		call->fds[i] = -1;
		if (needs_name(process, fd))
			return fd;
	}
	return -1;
}

/* Sends the names that the record needs, one each time it runs, then the record. */
int on_enter_names(struct bpf_raw_tracepoint_args *ctx)
{
	int zero = 0;
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct record_buffer *name = name_buffer.lookup(&zero);
	struct process *process = current_process();

	if (!call || !buffer || !name || !process)
		return 0;
	u32 number = call->nr;
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule)
		return 0;
	s32 fd = next_unnamed(process, call);

	if (fd != -1) {
		send_name(process, name, fd, call->time_ns);
		stages.call(ctx, STAGE_ENTER_NAMES);
		return 0;
	}
	send(buffer->bytes, ((struct event_header *)buffer->bytes)->size & 0x3fff);
	end_enter(ctx, process, rule, call);
	return 0;
}

/* ---- exit ---- */

static __always_inline int returns_fd(const struct syscall_rule *rule, const struct call *call)
{
	switch (rule->effect) {
	case TRACER_EFFECT_OPEN:
	case TRACER_EFFECT_NEW_FD:
	case TRACER_EFFECT_DUP:
	case TRACER_EFFECT_DUP2:
	case TRACER_EFFECT_SIGNALFD:
		return call->ret >= 0;
	case TRACER_EFFECT_FCNTL:
		return call->ret >= 0 &&
		       ((u32)call->args[1] == FCNTL_DUPFD || (u32)call->args[1] == FCNTL_DUPFD_CLOEXEC);
	case TRACER_EFFECT_LANDLOCK:
		return call->ret >= 0 && (u32)call->args[2] == 0;
	case TRACER_EFFECT_FD_PAIR:
		return call->ret == 0;
	}
	return 0;
}

/* What a call did to names that user space has been told. */
static __always_inline void forget_names(struct process *process, const struct syscall_rule *rule,
					 const struct call *call)
{
	switch (rule->effect) {
	case TRACER_EFFECT_CLOSE:
		set_tag(process, (s32)call->args[0], 0);
		break;
	case TRACER_EFFECT_CLOSE_RANGE:
	case TRACER_EFFECT_UNSHARE:
		process->generation++;
		break;
	case TRACER_EFFECT_CHDIR:
	case TRACER_EFFECT_FCHDIR:
	case TRACER_EFFECT_CHROOT:
		process->cwd_tag = 0;
		break;
	}
}

static __always_inline int take_retry(const struct syscall_rule *rule)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (rule->path_arg < 0 || !retries.lookup(&tid))
		return 0;
	retries.delete(&tid);
	return 1;
}

static __always_inline void send_short_exit(u32 number, s64 ret, u64 time_ns)
{
	struct {
		struct event_header header;
		struct exit_body body;
	} record;

	fill_header(&record.header, TRACER_EXIT, time_ns);
	record.header.syscall = number;
	record.header.size = sizeof(record);
	record.body.ret = ret;
	send(&record, sizeof(record));
}

static __always_inline void begin_exit(struct bpf_raw_tracepoint_args *ctx, struct process *process,
				       const struct syscall_rule *rule, const struct call *call)
{
	int reread = take_retry(rule);

	forget_names(process, rule, call);
	if (returns_fd(rule, call))
		stages.call(ctx, STAGE_EXIT_FD);
	else if (reread || (rule->aux_kind == TRACER_AUX_CWD_TEXT && call->ret > 0))
		stages.call(ctx, STAGE_EXIT_PATHS);
	else
		send_short_exit(call->nr, call->ret, call->exit_time_ns);
}

/* Whether the exit is nothing but its return value, whatever the call's arguments were. */
static __always_inline int is_plain(const struct syscall_rule *rule, const struct filter_config *cfg)
{
	return rule->effect == TRACER_EFFECT_NONE && rule->path_arg < 0 && rule->aux_kind != TRACER_AUX_CWD_TEXT &&
	       !(cfg->flags & TRACER_FILTER_FAILED);
}

/* Whether the call is shown where only failures are; the enter that was held back is due then. */
static __always_inline int take_start(struct call *call)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 *start = starts.lookup(&tid);

	if (!start)
		return 0;
	call->time_ns = *start;
	starts.delete(&tid);
	return call->ret < 0 && call->ret >= -4095;
}

static __always_inline void move_epoch(void)
{
	int zero = 0;
	u32 *now = epoch.lookup(&zero);

	if (now)
		__sync_fetch_and_add(now, 1);
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	int zero = 0;
	u32 number = read_number(ctx->args[0]);
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule || !(rule->flags & TRACER_RULE_KNOWN))
		return 0;
	if ((rule->flags & TRACER_RULE_RENAMES) && ctx->args[1] == 0)
		move_epoch();
	if (!(rule->flags & (TRACER_RULE_WANTED | TRACER_RULE_STATE)))
		return 0;
	struct filter_config *cfg = config.lookup(&zero);

	if (!cfg)
		return 0;
	struct process *process = traced(cfg);

	if (!process || process->armed)
		return 0;
	u64 now = bpf_ktime_get_boot_ns();

	if (is_plain(rule, cfg)) {
		send_short_exit(number, ctx->args[1], now);
		return 0;
	}
	struct call *call = current_call();

	if (!call || read_args(call->args, ctx->args[0]))
		return 0;
	call->exit_time_ns = now;
	call->ret = ctx->args[1];
	call->nr = number;
	call->exit_follows = 0;
	if ((cfg->flags & TRACER_FILTER_FAILED) && !(rule->flags & TRACER_RULE_STATE)) {
		if (!take_start(call))
			return 0;
		call->exit_follows = 1;
		begin_long_enter(ctx, rule, call);
		return 0;
	}
	begin_exit(ctx, process, rule, call);
	return 0;
}

/* The exit of a call whose enter has just been sent. */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct process *process = current_process();

	if (!call || !process)
		return 0;
	u32 number = call->nr;
	struct syscall_rule *rule = rules.lookup(&number);

	if (rule)
		begin_exit(ctx, process, rule, call);
	return 0;
}

static __always_inline void begin_long_exit(struct record_buffer *buffer, const struct call *call)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct exit_body *body = (struct exit_body *)(header + 1);

	fill_header(header, TRACER_EXIT, call->exit_time_ns);
	header->syscall = call->nr;
	body->ret = call->ret;
}

/* The exit of a call that made descriptors: one (the return value) or a pair (which it wrote where aux_arg points). */
int on_exit_fd(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct process *process = current_process();

	if (!call || !buffer || !process)
		return 0;
	u32 number = call->nr;
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule)
		return 0;
	struct event_header *header = (struct event_header *)buffer->bytes;
	u16 tag = current_tag(process);
	s32 fd = call->ret;
	u32 size = NAME_AT;

	begin_long_exit(buffer, call);
	if (rule->effect == TRACER_EFFECT_FD_PAIR) {
		s32 pair[6] = {};

		if (bpf_probe_read_user(pair, 8, (void *)argument(call, rule->aux_arg)))
			count_loss(TRACER_LOSS_PATH_UNREADABLE);
		__builtin_memcpy(buffer->bytes + NAME_AT, pair, sizeof(pair));
		header->flags |= TRACER_HAS_AUX;
		size += sizeof(pair);
		fd = pair[0];
		set_tag(process, pair[1], 0);
	}
	set_tag(process, fd, 0);
	u32 end = fill_name(buffer, size, fd);

	if (end) {
		header->flags |= TRACER_HAS_NAME;
		size = end;
	}
	header->size = size;
	if (!send(buffer->bytes, size & 0x1fff) && end)
		set_tag(process, fd, tag);
	return 0;
}

/* The exit of a call whose paths could not be read at enter, and of getcwd, which writes one. */
int on_exit_paths(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();

	if (!call || !buffer)
		return 0;
	u32 number = call->nr;
	struct syscall_rule *rule = rules.lookup(&number);

	if (!rule)
		return 0;
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct path_section section = {};
	struct syscall_rule reread = *rule;

	begin_long_exit(buffer, call);
	if (rule->aux_kind == TRACER_AUX_CWD_TEXT)
		reread.path_arg = rule->aux_arg;
	u32 end = fill_paths(buffer, NAME_AT, &reread, call, &section);

	if (call->ret != ERRNO_FAULT &&
	    (section.status1 == TRACER_PATH_UNREADABLE || section.status2 == TRACER_PATH_UNREADABLE))
		count_loss(TRACER_LOSS_PATH_UNREADABLE);
	header->flags |= TRACER_HAS_PATHS;
	header->size = end;
	send(buffer->bytes, end & 0x3fff);
	return 0;
}

/* ---- tasks ---- */

/* args: task, clone_flags. The current task is the creator; the new one has not run yet. */
int on_task_newtask(struct bpf_raw_tracepoint_args *ctx)
{
	int zero = 0;
	struct filter_config *cfg = config.lookup(&zero);
	struct {
		struct event_header header;
		struct fork_body body;
	} record = {};
	void *task = (void *)ctx->args[0];
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *creator = processes.lookup(&tgid);

	if (!cfg || (!creator && (!(cfg->flags & TRACER_FILTER_ALL) || tgid == cfg->excluded_tgid)))
		return 0;
	record.body.child_tgid = read_u32(task + OFF_TASK_TGID);
	record.body.child_tid = read_u32(task + OFF_TASK_PID);
	record.body.clone_flags = ctx->args[1];
	if (record.body.child_tgid != tgid) {
		if (!(cfg->flags & (TRACER_FILTER_ALL | TRACER_FILTER_FOLLOW)))
			return 0;
		u32 child = record.body.child_tgid;

		if (creator && processes.update(&child, creator))
			count_loss(TRACER_LOSS_MAP_FULL);
	}
	if (creator && creator->armed)
		return 0;
	fill_header(&record.header, TRACER_FORK, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	send(&record, sizeof(record));
	return 0;
}

/* args: task, old_pid, bprm */
int on_sched_process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct {
		struct event_header header;
		struct exec_body body;
	} record = {};
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = processes.lookup(&tgid);

	if (!process)
		return 0;
	process->generation++;
	fill_header(&record.header, TRACER_EXEC, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	record.body.old_tid = ctx->args[1];
	bpf_get_current_comm(record.body.comm, sizeof(record.body.comm));
	send(&record, sizeof(record));
	return 0;
}

/* args: task, and on newer kernels more */
int on_sched_process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct {
		struct event_header header;
		struct task_exit_body body;
	} record = {};
	u64 id = bpf_get_current_pid_tgid();
	u32 tgid = id >> 32, tid = id;

	if (!processes.lookup(&tgid))
		return 0;
	/* do_exit has counted this thread out of signal->live before it comes here (kernel/exit.c) */
	void *signal = read_pointer((void *)(bpf_get_current_task() + OFF_TASK_SIGNAL));

	record.body.group_dead = read_u32(signal + OFF_SIGNAL_LIVE) == 0;
	fill_header(&record.header, TRACER_TASK_EXIT, bpf_ktime_get_boot_ns());
	record.header.size = sizeof(record);
	send(&record, sizeof(record));
	retries.delete(&tid);
	starts.delete(&tid);
	if (record.body.group_dead)
		processes.delete(&tgid);
	return 0;
}

/* args: task, new comm */
int on_task_rename(struct bpf_raw_tracepoint_args *ctx)
{
	struct {
		struct event_header header;
		struct comm_body body;
	} record = {};
	void *task = (void *)ctx->args[0];
	u32 tgid = read_u32(task + OFF_TASK_TGID);

	if (!processes.lookup(&tgid))
		return 0;
	fill_header(&record.header, TRACER_COMM, bpf_ktime_get_boot_ns());
	record.header.tgid = tgid;
	record.header.tid = read_u32(task + OFF_TASK_PID);
	record.header.size = sizeof(record);
	bpf_probe_read_kernel_str(record.body.comm, sizeof(record.body.comm), (void *)ctx->args[1]);
	send(&record, sizeof(record));
	return 0;
}
