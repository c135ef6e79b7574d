import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

class Frontier:
    rows: Ids
    tokens: Ids
    parents: Ids
    def __init__(self, tokens: Ids, beam_size: int, stop: int, min_length: int, max_length: int) -> None: ...
    def advance(self, log_probs: npt.NDArray[np.floating]) -> bool: ...
    def best(self, row: int) -> tuple[float, Ids, Ids] | None: ...
