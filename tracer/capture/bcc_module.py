"""Finding the distribution's bcc from inside any virtual environment.

The PyPI project called `bcc` is something else. The distribution's package is pure Python over `libbcc.so`, so the
one that belongs to the system's Python works under any other one too.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tracer.errors import MachineError

INSTALL_HINT = (
    "install the distribution's package: `apt-get install python3-bpfcc` (Debian, Ubuntu), "
    "`dnf install python3-bcc` (Fedora), `pacman -S python-bcc` (Arch)"
)


def system_folders() -> list[Path]:
    """Where distributions put Python packages, most likely first."""
    return [
        Path("/usr/lib/python3/dist-packages"),
        *sorted(Path("/usr/lib").glob("python3*/site-packages"), reverse=True),
    ]


def load() -> ModuleType:
    """The module `bcc` of the distribution.

    Raises MachineError, with what to install, if there is none.
    """
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    for folder in system_folders():
        package = folder / "bcc" / "__init__.py"
        if package.is_file():
            return _load_from(package)
    raise MachineError("bcc is not installed", hint=INSTALL_HINT)


def _load_from(package: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bcc", package, submodule_search_locations=[str(package.parent)])
    if spec is None or spec.loader is None:
        raise MachineError(f"bcc at {package.parent} can't be loaded", hint=INSTALL_HINT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        del sys.modules["bcc"]
        raise MachineError(f"bcc at {package.parent} can't be loaded: {error}", hint=INSTALL_HINT) from error
    return module
