cdef extern from "memory.h":
    cdef struct memory:
        char *start
        void *block


cdef class Buffer:
    """Bytes that start on a cache line and live as long as this object."""
    cdef char *start
    cdef memory memory
    cdef readonly ptrdiff_t size

    @staticmethod
    cdef Buffer of(ptrdiff_t size)


# count * size, or a MemoryError where that is too much for a number of bytes. The result may be added up with its like.
cdef ptrdiff_t times(ptrdiff_t count, ptrdiff_t size) except -1
