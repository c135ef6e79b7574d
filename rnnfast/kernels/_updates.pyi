from collections.abc import Sequence

import numpy as np

def update(
    rule: str,
    params: np.ndarray,
    grads: np.ndarray,
    states: Sequence[np.ndarray] = (),
    numbers: Sequence[float] = (),
    *,
    scale: float = 1.0,
    clip_value: float = ...,
    decay: float = 0.0,
    shrink: float = 1.0,
) -> None: ...
