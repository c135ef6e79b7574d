from typing import Any

import numpy as np
import numpy.typing as npt

def mse(
    predictions: npt.ArrayLike, targets: npt.ArrayLike, mask: npt.NDArray[np.bool_] | None = None
) -> tuple[float, int, npt.NDArray[Any]]: ...
def cross_entropy(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    mask: npt.NDArray[np.bool_] | None = None,
    weights: npt.ArrayLike | None = None,
    *,
    class_weights: npt.ArrayLike | None = None,
    label_smoothing: float = 0,
) -> tuple[float, Any, npt.NDArray[Any]]: ...
def binary_cross_entropy(
    predictions: npt.ArrayLike,
    targets: npt.ArrayLike,
    mask: npt.NDArray[np.bool_] | None = None,
    weights: npt.ArrayLike | None = None,
    *,
    positive_weights: npt.ArrayLike | None = None,
    label_smoothing: float = 0,
    from_logits: bool = True,
) -> tuple[float, int, npt.NDArray[Any]]: ...
