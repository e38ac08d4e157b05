"""The compiled kernel program of the last time: compiling it takes seconds, and it is the same until the kernel, bcc or
the program changes.

One file, which only its user may write: who runs the tracer loads it into the kernel. What is not quite as it was
written is compiled anew, and where nothing can be written nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import stat
import tempfile
from pathlib import Path
from types import ModuleType

from tracer.capture import compiler, image
from tracer.capture.compiler import program_folder
from tracer.capture.image import Image

ROOTS_FOLDER = Path("/var/cache/tracer")
FILE_NAME = "kernel-program.json"
MOST_BYTES = 16 << 20
"""A file of more is not ours: the image takes 150 KB."""


def cache_file() -> Path | None:
    """Where it is kept; None for a user whom the system doesn't know.

    Not below $HOME, and of root not where $XDG_CACHE_HOME says: under sudo those may be the invoking user's.
    """
    if os.geteuid() == 0:
        return ROOTS_FOLDER / FILE_NAME
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache"
        except KeyError:
            return None
    return base / "tracer" / FILE_NAME


def key_of(bcc: ModuleType, constants: dict[str, int]) -> str:
    """What the image depends on: kernel, bcc, constants, sources, and how they are compiled."""
    system = os.uname()
    facts = [system.release, system.version, system.machine, getattr(bcc, "__version__", None), constants]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    folder = program_folder()
    for path in sorted(folder.rglob("*.[ch]")):
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for module in (compiler, image):
        digest.update(hashlib.sha256(Path(str(module.__file__)).read_bytes()).digest())
    return digest.hexdigest()


def find(key: str) -> Image | None:
    """The image that was kept under that key; None if there is none, or it can't be trusted."""
    path = cache_file()
    try:
        seal, _, document = _read_own(path).partition(b"\n") if path is not None else (b"", b"", b"")
        kept_key, _, kept = document.partition(b"\n")
        if seal.decode() != hashlib.sha256(document).hexdigest() or kept_key.decode() != key:
            return None
        return Image.load(kept)
    except (OSError, ValueError):
        return None


def keep(key: str, made: Image) -> None:
    """Keep it instead of the one before, if that can be written."""
    path = cache_file()
    if path is None:
        return
    document = key.encode() + b"\n" + made.dump()
    with contextlib.suppress(OSError):
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        _replace(path, hashlib.sha256(document).hexdigest().encode() + b"\n" + document)


def _read_own(path: Path) -> bytes:
    """A regular file's bytes. Raises OSError, and ValueError if somebody else could have written it."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", opener=opener) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ValueError(f"{path} may be somebody else's")
        return file.read(MOST_BYTES)


def _replace(path: Path, data: bytes) -> None:
    """Not synced: what a crash leaves has not its seal. What was left by who was killed here goes."""
    for left in path.parent.glob(f"{path.name}?*"):
        left.unlink()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(data)
            file.close()  # a write may fail only now
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
