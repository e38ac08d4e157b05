// SPDX-License-Identifier: MIT
/* The maps, as functions. Their bodies are in tracer.bpf.c, since bcc rewrites the use of maps in the main file
 * only.
 */
#ifndef TRACER_MAPS_BPF_H
#define TRACER_MAPS_BPF_H

#include "state.bpf.h"

static __always_inline void count_loss(int cause);

/* Room for a record in the ring, to be filled at once and submitted; null, and counted, if the ring is full.
 * `size` is constant.
 */
static __always_inline void *reserve(u64 size);
static __always_inline void submit(void *record);

/* Copies a record of any size into the ring; not 0, and counted, if the ring is full. */
static __always_inline int send(void *record, u32 size);

/* Whether a record was lost since the trace began: user space may not know then what it has been told. */
static __always_inline int was_ring_full(void);

static __always_inline struct syscall_rule *find_rule(u32 number);
static __always_inline struct filter_config *filter(void);

static __always_inline struct process *find_process(u32 tgid);
/* The process's new entry, with what `image` says or nothing; null, and counted, if the table is full. */
static __always_inline struct process *add_process(u32 tgid, struct process *image);

/* Moves at the begin and end of whatever may change names on this machine; the top bit is set once the trace is over. */
static __always_inline u64 current_epoch(void);
/* Every name that was told, on the whole machine, may be another one now. */
static __always_inline void move_epoch(void);
/* How many cores are being dumped on this machine. */
static __always_inline u32 *core_dumps(void);
static __always_inline u32 *process_version(u32 tgid);

/* What was told of a descriptor of the current process, in its life. Null for nothing, also once too many others were. */
static __always_inline struct told_name *find_told(const struct process *process, s32 fd);
static __always_inline void keep_told(s32 fd, const struct told_name *told);
static __always_inline void drop_told(s32 fd);

static __always_inline struct change *change_in(int slot);

/* For the current thread, until its call ends. */
static __always_inline void keep_start(const struct start *start);
/* Moves what was kept into the call; 0 if it was another one's. */
static __always_inline int take_start(struct call *call);
/* The thread that called execve has another number now. */
static __always_inline void move_start(u32 old_tid);

/* Where a thread's bit is: whether user space knows what it is called (threads.bpf.h). */
static __always_inline u64 *named_threads_word(u32 tid);

static __always_inline struct recent_thread *recent_thread(void);
static __always_inline struct begun_call *begun_call(u32 tid);

static __always_inline struct call *current_call(void);
static __always_inline struct record_buffer *current_record(void);

/* What is noted of a thread until it is needed. */
static __always_inline void note_mark(u32 tid, enum mark mark);
/* Whether that was so; it is not any more. */
static __always_inline int take_mark(u32 tid, enum mark mark);

/* For a thread whose enter found no room. */
static __always_inline void note_lost_enter(u32 tid);
/* Whether that was so; for its exit. */
static __always_inline int take_lost_enter(u32 tid);

/* Goes on with another program; does not come back. */
static __always_inline void go_to(struct bpf_raw_tracepoint_args *ctx, int stage);

#endif
