from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

class PackedMatrix:
    depth: int
    columns: int
    def __init__(self, matrix: Array, bias: Array | None = None) -> None: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

def multiply(packed: PackedMatrix, x: Array, y: Array) -> None: ...
def weight_gradient(x: Array, dy: Array) -> tuple[Array, Array]: ...
