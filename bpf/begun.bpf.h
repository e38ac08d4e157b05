// SPDX-License-Identifier: MIT
/* Calls whose exit is known beforehand to be nothing but its return value. */
#ifndef TRACER_BEGUN_BPF_H
#define TRACER_BEGUN_BPF_H

#include "records.bpf.h"

#define ERRNO_BADF (-9)

/* Whether the exit tells no more, whatever the call's arguments were. */
static __always_inline int exit_is_short(const struct syscall_rule *rule)
{
	return rule->effect == TRACER_EFFECT_NONE && rule->path_arg < 0 && rule->aux_kind != TRACER_AUX_CWD_TEXT;
}

/* Whether both enter and exit are short and change nothing that is kept here. */
static __always_inline int is_plain(const struct syscall_rule *rule)
{
	return exit_is_short(rule) && rule->aux_kind == TRACER_AUX_NONE &&
	       !(rule->flags & (TRACER_RULE_NEVER_RETURNS | TRACER_RULE_RENAMES | TRACER_RULE_UNSEEN));
}

/* The enter of a plain call is about to be sent. */
static __always_inline void note_begun(u64 id, u32 number)
{
	struct begun_call *begun = begun_call(id);

	if (begun)
		begun->tid_and_number = id << 32 | number;
}

/* Sends the exit of a plain call and forgets that it has begun; not 0 if this was one. What a number that is not open
 * says of the process is looked at the long way.
 */
static __always_inline int exit_quickly(u64 id, s64 ret)
{
	struct begun_call *begun = begun_call(id);

	if (!begun)
		return 0;
	u64 tid_and_number = begun->tid_and_number;

	if (tid_and_number >> 32 != (u32)id)
		return 0;
	begun->tid_and_number = 0;
	if (ret == ERRNO_BADF)
		return 0;
	send_short_exit(id, tid_and_number, 0, ret, bpf_ktime_get_boot_ns());
	return 1;
}

#endif
