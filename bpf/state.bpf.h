// SPDX-License-Identifier: MIT
/* What the kernel program remembers between events: the structures in its maps. */
#ifndef TRACER_STATE_BPF_H
#define TRACER_STATE_BPF_H

#include "events.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define NAMED_FDS 1024     /* numbers above are remembered in `told_names` */
#define BEGUN_CALLS 1024   /* a power of two; threads that share a slot lose the short cut, nothing else */
#define VERSION_SLOTS 1024 /* a power of two; processes that share a slot lose the short cut more often */
#define RECENT_FDS 64
#define CHANGE_SLOTS 32768        /* a power of two */
#define NAMED_THREADS_WORDS 65536 /* a bit for each number that a thread can have (PID_MAX_LIMIT) */

/* What is noted of a thread, beside its number, which has 22 bits. */
enum mark {
	MARK_REREAD = 0,          /* the path of its call could not be read at enter */
	MARK_DUMPS = 1U << 29,    /* it is about to dump its process's core */
	MARK_SHOWN = 1U << 30,    /* a filter let its call pass as it began */
	MARK_MISNAMED = 1U << 31, /* it was renamed, and there was no room to tell */
};

/* How far a process's names can be trusted (identity.bpf.h). */
enum watch {
	WATCH_NOT = 0,
	WATCH_COMPARED = 1, /* its table may change without a call that is seen: each use is compared */
	WATCH_DIVIDED = 2,  /* tasks differ in table, directory or root: a name is of one, and goes with each use */
};

/* One traced process. */
struct process {
	u8 armed;            /* a command that has not called execve yet: nothing of it is shown */
	u8 watches_identity; /* enum watch */
	u8 shares_fs;        /* with another process: its working directory may change by the other's doing */
	u8 had_threads;      /* more than one, since it began or called execve */
	u8 has_sharers;      /* other processes with its table or its working directory, or had */
	u8 has_fleeting;     /* files among its descriptors whose names may change without a call (places.bpf.h) */
	u32 generation;
	u64 life; /* when its first call was seen since it began or called execve; 0: not yet */
	u32 cwd_tag;
	u32 named[NAMED_FDS];
};

/* A descriptor's place in `told_names`: by the table, since processes that share one overwrite each other's names. */
struct told_key {
	u64 files;
	s64 fd;
};

/* What was told of a descriptor, of which the tag alone would not say enough: one whose process watches identities,
 * with a high number, or of a fleeting file.
 */
struct told_name {
	u64 life; /* of the process: numbers of processes come again */
	u64 identity;
	u64 place; /* of a fleeting file (place_of in places.bpf.h) */
	u32 tag;
	u32 is_fleeting;
};

/* A call that has begun and whose exit will be its return value and no more: that exit needs to look nothing else up.
 *
 * The slot is found by the thread's number. Thread and syscall are one word, since another CPU may overwrite it.
 */
struct begun_call {
	u64 tid_and_number;
	u64 padding[7]; /* a cache line each: neighbours run on other CPUs */
};

/* The thread that a CPU traced last, and which of its low descriptors have been named: true for as long as neither
 * the epoch nor its process's version has moved on.
 */
struct recent_thread {
	u64 id; /* as bpf_get_current_pid_tgid gives it */
	u64 named;
	u64 epoch;
	u32 version;
};

struct record_buffer {
	u8 bytes[16384]; /* two full paths need less than 8400; the rest is for the verifier, which thinks in bits */
};

/* A record and the names that it needs, to be sent in one piece. */
struct batch_buffer {
	u8 bytes[32768]; /* three names of 4,200 bytes and two full paths need less than 21,000 */
};

struct path_pointers {
	void *mnt;
	void *dentry;
};

/* A name that is being read into a record. */
struct naming {
	struct told_name now; /* what is to be kept once it has been sent */
	s32 fd;
	u32 index;                 /* which of the call's descriptors it is */
	u32 doubt;                 /* enum doubt */
	struct path_pointers path; /* of its file, found as its place is looked at; null if it is not open */
	u64 inode;                 /* its number; 0 for the working directory */
	u64 place;                 /* before its name is read; 0: not looked at, or just changing */
	u32 next_of_place;         /* the stage that goes on with these two */
	u32 status;                /* of the name section: what is known of the descriptor besides */
	u32 at;                    /* where in the record it goes */
	u32 end;                   /* where in the record it ends; 0: it has no name that could be told */
	u32 next;                  /* the stage that goes on with it */
	u32 changes;               /* of all dentries on the way, or-ed */
	u64 walked;                /* the place again, as the name is read: if it is another one, the name is torn */
	u32 is_torn;
};

/* A name that is on its way to user space. */
struct told_fd {
	s32 fd;
	u32 is_void; /* it is not open any more */
	struct told_name name;
};

/* The enter of a call that is shown only if it fails (held.bpf.h); what it does not need of one whose process
 * shares with others is 0 (changes.bpf.h).
 */
struct start {
	u64 time_ns;
	u64 identities[4]; /* of the descriptors in call.fds, if they are compared; 0: not open, or none */
	u64 places[4];     /* of those whose files are fleeting; else 0 */
	u64 epoch;
	u32 is_compared;
	u32 nr;
	u32 directory_changes; /* of the working directory, as the kernel counts them */
	u64 files;             /* the table */
};

/* Calls that free a number of one table or give it to another file (changes.bpf.h). Numbers that share a slot are in
 * doubt together: an entry that is dropped would make one look sure.
 */
struct change {
	u64 last_ns; /* when the last one began or ended */
	u32 under_way;
};

/* The call at hand, handed from one program to the next. One a CPU: tracepoints of syscalls run without
 * preemption.
 */
struct call {
	u64 args[8]; /* six; a masked index needs eight */
	u64 time_ns;
	s64 ret;
	u32 nr;
	u32 exit_follows; /* the enter was held back until the call failed: its exit is sent right behind it */
	u32 is_unsure;    /* TRACER_MEANT_UNSURE if that is so */
	u32 tries;        /* names that were read again, since what they lie in was being renamed */
	u64 exit_time_ns;
	struct start start;     /* if exit_follows */
	s32 fds[4];             /* up to three descriptors whose names the record needs */
	struct told_fd told[4]; /* those of them that are in the batch */
	u32 told_count;
	u32 batch_bytes;
	struct naming naming;
};

/* Programs that go on where the first one of a tracepoint stops, for the verifier's sake one job each. */
enum stage {
	STAGE_ENTER_LONG = 0,
	STAGE_ENTER_NAMES = 1,
	STAGE_EXIT = 2,
	STAGE_EXIT_FD = 3,
	STAGE_EXIT_PATHS = 4,
	STAGE_ENTER_HELD = 5,
	STAGE_NAME = 6,
	STAGE_ENTER_NAMED = 7,
	STAGE_EXIT_NAMED = 8,
	STAGE_PLACE = 9,
	STAGE_ENTER_ASKED = 10,
	STAGE_HELD_PLACE = 11,
	STAGE_COUNT = 12,
};

#endif
