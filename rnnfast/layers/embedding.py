"""Rows of a table, chosen by number."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty, zeros
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype
from rnnfast.layers.initializers import normal


class Embedding(Layer):
    """y = weight[ids]: a learned vector for each of `num_embeddings` symbols.

    Parameters
    ----------
    num_embeddings : int
        How many symbols: ids run from 0 to num_embeddings - 1.
    embedding_dim : int
        Size of a vector.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first vectors: standard normal, so that what a Glorot layer above adds up has variance 1.

    Notes
    -----
    Parameter: `weight` (num_embeddings, embedding_dim). Given `lengths`, ids beyond a sequence's end may be
    anything: their vectors are zero and take no gradient.

    Examples
    --------
    >>> Embedding(100, 8)(np.array([[3, 1, 4], [1, 5, 9]])).shape
    (2, 3, 8)
    """

    block: Block
    input_shape = ("B", "T")
    _cache_table: tuple[int, np.ndarray] | None = None

    def __init__(self, num_embeddings: int, embedding_dim: int, *, dtype: Any = "float32", seed: Any = None):
        self.num_embeddings = _check.size(num_embeddings, "num_embeddings")
        self.embedding_dim = _check.size(embedding_dim, "embedding_dim")
        shape = (self.num_embeddings, self.embedding_dim)
        self.block = Block({"weight": shape}, float_dtype(dtype))
        self.block.set("weight", normal(np.random.default_rng(seed), shape))

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape, self.embedding_dim)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "dtype": str(self.block.dtype),
        }

    def _ids(self, x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray | None]:
        ids = np.asarray(x)
        if ids.dtype.kind not in "iu" and ids.size:
            raise TypeError(f"Embedding: x must hold integers, got dtype {ids.dtype}")
        beyond = _check.padding(lengths, ids.shape)
        if beyond is not None:
            ids = np.where(beyond, 0, ids)
        if ids.size and not (ids.min() >= 0 and ids.max() < self.num_embeddings):
            where = np.argwhere((ids < 0) | (ids >= self.num_embeddings))[0].tolist()
            wanted = f"0 to {self.num_embeddings - 1}"
            raise ValueError(f"Embedding: x must hold numbers from {wanted}, got {ids[tuple(where)]} at {where}")
        return ids.astype(np.int64), beyond

    def _stream_steps(self, rows: int) -> list[Any]:
        from rnnfast.layers.stream import Entry

        version, cached = self.block.version, self._cache_table
        if cached is None or cached[0] != version:
            # Streams keep the parameters as they were: one copy for all streams of a version.
            cached = self._cache_table = (version, self.block.array("weight").copy())
        return [Entry(self._step_ids, cached[1])]

    def _step_ids(self, x: Any, count: int) -> np.ndarray:
        """One step's ids as int64 (count,)."""
        ids, _ = self._ids(x, None)
        if ids.shape != (count,) and not (ids.shape == () and count == 1):
            raise ValueError(f"Embedding: x must have shape ({count},), one id for each sequence, got {ids.shape}")
        return ids.reshape(count).astype(np.int64)

    def _look_up(self, ids: np.ndarray, beyond: np.ndarray | None) -> np.ndarray:
        y = empty((*ids.shape, self.embedding_dim), self.block.dtype)
        self.block.array("weight").take(ids, axis=0, out=y, mode="clip")  # "raise" would go through a copy
        if beyond is not None:
            y[beyond] = 0
        return y

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like of int (...)
            Any integer dtype.
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (..., embedding_dim).
        """
        return self._look_up(*self._ids(x, lengths))

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> None`; whole numbers have no gradient."""
        once = BackwardOnce(self.slots())
        ids, beyond = self._ids(x, lengths)
        y = self._look_up(ids, beyond)
        shape = y.shape

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            used = slice(None) if beyond is None else ~beyond.ravel()
            rows = np.ascontiguousarray(dy.reshape(ids.size, self.embedding_dim)[used])
            total = zeros((self.num_embeddings, self.embedding_dim), self.block.dtype)
            ops.add_rows(total, np.ascontiguousarray(ids.ravel()[used]), rows)
            once.add({"weight": total}, grads)

        return y, backward
