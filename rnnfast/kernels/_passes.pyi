from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt

def apply(name: Literal["exp", "tanh", "sigmoid"], array: npt.ArrayLike) -> npt.NDArray[Any]: ...
def accumulate(to: npt.NDArray[Any], source: npt.NDArray[Any]) -> None: ...
def sum_of_squares(flat: npt.ArrayLike) -> float: ...
def mse(
    predictions: npt.ArrayLike, targets: npt.ArrayLike, mask: npt.NDArray[np.bool_] | None = None
) -> tuple[float, int, npt.NDArray[Any]]: ...
def cross_entropy(
    logits: npt.ArrayLike, targets: npt.ArrayLike, mask: npt.NDArray[np.bool_] | None = None
) -> tuple[float, int, npt.NDArray[Any]]: ...
def sgd_step(
    params: npt.NDArray[Any],
    grads: npt.NDArray[Any],
    velocity: npt.NDArray[Any] | None,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    nesterov: bool = False,
) -> None: ...
def adam_step(
    params: npt.NDArray[Any],
    grads: npt.NDArray[Any],
    m: npt.NDArray[Any],
    v: npt.NDArray[Any],
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    step: SupportsIndex,
    scale: float = 1.0,
    decoupled: bool = False,
) -> None: ...
def dropout(
    x: npt.ArrayLike, p: float, key: SupportsIndex, stream: SupportsIndex, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]: ...
def _philox(counter: Sequence[int], key: int) -> list[int]: ...
