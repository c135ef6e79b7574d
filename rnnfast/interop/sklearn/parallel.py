"""Predictions for many sequences by several processes, on any backend of joblib."""

import os
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from rnnfast.interop.sklearn._estimator import threads
from rnnfast.layers import _check


def predict_parallel(
    model: Any,
    X: Any,
    *,
    method: str = "predict",
    n_jobs: int | None = None,
    chunk_size: int | None = None,
    **how: Any,
) -> Any:
    """What a model tells of many sequences or series, found piece by piece by joblib's workers.

    A single process already computes with several threads; this is for many processes or machines. Each worker
    process computes with one thread. The results are those of one call with all of X, to the last bit.

    Parameters
    ----------
    model : estimator or network
        Any of this package or of scikit-learn, that has been fitted.
    X : array_like (N, ...) or list
        N sequences, or for a forecaster a list of N series.
    method : str
        "predict", "predict_proba", ...
    n_jobs : int, optional
        As of joblib.Parallel: None is one, or what `joblib.parallel_config` says, -1 one for each processor.
    chunk_size : int, optional
        Sequences a piece; None makes four pieces a worker.
    **how
        Goes on to the method.

    Returns
    -------
    numpy.ndarray or list
        As the method gives it.

    Notes
    -----
    The backend is joblib's own choice, processes by loky; `with joblib.parallel_config(backend="dask"):` (or "ray",
    "spark") sends the pieces elsewhere. The model is pickled once for each piece.

    Examples
    --------
    >>> import rnnfast as rf
    >>> model = rf.Sequential(rf.GRU(2, 4, seed=0), rf.Last(), rf.Linear(4, 1, seed=1))
    >>> x = np.ones((10, 5, 2))
    >>> np.array_equal(predict_parallel(model, x, chunk_size=4), model.predict(x))
    True
    """
    call = getattr(model, method, None)
    if not callable(call):
        raise ValueError(f"method must be a method of {type(model).__name__}, got {method!r}")
    if not isinstance(X, (list, tuple)):
        X = np.asarray(X)
    pieces = 4 * effective_n_jobs(n_jobs)
    size = -(-len(X) // pieces) or 1 if chunk_size is None else _check.size(chunk_size, "chunk_size")
    if len(X) <= size:
        return call(X, **how)
    starts = range(0, len(X), size)
    task, caller = delayed(_predict), os.getpid()
    found = Parallel(n_jobs=n_jobs)(task(model, method, X[start : start + size], how, caller) for start in starts)
    return [each for piece in found for each in piece] if isinstance(found[0], list) else np.concatenate(found)


def _predict(model: Any, method: str, x: Any, how: dict[str, Any], caller: int) -> Any:
    # The number is the process's: threads of the caller's own leave it alone.
    with threads(None if os.getpid() == caller else 1):
        return getattr(model, method)(x, **how)
