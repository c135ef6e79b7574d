"""The instruction set of this process: chosen once, at import, from the CPU and the variable RNNFAST_ISA."""

import os

from rnnfast.kernels._tables cimport kernel_table, kernels_available, kernels_choose, kernels_for


cdef const kernel_table *kernels_of(int itemsize) noexcept nogil:
    return kernels_for(itemsize)


def isa():
    """Name of the instruction set that the kernels of this process use.

    Returns
    -------
    str
        ``"avx512"``, ``"avx2"``, ``"sse2"``, ``"neon"`` or ``"scalar"``.
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


def _choose():
    cap = os.environ.get("RNNFAST_ISA", "")
    if kernels_choose(cap.encode()) != 0:
        known = "avx512, avx2, sse2, neon, scalar"
        raise ImportError(f"RNNFAST_ISA={cap!r} names no instruction set that this build of rnnfast knows; the names are {known}")


_choose()
