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
    weights: npt.NDArray[np.floating] | None = None,
) -> tuple[float, int, npt.NDArray[Any]]: ...
