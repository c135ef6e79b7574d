"""Sequences of different lengths as one array, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> npt.NDArray:
    """Pad sequences to one length, with the arguments, defaults and results of Keras's function of this name.

    Note the defaults: sequences are padded and cut at their **front**, and numbers become 32-bit integers, fractions
    cut off. For rnnfast's own layers, which read lengths, `pad` is the better choice.

    Parameters
    ----------
    sequences : list of array_like (T_i,) or (T_i, ...)
        Entries may be empty. All must agree in every axis but the first.
    maxlen : int, optional
        Length T of the result; longer sequences are cut. None: that of the longest.
    dtype : dtype
        Of the result.
    padding : {"pre", "post"}
        Where `value` is put: before or after a sequence.
    truncating : {"pre", "post"}
        Where too long a sequence is cut: at its front or at its end.
    value : number
        What stands where no sequence is.

    Returns
    -------
    array (N, T) or (N, T, ...)

    Raises
    ------
    TypeError, ValueError
        When `sequences` is no list of sequences, their shapes differ, or another argument is none of those above.

    Examples
    --------
    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    _check_side(padding, "padding")
    _check_side(truncating, "truncating")
    lengths = _lengths(sequences)
    if maxlen is None:
        maxlen = max(lengths, default=0)
    elif maxlen < 0:
        raise ValueError(f"maxlen must not be negative, got {maxlen}")
    rest = next((np.asarray(entry).shape[1:] for entry in sequences if len(entry)), ())
    padded = np.full((len(lengths), maxlen, *rest), value, dtype=dtype)
    for row, (entry, length) in enumerate(zip(sequences, lengths, strict=True)):
        if not length:
            continue
        kept = min(length, maxlen)
        part = np.asarray(entry[length - kept :] if truncating == "pre" else entry[:kept], dtype=dtype)
        if kept and part.shape[1:] != rest:
            raise ValueError(f"sequence {row} has shape {np.shape(entry)}, others have (..., {str(rest)[1:-1]})")
        place = slice(maxlen - kept, None) if padding == "pre" else slice(kept)
        padded[row, place] = part
    return padded


def pad(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    truncating: str = "post",
    value: Any = 0,
) -> tuple[npt.NDArray, npt.NDArray[np.int64]]:
    """Pad sequences at their end, as rnnfast's layers take them, and say how long each is.

    Parameters
    ----------
    sequences : list of array_like (T_i,) or (T_i, ...)
    maxlen : int, optional
        Length T of the result; longer sequences are cut. None: that of the longest.
    dtype : dtype, optional
        Of the result. None: one that holds all of the sequences' numbers.
    truncating : {"pre", "post"}
        Where too long a sequence is cut: at its front or at its end.
    value : number
        What stands beyond the ends.

    Returns
    -------
    x : array (N, T) or (N, T, ...)
    lengths : int64 array (N,)

    Raises
    ------
    TypeError, ValueError
        As `pad_sequences`.

    Examples
    --------
    >>> x, lengths = pad([[1], [], [4, 5, 6]])
    >>> x.tolist(), lengths.tolist()
    ([[1, 0, 0], [0, 0, 0], [4, 5, 6]], [1, 0, 3])
    """
    lengths = np.array(_lengths(sequences), dtype=np.int64)
    if dtype is None:
        # An empty list is float64 to NumPy; it must not make integers floats.
        found = [np.asarray(entry).dtype for entry in sequences if len(entry)]
        dtype = np.result_type(*found) if found else np.float32
    x = pad_sequences(sequences, maxlen, dtype, "post", truncating, value)
    return x, np.minimum(lengths, x.shape[1])


def unpad(x: npt.ArrayLike, lengths: npt.ArrayLike, *, padding: str = "post") -> list[npt.NDArray]:
    """Cut a padded array into sequences without padding: the inverse of `pad`.

    Parameters
    ----------
    x : array_like (N, T, ...)
    lengths : integers (N,)
    padding : {"pre", "post"}
        Where the padding stands.

    Returns
    -------
    list of arrays (T_i, ...)
        Views of x.

    Raises
    ------
    ValueError
        When the lengths do not fit x.

    Examples
    --------
    >>> [sequence.tolist() for sequence in unpad([[1, 0, 0], [4, 5, 6]], [1, 3])]
    [[1], [4, 5, 6]]
    """
    _check_side(padding, "padding")
    x, lengths = np.asarray(x), np.asarray(lengths)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, T, ...), got {x.shape}")
    if lengths.size == 0:
        lengths = lengths.astype(np.int64)
    if lengths.shape != x.shape[:1] or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"lengths must be whole numbers, shape {x.shape[:1]}, got shape {lengths.shape}, dtype {lengths.dtype}"
        )
    time = x.shape[1]
    if ((lengths < 0) | (lengths > time)).any():
        raise ValueError(f"lengths must lie in 0..{time}, got {lengths.min()}..{lengths.max()}")
    if padding == "pre":
        return [row[time - length :] for row, length in zip(x, lengths.tolist(), strict=True)]
    return [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]


def _lengths(sequences: Sequence[Any]) -> list[int]:
    if not hasattr(sequences, "__len__"):
        raise TypeError(f"sequences must be a list of sequences, got {type(sequences).__name__}")
    found = []
    for row, entry in enumerate(sequences):
        try:
            found.append(len(entry))
        except TypeError:
            raise ValueError(f"sequences must be a list of sequences, entry {row} is {entry!r}") from None
    return found


def _check_side(side: str, name: str) -> None:
    if side not in ("pre", "post"):
        raise ValueError(f"{name} must be 'pre' or 'post', got {side!r}")
