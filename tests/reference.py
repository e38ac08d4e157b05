"""How rows are made, in plain Python: docs/how-rows-are-made.md sentence by sentence, without /proc.

The Cython modules are held against this. It shares no code with them, and takes nothing from `tracer` but the table.
Here is what becomes of what is remembered between records (`reference_state.py`); what one call means by itself is in
`reference_columns.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import wire
from reference_columns import (
    CLOSE_RANGE_CLOEXEC,
    F_DUPFD_CLOEXEC,
    O_TMPFILE_BIT,
    Known,
    PathArgument,
    Pending,
    Row,
    copies_descriptor,
    descriptor_pair,
    fd_argument,
    freed_range,
    frees_one,
    is_closed,
    known_by_section,
    makes_descriptor,
    needs_directory,
    number_made,
    numbers_got,
    replaced_by,
    row_of,
    section_cloexec,
    stays_as_it_is,
)
from reference_state import FD_LIMIT, Entry, Process, Table, Thread, oldest_quarter

MOST_THREADS, MOST_PROCESSES = 65536, 32768

EBADF = -9
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
FSPICK_EMPTY_PATH = 0x8
RESOLVE_IN_ROOT = 0x10
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
O_CLOEXEC = 0x80000
F_SETFD = 2
FIOCLEX, FIONCLEX = 0x5451, 0x5450
CLOSE_RANGE_UNSHARE = 2
CLONE_FILES, CLONE_NEWNS = 0x400, 0x20000


def effect_methods(reference: Reference) -> dict[int, Callable[[Pending, wire.Exit, Process], None]]:
    return {
        wire.EFFECT_OPEN: reference.new_descriptor,
        wire.EFFECT_NEW_FD: reference.new_descriptor,
        wire.EFFECT_LANDLOCK: reference.new_descriptor,
        wire.EFFECT_BPF: reference.new_descriptor,
        wire.EFFECT_SIGNALFD: reference.new_descriptor,
        wire.EFFECT_RING: reference.new_descriptor,
        wire.EFFECT_DUP: reference.dup,
        wire.EFFECT_DUP2: reference.dup2,
        wire.EFFECT_FCNTL: reference.fcntl,
        wire.EFFECT_IOCTL: reference.ioctl,
        wire.EFFECT_CLOSE_RANGE: reference.close_range,
        wire.EFFECT_FD_PAIR: reference.descriptor_pair,
        wire.EFFECT_CHDIR: reference.chdir,
        wire.EFFECT_FCHDIR: reference.fchdir,
        wire.EFFECT_CHROOT: reference.chroot,
        wire.EFFECT_UNSHARE: reference.unshare,
    }


class Reference:
    """Makes rows of blocks of records.

    `rules` is the packed table of `tracer.syscalls.rules`, `names` the syscalls' names by number, `families` the
    families' by code. `rows` holds a dict a row, with the columns of `tracer.schema` but `seq` and `time`.
    """

    def __init__(self, rules: bytes, names: list[str], families: tuple[str, ...], *, failed_only: bool = False) -> None:
        self.rules = wire.decode_rules(rules)
        self.names = names
        self.families = families
        self.failed_only = failed_only
        self.rows: list[Row] = []
        self.counters = dict.fromkeys(
            ("enter_without_exit", "exit_without_enter", "refused_calls", "mismatched", "malformed"), 0
        )
        self.counters |= {"unfinished_calls": 0, "forgotten_threads": 0, "forgotten_processes": 0}
        self.threads: dict[int, Thread] = {}
        self.processes: dict[int, Process] = {}
        self.changes = 0
        """Of tables and directories by calls, in the order in which those ended."""
        self.effects = effect_methods(self)

    def feed(self, block: bytes) -> None:
        """Handles the block's records in order."""
        handlers: dict[type[wire.Record], Callable[[Any], None]] = {
            wire.Enter: self.on_enter,
            wire.Exit: self.on_exit,
            wire.Name: self.on_name,
            wire.Fork: self.on_fork,
            wire.Exec: self.on_exec,
            wire.TaskExit: self.on_task_exit,
            wire.Comm: self.on_comm,
        }
        for record in wire.walk(block):
            if record is None:
                self.counters["malformed"] += 1
            else:
                handlers[type(record)](record)

    # ---- records ----

    def thread(self, record: wire.Record) -> Thread:
        """The record's thread; a new one if it is unknown or belonged to another process."""
        found = self.threads.get(record.tid)
        if found is None or found.tgid != record.tgid:
            found = self.new_thread(record.tid, Thread(record.tgid, last_used_ns=record.time_ns))
        found.last_used_ns = record.time_ns
        return found

    def drop_thread(self, tid: int) -> None:
        """The thread is no more: a call that it is in never returns."""
        call = self.forget_thread(tid)
        if call and call.rule.flags & wire.RULE_WANTED and not self.failed_only:
            self.counters["unfinished_calls"] += 1

    def forget_thread(self, tid: int) -> Pending | None:
        """The call that it was in."""
        thread = self.threads.pop(tid, None)
        call = thread.pending if thread else None
        if thread and call:
            self.end_replacing(thread, call)
        return call

    def new_thread(self, tid: int, thread: Thread) -> Thread:
        self.drop_thread(tid)
        if len(self.threads) >= MOST_THREADS:
            old = oldest_quarter(self.threads)
            for old_tid in old:
                self.forget_thread(old_tid)
            self.counters["forgotten_threads"] += len(old)
        self.threads[tid] = thread
        return thread

    def process(self, tgid: int, now_ns: int) -> Process:
        found = self.processes.get(tgid)
        if found is None:
            if len(self.processes) >= MOST_PROCESSES:
                old = oldest_quarter(self.processes)
                for old_tgid in old:
                    del self.processes[old_tgid]
                self.counters["forgotten_processes"] += len(old)
            found = self.processes[tgid] = Process()
        found.last_used_ns = now_ns
        return found

    def rule(self, number: int) -> wire.Rule | None:
        rule = self.rules[number] if number < len(self.rules) else None
        return rule if rule and rule.flags & wire.RULE_KNOWN else None

    def on_enter(self, enter: wire.Enter) -> None:
        rule = self.rule(enter.syscall)
        if rule is None:
            return
        thread = self.thread(enter)
        if thread.pending:
            self.counters["enter_without_exit"] += 1
            self.end_replacing(thread, thread.pending)
        thread.has_entered = True
        is_unsure = self.process(enter.tgid, enter.time_ns).void_name_ns == enter.time_ns
        call = self.resolved(Pending(enter, rule, thread.comm, changes=self.changes, is_unsure=is_unsure))
        frees_made = frees_one(call) and call.arg_s32(0) in self.process(enter.tgid, enter.time_ns).table.made
        call = replace(call, mount_namespace=thread.mount_namespace, frees_made=frees_made)
        self.begin_replacing(thread, call)
        if rule.flags & wire.RULE_NEVER_RETURNS:
            thread.pending = None
            self.emit(thread, call, None, None)
        else:
            thread.pending = call

    def on_exit(self, done: wire.Exit) -> None:
        if self.rule(done.syscall) is None:
            return
        thread = self.thread(done)
        call, thread.pending = thread.pending, None
        if call is None:
            cause = "refused_calls" if done.may_be_refused else "exit_without_enter"
            self.counters[cause] += thread.has_entered
            if not done.may_be_refused and done.name:
                self.made_unseen(done)
        elif not self.completes(call, done):
            self.counters["mismatched"] += 1
            self.end_replacing(thread, call)
        else:
            process = self.process(done.tgid, done.time_ns)
            call = self.named_late(call.with_paths(done.paths), done, process)
            contested = self.end_replacing(thread, call)
            is_settled = bool(thread.group and thread.group.is_settled)
            # with -Z, what an enter comes with was read after the call
            fd = fd_argument(call) if call.rule.path_arg < 0 else None
            is_late = self.failed_only and done.ret == EBADF and not process.table.was_made(fd, call.enter.time_ns)
            is_unsure = call.is_unsure or done.is_unsure or is_late
            call = replace(call, contested=contested, is_settled=is_settled, is_unsure=is_unsure)
            call = self.without_doubtful(call, process)
            made = number_made(call, done)
            call = replace(call, contradicted=self.contradicts(call, process, made))
            for fd in numbers_got(call, done):
                process.table.settle(fd)
            call = replace(call, is_anothers=made is not None and self.is_anothers(call, process, made))
            last_brk = process.brk
            self.changes += call.rule.effect != wire.EFFECT_NONE
            self.take_effect(call, done, process)
            if call.rule.effect != wire.EFFECT_NONE:
                process.table.last_change = self.changes
            self.emit(thread, call, done, last_brk)

    def made_unseen(self, done: wire.Exit) -> None:
        """A call that was under way as the trace began made a descriptor."""
        process = self.process(done.tgid, done.time_ns)
        fd = done.ret
        if self.rules[done.syscall].effect == wire.EFFECT_FD_PAIR:
            fd = struct.unpack_from("=i", done.aux)[0] if done.aux else -1
        self.changes += 1
        known = known_by_section(done.name)
        self.bind(process, fd, known, section_cloexec(done.name), done.time_ns)
        process.table.last_change = self.changes

    def completes(self, call: Pending, done: wire.Exit) -> bool:
        both = (call.rule.effect, self.rules[done.syscall].effect)
        return call.enter.syscall == done.syscall or both == (wire.EFFECT_EXEC, wire.EFFECT_EXEC)

    def on_name(self, record: wire.Name) -> None:
        if record.fd == wire.MOUNT_NAMESPACE_FD:
            self.thread(record).mount_namespace = record.name.inode & 0xFFFF_FFFF or None
            return
        process = self.process(record.tgid, record.time_ns)
        known = known_by_section(record.name, "proc" if record.from_proc else "kernel")
        entry = process.table.get(record.fd)
        bound_ns = process.table.bound_ns.get(record.fd, 0)
        since_ns = process.cwd_changed_ns if record.fd == wire.CWD_FD else process.table.changed_ns(record.fd)
        if known and record.time_ns < since_ns:
            current = process.cwd if record.fd == wire.CWD_FD else entry.known.text if entry else None
            if known.text != current:
                process.void_name_ns = record.time_ns
            return
        if record.fd == wire.CWD_FD:
            process.cwd = known.text if known else None
        else:
            cloexec, was_made = section_cloexec(record.name), record.fd in process.table.made
            self.bind(process, record.fd, known, cloexec, bound_ns if entry else record.time_ns)
            if entry and record.fd in process.table:
                process.table[record.fd] = replace(process.table[record.fd], bound_change=entry.bound_change)
            if known and not was_made:
                process.table.made.discard(record.fd)

    def on_fork(self, fork: wire.Fork) -> None:
        creator_thread = self.threads.get(fork.tid)
        is_known = creator_thread and creator_thread.tgid == fork.tgid and not fork.clone_flags & CLONE_NEWNS
        namespace = creator_thread.mount_namespace if creator_thread and is_known else None
        child_thread = Thread(fork.child_tgid, fork.comm, namespace, last_used_ns=fork.time_ns)
        self.new_thread(fork.child_tid, child_thread)
        if fork.child_tgid == fork.tgid:
            return
        self.processes.pop(fork.child_tgid, None)
        child = self.process(fork.child_tgid, fork.time_ns)
        creator = self.processes.get(fork.tgid) or Process()
        if not fork.unsure:
            child.table, child.cwd = Table(creator.table), creator.cwd
        if fork.clone_flags & CLONE_FILES:
            child.table = creator.table

    def on_exec(self, record: wire.Exec) -> None:
        if record.old_tid != record.tid:
            caller = self.threads.get(record.old_tid)
            self.drop_thread(record.tid)
            if caller and caller.tgid == record.tgid:
                del self.threads[record.old_tid]
                self.threads[record.tid] = caller
        self.thread(record).comm = record.comm
        process = self.process(record.tgid, record.time_ns)
        if pending := self.thread(record).pending:
            self.thread(record).pending = self.without_doubtful(pending, process)
        process.table = Table(process.table)
        process.table.made.clear()
        for fd, entry in list(process.table.items()):
            if record.unsure or entry.cloexec is not False:
                del process.table[fd]
        process.brk = None

    def on_task_exit(self, record: wire.TaskExit) -> None:
        self.drop_thread(record.tid)
        if record.group_dead:
            self.processes.pop(record.tgid, None)

    def on_comm(self, record: wire.Comm) -> None:
        thread = self.thread(record)
        thread.comm = record.comm

    # ---- names at enter ----

    def resolved(self, call: Pending) -> Pending:
        """The call with all the names its arguments have at this moment."""
        rule = call.rule
        process = self.process(call.enter.tgid, call.enter.time_ns)
        fd = fd_argument(call)
        if rule.flags & wire.RULE_LABEL:
            return call
        if rule.path_arg < 0:
            entry = process.table.get(fd) if fd is not None else None
            return replace(call, descriptor=entry.known if entry else None)
        paths = call.enter.paths or wire.Paths(status1=wire.PATH_ABSENT)
        is_text, is_looked_at = bool(rule.flags & wire.RULE_OLD_IS_TEXT), not stays_as_it_is(call)
        path1 = PathArgument(
            paths.status1,
            paths.text1,
            self.directory(call, process, rule.dirfd_arg),
            self.empty_names_directory(call),
            self.null_names_directory(call),
            is_text,
            is_looked_at,
            needs_directory=not is_text and is_looked_at and needs_directory(paths.status1, paths.text1),
            is_in_root=bool((call.aux("16xQ") or (0,))[0] & RESOLVE_IN_ROOT) and rule.aux_kind == wire.AUX_OPEN_HOW,
        )
        if rule.path2_arg < 0:
            return replace(call, path1=path1)
        empty2 = rule.empty_path == wire.EMPTY_MOVE_MOUNT and call.has_flag(MOVE_MOUNT_T_EMPTY_PATH)
        directory2 = self.directory(call, process, rule.dirfd2_arg)
        needed2 = needs_directory(paths.status2, paths.text2)
        path2 = PathArgument(paths.status2, paths.text2, directory2, empty2, False, needs_directory=needed2)
        return replace(call, path1=path1, path2=path2)

    def directory(self, call: Pending, process: Process, dirfd_arg: int) -> Known | None:
        dirfd = AT_FDCWD if dirfd_arg < 0 else call.arg_s32(dirfd_arg)
        if dirfd == AT_FDCWD:
            return Known(process.cwd, "arg") if process.cwd is not None else None
        entry = process.table.get(dirfd)
        return entry.known if entry else None

    @staticmethod
    def empty_names_directory(call: Pending) -> bool:
        kind = call.rule.empty_path
        needed = {
            wire.EMPTY_AT_FLAG: AT_EMPTY_PATH,
            wire.EMPTY_FSPICK: FSPICK_EMPTY_PATH,
            wire.EMPTY_MOVE_MOUNT: MOVE_MOUNT_F_EMPTY_PATH,
        }
        if call.rule.aux_kind == wire.AUX_UTIMES:
            return call.has_flag(AT_EMPTY_PATH)
        return kind == wire.EMPTY_ALWAYS or (kind in needed and call.has_flag(needed[kind]))

    @staticmethod
    def null_names_directory(call: Pending) -> bool:
        by_flag = call.rule.empty_path == wire.EMPTY_AT_FLAG and call.has_flag(AT_EMPTY_PATH)
        return by_flag or call.rule.empty_path == wire.EMPTY_NULL

    # ---- names at exit ----

    def named_late(self, call: Pending, done: wire.Exit, process: Process) -> Pending:
        """The call with the name that /proc gave its descriptor for this very exit, if it had none."""
        fd = fd_argument(call)
        if call.rule.path_arg >= 0 or call.descriptor or fd is None or done.ret == EBADF:
            return call
        entry = process.table.get(fd)
        if entry is None or call.rule.effect in (wire.EFFECT_CLOSE, wire.EFFECT_CLOSE_RANGE):
            return call
        asked = entry.known.source == "proc" and process.table.bound_ns[fd] == done.time_ns
        return replace(call, descriptor=entry.known) if asked else call

    # ---- numbers that are given to other files ----

    def begin_replacing(self, thread: Thread, call: Pending) -> None:
        key = replaced_by(call)
        table = thread.replacing_in = self.process(call.enter.tgid, call.enter.time_ns).table
        thread.group = None
        if key is not None:
            gives = call.rule.effect == wire.EFFECT_DUP2
            thread.group = table.begin_replacing(key, gives=gives, frees_made=call.frees_made)
        elif len(freed_range(call)) > 1:
            table.begin_range(freed_range(call))

    @staticmethod
    def end_replacing(thread: Thread, call: Pending) -> bool:
        """In the table that it began with, whichever the process has by now. Whether its number was contested."""
        key, table = replaced_by(call), thread.replacing_in
        if table is None:
            return False
        if key is not None:
            return table.end_replacing(key, thread.group, gives=call.rule.effect == wire.EFFECT_DUP2)
        if len(freed_range(call)) > 1:
            table.end_range()
        return False

    def without_doubtful(self, call: Pending, process: Process) -> Pending:
        """The call without names of numbers that may have meant two files since it began."""
        is_settled = process.table.last_change <= call.changes and not process.table.under_way
        if is_settled and not call.is_unsure:
            return call
        if frees_one(call):
            in_doubt = call.contested or call.is_unsure
            return replace(call, descriptor=None) if in_doubt else call
        if call.rule.path_arg < 0:
            fd = fd_argument(call)
            in_doubt = fd is not None and self.in_doubt(call, process, fd, call.descriptor)
            return replace(call, descriptor=None) if in_doubt else call
        return replace(
            call,
            path1=self.without_doubtful_directory(call, process, call.path1, call.rule.dirfd_arg),
            path2=self.without_doubtful_directory(call, process, call.path2, call.rule.dirfd2_arg),
        )

    def without_doubtful_directory(
        self, call: Pending, process: Process, path: PathArgument | None, dirfd_arg: int
    ) -> PathArgument | None:
        if path is None or not path.needs_directory:
            return path
        dirfd = AT_FDCWD if dirfd_arg < 0 else call.arg_s32(dirfd_arg)
        return replace(path, is_doubtful=self.in_doubt(call, process, dirfd, path.directory))

    def in_doubt(self, call: Pending, process: Process, fd: int, name: Known | None) -> bool:
        if name is None:
            return False
        if call.is_unsure or process.table.is_replaced((fd, call.enter.tgid) if fd == AT_FDCWD else fd):
            return True
        if fd == AT_FDCWD:
            return process.cwd_change > call.changes
        entry = process.table.get(fd)
        return entry is None or entry.bound_change > call.changes

    # ---- effects ----

    def bind(self, process: Process, fd: int, known: Known | None, cloexec: bool | None, now_ns: int) -> None:
        """Gives the number this name, or forgets it if there is none. Numbers no process can have are left alone."""
        if not 0 <= fd < FD_LIMIT:
            return
        process.table.pop(fd, None)
        if known:
            process.table[fd] = Entry(known, cloexec, self.changes)
            process.table.bound_ns[fd] = now_ns
            process.table.made.add(fd)
        else:
            process.table.made.discard(fd)
            process.table.bound_ns[fd] = max(process.table.bound_ns.get(fd, 0), now_ns)

    def take_effect(self, call: Pending, done: wire.Exit, process: Process) -> None:
        if call.rule.effect == wire.EFFECT_CLOSE and done.ret != EBADF:
            self.close(call, done, process)
        if done.ret < 0:
            return
        if call.rule.quantity == wire.QUANTITY_BRK:
            process.brk = done.ret
        if call.rule.effect in (wire.EFFECT_CHDIR, wire.EFFECT_FCHDIR, wire.EFFECT_CHROOT):
            process.cwd_changed_ns, process.cwd_change = done.time_ns, self.changes
        if call.rule.effect in self.effects:
            self.effects[call.rule.effect](call, done, process)

    def close(self, call: Pending, done: wire.Exit, process: Process) -> None:
        fd = call.arg_s32(0)
        entry = process.table.get(fd)
        before = call.descriptor
        is_other = before is not None and entry is not None and entry.known.text != before.text
        if call.is_settled:
            return
        if not is_other or entry is None or entry.bound_change <= call.changes or call.contested:
            self.bind(process, fd, None, None, done.time_ns)
        if call.contested or not call.frees_made:
            process.table.note_doubt(fd, done.time_ns)

    @staticmethod
    def contradicts(call: Pending, process: Process, fd: int | None) -> bool:
        """Whether another call gave the number a file since this one began, and none is known to have freed it."""
        entry = process.table.get(fd) if fd is not None else None
        is_newer = entry is not None and entry.bound_change > call.changes
        return is_newer and fd is not None and not process.table.is_replaced(fd)

    def is_anothers(self, call: Pending, process: Process, fd: int) -> bool:
        """Whether the number that the call made may have another file by the time at which its name was read."""
        table = process.table
        since_ns = max(table.doubt_ns.get(fd, 0), table.range_end_ns)
        return table.may_be_anothers(fd) or since_ns > call.enter.time_ns

    def new_descriptor(self, call: Pending, done: wire.Exit, process: Process) -> None:
        if not makes_descriptor(call, done):
            return
        known, cloexec = known_by_section(done.name), section_cloexec(done.name)
        is_lost = is_closed(done.name) or call.contradicted
        if call.rule.effect == wire.EFFECT_OPEN:
            opened = call.path1.file(True) if call.path1 else None
            if known is None and opened and not call.has_flag(O_TMPFILE_BIT):
                known = Known(opened.text, "fd")
            flags_unread = call.rule.aux_kind == wire.AUX_OPEN_HOW and call.flags is None
            if cloexec is None and not flags_unread:
                cloexec = call.has_flag(O_CLOEXEC)
        self.bind(process, done.ret, None if is_lost else known, cloexec, done.time_ns)

    def copy(self, call: Pending, target: int, cloexec: bool, done: wire.Exit, process: Process) -> None:
        entry = process.table.get(call.arg_s32(0))
        known = known_by_section(done.name) or (entry.known if entry else None)
        if call.contested or call.contradicted or is_closed(done.name):
            known = None
        said = section_cloexec(done.name)
        self.bind(process, target, known, cloexec if said is None else said, done.time_ns)

    def dup(self, call: Pending, done: wire.Exit, process: Process) -> None:
        self.copy(call, done.ret, False, done, process)

    def dup2(self, call: Pending, done: wire.Exit, process: Process) -> None:
        source, target = call.arg_s32(0), call.arg_s32(1)
        if source != target:
            self.copy(call, target, call.has_flag(O_CLOEXEC), done, process)
            process.table.note_doubt(target, done.time_ns)

    def fcntl(self, call: Pending, done: wire.Exit, process: Process) -> None:
        command = call.arg_u32(1)
        if copies_descriptor(call):
            self.copy(call, done.ret, command == F_DUPFD_CLOEXEC, done, process)
        elif command == F_SETFD and done.ret == 0:
            self.mark(process, call.arg_s32(0), bool(call.arg(2) & 1))

    def ioctl(self, call: Pending, done: wire.Exit, process: Process) -> None:
        request = call.arg_u32(1)
        if request in (FIOCLEX, FIONCLEX) and done.ret == 0:
            self.mark(process, call.arg_s32(0), request == FIOCLEX)

    def mark(self, process: Process, fd: int, cloexec: bool) -> None:
        if fd in process.table:
            process.table[fd] = replace(process.table[fd], cloexec=cloexec)

    def close_range(self, call: Pending, done: wire.Exit, process: Process) -> None:
        first, last, flags = call.arg_u32(0), call.arg_u32(1), call.arg_u32(2)
        if flags & CLOSE_RANGE_UNSHARE:
            self.own_table(process)
        if frees_one(call):
            self.close(call, done, process)
            return
        for fd in [fd for fd in process.table if first <= fd <= last]:
            if flags & CLOSE_RANGE_CLOEXEC:
                self.mark(process, fd, True)
            else:
                self.bind(process, fd, None, None, done.time_ns)
        if len(freed_range(call)) > 1:
            process.table.range_end_ns = max(process.table.range_end_ns, done.time_ns)
            process.table.ended_range = freed_range(call)
            process.table.made -= {fd for fd in process.table.made if fd in freed_range(call)}

    def descriptor_pair(self, call: Pending, done: wire.Exit, process: Process) -> None:
        pair = descriptor_pair(call, done)
        if pair:
            known = None if call.contradicted else known_by_section(done.name)
            for fd in pair:
                self.bind(process, fd, None, None, done.time_ns)
            self.bind(process, pair[0], known, section_cloexec(done.name), done.time_ns)
            if 0 <= pair[1] < FD_LIMIT:
                process.table.made.add(pair[1])

    def chdir(self, call: Pending, _: wire.Exit, process: Process) -> None:
        joined = call.path1.joined if call.path1 else None
        process.cwd = joined.text if joined and joined.text.startswith(b"/") else None

    def fchdir(self, call: Pending, _: wire.Exit, process: Process) -> None:
        process.cwd = call.descriptor.text if call.descriptor else None

    def chroot(self, _: Pending, __: wire.Exit, process: Process) -> None:
        process.cwd = None

    def unshare(self, call: Pending, _: wire.Exit, process: Process) -> None:
        if call.arg(0) & CLONE_FILES:
            self.own_table(process)

    def own_table(self, process: Process) -> None:
        if any(other.table is process.table for other in self.processes.values() if other is not process):
            process.table = Table(process.table)

    # ---- rows ----

    def emit(self, thread: Thread, call: Pending, done: wire.Exit | None, last_brk: int | None) -> None:
        """Adds the row, if its syscall is wanted and the filter lets it through."""
        has_failed = done is not None and -4095 <= done.ret < 0
        if not call.rule.flags & wire.RULE_WANTED or (self.failed_only and not has_failed):
            return
        named = {"syscall": self.names[call.enter.syscall], "family": self.families[call.rule.family]}
        self.rows.append(named | row_of(call, done, thread.last_end_ns, last_brk))
        thread.last_end_ns = done.time_ns if done else call.enter.time_ns
