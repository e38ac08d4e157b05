"""Taking records apart, from Python: what decoding alone finds, and costs."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

_Bytes: TypeAlias = Buffer | npt.NDArray[np.uint8]

def count_records(block: _Bytes) -> int:
    """How many records of a block can be taken apart; what can't be a record ends it.

    Raises ValueError if the block is not aligned to 8 bytes.
    """
