"""The hot jobs, compiled: ring draining, pairing, descriptor tables, column building. Importable alone.

`Pairer`, `FdCache` and `ColumnBuilder` do one job each, `Engine` does all three in one pass over a block of records
(the format is in bpf/events.h). Nothing in here needs bcc, Arrow or root.
"""

from tracer._fast.batch import Columns
from tracer._fast.columns import ColumnBuilder
from tracer._fast.engine import Engine
from tracer._fast.fdcache import FdCache
from tracer._fast.pairer import Pairer

__all__ = ["ColumnBuilder", "Columns", "Engine", "FdCache", "Pairer"]
