"""A complete recording of what a crash has left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from tracer import rawformat, schema
from tracer.errors import DamagedFileError, OutputError, TracerError, UsageError
from tracer.folders import walk
from tracer.losses import UNDRAINED, dumped, parse_entries, unknown_since
from tracer.recording import DAMAGE, own_keys
from tracer.repair import scan
from tracer.sinks.footers import MAGIC
from tracer.sinks.output_file import write_error
from tracer.sinks.rewriting import Rewriter
from tracer.sinks.seal import Unsealed, begins_sealed
from tracer.sinks.segments import SEGMENT_START
from tracer.sinks.window import Window
from tracer.temporary import Leftover, is_in_use, leftover, leftovers_in, leftovers_of

T = TypeVar("T")

HINT = "give the temporary file (.NAME.parquet.*.tmp), the recording's name, or the folder with such files"


class Recovered(NamedTuple):
    """What came out of one leftover."""

    temporary: Path
    output: Path
    rows: int
    seconds: float
    segments: int
    """Parts of the file that were whole, the tail not counted."""
    tail_rows: int
    unused_bytes: int
    hole_bytes: int
    """Those in front of rows that were recovered: others are missing before them."""
    is_complete: bool
    """Nothing was missing but the name."""
    is_cleared: bool
    """The temporary files are gone."""
    may_be_shortened: bool
    """The name that it was to get may have been longer than the one it has."""


class Empty(NamedTuple):
    """A leftover of a recording that ended before anything of it was written."""

    temporary: Path
    is_cleared: bool
    """It is gone."""


class NothingSafe(DamagedFileError):
    """A leftover, nobody's by now, whose recorder had not made anything safe yet: nothing is lost but that."""

    def __init__(self, temporary: Path) -> None:
        super().__init__(
            f"nothing in {temporary} can be recovered: it holds no complete segment",
            hint="a recording is made safe once a second: this one ended before, or it is no recording; remove it",
        )
        self.temporary = temporary


def find(path: Path, *, unsearched: Callable[[OSError], object] = lambda _: None) -> list[Leftover]:
    """What was left behind under a temporary name, by a recording of this name, or in this folder and those in it.

    `unsearched` is called for each of those that can't be read: what is in there is not found. Raises UsageError if
    there is nothing, DamagedFileError if that is a raw stream.
    """
    itself = leftover(path)
    if itself is not None and os.path.lexists(path):
        return [itself]
    if _is_folder(path):
        folders = (path / folder for folder, _ in walk(path, refused=unsearched))
        candidates = [candidate for folder in folders for candidate in leftovers_in(folder)]
        found = [one for one in candidates if _looks_like_one(one) or (not is_in_use(one.main) and _is_one(one))]
        raw = [candidate.main for candidate in candidates if _is_raw(candidate.main) and not is_in_use(candidate.main)]
        if raw and not found:
            raise _nothing(raw[0])
    else:
        found = leftovers_of(path)
    if not found:
        raise UsageError(f"nothing was left behind at {path}", hint=HINT)
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long for any file
        return False


def clear_if_empty(left: Leftover, *, keep: bool = False) -> Empty | None:
    """Remove a leftover that holds nothing at all, unless `keep` is given; None for one that holds something.

    Where files can't be locked it stays: it may be one that is being written. Raises UsageError if it is.
    """
    with _opened(left.main) as main:
        if main is not None or not _is_empty(left):
            return None
        return Empty(left.main, not keep and is_in_use(left.main) and _remove(left))


def session_of(left: Leftover) -> str | None:
    """What it says of the session that has left it; empty if it doesn't. None if nothing of it can be recovered now."""
    try:
        with _opened(left.main) as main, _opened(left.tail) as tail:
            keys = (scan.keys(main) if main else None) or (_tail_keys(tail) if tail else None)
    except (*DAMAGE, TracerError):
        return None
    return None if keys is None else own_keys(keys).get("session", "")


def _tail_keys(tail: Window) -> dict[bytes, bytes] | None:
    with pa.ipc.open_stream(Unsealed(tail)) as reader:
        return dict(reader.schema.metadata or {}) if next(iter(reader), None) is not None else None


