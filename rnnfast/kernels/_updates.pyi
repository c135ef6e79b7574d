from typing import Any, SupportsIndex

import numpy.typing as npt

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
