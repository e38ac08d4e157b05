// SPDX-License-Identifier: MIT
/* The kernel side: two raw tracepoints that a table drives, five that keep track of tasks, and three of io_uring.
 *
 * User space fills `rules` (one row a syscall), `config` (the filter) and `processes` (whom to watch), then
 * reads `events`. The offsets OFF_* of kernel structures come from the running kernel's BTF as -D constants, so no
 * kernel header is needed.
 *
 * Names of descriptors: the first time that a process uses a number, and at each call that returns one, the path
 * is read from the dentries and sent before (or with) the event. `struct process` remembers by a tag what has been
 * sent (tags.bpf.h).
 *
 * This file has the maps and the programs; bcc wants both in the main file. The work is done in the headers beside.
 */
#define TRACER_BPF
#include "events.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"

/* ---- maps ---- */

BPF_RINGBUF_OUTPUT(events, 1); /* of the size that was asked for, once it is loaded (capture/loader.py) */
BPF_ARRAY(rules, struct syscall_rule, TRACER_MAX_SYSCALLS);
BPF_ARRAY(config, struct filter_config, 1);
BPF_ARRAY(epoch, u64, 1);
BPF_ARRAY(dumps, u32, 1); /* cores that are being dumped on this machine */
BPF_F_TABLE("hash", u32, struct process, processes, 16384, BPF_F_NO_PREALLOC);
BPF_ARRAY(blank_process, struct process, 1);
BPF_F_TABLE("lru_hash", struct told_key, struct told_name, told_names, 32768, 0);
BPF_HASH(marks, u32, u32, 16384); /* thread and enum mark -> 1 */
BPF_ARRAY(changes, struct change, CHANGE_SLOTS);
BPF_HASH(starts, u32, struct start, 16384);
BPF_HASH(lost_enters, u32, u32, 16384); /* thread -> its enter found no room */
BPF_ARRAY(ring_full, u32, 1);           /* whether a record ever found none: mostly there is nothing to look up */
BPF_ARRAY(begun_calls, struct begun_call, BEGUN_CALLS);
BPF_ARRAY(versions, u32, VERSION_SLOTS);
BPF_ARRAY(named_threads, u64, NAMED_THREADS_WORDS);
BPF_PERCPU_ARRAY(recent_threads, struct recent_thread, 1);
BPF_PERCPU_ARRAY(losses, u64, TRACER_LOSS_COUNT);
BPF_PROG_ARRAY(stages, STAGE_COUNT);
BPF_PERCPU_ARRAY(calls, struct call, 1);
BPF_PERCPU_ARRAY(event_buffer, struct record_buffer, 1);
BPF_PERCPU_ARRAY(name_buffer, struct record_buffer, 1);
BPF_PERCPU_ARRAY(batch_buffer, struct batch_buffer, 1);

static __always_inline void count_loss(int cause)
{
	u64 *counter = losses.lookup(&cause);

	if (counter)
		(*counter)++;
}

static __always_inline int was_ring_full(void)
{
	u32 *was_full = ring_full.lookup(&(int){0});

	return was_full && *was_full;
}

static __always_inline void note_ring_full(void)
{
	u32 *was_full = ring_full.lookup(&(int){0});

	if (was_full)
		*was_full = 1;
	count_loss(TRACER_LOSS_RING_FULL);
}

static __always_inline int send(void *record, u32 size)
{
	int failed = events.ringbuf_output(record, size, BPF_RB_NO_WAKEUP);

	if (failed)
		note_ring_full();
	return failed;
}

static __always_inline void *reserve(u64 size)
{
	void *record = events.ringbuf_reserve(size);

	if (!record)
		note_ring_full();
	return record;
}

