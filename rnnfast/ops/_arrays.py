"""Checks that the functions on arrays share."""

from typing import Any

import numpy as np

Array = np.ndarray

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_array(value: Any) -> Array:
    """`value` as an array, in place where NumPy can have its memory: tensors of PyTorch, JAX and others on a CPU."""
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def real(value: Any, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> Array:
    """`value` as an array of this dtype and shape, or the error that says what is wrong with it."""
    array = as_array(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array if array.dtype == dtype else array.astype(dtype)


def usable(array: Array) -> Array:
    """The same numbers where the kernels can read them in place: aligned, whole elements apart, features contiguous."""
    if (array.shape[-1] > 1 and array.strides[-1] != array.itemsize) or not array.flags.aligned:
        return array.copy()
    return array


def whole(array: Array) -> Array:
    """The same numbers, C-contiguous and aligned. (`numpy.require` takes five microseconds to find that they are.)"""
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, requirements=["C", "A"])


def overlaps_itself(array: Array) -> bool:
    """Whether elements may share an address: broadcast arrays, sliding windows."""
    end = array.itemsize
    for stride, count in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if count > 1:
            if stride < end and array.size:
                return True
            end += stride * (count - 1)
    return False


def sequence_lengths(lengths: Any, shape: tuple[int, ...]) -> Array:
    """Lengths of sequences whose leading axes are `shape`, (B, T), or (T,) for one: int64 (B,), each from 0 to T."""
    if len(shape) not in (1, 2):
        raise ValueError(f"lengths need x of shape (B, T, ...) or (T, ...), got leading axes {shape}")
    array = as_array(lengths)
    B, T = shape if len(shape) == 2 else (1, shape[0])
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"lengths must be integers, got dtype {array.dtype}")
    if array.shape != (B,) and not (array.shape == () and len(shape) == 1):
        raise ValueError(f"lengths must have shape ({B},), one for each sequence, got {array.shape}")
    if array.size and not (array.min() >= 0 and array.max() <= T):
        raise ValueError(f"lengths must be from 0 to {T}, got {array.min()} to {array.max()}")
    return array.reshape(B).astype(np.int64)
