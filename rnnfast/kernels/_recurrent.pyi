from typing import Any

import numpy.typing as npt

from rnnfast.kernels._packed import Packed
from rnnfast.kernels._plan import Call

Array = npt.NDArray[Any]

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
    key: int = 0,
    stream: int = 0,
    trace: bool = False,
    segment: int = 0,
) -> Call | None: ...
def worth_side_by_side(packed: Packed, B: int, T: int) -> bool: ...
def explain(
    packed: Packed, B: int, T: int, lengths: Array | None, training: bool, segment: int = 0
) -> dict[str, int]: ...
