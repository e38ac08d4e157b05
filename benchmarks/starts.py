"""How long the start of a recording takes in a session that is watched already, as the dashboard begins one. Root.

    python benchmarks/starts.py [STARTS]

What `Watch.start_recording` takes: the recorder's own start, and the wait for the session's next look at the ring, so
that the recording begins between two rows. Each time a recording is started, goes on for a tenth of a second and is
stopped; once while nothing is traced (`sleep`), and once beside `dd bs=1`, which makes calls all the time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from arguments import Parser, positive
from ending import PRINTED, telling
from machine import machine
from workload import EVERY_CALL, new_view

from tracer.pipeline import Command, Filter, LiveSession, Watch

BETWEEN_S = 0.1
IDLE = ["sleep", "3600"]
BUSY = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "status=none"]


def starts_beside(command: list[str], count: int) -> list[float]:
    """Milliseconds of each start while the command runs; it is ended then."""
    target = Command(command)
    over = threading.Event()
    took = []
    with (
        tempfile.TemporaryDirectory(prefix="tracer-bench-") as folder,
        LiveSession(target, EVERY_CALL, Filter(), should_stop=over.is_set) as session,
        ThreadPoolExecutor(1) as pool,
    ):
        watch = Watch(session, new_view())
        running = pool.submit(watch.run)
        try:
            time.sleep(1)  # until it is attached, and the command has begun
            for number in range(count):
                begin = time.perf_counter()
                watch.start_recording(Path(folder, f"{number}.parquet"))
                took.append((time.perf_counter() - begin) * 1e3)
                time.sleep(BETWEEN_S)
                watch.stop_recording()
                time.sleep(BETWEEN_S)
        finally:
            over.set()
            wait([running])
            target.end(grace_s=1)
        running.result()  # raises what the session did: the times of one that failed are nobody's
    return took


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("starts", type=positive, nargs="?", default=51, metavar="STARTS", help="of each kind [51]")
    count = parser.parse_args().starts
    if os.geteuid() != 0:
        parser.error("tracing needs root")
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    for name, command in (("idle", IDLE), ("beside dd bs=1", BUSY)):
        took = starts_beside(command, count)
        spread = f"{min(took):.2f} to {max(took):.2f}, {count} starts"
        print(f"{name}: {statistics.median(took):.2f} ms ({spread})", flush=True)


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
