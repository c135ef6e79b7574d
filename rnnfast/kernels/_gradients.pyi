from typing import Any

import numpy.typing as npt

from rnnfast.kernels._packed import Packed
from rnnfast.kernels._plan import Call

Array = npt.NDArray[Any]

def backward(
    call: Call,
    dy: Array | None,
    dhn: Array | None,
    dcn: Array | None,
    dx: Array | None,
    dh0: Array,
    dc0: Array | None,
    norms: Array | None = None,
) -> dict[str, Array]: ...
def explain(packed: Packed, B: int, T: int, lengths: Array | None, segment: int = 0) -> int: ...
def fault() -> int: ...
