"""One long sequence, read as several parallel streams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray, npt.NDArray, npt.NDArray[np.int64] | None]


def stream_batches(ids: npt.ArrayLike, batch_size: int, chunk: int) -> Iterator[Batch]:
    """Cut one long sequence into batches for truncated backpropagation with carried state.

    The sequence is laid out as `batch_size` contiguous streams (the layout of the Penn Treebank experiments of
    Zaremba, Sutskever & Vinyals 2014, section 4.1). A batch holds the next `chunk` tokens of every stream, so row b
    of one batch continues row b of the batch before: the state is handed from one to the next. Every token but the
    first is a target exactly once.

    Parameters
    ----------
    ids : integers, shape (N,)
    batch_size : int
        Number of streams B.
    chunk : int
        Longest time K of one batch.

    Yields
    ------
    x : array, shape (B, k), k <= K
    y : array, shape (B, k)
        The token that follows each of x.
    lengths : int64 array, shape (B,), or None
        How many of the k count in each stream. None means all. Only the last batch may have it: where the N - 1
        targets do not divide into B equal streams, some streams are one token shorter, and repeat their last.

    Raises
    ------
    ValueError
        When the sequence has no target for every stream, or an argument is out of range.

    Examples
    --------
    >>> for x, y, lengths in stream_batches(range(8), batch_size=2, chunk=3):
    ...     print(x.tolist(), y.tolist(), lengths)
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]] None
    [[3], [6]] [[4], [7]] [1 0]
    """
    tokens = np.asarray(ids)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(f"ids must be a sequence of integers, got shape {tokens.shape}, dtype {tokens.dtype}")
    if batch_size < 1 or chunk < 1:
        raise ValueError(f"batch_size and chunk must be at least 1, got {batch_size} and {chunk}")
    targets = len(tokens) - 1
    if targets < batch_size:
        raise ValueError(f"the sequence has {len(tokens)} tokens; {batch_size} streams need at least {batch_size + 1}")
    return _cut(tokens, targets, batch_size, chunk)


def _cut(tokens: npt.NDArray, targets: int, batch_size: int, chunk: int) -> Iterator[Batch]:
    short, longer = divmod(targets, batch_size)
    row = np.arange(batch_size)
    starts = row * short + np.minimum(row, longer)
    lengths = short + (row < longer)
    longest = int(lengths[0])
    for begin in range(0, longest, chunk):
        time = np.arange(begin, min(begin + chunk, longest))
        places = starts[:, None] + np.minimum(time, lengths[:, None] - 1)
        left = np.minimum(lengths - begin, len(time))
        yield tokens[places], tokens[places + 1], None if (left == len(time)).all() else left