static __always_inline void submit(void *record)
{
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline struct syscall_rule *find_rule(u32 number)
{
	return rules.lookup(&number);
}

static __always_inline struct filter_config *filter(void)
{
	return config.lookup(&(int){0});
}

static __always_inline struct process *find_process(u32 tgid)
{
	return processes.lookup(&tgid);
}

static __always_inline struct process *add_process(u32 tgid, struct process *image)
{
	struct process *blank = blank_process.lookup(&(int){0});

	if (!blank)
		return 0;
	if (!processes.update(&tgid, image ? image : blank))
		return processes.lookup(&tgid);
	count_loss(TRACER_LOSS_MAP_FULL);
	return 0;
}

static __always_inline u64 current_epoch(void)
{
	u64 *now = epoch.lookup(&(int){0});

	return now ? *now : 0;
}

static __always_inline void move_epoch(void)
{
	u64 *now = epoch.lookup(&(int){0});

	if (now)
		__sync_fetch_and_add(now, 1);
}

static __always_inline u32 *core_dumps(void)
{
	return dumps.lookup(&(int){0});
}

static __always_inline u32 *process_version(u32 tgid)
{
	int slot = tgid & (VERSION_SLOTS - 1);

	return versions.lookup(&slot);
}

static __always_inline struct told_key told_key(s32 fd)
{
	return (struct told_key){.files = read_u64((void *)(bpf_get_current_task() + OFF_TASK_FILES)), .fd = fd};
}

static __always_inline struct told_name *find_told(const struct process *process, s32 fd)
{
	struct told_key key = told_key(fd);
	struct told_name *told = told_names.lookup(&key);

	return told && told->life == process->life ? told : 0;
}

static __always_inline void keep_told(s32 fd, const struct told_name *told)
{
	struct told_key key = told_key(fd);
	struct told_name copy = *told;

	told_names.update(&key, &copy);
}

static __always_inline void drop_told(s32 fd)
{
	struct told_key key = told_key(fd);

	told_names.delete(&key);
}

static __always_inline struct change *change_in(int slot)
{
	return changes.lookup(&slot);
}

static __always_inline void keep_start(const struct start *start)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct start copy = *start;

	if (starts.update(&tid, &copy))
		count_loss(TRACER_LOSS_MAP_FULL);
}

static __always_inline int take_start(struct call *call)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct start *start = starts.lookup(&tid);

	if (!start)
		return 0;
	call->start = *start;
	starts.delete(&tid);
	return call->start.nr == call->nr;
}

static __always_inline void move_start(u32 old_tid)
{
	struct start *start = starts.lookup(&old_tid);

	if (start)
		keep_start(start);
	starts.delete(&old_tid);
}

static __always_inline u64 *named_threads_word(u32 tid)
{
	int slot = tid / 64 & (NAMED_THREADS_WORDS - 1);

	return named_threads.lookup(&slot);
}

static __always_inline struct recent_thread *recent_thread(void)
{
	return recent_threads.lookup(&(int){0});
}

static __always_inline struct begun_call *begun_call(u32 tid)
{
	int slot = tid & (BEGUN_CALLS - 1);

	return begun_calls.lookup(&slot);
}

static __always_inline struct call *current_call(void)
{
	return calls.lookup(&(int){0});
}

static __always_inline struct record_buffer *current_record(void)
{
	return event_buffer.lookup(&(int){0});
}

static __always_inline struct record_buffer *current_name(void)
{
	return name_buffer.lookup(&(int){0});
}

static __always_inline struct batch_buffer *current_batch(void)
{
	return batch_buffer.lookup(&(int){0});
}

static __always_inline void note_mark(u32 tid, enum mark mark)
{
	u32 key = tid | mark, once = 1;

	if (marks.update(&key, &once))
		count_loss(TRACER_LOSS_MAP_FULL);
}

static __always_inline int take_mark(u32 tid, enum mark mark)
{
	u32 key = tid | mark;

	if (!marks.lookup(&key))
		return 0;
	return !marks.delete(&key);
}

static __always_inline void note_lost_enter(u32 tid)
{
	u32 once = 1;
	struct begun_call *begun = begun_call(tid);

	if (begun)
		begun->tid_and_number = 0;
	if (lost_enters.update(&tid, &once))
		count_loss(TRACER_LOSS_MAP_FULL);
}

static __always_inline int take_lost_enter(u32 tid)
{
	if (!was_ring_full() || !lost_enters.lookup(&tid))
		return 0;
	lost_enters.delete(&tid);
	return 1;
}

static __always_inline void go_to(struct bpf_raw_tracepoint_args *ctx, int stage)
{
	stages.call(ctx, stage);
}

