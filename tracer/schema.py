"""The columns of a recording as data: name, Arrow type, unit, meaning, and the version of them all.

Names are never reused, columns only appended. docs/development.md says what else a column needs.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

VERSION = 2
"""Version of the columns below, in every recording's footer as `tracer.schema_version`."""

FOOTER_PREFIX = "tracer."
"""What the names of all keys in a recording's footer begin with."""

TEXT = pa.dictionary(pa.int32(), pa.string())


class Column(NamedTuple):
    """One column: what it is called, how it is stored, in which unit, what it means, and which version brought it."""

    name: str
    type: pa.DataType
    nullable: bool
    unit: str | None
    meaning: str
    since: int = 1


COLUMNS: tuple[Column, ...] = (
    Column("seq", pa.int64(), False, None, "number of the row in this recording, in order of completion"),
    Column("time", pa.timestamp("us", tz="UTC"), False, "us", "wall clock at enter"),
    Column("time_ns", pa.int64(), False, "ns", "boot clock at enter"),
    Column("gap_ns", pa.int64(), True, "ns", "since the thread's previous recorded call ended; null for its first"),
    Column("latency_ns", pa.int64(), True, "ns", "exit minus enter; null for a call that never returns"),
    Column("comm", TEXT, False, None, "the thread's name at that moment"),
    Column("pid", pa.int32(), False, None, "thread group"),
    Column("tid", pa.int32(), False, None, "thread"),
    Column("syscall", TEXT, False, None, "kernel name without prefix"),
    Column("family", TEXT, False, None, "the syscall's family"),
    Column("fd", pa.int32(), True, None, "the descriptor the call works on, or the one it returned"),
    Column("ret", pa.int64(), True, None, "raw return value; null if it never returned"),
    Column("error", TEXT, True, None, "errno name; null on success"),
    Column("is_error", pa.bool_(), False, None, "the call failed; restart codes are not failures"),
    Column("bytes", pa.int64(), True, "bytes", "payload moved; null for calls that move none"),
    Column("requested_bytes", pa.int64(), True, "bytes", "size asked for"),
    Column("offset", pa.int64(), True, "bytes", "file offset argument; the result of lseek"),
    Column("flags", pa.int64(), True, None, "flags as passed"),
    Column("file", TEXT, True, None, "the file the call meant, absolute"),
    Column("file_source", TEXT, True, None, "how the file is known: arg, fd, proc, kernel"),
    Column("old_file", TEXT, True, None, "source of rename and link calls"),
    Column("address_space_bytes", pa.int64(), True, "bytes", "address space gained or given up, in whole pages"),
    Column("requested_sleep_ns", pa.int64(), True, "ns", "sleep asked for; null where unknown"),
    Column("nfds", pa.int32(), True, None, "number of descriptors or events asked for"),
    Column("timeout_ns", pa.int64(), True, "ns", "timeout asked for; null for none (infinite) or unknown"),
    Column("epoll_op", TEXT, True, None, "ADD, DEL or MOD"),
    Column("epoll_target_fd", pa.int32(), True, None, "the descriptor that epoll_ctl changes"),
    Column("epoll_events", pa.int64(), True, None, "the event mask given to epoll_ctl"),
    Column("restarts", pa.int32(), False, None, "interrupted attempts folded into this row"),
    Column("filter_epoch", pa.int32(), False, None, "which filter of the dashboard was active"),
    Column("device", pa.int64(), True, None, "of the descriptor's file, as stat(2) has it; null where unknown", 2),
    Column("inode", pa.int64(), True, None, "of the descriptor's file, as the kernel saw it at the call", 2),
    Column("mount_namespace", pa.int64(), True, None, "in which the thread was, as /proc/PID/ns/mnt has it", 2),
)

SCHEMA = pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in COLUMNS])
"""The Arrow schema of every batch and every recording."""

NEVER_NEGATIVE = ("latency_ns", "bytes")
"""Columns that reports sum up."""
