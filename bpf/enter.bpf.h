// SPDX-License-Identifier: MIT
/* The steps of an enter: short ones at once, the others through the stages, names first. */
#ifndef TRACER_ENTER_BPF_H
#define TRACER_ENTER_BPF_H

#include "arguments.bpf.h"
#include "begun.bpf.h"
#include "changes.bpf.h"
#include "held.bpf.h"
#include "identity.bpf.h"
#include "names.bpf.h"
#include "records.bpf.h"
#include "renames.bpf.h"
#include "tags.bpf.h"
#include "threads.bpf.h"

/* The enter of a call like the thread's last ones: all that has to be found out was remembered. Not 0 if that was
 * so.
 */
static __always_inline int enter_quickly(u64 registers, void *task, const struct syscall_rule *rule, u64 id, u32 number)
{
	struct recent_thread *recent = recent_thread();
	u32 nargs = rule->nargs & TRACER_NARGS_MASK;
	u64 args[TRACER_MAX_ARGS];

	if (!recent || recent->id != id)
		return 0;
	u64 now = bpf_ktime_get_boot_ns();

	if (nargs <= 3 ? read_few_args(args, task, registers) : read_all_args(args, task, registers))
		return 0;
	if (!is_remembered(recent, id, fd_argument(rule, args)))
		return 0;
	note_begun(id, number);
	send_short_enter(nargs, id, number, args, now);
	return 1;
}

/* Goes on with one of the call's descriptors, whose place may have to be looked at first. */
static __always_inline void begin_asking(struct bpf_raw_tracepoint_args *ctx, const struct process *process,
					 struct call *call, u32 index)
{
	struct naming *naming = &call->naming;

	naming->fd = call->fds[index];
	naming->index = index;
	naming->place = 0;
	naming->next_of_place = STAGE_ENTER_ASKED;
	call->fds[index] = -1;
	go_to(ctx, needs_place(process, call, index) ? STAGE_PLACE : STAGE_ENTER_ASKED);
}

/* Has the descriptor named, unless user space knows what it is called. */
static __always_inline void begin_naming(struct bpf_raw_tracepoint_args *ctx, const struct process *process,
					 struct call *call)
{
	struct naming *naming = &call->naming;

	note_now(process, naming);
	naming->doubt = doubt_of(call, naming);
	if (naming->doubt < DOUBT_PATH && !is_told_by_others(call) && told_before(process, naming->fd, &naming->now))
		return go_to(ctx, STAGE_ENTER_NAMES);
	naming->at = NAME_AT;
	naming->next = STAGE_ENTER_NAMED;
	naming->next_of_place = STAGE_NAME;
	go_to(ctx, naming->place ? STAGE_NAME : STAGE_PLACE);
}

/* Makes a record of the name; its size. A descriptor that is not open is called nothing, and so is one in doubt. */
static __always_inline u32 end_name_record(struct record_buffer *buffer, const struct naming *naming, u64 time_ns)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	struct name_body *body = (struct name_body *)(header + 1);
	struct name_section *section = (struct name_section *)(buffer->bytes + NAME_AT);
	u32 size = naming->end;

	if (!size || is_doubtful(section, naming)) {
		__builtin_memset(section, 0, sizeof(*section));
		size = NAME_AT + sizeof(*section);
	}
	fill_header(header, TRACER_NAME, time_ns);
	header->flags = TRACER_HAS_NAME;
	header->size = size;
	body->fd = naming->fd;
	body->reserved = 0;
	return size;
}

/* Whether nothing was told of a descriptor that is not open, and its end, if it had a name, was: then there is nothing
 * to take back. Of one that is watched that is not known: others with its table forget what was told of it, too. Nor of
 * what can't be spelled: user space may have put together what it is called (chdir).
 */
