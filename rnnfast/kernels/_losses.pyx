"""Losses with their gradients: passes over the predictions."""

import math

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t

from rnnfast.kernels._passes cimport (
    CROSS_ENTROPY, SQUARED_ERROR, Pass, block_sums, make_pass, mask_array, real_array, run_pass)

cnp.import_array()


def mse(predictions, targets, mask=None):
    """Sum of squared errors, and its gradient: sum of (p - t)², 2 (p - t).

    Parameters
    ----------
    predictions : array of float32 or float64, any shape
    targets : real array of the same shape
    mask : bool array, optional
        True where an element counts. Its shape is that of predictions or the first axes of it, as for (B, T) of
        (B, T, C). What does not count is not read: it may hold anything.

    Returns
    -------
    (float, int, array)
        The sum, the number of elements that count, and the gradient of the sum, zero where nothing counts.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit.

    Examples
    --------
    >>> from rnnfast import ops
    >>> ops.mse(np.array([1.0, 5.0]), np.array([0.0, 2.0]))
    (10.0, 2, array([2., 6.]))
    """
    cdef cnp.ndarray source = real_array("predictions", predictions)
    shape = (<object>source).shape
    wanted = np.asarray(targets)
    if wanted.dtype.kind not in "biuf":
        raise TypeError(f"targets must be real numbers, got {wanted.dtype}")
    if wanted.shape != shape:
        raise ValueError(f"targets must have the shape of predictions, {shape}, got {wanted.shape}")
    cdef cnp.ndarray other = np.require(wanted, source.dtype, ["C", "A"])
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    cdef Pass p = make_pass(SQUARED_ERROR, source.itemsize, source.size)
    cdef cnp.ndarray counts
    count = source.size
    if mask is not None:
        axes = np.ndim(mask)
        counts = mask_array(mask, shape[:axes], f"the first axes of predictions {shape}")
        counts = np.repeat(counts.ravel(), math.prod(shape[axes:]))
        count = int(np.count_nonzero(counts))
        p.mask = <const uint8_t *>cnp.PyArray_DATA(counts)
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.other = <const char *>cnp.PyArray_DATA(other)
    p.to = <char *>cnp.PyArray_DATA(gradient)
    return run_pass(&p, block_sums(source.size)), count, gradient


def cross_entropy(logits, targets, mask=None, weights=None):
    """Sum of the softmax cross-entropies of all rows, and its gradient.

    A row's loss is log(sum of exp(logits)) - logits[target], its gradient softmax(logits) - onehot(target).

    Parameters
    ----------
    logits : (..., C) array of float32 or float64
        Of any size; -inf is fine for a class that is not the target.
    targets : (...) integer array
        Classes, 0 to C - 1.
    mask : (...) bool array, optional
        True where a row counts. Logits and targets of the other rows are not read: they may hold anything.
    weights : (...) array of the dtype of the logits, optional
        What each row's loss and gradient are multiplied by.

    Returns
    -------
    (float, int, array)
        The sum, the number of rows that count, and the gradient of the sum, zero in rows that do not count.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a target that counts is out of range.

    Examples
    --------
    >>> from rnnfast import ops
    >>> total, count, gradient = ops.cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(total, 6), count, gradient
    (1.386294, 1, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    cdef cnp.ndarray source = real_array("logits", logits)
    shape = (<object>source).shape
    if len(shape) == 0:
        raise ValueError("logits must have shape (..., C), got a single number")
    *leading, classes = shape
    leading = tuple(leading)
    wanted = np.asarray(targets)
    if wanted.dtype.kind not in "iu":
        raise TypeError(f"targets must be integers, got {wanted.dtype}")
    if wanted.shape != leading:
        raise ValueError(f"targets must have the shape of logits without the last axis, {leading}, "
                         f"got {wanted.shape}")
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    # Our own copy: nobody can change it between the check and the pass.
    cdef cnp.ndarray chosen = np.array(wanted, np.int64, order="C")
    cdef Py_ssize_t rows = chosen.size, row = 0, counted = 0
    cdef Pass p = make_pass(CROSS_ENTROPY, source.itemsize, rows, classes)
    cdef int64_t last = classes - 1
    cdef cnp.ndarray counts
    if mask is not None:
        counts = mask_array(mask, leading, "that of targets")
        if np.may_share_memory(counts, mask):
            counts = counts.copy()
        p.mask = <const uint8_t *>cnp.PyArray_DATA(counts)
    p.targets = <const int64_t *>cnp.PyArray_DATA(chosen)
    with nogil:
        while row < rows:
            if p.mask == NULL or p.mask[row]:
                if p.targets[row] < 0 or p.targets[row] > last:
                    break
                counted += 1
            row += 1
    if row < rows:
        raise ValueError(f"targets must be classes 0 to {classes - 1} (logits have shape {shape}), got "
                         f"{wanted.flat[row]} at {tuple(map(int, np.unravel_index(row, wanted.shape)))}")
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.to = <char *>cnp.PyArray_DATA(gradient)
    losses = np.zeros(rows)
    total = run_pass(&p, losses)
    if weights is not None:
        scale = np.asarray(weights)
        if scale.dtype != source.dtype or scale.shape != leading:
            raise ValueError(f"weights must be {source.dtype} of shape {leading}, got {scale.dtype} of {scale.shape}")
        gradient *= scale[..., None]
        total = float(math.fsum(losses * scale.ravel()))
    return total, counted, gradient
