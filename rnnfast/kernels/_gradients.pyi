from typing import Any

import numpy.typing as npt

from rnnfast.kernels._recurrent import Call

Array = npt.NDArray[Any]

def backward(
    call: Call,
    dy: Array | None,
    dhn: Array | None,
    dcn: Array | None,
    dx: Array | None,
    dh0: Array,
    dc0: Array | None,
) -> dict[str, Array]: ...
def fault() -> int: ...
