"""The instruction set of this process: chosen once, at import, from the CPU and the variable RNNFAST_ISA."""

import os
from time import perf_counter

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from rnnfast.kernels._tables cimport (
    FMA_CHAINS, READ_LINES, kernel_table, kernels_available, kernels_choose, kernels_for,
)


cdef const kernel_table *kernels_of(int itemsize) noexcept nogil:
    return kernels_for(itemsize)


def isa():
    """Name of the instruction set that the kernels of this process use.

    Returns
    -------
    str
        ``"avx512"``, ``"avx2"``, ``"sse2"``, ``"neon"`` or ``"generic"``.
    """
    return kernels_for(4).name.decode()


def available_isas():
    """Names of the instruction sets that this build and this machine have, best first.

    Returns
    -------
    list of str
    """
    cdef const char *const *names = kernels_available()
    found = []
    while names[len(found)] is not NULL:
        found.append(names[len(found)].decode())
    return found


def fma_rate(str dtype="float32", double seconds=0.01):
    """Speed of multiply-adds in registers, one thread, this process's instruction set: the peak that kernels approach.

    Parameters
    ----------
    dtype : "float32" or "float64"
    seconds : float
        How long to measure: above 0, at most 10.

    Returns
    -------
    float
        Floating-point operations in a second, two for each multiply-add: the median over short slices.

    Raises
    ------
    ValueError
        If an argument is not as above.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    if not 0 < seconds <= 10:
        raise ValueError(f"seconds must be above 0 and at most 10, got {seconds}")
    cdef const kernel_table *kernels = kernels_for(4 if dtype == "float32" else 8)
    cdef ptrdiff_t rounds = 1 << 17  # a fraction of a millisecond
    rates, end = [], perf_counter() + seconds
    while not rates or perf_counter() < end:
        start = perf_counter()
        with nogil:
            kernels.fma_chains(rounds)
        rates.append(2.0 * FMA_CHAINS * kernels.lanes * rounds / (perf_counter() - start))
    return sorted(rates)[len(rates) // 2]


def read_rate(ptrdiff_t size, double seconds=0.01):
    """Speed of reading the same bytes again and again, one thread: of the cache that holds them, or of memory.

    Parameters
    ----------
    size : int
        How many bytes: from 1024 to 2^30. What is read is a multiple of some hundred.
    seconds : float
        How long to measure: above 0, at most 10.

    Returns
    -------
    float
        Bytes in a second: the median over short slices.

    Raises
    ------
    ValueError
        If an argument is not as above.
    """
    if not 1024 <= size <= 1 << 30:
        raise ValueError(f"size must be from 1024 to {1 << 30} bytes, got {size}")
    if not 0 < seconds <= 10:
        raise ValueError(f"seconds must be above 0 and at most 10, got {seconds}")
    cdef const kernel_table *kernels = kernels_for(4)
    cdef ptrdiff_t row = READ_LINES * kernels.lanes * kernels.itemsize, count = size // row, passes, i
    cdef char *room = <char *>malloc(size + 64)
    cdef char *start = <char *>((<size_t>room + 63) & ~<size_t>63)
    if room is NULL:
        raise MemoryError(f"cannot allocate {size} bytes")
    try:
        memset(room, 0, size + 64)
        passes = max(1, (1 << 23) // (count * row))
        kernels.read_vectors(start, count)
        rates, end = [], perf_counter() + seconds
        while not rates or perf_counter() < end:
            begun = perf_counter()
            with nogil:
                for i in range(passes):
                    kernels.read_vectors(start, count)
            rates.append(<double>count * row * passes / (perf_counter() - begun))
    finally:
        free(room)
    return sorted(rates)[len(rates) // 2]


def _choose():
    cap = os.environ.get("RNNFAST_ISA", "")
    if kernels_choose(cap.encode()) != 0:
        known = "avx512, avx2, sse2, neon, generic"
        raise ImportError(f"RNNFAST_ISA={cap!r} names no instruction set that this build of rnnfast knows; the names are {known}")


_choose()
