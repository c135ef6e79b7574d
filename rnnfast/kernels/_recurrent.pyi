from typing import Any

import numpy.typing as npt

from rnnfast.kernels._packed import Packed

Array = npt.NDArray[Any]

class Call: ...

def forward(
    packed: Packed,
    x: Array,
    h0: Array | None,
    c0: Array | None,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    hn: Array,
    cn: Array | None,
    training: bool,
) -> Call | None: ...
def worth_side_by_side(packed: Packed, B: int, T: int) -> bool: ...
