// SPDX-License-Identifier: MIT
/* What a call's arguments are and point at. */
#ifndef TRACER_ARGUMENTS_BPF_H
#define TRACER_ARGUMENTS_BPF_H

#include "maps.bpf.h"

#define MAX_IOVECS 16 /* longer vectors have no known size */
#define PATH_LENGTH_MASK 0xfff

static __always_inline u64 argument(const struct call *call, s8 index)
{
	return call->args[index & 7];
}

static __always_inline int has_aux_at_enter(const struct syscall_rule *rule)
{
	return rule->aux_kind && rule->aux_kind < TRACER_AUX_FD_PAIR;
}

static __always_inline int is_short(const struct syscall_rule *rule)
{
	return rule->path_arg < 0 && !has_aux_at_enter(rule);
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

/* Whether what fd_argument gives is another number: an index into the rings that the process has registered. */
static __always_inline int is_no_fd(const struct syscall_rule *rule, const struct call *call)
{
	return rule->no_fd_arg >= 0 && argument(call, rule->no_fd_arg) >> (rule->no_fd_bit & 31) & 1;
}

/* The descriptor that the call works on; -1 if there is none. */
static __always_inline s32 worked_on(const struct syscall_rule *rule, const struct call *call)
{
	return rule->fd_arg < 0 || is_no_fd(rule, call) ? -1 : (s32)argument(call, rule->fd_arg);
}

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
		if (read_user(iov, sizeof(iov), (void *)(vector + i * sizeof(iov))))
			return -1;
		total += iov[1];
		if ((s64)iov[1] < 0 || (s64)total < 0) /* no call takes that, and the sum would begin again at 0 */
			return -1;
	}
	aux[0] = total;
	aux[1] = 1;
	return 0;
}

static __always_inline int read_aux(u64 *aux, u8 kind, u64 pointer, u64 next)
{
	u64 part[4];

	if (kind == TRACER_AUX_OPEN_HOW)
		return read_user(aux, 24, (void *)pointer);
	if (kind == TRACER_AUX_TIMESPEC || kind == TRACER_AUX_TIMEVAL) {
		aux[2] = 1;
		return read_user(aux, 16, (void *)pointer);
	}
	if (kind == TRACER_AUX_EPOLL_EVENT)
		return read_user(aux, 4, (void *)pointer);
	if (kind == TRACER_AUX_XATTR_ARGS)
		return read_user(aux, 16, (void *)pointer);
	if (kind == TRACER_AUX_UTIMES) {
		if (read_user(part, 32, (void *)pointer))
			return -1;
		aux[0] = part[1];
		aux[1] = part[3];
		aux[2] = 1;
		return 0;
	}
	if (kind == TRACER_AUX_MSGHDR) {
		/* struct user_msghdr: the vector's address and length are the third and fourth word */
		if (read_user(part, 16, (void *)(pointer + 16)))
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
	int length = read_user_text(buffer->bytes + (at & 0x1fff), TRACER_PATH_BYTES, (void *)pointer);

	if (length <= 0) {
		*status = TRACER_PATH_UNREADABLE;
		return 0;
	}
	*status = TRACER_PATH_OK;
	if (length == TRACER_PATH_BYTES) {
		/* a full buffer holds a whole path only if its last byte ended it; one more byte tells */
		u8 beyond = 0;

		read_user(&beyond, 1, (void *)(pointer + TRACER_PATH_BYTES - 1));
		if (beyond) {
			*status = TRACER_PATH_TRUNCATED;
			count_loss(TRACER_LOSS_PATH_TRUNCATED);
		}
	}
	return (length - 1) & PATH_LENGTH_MASK;
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

static __always_inline int is_relative(const struct record_buffer *buffer, u32 at, u8 status)
{
	return status != TRACER_PATH_OK || buffer->bytes[at & 0x1fff] != '/';
}

static __always_inline s32 directory(const struct call *call, s8 dirfd_arg)
{
	return dirfd_arg < 0 ? TRACER_CWD_FD : (s32)argument(call, dirfd_arg);
}

#endif
