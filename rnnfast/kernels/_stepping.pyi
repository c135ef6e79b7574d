from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

def embed(table: Array, tokens: npt.NDArray[Any], x: Array) -> None: ...
def log_softmax(logits: Array) -> None: ...