def recover(left: Leftover, output: Path | None = None, *, force: bool = False, keep: bool = False) -> Recovered:
    """Make a recording of what was left; then remove that, unless `keep` is given.

    Raises UsageError if it is still being written or gone, DamagedFileError if there is nothing in it, OutputError.
    What has the name already may be what was recovered before: no hint is to replace it.
    """
    output = left.wished if output is None else output
    with contextlib.ExitStack() as stack:
        main = stack.enter_context(_opened(left.main))
        tail = stack.enter_context(_opened(left.tail))
        if main is None and tail is None:
            raise _nothing(left.main) if _is_there(left) else _gone(left.main)
        # killed between the link and the end of the other name: the recording that would be replaced is this one
        force = force or is_same(left.main, output)
        if not force and os.path.lexists(output) and not output.is_dir():
            hint = f"give it another name: `tracer-cli recover {shlex.quote(str(left.main))} -o OTHER`"
            raise OutputError(f"{output} exists", hint=hint)
        recovered = _Recovery(left, output, main, tail, force=force).run()
        return recovered._replace(is_cleared=not keep and _remove(left))


def is_same(path: Path, other: Path) -> bool:
    """Whether both are there, and the same file."""
    try:
        return path.samefile(other)
    except OSError:
        return False


class _Recovery:
    """One leftover on its way into a recording."""

    def __init__(self, left: Leftover, output: Path, main: Window | None, tail: Window | None, *, force: bool) -> None:
        self._left = left
        self._output = output
        self._main = main
        self._tail = tail
        self._scan = scan.scan(main) if main is not None else scan.NOTHING
        self._keys: dict[bytes, bytes] = {}
        self._unused_bytes = main.size - self._scan.used_bytes if main is not None else 0
        self._hole_bytes = scan.hole_bytes(self._scan)
        self._tail_used = 0
        self._rewriter = Rewriter(output, force=force)

    def run(self) -> Recovered:
        """Write and complete the recording."""
        try:
            segments = sum(self._take_segment(segment) for segment in self._scan.segments)
            before = self._rewriter.seen
            self._take_tail()
            if not self._rewriter.seen and not (self._is_complete and segments):
                raise self._nothing()
            self._rewriter.close(self._footer(segments))
        except (OSError, pa.ArrowException) as error:
            raise write_error(self._output, error) from error
        finally:
            self._rewriter.abort()
        return Recovered(
            temporary=self._left.main,
            output=self._output,
            rows=self._rewriter.rows,
            seconds=self._rewriter.seconds,
            segments=segments,
            tail_rows=self._rewriter.rows - before,
            unused_bytes=self._unused_bytes,
            hole_bytes=self._hole_bytes,
            is_complete=self._is_complete,
            is_cleared=False,
            may_be_shortened=self._left.may_be_shortened and self._output == self._left.wished,
        )

    @property
    def _is_complete(self) -> bool:
        return self._scan.footer is not None and not self._unused_bytes

    def _nothing(self) -> DamagedFileError:
        """Why nothing came of it. Where files can't be locked, nobody knows whether it is still being written."""
        was_safe = self._scan.segments or (self._main is not None and scan.was_sealed(self._main))
        was_safe = was_safe or (self._tail is not None and begins_sealed(self._tail))
        if was_safe or _is_raw(self._left.main) or not any(is_in_use(path) for path in self._left.files):
            return _nothing(self._left.main)
        return NothingSafe(self._left.main)

    def _take_segment(self, segment: scan.Segment) -> bool:
        """Whether all of it could be read."""
        assert self._main is not None
        self._keys = dict(segment.keys)
        damaged: list[BaseException] = []
        for batch in _until_damaged(scan.batches(self._main, segment), damaged):
            self._rewriter.write(batch)
        if damaged:
            self._unused_bytes += segment.end - segment.start
            self._hole_bytes += segment.end - segment.start
        return not damaged

    def _take_tail(self) -> None:
        """The rows of the tail that aren't in the file itself: it goes only when they are."""
        if self._tail is None or self._scan.footer is not None:
            return
        next_seq = self._rewriter.next_seq
        damaged: list[BaseException] = []
        for batch, keys in _until_damaged(self._tail_batches(self._tail), damaged):
            rows = batch.filter(pc.greater_equal(batch.column("seq"), next_seq))
            self._rewriter.write(rows)
            self._keys |= keys if rows.num_rows else {}
        self._unused_bytes += self._tail.size - self._tail_used

    def _tail_batches(self, tail: Window) -> Iterator[tuple[pa.RecordBatch, dict[bytes, bytes]]]:
        """Each batch, and the footer as it was then."""
        source = Unsealed(tail)
        with pa.ipc.open_stream(source) as reader:
            keys = dict(reader.schema.metadata or {})
            with contextlib.suppress(StopIteration):
                while True:
                    batch, news = reader.read_next_batch_with_custom_metadata()
                    keys |= dict(news or {})
                    yield scan.checked(batch), keys
                    self._tail_used = source.used_bytes

    def _footer(self, segments: int) -> dict[str, str]:
        keys = self._keys if self._scan.footer is None else self._scan.footer
        own = own_keys(keys)
        own.pop(SEGMENT_START.removeprefix(schema.FOOTER_PREFIX), None)
        own["schema_version"] = str(schema.VERSION)
        if self._is_complete:
            return own
        own["loss"] = _with_unknown_end(own.get("loss"))
        if not self._hole_bytes:  # only then is it known since when calls are missing
            entries = [*parse_entries(own.get("losses")), unknown_since(self._rewriter.ended_ns)]
            own["losses"] = json.dumps(dumped(entries), separators=(",", ":"))
        return own | {"recovered": json.dumps({"segments": segments, "unused_bytes": self._unused_bytes})}


