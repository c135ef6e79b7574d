"""Rows of a table, chosen by number."""

import operator
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty, zeros
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, draw_key, float_dtype, real_array
from rnnfast.layers._block import as_array
from rnnfast.layers._key import generator
from rnnfast.layers.initializers import normal


class Embedding(Layer):
    """y = weight[ids]: a learned vector for each of `num_embeddings` symbols.

    Parameters
    ----------
    num_embeddings : int
        How many symbols: ids run from 0 to num_embeddings - 1.
    embedding_dim : int
        Size of a vector.
    weights : array_like (num_embeddings, embedding_dim), optional
        The first vectors, copied: trained before, say. None draws them.
    frozen : bool
        Whether the vectors stay as they are: they take no gradient then. It may be set later, too.
    padding_idx : int, optional
        A symbol whose vector starts at zero and takes no gradient; -1 is the last symbol.
    word_dropout : float
        While training, the probability that a symbol is dropped: its vector is zero wherever it stands in the batch,
        and the vectors of the others are divided by 1 - word_dropout (Merity et al. 2017, section 4.3).
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first vectors: standard normal, so that what a Glorot layer above adds up has variance 1.

    Notes
    -----
    Parameter: `weight` (num_embeddings, embedding_dim). Given `lengths`, ids beyond a sequence's end may be
    anything: their vectors are zero and take no gradient. `Linear(tied=...)` shares the vectors.

    Examples
    --------
    >>> Embedding(100, 8)(np.array([[3, 1, 4], [1, 5, 9]])).shape
    (2, 3, 8)
    >>> Embedding(2, 3, weights=[[1, 2, 3], [4, 5, 6]], frozen=True)([1, 0]).tolist()
    [[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]]
    """

    block: Block
    input_shape = ("B", "T")
    _cache_table: tuple[int, np.ndarray] | None = None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        weights: Any = None,
        frozen: bool = False,
        padding_idx: int | None = None,
        word_dropout: float = 0.0,
        dtype: Any = "float32",
        seed: Any = None,
    ):
        self.num_embeddings = _check.size(num_embeddings, "num_embeddings")
        self.embedding_dim = _check.size(embedding_dim, "embedding_dim")
        self.padding_idx = None if padding_idx is None else self._symbol(padding_idx)
        self.word_dropout = _check.probability(word_dropout, "word_dropout")
        shape = (self.num_embeddings, self.embedding_dim)
        self.block = Block({"weight": shape}, float_dtype(dtype))
        first = normal(generator(seed), shape) if weights is None else real_array(weights, "weights")
        if first.shape != shape:
            raise ValueError(f"weights must have shape {shape}, (num_embeddings, embedding_dim), got {first.shape}")
        if self.padding_idx is not None:
            first = np.where(np.arange(self.num_embeddings)[:, None] == self.padding_idx, 0, first)
        self.block.set("weight", first)
        self.frozen = frozen

    def _symbol(self, padding_idx: Any) -> int:
        try:
            number = operator.index(padding_idx)
        except TypeError:
            raise TypeError(f"padding_idx must be None or a whole number, got {padding_idx!r}") from None
        if not -self.num_embeddings <= number < self.num_embeddings:
            wanted = f"from {-self.num_embeddings} to {self.num_embeddings - 1}"
            raise ValueError(f"padding_idx must be {wanted}, got {number}")
        return number % self.num_embeddings

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape, self.embedding_dim)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, but for the first values."""
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "frozen": self.frozen,
            "padding_idx": self.padding_idx,
            "word_dropout": self.word_dropout,
            "dtype": str(self.block.dtype),
        }

    def _ids(self, x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray | None]:
        ids = as_array(x, "x")
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
        """Training: y and `backward(dy, grads=None, need_dx=True) -> None`; whole numbers have no gradient.

        With word dropout, `rng` draws which symbols are dropped: a function of its key and of the symbol alone.
        """
        once = BackwardOnce(self.slots())
        ids, beyond = self._ids(x, lengths)
        y = self._look_up(ids, beyond)
        shape, kept = y.shape, None
        if self.word_dropout:
            ones = np.ones((1, self.num_embeddings), self.block.dtype)
            kept = ops.dropout(ones, self.word_dropout, int(draw_key(rng)), 0)[0]
            y *= kept[ids][..., None]

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            if self.frozen:
                return
            used = slice(None) if beyond is None else ~beyond.ravel()
            rows = np.ascontiguousarray(dy.reshape(ids.size, self.embedding_dim)[used])
            total = zeros((self.num_embeddings, self.embedding_dim), self.block.dtype)
            ops.add_rows(total, np.ascontiguousarray(ids.ravel()[used]), rows)
            if kept is not None:
                total *= kept[:, None]
            if self.padding_idx is not None:
                total[self.padding_idx] = 0
            once.add({"weight": total}, grads)

        return y, backward
