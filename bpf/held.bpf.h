// SPDX-License-Identifier: MIT
/* Where only failed calls are shown: an enter is held back until its call has failed, and so are the names it needs.
 *
 * What they are then may not be what they were, since a call can block while others change the table. So it is kept
 * what each descriptor meant at the enter, unless there is nobody who could; a name that may have been another one is
 * told to be unknown.
 */
#ifndef TRACER_HELD_BPF_H
#define TRACER_HELD_BPF_H

#include "arguments.bpf.h"
#include "changes.bpf.h"
#include "identity.bpf.h"

/* What may be wrong with a name that is looked up at the exit. */
enum doubt {
	DOUBT_NOTHING = 0,
	DOUBT_PLACE = 1, /* it is not known where it was, which matters if it is fleeting */
	DOUBT_PATH = 2,  /* something was renamed on the machine: a path may have been another one */
	DOUBT_FILE = 3,  /* it is another file, or another name of it */
};

/* What the first descriptors were; where their files are comes later. */
static __always_inline void fill_start(struct start *start, const struct process *process, const struct call *call)
{
	start->time_ns = call->time_ns;
	start->nr = call->nr;
	start->epoch = current_epoch();
	note_start(start);
	start->is_compared = may_change_meanwhile(process);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++) {
		int is_looked_at = start->is_compared && is_descriptor(call->fds[i]);

		start->identities[i] = is_looked_at ? identity_of(call->fds[i]) : 0;
		start->places[i] = 0;
	}
}

/* The next descriptor, from one of them on, whose place has to be known; 3 if there is none. */
static __always_inline u32 next_fleeting(const struct process *process, const struct call *call, u32 from)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 3; i++) {
		s32 fd = call->fds[i];

		if (i >= from && is_descriptor(fd) && (process->has_fleeting || is_fd_fleeting(fd)))
			return i;
	}
	return 3;
}

/* Takes the place that has been looked at, and says whether there is one more to look at. */
static __always_inline int add_place(const struct process *process, struct call *call)
{
	struct naming *naming = &call->naming;
	u32 from = naming->index & 3, index = next_fleeting(process, call, from) & 3;

	if (from > 0)
		call->start.places[from - 1] = naming->place;
	if (index == 3)
		return 0;
	naming->fd = call->fds[index];
	naming->index = index + 1;
	naming->next_of_place = STAGE_HELD_PLACE;
	return 1;
}

/* Looks at the places of the call's descriptors, one each time that it runs, then keeps its enter. */
static __always_inline void hold_enter(struct bpf_raw_tracepoint_args *ctx, const struct process *process,
				       struct call *call)
{
	if (add_place(process, call))
		go_to(ctx, STAGE_PLACE);
	else
		keep_start(&call->start);
}

/* Whether where the descriptor's file is has to be looked at before its name is. */
static __always_inline int needs_place(const struct process *process, const struct call *call, u32 index)
{
	return process->has_fleeting || (call->exit_follows && call->start.places[index & 3]);
}

/* Whether others may have given the descriptor to another file since the call began, and perhaps back. */
static __always_inline int is_changed_meanwhile(const struct call *call)
{
	return call->start.is_compared && is_changed(call->naming.fd, &call->start, 0);
}

/* Whether another thread may tell another name before this enter, which comes when its call has ended. */
static __always_inline int is_told_by_others(const struct call *call)
{
	return call->exit_follows && call->start.is_compared;
}

static __always_inline enum doubt doubt_of(const struct call *call, const struct naming *naming)
{
	if (!call->exit_follows)
		return DOUBT_NOTHING;
	u64 place = call->start.places[naming->index & 3];

	if (call->start.is_compared && call->start.identities[naming->index & 3] != identity_of(naming->fd))
		return DOUBT_FILE;
	if (is_changed_meanwhile(call))
		return DOUBT_FILE;
	if (place && place != naming->place)
		return DOUBT_FILE;
	if (call->start.epoch != current_epoch())
		return DOUBT_PATH;
	return place ? DOUBT_NOTHING : DOUBT_PLACE;
}

static __always_inline int is_doubtful(const struct name_section *section, const struct naming *naming)
{
	switch (naming->doubt) {
	case DOUBT_NOTHING:
		return 0;
	case DOUBT_PLACE:
		return naming->now.is_fleeting;
	case DOUBT_PATH:
		return section->kind == TRACER_NAME_COMPONENTS;
	case DOUBT_FILE:
		return 1;
	}
	return 1;
}

#endif
