"""A folder for a fuzzer, which never comes to tidy up: libFuzzer ends its process itself, and so does what kills it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path


def scratch_folder() -> Path:
    """A new folder that is removed when this process is gone, however that comes.

    Another process waits for it: at the other end of a socket, in a session of its own, so that no signal to the
    fuzzer's group reaches it. A kill of both (a container that ends) leaves the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="tracer-fuzz-"))
    theirs, ours = socket.socketpair()  # nothing that we run inherits them
    if os.fork():
        theirs.close()
        ours.recv(1)
        ours.detach()  # open for as long as we are there
        return folder
    try:
        ours.close()
        _remove_at_the_end(folder, theirs)
    finally:
        os._exit(0)


def _remove_at_the_end(folder: Path, fuzzer: socket.socket) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # whoever reads what the fuzzer says waits for all who could write
        os.dup2(nowhere, stream)
    fuzzer.send(b"!")
    fuzzer.recv(1)
    shutil.rmtree(folder, ignore_errors=True)
