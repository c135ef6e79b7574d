from typing import Any

import numpy.typing as npt

from rnnfast.kernels._packed import Packed

Array = npt.NDArray[Any]

class Stepper:
    y: Array
    def __init__(self, packed: Packed, batch_size: int) -> None: ...
    def __call__(self, x: Array) -> Array: ...
    def get(self) -> tuple[Array, ...]: ...
    def set(self, h: Array, c: Array | None = None) -> None: ...