static __always_inline int nothing_to_tell(const struct process *process, const struct naming *naming)
{
	s32 fd = naming->fd;

	return !naming->path.dentry && !process->watches_identity && !was_ring_full() && !tag_of(process, fd) &&
	       !(may_be_kept_apart(process, fd) && find_told(process, fd));
}

/* Puts the name into the batch. */
static __always_inline void add_name(struct batch_buffer *batch, struct call *call, const struct record_buffer *name,
				     u32 size)
{
	const struct name_section *section = (const struct name_section *)(name->bytes + NAME_AT);
	struct told_fd *told = &call->told[call->told_count & 3];
	u32 at = call->batch_bytes & 0x3fff;

	size &= 0x1fff;
	__builtin_memset(batch->bytes + at + size, 0, 8);
	if (bpf_probe_read_kernel(batch->bytes + at, size, name->bytes))
		return;
	told->fd = call->naming.fd;
	told->is_void = section->kind == TRACER_NAME_NONE;
	told->name = call->naming.now;
	call->told_count++;
	call->batch_bytes = at + ((size + 7) & 0x3ff8);
}

/* The names have found their place in the ring. */
static __always_inline void end_names(struct process *process, const struct call *call)
{
#pragma unroll
	for (int i = 0; i < 3; i++) {
		const struct told_fd *told = &call->told[i];

		if (i >= call->told_count)
			return;
		process->has_fleeting |= told->name.is_fleeting;
		if (told->is_void)
			forget_name(process, told->fd);
		else
			note_told(process, told->fd, &told->name);
	}
}

/* Sends the enter, behind the names that it needs: in one piece they can't be parted by another thread's, and without
 * them it would be given older ones.
 */
static __always_inline void send_named(struct batch_buffer *batch, struct process *process, const struct call *call,
				       const struct record_buffer *enter)
{
	u32 at = call->batch_bytes & 0x3fff;
	u32 size = ((const struct event_header *)enter->bytes)->size & 0x3fff;

	if (bpf_probe_read_kernel(batch->bytes + at, size, enter->bytes))
		return;
	if (send(batch->bytes, (at + size) & 0x7fff))
		note_lost_enter(bpf_get_current_pid_tgid());
	else
		end_names(process, call);
}

/* What comes behind every enter that has been sent. A close's name belongs to the close, not to what comes after
 * it.
 */
static __always_inline void end_enter(struct bpf_raw_tracepoint_args *ctx, struct process *process,
				      const struct syscall_rule *rule, const struct call *call)
{
	if (rule->effect == TRACER_EFFECT_CLOSE)
		forget_name(process, (s32)call->args[0]);
	if (call->exit_follows)
		go_to(ctx, STAGE_EXIT);
}

/* The name of the thread found no room, and so the call has none: it would bear that of an earlier thread. What the ring
 * counted for the name is the enter's.
 */
static __always_inline void lose_enter(struct bpf_raw_tracepoint_args *ctx, struct process *process,
				       const struct syscall_rule *rule, const struct call *call)
{
	note_lost_enter(bpf_get_current_pid_tgid());
	end_enter(ctx, process, rule, call);
}

/* Sends the enter through the stages, where a name may be sent before it. */
static __always_inline void begin_long_enter(struct bpf_raw_tracepoint_args *ctx, const struct syscall_rule *rule,
					     struct call *call)
{
	call->fds[0] = worked_on(rule, call);
	call->fds[1] = -1;
	call->fds[2] = -1;
	call->told_count = 0;
	call->batch_bytes = 0;
	go_to(ctx, STAGE_ENTER_LONG);
}

/* The enter that was held back until the call had failed. */
static __always_inline void begin_late(struct bpf_raw_tracepoint_args *ctx, const struct syscall_rule *rule,
				       struct call *call)
{
	call->time_ns = call->start.time_ns;
	call->exit_follows = 1;
	begin_long_enter(ctx, rule, call);
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
		note_mark(header->tid, MARK_REREAD);
	}
	if (!(rule->flags & (TRACER_RULE_OLD_IS_TEXT | TRACER_RULE_LABEL)) &&
	    is_relative(buffer, text, section.status1))
		call->fds[1] = directory(call, rule->dirfd_arg);
	if (rule->path2_arg >= 0 && is_relative(buffer, text + section.len1, section.status2))
		call->fds[2] = directory(call, rule->dirfd2_arg);
	return end;
}

