// SPDX-License-Identifier: MIT
/* What an exit has to tell and to forget. */
#ifndef TRACER_EXIT_BPF_H
#define TRACER_EXIT_BPF_H

#include "arguments.bpf.h"
#include "begun.bpf.h"
#include "changes.bpf.h"
#include "identity.bpf.h"
#include "names.bpf.h"
#include "records.bpf.h"
#include "tags.bpf.h"

#define ERRNO_FAULT (-14)
#define MOST_WRITTEN 0x10000   /* into one buffer, by a call with a path: XATTR_SIZE_MAX and XATTR_LIST_MAX */
#define RING_FLAGS_AT 8        /* in struct io_uring_params (include/uapi/linux/io_uring.h) */
#define RING_WITHOUT_FD 0x8000 /* IORING_SETUP_REGISTERED_FD_ONLY */
#define FCNTL_DUPFD 0
#define FCNTL_DUPFD_CLOEXEC 1030

/* Threads that use, close and replace the same numbers without asking each other show it: by a number that is not open,
 * or by dup2. Which file a number is then depends on moments that no record tells: each use is compared.
 */
static __always_inline void watch_for_races(struct process *process, const struct syscall_rule *rule, u64 registers,
					    s64 ret)
{
	u64 args[TRACER_MAX_ARGS];

	if (!process->had_threads || (ret != ERRNO_BADF && rule->effect != TRACER_EFFECT_DUP2))
		return;
	if (!read_args(args, registers) && fd_argument(rule, args) >= 0)
		watch(process, WATCH_COMPARED);
}

static __always_inline int bpf_returns_fd(u32 command)
{
	command &= ~TRACER_BPF_COMMON_ATTRS;
	return command < 64 && TRACER_BPF_RETURNS_FD >> command & 1;
}

/* Whether a new ring has a descriptor. Its flags are where the kernel has just written them back. */
static __always_inline int ring_has_fd(const struct call *call)
{
	u32 flags;

	return !read_user(&flags, sizeof(flags), (void *)(call->args[1] + RING_FLAGS_AT)) && !(flags & RING_WITHOUT_FD);
}

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
	case TRACER_EFFECT_BPF:
		return call->ret >= 0 && bpf_returns_fd(call->args[0]);
	case TRACER_EFFECT_RING:
		return call->ret >= 0 && ring_has_fd(call);
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
		forget_name(process, (s32)call->args[0]);
		break;
	case TRACER_EFFECT_CLOSE_RANGE:
	case TRACER_EFFECT_UNSHARE:
		note_unsharing(process, rule, call);
		forget_all(process);
		break;
	case TRACER_EFFECT_CHDIR:
	case TRACER_EFFECT_FCHDIR:
	case TRACER_EFFECT_CHROOT:
		forget_name(process, TRACER_CWD_FD);
		if (process->shares_fs)
			move_epoch();
		break;
	}
}

/* The end of a call of a task that is not traced, or of a thread that a filter hides. */
static __always_inline int end_hidden(struct bpf_raw_tracepoint_args *ctx, const struct filter_config *cfg,
				      const struct syscall_rule *rule, u32 number)
{
	struct process *process = hidden_process(cfg, rule);
	struct call *call = current_call();

	if ((!process && !cfg->has_outsiders) || !call || read_args(call->args, ctx->args[0]))
		return 0;
	call->exit_time_ns = bpf_ktime_get_boot_ns();
	call->ret = ctx->args[1];
	call->nr = number;
	if (changed_fd(rule, call) != NO_FD && take_start(call))
		end_change(rule, call);
	if (!process)
		return 0;
	if (rule->effect == TRACER_EFFECT_UNSHARE || rule->effect == TRACER_EFFECT_CLOSE_RANGE)
		note_unsharing(process, rule, call);
	return 0;
}

static __always_inline void begin_long_exit(struct record_buffer *buffer, const struct call *call)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct exit_body *body = (struct exit_body *)(header + 1);

	fill_header(header, TRACER_EXIT, call->exit_time_ns);
	header->syscall = call->nr;
	header->flags = exit_flags() | call->is_unsure;
	body->ret = call->ret;
}

/* Notes which new descriptor is to be named and where in the record; a pair's numbers go before the name. */
static __always_inline void begin_new_name(struct record_buffer *buffer, struct process *process,
					   const struct syscall_rule *rule, struct call *call)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct naming *naming = &call->naming;
	s32 pair[6] = {};

	naming->fd = call->ret;
	naming->place = 0;
	naming->at = NAME_AT;
	naming->next = STAGE_EXIT_NAMED;
	naming->next_of_place = STAGE_NAME;
	if (rule->effect == TRACER_EFFECT_FD_PAIR) {
		if (read_user(pair, 8, (void *)argument(call, rule->aux_arg)))
			count_loss(TRACER_LOSS_PATH_UNREADABLE);
		__builtin_memcpy(buffer->bytes + NAME_AT, pair, sizeof(pair));
		header->flags |= TRACER_HAS_AUX;
		naming->at = NAME_AT + sizeof(pair);
		naming->fd = pair[0];
		forget_name(process, pair[1]);
	}
	forget_name(process, naming->fd);
	note_now(process, naming);
}

