"""Whether what counts allocations can count: on operations whose number is known. In a process of its own, since Arrow
must not have chosen its allocator before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import TOP

PROGRAM = """
import json, sys, threading
sys.path.insert(0, sys.argv[1])
from allocations import count

class Known:
    covers, pairs = "", 1
    def __init__(self, allocations, size, threads):
        self.allocations, self.size, self.threads = allocations, size, threads
        self.kept = [None] * allocations
    def prepare(self):
        [bytearray(99) for _ in range(50)]
    def make(self):
        for i in range(self.allocations):
            self.kept[i] = b"x" * self.size
    def call(self):
        return None
    def run(self):
        for _ in range(30):
            self.call()
        if self.threads:
            thread = threading.Thread(target=self.make)
            thread.start()
            thread.join()
        else:
            self.make()
    def finish(self):
        self.kept = [None] * self.allocations
        [bytearray(99) for _ in range(50)]

print(json.dumps([count(Known(*map(int, case.split(","))), all_threads=every == "all") for case, every in
                  (argument.split(":") for argument in sys.argv[2:])]))
"""


@pytest.fixture(scope="module")
def counts() -> dict[str, list[int]]:
    cases = ["0,0,0:ours", "100,1000,0:ours", "100,1000,0:all", "200,1000,1:ours", "200,1000,1:all"]
    command = [sys.executable, "-P", "-c", PROGRAM, str(TOP / "benchmarks"), *cases]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return dict(zip(cases, json.loads(answer.stdout), strict=True))


def test_nothing_is_nothing(counts: dict[str, list[int]]) -> None:
    assert counts["0,0,0:ours"][0] <= 5  # the loop itself: a range and its iterator


def test_each_is_counted_once_and_calls_are_not(counts: dict[str, list[int]]) -> None:
    for case in ("100,1000,0:ours", "100,1000,0:all"):
        allocations, size = counts[case]
        assert 100 <= allocations <= 105
        assert 100_000 <= size <= 105_000  # a bytes object is 33 bytes larger than its text


def test_other_threads_count_when_they_should(counts: dict[str, list[int]]) -> None:
    assert counts["200,1000,1:ours"][0] < 100  # starting a thread
    assert 200 <= counts["200,1000,1:all"][0] < 350