def _with_unknown_end(loss: str | None) -> str:
    """The losses up to a crash: nobody knows how much was in the kernel's ring then."""
    try:
        known = json.loads(loss or "{}")
    except (ValueError, RecursionError):
        known = {}
    return json.dumps((known if isinstance(known, dict) else {}) | {UNDRAINED: None})


def _until_damaged(batches: Iterator[T], damaged: list[BaseException]) -> Iterator[T]:
    """The batches that can be read; then why no more can, if so."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except DAMAGE as error:
            damaged.append(error)
            return
        yield batch


def _remove(left: Leftover) -> bool:
    """Whether all that was left is gone: the disk may be read-only since it failed."""
    for path in left.files:
        with contextlib.suppress(OSError):
            path.unlink()
    return not _is_there(left)


def _is_there(left: Leftover) -> bool:
    return any(os.path.lexists(path) for path in left.files)


def _gone(path: Path) -> UsageError:
    return UsageError(f"{path} is not there any more", hint="its recording was completed or recovered meanwhile")


def _nothing(path: Path) -> DamagedFileError:
    if _is_raw(path):
        return DamagedFileError(
            f"{path} is a raw stream, of which nothing can be recovered",
            hint="remove it; if it lacks nothing but its name, `tracer-cli replay` makes a recording of it",
        )
    return DamagedFileError(
        f"nothing in {path} can be recovered: what is in it is damaged, or no recording", hint="remove it"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Window | None]:
    """The file's bytes, and its lock; None if it is not there or empty. Its recorder has the lock until it has given
    the file another name: whoever gets the lock then looks whether there is anything to do."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise UsageError(f"can't open {path}: {error.strerror}", hint=HINT) from error
    try:
        _take(descriptor, path)
        found = os.fstat(descriptor)
        yield _Readable(descriptor, found.st_size, path) if found.st_size and _leads_to(path, found) else None
    finally:
        os.close(descriptor)


def _leads_to(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), found)
    except OSError:
        return False


class _Readable(Window):
    """A file of a leftover. What can't be read is no damage: nothing is made of the rest, and all is left as it was.

    Raises DamagedFileError.
    """

    def __init__(self, descriptor: int, size: int, path: Path) -> None:
        super().__init__(descriptor, size)
        self._path = path

    def read(self, size: int, start: int) -> bytes:
        """At most so many bytes, at once."""
        try:
            return super().read(size, start)
        except OSError as error:
            raise DamagedFileError(
                f"{self._path} can't be read: {error.strerror}",
                hint="copy what can be read of it, and recover the copy",
            ) from error


def _take(descriptor: int, path: Path) -> None:
    """Be the only one at work on the file. Raises UsageError if it is no file, or its recorder lives."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UsageError(f"{path} is no file", hint=HINT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path} is still being written", hint="end that recording, which completes it") from None
    except OSError:  # a file system without locks
        return


def _looks_like_one(left: Leftover) -> bool:
    try:
        return left.tail.exists() or _begins_with(left.main, MAGIC)
    except OSError:
        return False


def _is_one(left: Leftover) -> bool:
    """Whether one that does not look like one is: it holds nothing yet, or its first page never reached the disk."""
    if _is_empty(left):
        return True
    try:
        with _opened(left.main) as main:
            return main is not None and bool(scan.scan(main).segments)
    except (OSError, UsageError):
        return False


def _is_empty(left: Leftover) -> bool:
    """Whether there are files, and nothing in any of them."""
    found = [path.lstat() for path in left.files if os.path.lexists(path)]
    return bool(found) and all(stat.S_ISREG(status.st_mode) and not status.st_size for status in found)


def _is_raw(path: Path) -> bool:
    return _begins_with(path, rawformat.MAGIC)


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False