/* Whether the new descriptor may have been given to another file by now. What dup2 returns is what it changes: there its
 * row has the name of what was copied, and each use of the number is compared.
 */
static __always_inline int is_made_unsure(const struct process *process, const struct call *call)
{
	struct syscall_rule *rule = find_rule(call->nr);

	return process->has_sharers && rule && changed_fd(rule, call) == NO_FD &&
	       is_changed(call->naming.fd, &call->start, 0);
}

/* The exit with the name of the new descriptor, or that it is not open any more. */
static __always_inline void send_exit_with_name(struct process *process, struct call *call,
						struct record_buffer *buffer)
{
	struct naming *naming = &call->naming;
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct name_section *section = (struct name_section *)(buffer->bytes + (naming->at & 127));
	u32 end = is_made_unsure(process, call) ? 0 : naming->end, size = end;

	note_named(process, naming);
	struct told_name now = naming->now;

	if (!end) {
		__builtin_memset(section, 0, sizeof(*section)); /* there may be a part of a name */
		size = naming->at + sizeof(*section);
	}
	header->flags |= TRACER_HAS_NAME;
	header->size = size;
	/* what comes with the end of a refused call is not listened to */
	if (!send_exit(buffer->bytes, size & 0x1fff) && end && !(header->flags & TRACER_MAY_BE_REFUSED))
		note_told(process, naming->fd, &now);
}

/* Whether what the call wrote may lie over its path: somewhere in what an argument points at, however much of that is
 * used.
 */
static __always_inline int may_be_overwritten(const struct syscall_rule *rule, const struct call *call)
{
	u64 path = argument(call, rule->path_arg);

#pragma unroll
	for (int i = 0; i < TRACER_MAX_ARGS; i++) {
		u64 written = call->args[i];

		if (!(rule->writes >> i & 1))
			continue;
		if (rule->aux_kind == TRACER_AUX_XATTR_ARGS && read_user(&written, sizeof(written), (void *)written))
			return 1;
		if (written - (path - MOST_WRITTEN) < MOST_WRITTEN + TRACER_PATH_BYTES)
			return 1;
	}
	return 0;
}

/* The section of a path that is not known, and of no other one. */
static __always_inline u32 put_unreadable(struct record_buffer *buffer, u32 at, struct path_section *section)
{
	section->status1 = TRACER_PATH_UNREADABLE;
	__builtin_memcpy(buffer->bytes + (at & 127), section, sizeof(*section));
	return at + sizeof(*section);
}

/* The exit with the paths that could not be read at enter, or the one that getcwd wrote. */
static __always_inline void send_exit_with_paths(const struct syscall_rule *rule, const struct call *call,
						 struct record_buffer *buffer)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct path_section section = {};
	struct syscall_rule reread = *rule;

	begin_long_exit(buffer, call);
	if (rule->aux_kind == TRACER_AUX_CWD_TEXT)
		reread.path_arg = rule->aux_arg;
	u32 end = may_be_overwritten(rule, call) ? put_unreadable(buffer, NAME_AT, &section)
						 : fill_paths(buffer, NAME_AT, &reread, call, &section);

	if (call->ret != ERRNO_FAULT &&
	    (section.status1 == TRACER_PATH_UNREADABLE || section.status2 == TRACER_PATH_UNREADABLE))
		count_loss(TRACER_LOSS_PATH_UNREADABLE);
	header->flags |= TRACER_HAS_PATHS;
	header->size = end;
	send_exit(buffer->bytes, end & 0x3fff);
}

static __always_inline void begin_exit(struct bpf_raw_tracepoint_args *ctx, struct process *process,
				       const struct syscall_rule *rule, const struct call *call)
{
	u64 id = bpf_get_current_pid_tgid();
	int reread = rule->path_arg >= 0 && take_mark(id, MARK_REREAD);

	forget_names(process, rule, call);
	if (returns_fd(rule, call))
		go_to(ctx, STAGE_EXIT_FD);
	else if (reread || (rule->aux_kind == TRACER_AUX_CWD_TEXT && call->ret > 0))
		go_to(ctx, STAGE_EXIT_PATHS);
	else if (!is_lost_with_enter(id))
		send_short_exit(id, call->nr, exit_flags() | call->is_unsure, call->ret, call->exit_time_ns);
}

#endif
