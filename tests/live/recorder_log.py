"""`tracer-cli`, or a session that is shown and recorded, whose writer's thread logs what it does before and after.

    python recorder_log.py LOG record ...
    python recorder_log.py LOG watch OUTPUT PID

A line of the log is JSON and there as soon as it is written, whatever becomes of us then. Times are the boot clock's.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from tracer._fast import Columns
from tracer.cli import main, no_deaf_thread

with no_deaf_thread():
    from tracer.live.view import LiveView
    from tracer.pipeline import FLUSH_S, Filter, LiveSession, Processes, Watch
    from tracer.sinks.recorder import ParquetRecorder


class LoggingRecorder:
    """What takes the place of `ParquetRecorder`'s steps."""

    def __init__(self, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._take, self._put, self._sync = ParquetRecorder._take, ParquetRecorder._put, ParquetRecorder._sync

    def install(self) -> None:
        def take(recorder: ParquetRecorder, columns: Columns) -> None:
            self.say("taken", newest_ns=int(columns.arrays["time_ns"].max()))
            self._take(recorder, columns)

        def put(recorder: ParquetRecorder, columns: Columns, *, is_last: bool) -> None:
            self._put(recorder, columns, is_last=is_last)
            self.say("written", rows=recorder.rows)

        def sync(recorder: ParquetRecorder, every_s: float) -> None:
            rows = recorder.rows
            self.say("sync", rows=rows)
            self._sync(recorder, every_s)
            if recorder._failure is None:
                self.say("synced", rows=rows)

        ParquetRecorder._take, ParquetRecorder._put, ParquetRecorder._sync = take, put, sync

    def say(self, what: str, **more: int) -> None:
        line = {"what": what, "at_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)} | more
        os.write(self._log, json.dumps(line).encode() + b"\n")


def watch(output: Path, pid: int) -> None:
    """What the dashboard does: a session that is shown, and recorded from some moment on."""
    wanted = frozenset({"getppid"})
    with LiveSession(Processes([pid]), wanted, Filter(), flush_s=FLUSH_S) as session:
        watched = Watch(session, LiveView([], []))
        tracing = threading.Thread(target=watched.run)
        tracing.start()
        watched.start_recording(output)
        tracing.join()


if __name__ == "__main__":
    LoggingRecorder(Path(sys.argv[1])).install()
    if sys.argv[2] == "watch":
        watch(Path(sys.argv[3]), int(sys.argv[4]))
    else:
        del sys.argv[1]
        main()
