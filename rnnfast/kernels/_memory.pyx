"""Memory that starts on a cache line, for workspaces and for arrays, and that is kept for the next call when it is free."""

cimport numpy as cnp
from cpython.ref cimport Py_INCREF

import math

import numpy as np

cnp.import_array()

cdef extern from *:
    ptrdiff_t PY_SSIZE_T_MAX


cdef extern from "memory.h":
    memory memory_take(size_t size)
    void memory_leave(memory given)
    void memory_release()

cdef enum:
    # Bytes from which on an array has kept memory; NumPy is quicker with smaller ones.
    LEAST = 64 * 1024


cdef class Buffer:
    @staticmethod
    cdef Buffer of(ptrdiff_t size):
        cdef Buffer made = Buffer.__new__(Buffer)
        made.memory = memory_take(size)
        if made.memory.block is NULL:
            raise MemoryError(f"cannot allocate {size} bytes")
        made.start, made.size = made.memory.start, size
        return made

    def __dealloc__(self):
        memory_leave(self.memory)


def release_memory():
    """Give back the blocks, 64 MB at most, that are kept for the next calls."""
    memory_release()


cdef ptrdiff_t times(ptrdiff_t count, ptrdiff_t size) except -1:
    if count < 0 or size > 0 and count > (PY_SSIZE_T_MAX >> 8) // size:
        raise MemoryError(f"cannot allocate {count} times {size} bytes")
    return count * size


def empty(shape, dtype):
    """An array like `numpy.empty`'s, in kept memory where it is large.

    Fresh memory costs a page fault for every 4 KB, and the C library hands what a step has freed back to the system.
    """
    dtype = np.dtype(dtype)
    cdef object size = math.prod(shape) * dtype.itemsize
    if size < LEAST or dtype.hasobject or len(shape) > 32:
        return np.empty(shape, dtype)
    cdef Buffer memory = Buffer.of(size)
    cdef cnp.npy_intp dimensions[32]
    cdef int i, count = len(shape)
    for i in range(count):
        dimensions[i] = shape[i]
    cdef cnp.ndarray made = cnp.PyArray_SimpleNewFromData(count, dimensions, dtype.num, memory.start)
    Py_INCREF(memory)
    cnp.PyArray_SetBaseObject(made, memory)
    return made


def zeros(shape, dtype):
    """The same, filled with zeros."""
    made = empty(shape, dtype)
    made.fill(0)
    return made


def address(cnp.ndarray array not None):
    """Where an array's first element lies."""
    return <size_t>cnp.PyArray_DATA(array)
