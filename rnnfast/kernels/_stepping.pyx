"""What a search's step needs beside the decoder's own: vectors of tokens, and log-probabilities of those that follow."""

cimport numpy as cnp
from libc.math cimport log
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import numpy as np

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore, kernel_table

cnp.import_array()

ctypedef fused real:
    float
    double


def embed(cnp.ndarray table not None, cnp.ndarray tokens not None, cnp.ndarray x not None):
    """Rows of a table to the first columns of rows.

    Parameters
    ----------
    table : ndarray of shape (V, E)
        Rows contiguous.
    tokens : int64 ndarray of shape (N,)
    x : ndarray of shape (N, I), I at least E
        Rows contiguous; the first E columns are written.

    Raises
    ------
    ValueError
        For a token that is none of 0 to V - 1; nothing is written.
    """
    cdef ptrdiff_t i, N = len(x), V = len(table), row = cnp.PyArray_STRIDE(table, 0), step = cnp.PyArray_STRIDE(x, 0)
    cdef ptrdiff_t size = cnp.PyArray_DIM(table, 1) * table.itemsize
    cdef const int64_t *ids
    tokens = np.ascontiguousarray(tokens, np.int64)
    if len(tokens) != N or tokens.ndim != 1:
        raise ValueError(f"tokens must have shape ({N},), got {(<object>tokens).shape}")
    ids = <const int64_t *>cnp.PyArray_DATA(tokens)
    for i in range(N):
        if not 0 <= ids[i] < V:
            raise ValueError(f"tokens must be from 0 to {V - 1}, got {ids[i]} at {i}")
    for i in range(N):
        memcpy(cnp.PyArray_BYTES(x) + i * step, cnp.PyArray_BYTES(table) + ids[i] * row, size)


cdef void normalize(const kernel_table *table, real *row, real *powers, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t k
    cdef real highest = row[0], shift
    cdef double sums[4]
    for k in range(1, count):
        highest = row[k] if row[k] > highest else highest
    for k in range(count):
        row[k] -= highest
    table.passes.exp(powers, row, count)
    sums[0] = sums[1] = sums[2] = sums[3] = 0
    for k in range(count):
        sums[k & 3] += powers[k]
    shift = <real>log((sums[0] + sums[1]) + (sums[2] + sums[3]))
    for k in range(count):
        row[k] -= shift


def log_softmax(cnp.ndarray logits not None):
    """x - log sum exp x of each row, in place.

    Parameters
    ----------
    logits : float32 or float64 ndarray of shape (N, V), C-contiguous
    """
    cdef const kernel_table *table = kernels_of(<int>logits.itemsize)
    cdef ptrdiff_t i, N = len(logits), V = cnp.PyArray_DIM(logits, 1)
    cdef char *at = cnp.PyArray_BYTES(logits)
    cdef Buffer powers = Buffer.of(times(V, logits.itemsize))
    cdef unsigned mode
    with nogil:
        mode = denormals_flush()
        for i in range(N if V else 0):
            if table.itemsize == 4:
                normalize[float](table, <float *>at + i * V, <float *>powers.start, V)
            else:
                normalize[double](table, <double *>at + i * V, <double *>powers.start, V)
        denormals_restore(mode)
