"""Class numbers as rows of zeros with a single one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def one_hot(ids: npt.ArrayLike, num_classes: int, *, dtype: npt.DTypeLike = "float32") -> npt.NDArray:
    """Turn integers into rows that are 1 at that place and 0 elsewhere.

    Parameters
    ----------
    ids : integers, any shape
    num_classes : int
        Length of a row; ids lie in 0..num_classes - 1.
    dtype : dtype

    Returns
    -------
    array (..., num_classes)

    Raises
    ------
    ValueError
        When ids are no integers or lie outside.

    Examples
    --------
    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    ids = np.asarray(ids)
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if ids.size and ids.dtype.kind not in "iub":
        raise ValueError(f"ids must be integers, got dtype {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
        raise ValueError(f"ids must lie in 0..{num_classes - 1}, got {ids.min()}..{ids.max()}")
    hot = np.zeros((*ids.shape, num_classes), dtype=dtype)
    np.put_along_axis(hot, ids[..., None].astype(np.int64), 1, axis=-1)
    return hot


def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Turn class numbers into one-hot rows, with the arguments and results of Keras's function of this name.

    Parameters
    ----------
    x : array_like of class numbers, any shape; a last axis of length 1 is dropped
        Numbers of other dtypes are cut to integers.
    num_classes : int, optional
        None: the largest number and one.

    Returns
    -------
    float64 array (..., num_classes)

    Raises
    ------
    ValueError
        When a number is negative or not below num_classes, or there is none to tell num_classes from.

    Examples
    --------
    >>> to_categorical([[1], [0]]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    classes = np.asarray(x).astype(np.int64)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if not num_classes:
        if not classes.size:
            raise ValueError("num_classes must be given where x holds no number")
        num_classes = max(int(classes.max()) + 1, 1)
    return one_hot(classes, num_classes, dtype=np.float64)
