"""Keeps a profiler's hook from the Python calls of a thread, whose allocations are counted: the hook makes some, too.

`sys.setprofile(None)` does not last: memray sets its hook anew whenever a thread takes the GIL from C++, as Arrow does
to write into a file of Python's. That went into what a recording allocates, some 200 times, and not into what pyarrow
allocates by itself.
"""

from __future__ import annotations

import ctypes

_thread_state = ctypes.pythonapi.PyThreadState_Get
_thread_state.restype = ctypes.c_void_p
_enter_tracing = ctypes.pythonapi.PyThreadState_EnterTracing
_enter_tracing.argtypes = (ctypes.c_void_p,)
_enter_tracing.restype = None


def go_unprofiled() -> None:
    """From now on no hook is called in this thread (https://docs.python.org/3/c-api/init.html). When another profiler
    has begun to watch, it is to be called again; it allocates twice itself."""
    _enter_tracing(_thread_state())