/* Writes the whole record but its size; the end of it. */
static __always_inline u32 fill_enter(struct record_buffer *buffer, const struct syscall_rule *rule, struct call *call)
{
	struct event_header *header = (struct event_header *)buffer->bytes;
	u32 nargs = rule->nargs & TRACER_NARGS_MASK;
	u32 end = sizeof(*header) + nargs * 8;

	fill_header(header, TRACER_ENTER, call->time_ns);
	header->syscall = call->nr;
	header->flags = nargs;
	__builtin_memcpy(buffer->bytes + sizeof(*header), call->args, TRACER_MAX_ARGS * 8);
	if (has_aux_at_enter(rule))
		end = add_aux(buffer, rule, call, end);
	if (rule->path_arg >= 0)
		end = add_paths(buffer, rule, call, end);
	return end;
}

/* Which of the descriptors is the next whose name may have to be sent before the record; 3 if there is none. */
static __always_inline u32 next_unnamed(const struct process *process, const struct call *call)
{
#pragma unroll
	for (u32 i = 0; i < 3; i++) {
		s32 fd = call->fds[i];

		if (call->exit_follows ? is_descriptor(fd) : may_need_name(process, fd))
			return i;
	}
	return 3;
}

/* The whole record of a call with paths, something pointed at, or a descriptor without a name. */
static __always_inline int enter_long(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct process *process = current_process();
	struct syscall_rule *rule = call ? find_rule(call->nr) : 0;

	if (!rule || !buffer || !process)
		return 0;
	struct event_header *header = (struct event_header *)buffer->bytes;
	u32 end = fill_enter(buffer, rule, call);

	header->size = end;
	if (next_unnamed(process, call) < 3) {
		go_to(ctx, STAGE_ENTER_NAMES);
		return 0;
	}
	if (send(buffer->bytes, end & 0x3fff))
		note_lost_enter(header->tid);
	end_enter(ctx, process, rule, call);
	return 0;
}

/* Has the names read that the record needs, one each time it runs, then sends all of them. */
static __always_inline int enter_names(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct batch_buffer *batch = current_batch();
	struct process *process = current_process();
	struct syscall_rule *rule = call ? find_rule(call->nr) : 0;

	if (!rule || !buffer || !batch || !process)
		return 0;
	u32 index = next_unnamed(process, call) & 3;

	if (index < 3) {
		begin_asking(ctx, process, call, index);
		return 0;
	}
	send_named(batch, process, call, buffer);
	end_enter(ctx, process, rule, call);
	return 0;
}

/* Has a descriptor named, unless user space knows its present name. */
static __always_inline int enter_asked(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct process *process = current_process();

	if (call && process)
		begin_naming(ctx, process, call);
	return 0;
}

/* Puts a name that has been read with those that the record needs. */
static __always_inline int enter_named(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *name = current_name();
	struct batch_buffer *batch = current_batch();
	struct process *process = current_process();

	if (!call || !name || !batch || !process)
		return 0;
	note_named(process, &call->naming);
	if (call->exit_follows && is_changed_meanwhile(call))
		call->naming.doubt = DOUBT_FILE;
	u32 size = end_name_record(name, &call->naming, call->time_ns);

	if (call->naming.doubt || !nothing_to_tell(process, &call->naming))
		add_name(batch, call, name, size);
	go_to(ctx, STAGE_ENTER_NAMES);
	return 0;
}

