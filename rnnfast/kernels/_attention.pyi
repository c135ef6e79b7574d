from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

class Memory:
    count: int
    def __init__(self, keys: Array, values: Array, lengths: Array | None, additive: bool, training: bool) -> None: ...
