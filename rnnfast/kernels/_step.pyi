from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.kernels._linear import PackedMatrix
from rnnfast.kernels._packed import Packed

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.intp]

class Step:
    rows: int
    input_size: int
    output_size: int
    has_state: bool
    @property
    def dtype(self) -> np.dtype[Any]: ...

class RecurrentStep(Step):
    def __init__(self, packed: Packed, rows: int) -> None: ...
    def clear(self, numbers: Numbers) -> None: ...
    def get(self, numbers: Numbers) -> tuple[Array, ...]: ...
    def set(self, numbers: Numbers, h: Array, c: Array | None = None) -> None: ...

class LinearStep(Step):
    def __init__(self, packed: PackedMatrix, rows: int) -> None: ...