/* The enter of a call that is sent at once, unless a name has to go before it. */
static __always_inline void send_enter(struct bpf_raw_tracepoint_args *ctx, const struct filter_config *cfg,
				       struct process *process, const struct syscall_rule *rule, struct call *call,
				       const struct recent_thread *seen)
{
	s32 fd = is_no_fd(rule, call) ? -1 : fd_argument(rule, call->args);

	int is_long = !is_short(rule) || may_need_name(process, fd);

	if (is_long || rule->effect != TRACER_EFFECT_NONE)
		begin_use(process, rule, call);
	if (is_long)
		return begin_long_enter(ctx, rule, call);
	if (is_plain(rule) && !(cfg->flags & (TRACER_FILTER_FAILED | THREAD_FILTERS))) {
		note_begun(seen->id, call->nr);
		remember(seen->id, seen->version, seen->epoch, fd);
	}
	send_short_enter(rule->nargs & TRACER_NARGS_MASK, seen->id, call->nr, call->args, call->time_ns);
	if (rule->effect == TRACER_EFFECT_CLOSE)
		forget_name(process, fd);
}

/* A call of a task that is not traced, or of a thread that a filter hides. It is not shown, but others may use what it
 * changes: those of its process, and those that share its table.
 */
static __always_inline void begin_hidden(struct bpf_raw_tracepoint_args *ctx, const struct filter_config *cfg,
					 const struct syscall_rule *rule, struct call *call)
{
	struct process *process = hidden_process(cfg, rule);

	if (!process && !cfg->has_outsiders)
		return;
	if (read_args(call->args, ctx->args[0]))
		return;
	call->time_ns = bpf_ktime_get_boot_ns();
	call->nr = ctx->args[1];
	if (process)
		process->has_sharers = 1;
	if (changed_fd(rule, call) != NO_FD)
		note_begin(rule, call);
}

/* An enter of which nothing was remembered. */
static __always_inline void begin_enter(struct bpf_raw_tracepoint_args *ctx, const struct filter_config *cfg,
					const struct syscall_rule *rule, struct call *call, u64 id)
{
	u32 tgid = id >> 32, *version = process_version(tgid);

	if (!version)
		return;
	if (rule->effect == TRACER_EFFECT_EXEC)
		disarm(tgid);
	struct recent_thread seen = {.id = id, .version = *version, .epoch = current_epoch()};
	struct process *process = is_stopped(seen.epoch) ? 0 : traced(cfg, id);

	if (!process)
		return begin_hidden(ctx, cfg, rule, call);
	if (!process->life)
		begin_life(process, cfg);
	if (rule->flags & TRACER_RULE_UNSEEN) {
		watch(process, WATCH_COMPARED);
		if (!(rule->flags & (TRACER_RULE_WANTED | TRACER_RULE_STATE)))
			return;
	}
	if ((cfg->flags & THREAD_FILTERS) && !(rule->flags & TRACER_RULE_NEVER_RETURNS))
		note_mark(id, MARK_SHOWN);
	int is_named = is_thread_named(id) || name_thread(id);

	if (read_args(call->args, ctx->args[0]))
		return count_loss(TRACER_LOSS_COMPAT);
	call->time_ns = bpf_ktime_get_boot_ns();
	call->nr = ctx->args[1];
	call->exit_follows = 0;
	call->tries = 0;
	if (rule->effect == TRACER_EFFECT_IOCTL && ioctl_closes(call->args[1]))
		watch(process, WATCH_COMPARED);
	if ((cfg->flags & TRACER_FILTER_FAILED) && !(rule->flags & TRACER_RULE_STATE)) {
		if (is_named && !(rule->flags & TRACER_RULE_NEVER_RETURNS)) {
			list_descriptors(rule, call);
			go_to(ctx, STAGE_ENTER_HELD);
		}
		return;
	}
	if (is_named)
		send_enter(ctx, cfg, process, rule, call, &seen);
	else
		lose_enter(ctx, process, rule, call);
}

#endif