#include "filter.bpf.h"
#include "compat.bpf.h"
#include "enter.bpf.h"
#include "exit.bpf.h"
#include "renames.bpf.h"
#include "rings.bpf.h"
#include "tasks.bpf.h"
#include "threads.bpf.h"

/* ---- enter ---- */

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	void *task = current_task();
	u64 id = id_of(task);
	u32 number = ctx->args[1];

	if (is_compat(task)) {
		enter_compat(id, ctx->args[0], number);
		return 0;
	}
	struct syscall_rule *rule = find_rule(number);

	if (!rule)
		return 0;
	/* Others may see what it does before it returns (inotify(7)): what was told before it began holds no longer. */
	if (renames(rule, ctx->args[0]))
		move_epoch();
	if (!(rule->flags & (TRACER_RULE_WANTED | TRACER_RULE_STATE | TRACER_RULE_UNSEEN)))
		return 0;
	if (is_plain(rule) && enter_quickly(ctx->args[0], task, rule, id, number))
		return 0;
	struct call *call = current_call();
	struct filter_config *cfg = filter();

	if (call && cfg)
		begin_enter(ctx, cfg, rule, call, id);
	return 0;
}

/* The stages of an enter: enter.bpf.h says what each does. */
int on_enter_long(struct bpf_raw_tracepoint_args *ctx)
{
	return enter_long(ctx);
}

int on_enter_names(struct bpf_raw_tracepoint_args *ctx)
{
	return enter_names(ctx);
}

int on_enter_asked(struct bpf_raw_tracepoint_args *ctx)
{
	return enter_asked(ctx);
}

int on_enter_named(struct bpf_raw_tracepoint_args *ctx)
{
	return enter_named(ctx);
}

/* The enter of a call that is shown only if it fails. */
int on_enter_held(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct process *process = current_process();

	if (!call || !process)
		return 0;
	fill_start(&call->start, process, call);
	call->naming.index = 0;
	hold_enter(ctx, process, call);
	return 0;
}

int on_held_place(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct process *process = current_process();

	if (call && process)
		hold_enter(ctx, process, call);
	return 0;
}

/* ---- names ---- */

/* Finds a descriptor's file, and where it is. By itself, as its loop is dear to verify. */
int on_place(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();

	if (!call)
		return 0;
	find_place(&call->naming);
	go_to(ctx, call->naming.next_of_place);
	return 0;
}

/* Reads what a descriptor is called now. By itself for the same reason. */
int on_name(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_name();

	if (!call || !buffer)
		return 0;
	fill_name(buffer, &call->naming);
	go_to(ctx, is_read_again(call) ? STAGE_PLACE : call->naming.next);
	return 0;
}

/* ---- exit ---- */

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	void *task = current_task();
	u64 id = id_of(task);

	if (exit_quickly(id, ctx->args[1]))
		return 0;
	u32 number = read_number(ctx->args[0]);

	if (is_compat(task)) {
		exit_compat(ctx->args[0], number, ctx->args[1]);
		return 0;
	}
	struct syscall_rule *rule = find_rule(number);

	if (!rule || !(rule->flags & TRACER_RULE_KNOWN))
		return 0;
	if ((s64)ctx->args[1] >= 0)
		note_success(rule, ctx->args[0], id);
	if (!(rule->flags & (TRACER_RULE_WANTED | TRACER_RULE_STATE)) || is_stopped(current_epoch()))
		return 0;
	struct filter_config *cfg = filter();

	if (!cfg)
		return 0;
	struct process *process = traced_since_enter(cfg, id);

	if (!process)
		return end_hidden(ctx, cfg, rule, number);
	watch_for_races(process, rule, ctx->args[0], ctx->args[1]);
	u64 now = bpf_ktime_get_boot_ns();
	int failed_only = cfg->flags & TRACER_FILTER_FAILED;

	if (exit_is_short(rule) && !failed_only && !process->has_sharers) {
		if (!is_lost_with_enter(id))
			send_short_exit(id, number, exit_flags(), ctx->args[1], now);
		return 0;
	}
	struct call *call = current_call();

	if (!call || read_args(call->args, ctx->args[0]))
		return 0;
	call->exit_time_ns = now;
	call->ret = ctx->args[1];
	call->nr = number;
	call->exit_follows = 0;
	call->tries = 0;
	call->is_unsure = 0;
	if (!failed_only || (rule->flags & TRACER_RULE_STATE)) {
		end_use(process, rule, call);
		begin_exit(ctx, process, rule, call);
	} else if (take_start(call) && call->ret < 0 && call->ret >= -4095) {
		begin_late(ctx, rule, call);
	}
	return 0;
}

