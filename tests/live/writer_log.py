"""What the writer's thread of a recorder has logged (recorder_log.py), and what that allows to be lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LOGGED = [sys.executable, str(Path(__file__).with_name("recorder_log.py"))]

AT_MOST_NS = 2_000_000_000
"""Half a second until rows are handed out, one until they are made safe, and half a one for the processor to be had."""


class WriterLog:
    """Of one recorder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[dict[str, int]]:
        """What it says by now; a line that is not whole yet left out."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def safe_rows(self) -> int:
        """Rows that a sync has made safe; more of them may be there than that."""
        return max((line["rows"] for line in self.lines() if line["what"] == "synced"), default=0)

    def allowed_ns(self, killed_ns: int) -> int:
        """How old the newest row that is there may be: what a quiet machine takes, how far behind the calls the writer
        was (what waits in the kernel's ring is lost, too), and what the disk took to sync."""
        taken = [line for line in self.lines() if line["what"] == "taken"]
        behind_ns = taken[-1]["at_ns"] - taken[-1]["newest_ns"]
        return AT_MOST_NS + behind_ns + self._syncing_ns(killed_ns)

    def _syncing_ns(self, killed_ns: int) -> int:
        """The time of the last sync that was done, and of one that was under way."""
        syncs = [line["at_ns"] for line in self.lines() if line["what"] in {"sync", "synced"}]
        if len(syncs) % 2:
            syncs.append(killed_ns)
        began, ended = syncs[::2], syncs[1::2]
        return sum(end - begin for begin, end in list(zip(began, ended, strict=True))[-2:])
