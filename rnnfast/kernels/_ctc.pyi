from typing import Any

import numpy as np
import numpy.typing as npt

def ctc(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    label_lengths: npt.ArrayLike,
    lengths: npt.ArrayLike,
    weights: npt.ArrayLike,
    blank: int = 0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]: ...
