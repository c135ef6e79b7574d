from rnnfast.kernels._tables cimport kernel_table

# The kernels of this process for elements of 4 or 8 bytes.
cdef const kernel_table *kernels_of(int itemsize) noexcept nogil
