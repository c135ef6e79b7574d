from typing import Any

import numpy as np
import numpy.typing as npt

def crf(
    potentials: npt.ArrayLike, targets: npt.ArrayLike, lengths: npt.ArrayLike | None, weights: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]: ...
def crf_marginals(
    potentials: npt.ArrayLike, lengths: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]: ...
def crf_viterbi(
    potentials: npt.ArrayLike, lengths: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
def crf_best_paths(
    potentials: npt.ArrayLike, lengths: npt.ArrayLike | None, n_best: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
