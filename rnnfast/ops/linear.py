"""y = x Wᵀ + b over the compiled kernels: check, allocate, call."""

from typing import Any

import numpy as np

from rnnfast._backend import in_numpy
from rnnfast.kernels import _linear
from rnnfast.kernels._memory import empty
from rnnfast.ops import _numpy
from rnnfast.ops._arrays import FLOATS, as_array, real, usable, whole

Array = np.ndarray


def _weight(weight: Any) -> Array:
    """The weight of a linear map, or the error that says what is wrong with it."""
    weight = np.asarray(weight)
    if weight.dtype not in FLOATS or weight.ndim != 2 or not weight.size:
        raise TypeError(
            f"weight must be a float32 or float64 matrix, got dtype {weight.dtype} and shape {weight.shape}"
        )
    return weight


def _features(x: Any, inputs: int, dtype: np.dtype) -> Array:
    """x as an array (..., inputs) of this dtype, or the error that says what is wrong with it."""
    x = as_array(x)
    if x.ndim == 0 or x.shape[-1] != inputs:
        raise ValueError(f"x must have shape (..., {inputs}), got {x.shape}")
    return real(x, "x", dtype, x.shape)


def _matrix(array: Array) -> Array:
    """(..., F) as (N, F), where the kernels can read it in place."""
    return usable(array.reshape(-1, array.shape[-1]))


def pack_linear(weight: Array, bias: Array | None = None, activation: str | None = None) -> Any:
    """A linear map in the kernels' layout, once for many calls of `linear` while it does not change.

    Parameters
    ----------
    weight : ndarray (out, in)
    bias : ndarray (out,), contiguous, optional
    activation : None, "relu", "tanh" or "sigmoid"
        `linear` applies it.

    Returns
    -------
    PackedMatrix
        A copy. Under the backend "numpy" it stands for a computation in NumPy, whoever calls.
    """
    if in_numpy():
        return _numpy.NumpyMatrix(weight.T, bias, activation)
    return _linear.PackedMatrix(weight.T, bias, activation)


def linear(x: Any, weight: Array, bias: Array | None = None, *, out: Array | None = None, packed: Any = None) -> Array:
    """y = x Wᵀ + b on the last axis, by the packed product of the recurrent kernels.

    Parameters
    ----------
    x : array_like (..., in)
        Cast to weight's dtype.
    weight : ndarray (out, in)
        float32 or float64.
    bias : ndarray (out,), optional
    out : ndarray (..., out), optional
        C-contiguous. It may overlap x.
    packed : optional
        What `pack_linear` made of weight and bias, while neither has changed; its activation is applied.

    Returns
    -------
    ndarray (..., out)
        The same bits for a row, whatever other rows are in the call.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and dtypes.
    """
    weight = _weight(weight)
    outputs, inputs = weight.shape
    x = _features(x, inputs, weight.dtype)
    shape = (*x.shape[:-1], outputs)
    if packed is None:
        if bias is not None:
            bias = whole(real(bias, "bias", weight.dtype, (outputs,)))
        packed = pack_linear(whole(weight), bias)
    elif (packed.depth, packed.columns, packed.dtype) != (inputs, outputs, weight.dtype):
        raise ValueError(
            f"packed holds another matrix: {packed.dtype} ({packed.depth}, {packed.columns}), "
            f"wanted {weight.dtype} ({inputs}, {outputs})"
        )
    if out is None:
        out = empty(shape, weight.dtype)
    elif not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    elif out.shape != shape or out.dtype != weight.dtype or not out.flags.carray:
        raise ValueError(
            f"out must be a writeable, aligned, C-contiguous {weight.dtype} array of shape {shape}, "
            f"got {out.dtype} {out.shape}"
        )
    elif np.may_share_memory(x, out):
        x = x.copy()
    if isinstance(packed, _numpy.NumpyMatrix):
        out.reshape(-1, outputs)[...] = packed(x.reshape(-1, inputs))
    elif out.size:
        _linear.multiply(packed, _matrix(x), out.reshape(-1, outputs))
    return out


def linear_backward(x: Any, weight: Array, dy: Any, *, need_dx: bool = True) -> tuple[Array | None, Array, Array]:
    """Gradients of `linear`.

    Parameters
    ----------
    x : ndarray (..., in)
    weight : ndarray (out, in)
    dy : ndarray (..., out)
    need_dx : bool

    Returns
    -------
    dx : ndarray (..., in) or None
        dy W.
    dweight : ndarray (out, in)
        dyᵀ x over all rows.
    dbias : ndarray (out,)
        The sum of dy over all rows.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and dtypes.
    """
    weight = _weight(weight)
    outputs, inputs = weight.shape
    x = _features(x, inputs, weight.dtype)
    dy = real(dy, "dy", weight.dtype, (*x.shape[:-1], outputs))
    rows, gradients = _matrix(x), _matrix(dy)
    if not rows.size or not gradients.size:
        return np.zeros_like(x) if need_dx else None, np.zeros_like(weight), np.zeros(outputs, weight.dtype)
    if in_numpy():
        dx = (gradients @ weight).reshape(x.shape) if need_dx else None
        return dx, gradients.T @ rows, gradients.sum(axis=0)
    dweight, dbias = _linear.weight_gradient(rows, gradients)
    dx = None
    if need_dx:
        dx = empty(x.shape, weight.dtype)
        packed = _linear.PackedMatrix(whole(weight))
        _linear.multiply(packed, gradients, dx.reshape(-1, inputs))
    return dx, dweight, dbias