/* The exit of a call whose enter has just been sent. */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct process *process = current_process();
	struct syscall_rule *rule = call ? find_rule(call->nr) : 0;

	if (rule && process)
		begin_exit(ctx, process, rule, call);
	return 0;
}

/* The exit of a call that made descriptors: one (the return value) or a pair (which it wrote where aux_arg points). */
int on_exit_fd(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_name();
	struct process *process = current_process();
	struct syscall_rule *rule = call ? find_rule(call->nr) : 0;

	if (!rule || !buffer || !process)
		return 0;
	begin_long_exit(buffer, call);
	begin_new_name(buffer, process, rule, call);
	go_to(ctx, STAGE_PLACE);
	return 0;
}

/* Sends it, with the name that has been read. */
int on_exit_named(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_name();
	struct process *process = current_process();

	if (call && buffer && process)
		send_exit_with_name(process, call, buffer);
	return 0;
}

/* The exit of a call whose paths could not be read at enter, and of getcwd, which writes one. */
int on_exit_paths(struct bpf_raw_tracepoint_args *ctx)
{
	struct call *call = current_call();
	struct record_buffer *buffer = current_record();
	struct syscall_rule *rule = call ? find_rule(call->nr) : 0;

	if (rule && buffer)
		send_exit_with_paths(rule, call, buffer);
	return 0;
}

/* ---- tasks ---- */

/* args: task, clone_flags. The current task is the creator; the new one has not run yet. */
int on_task_newtask(struct bpf_raw_tracepoint_args *ctx)
{
	struct filter_config *cfg = filter();

	if (cfg && !is_stopped(current_epoch()))
		note_new_task(cfg, (void *)ctx->args[0], ctx->args[1]);
	return 0;
}

/* args: task, old_pid, bprm */
int on_sched_process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct process *process = current_process();

	if (process && !is_stopped(current_epoch()))
		note_exec(process, ctx->args[1]);
	return 0;
}

/* args: task, and on newer kernels more */
int on_sched_process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tgid = id >> 32, tid = id;

	if (is_stopped(current_epoch()))
		return 0;
	note_thread(tid, 0);
	end_dump(tid);
	if (!processes.lookup(&tgid))
		return 0;
	int group_dead = is_group_dead();

	send_task_exit(group_dead);
	forget_marks(tid);
	starts.delete(&tid);
	lost_enters.delete(&tid);
	if (group_dead) {
		processes.delete(&tgid);
		move_version(tgid); /* both numbers may come again */
	}
	return 0;
}

/* args: signal, what it tells, and what is done about it */
int on_signal_deliver(struct bpf_raw_tracepoint_args *ctx)
{
	if (!is_stopped(current_epoch()))
		note_signal(ctx->args[0], (void *)ctx->args[2]);
	return 0;
}

/* args: task, new comm */
int on_task_rename(struct bpf_raw_tracepoint_args *ctx)
{
	void *task = (void *)ctx->args[0];

	if (find_process(read_u32(task + OFF_TASK_TGID)) && !is_stopped(current_epoch()))
		send_comm(task, (void *)ctx->args[1]);
	return 0;
}

/* ---- rings ---- */

/* args: request */
int on_io_uring_submit_req(struct bpf_raw_tracepoint_args *ctx)
{
	note_request((void *)ctx->args[0]);
	return 0;
}

/* args: ring, request, and more */
int on_io_uring_complete(struct bpf_raw_tracepoint_args *ctx)
{
	note_request((void *)ctx->args[1]);
	return 0;
}

/* A completion that its queue had no room for, which the other one does not tell of. */
int on_io_uring_cqe_overflow(struct bpf_raw_tracepoint_args *ctx)
{
	move_epoch();
	return 0;
}
