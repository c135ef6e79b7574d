from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from rnnfast.kernels._step import Step

Array = npt.NDArray[Any]

@overload
def layer_norm(
    x: Array, weight: Array, bias: Array, epsilon: float, valid: Array | None = None, save: Literal[False] = False
) -> tuple[Array, None]: ...
@overload
def layer_norm(
    x: Array, weight: Array, bias: Array, epsilon: float, valid: Array | None, save: Literal[True]
) -> tuple[Array, Array]: ...
def layer_norm_backward(
    dy: Array, x: Array, statistics: Array, weight: Array, valid: Array | None = None, need_dx: bool = True
) -> tuple[Array | None, Array, Array]: ...
def moments(x: Array, valid: Array | None = None) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def shifted(x: Array, mean: Array, factor: Array, bias: Array, valid: Array | None = None) -> Array: ...
def batch_norm_backward(
    dy: Array,
    x: Array,
    mean: Array,
    scale: Array,
    weight: Array,
    valid: Array | None = None,
    count: int = 0,
    need_dx: bool = True,
) -> tuple[Array | None, Array, Array]: ...

class NormStep(Step):
    def __init__(self, weight: Array, bias: Array, mean: Array | None, epsilon: float, rows: int) -> None: ...
