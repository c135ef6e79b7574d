"""y = x W^T + b over rows, and its gradients: the same packed product as the recurrent layers', so the same bits
however the rows are cut into calls."""

cimport numpy as cnp
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._packed cimport Buffer, times
from rnnfast.kernels._plan cimport evenly, pointed
from rnnfast.kernels._products cimport BLOCK, SCATTER, Outer, outer_block, outer_scratch, zero_row
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport PLAIN_WIDTH, denormals_flush, denormals_restore, kernel_table, product, rows
from rnnfast.kernels._team cimport MAX_WORKERS
from rnnfast.kernels._threads cimport run, threads_for

cnp.import_array()


cdef class PackedMatrix:
    """A matrix M of shape (K, N), packed for products x M + bias. Immutable.

    Parameters
    ----------
    matrix : ndarray of shape (K, N)
        Float32 or float64, aligned; any strides (a transposed view will do).
    bias : ndarray of shape (N,), contiguous, or None
    """
    cdef const kernel_table *table
    cdef readonly ptrdiff_t depth, columns
    cdef ptrdiff_t vectors, row_size
    cdef Buffer panels, bias

    def __cinit__(self, cnp.ndarray matrix not None, bias=None):
        cdef ptrdiff_t size = matrix.itemsize
        self.table = kernels_of(<int>size)
        self.depth, self.columns = cnp.PyArray_DIM(matrix, 0), cnp.PyArray_DIM(matrix, 1)
        self.vectors = (self.columns + self.table.lanes - 1) // self.table.lanes
        self.row_size = self.vectors * self.table.lanes * size
        self.panels = Buffer.of(times(self.depth, self.row_size))
        self.bias = Buffer.of(self.row_size)
        memset(self.bias.start, 0, self.row_size)
        cdef rows to = evenly(self.bias.start, 0), source
        if bias is not None:
            source = evenly(cnp.PyArray_BYTES(<cnp.ndarray>bias), 0)
            self.table.load_rows(&to, &source, size, 1, self.columns)
        cdef ptrdiff_t down = cnp.PyArray_STRIDE(matrix, 0), across = cnp.PyArray_STRIDE(matrix, 1)
        if down == size:
            source = evenly(cnp.PyArray_BYTES(matrix), across)
            with nogil:
                self.table.pack_columns(self.panels.start, &source, self.columns, self.depth, self.vectors, PLAIN_WIDTH)
        else:
            source = evenly(cnp.PyArray_BYTES(matrix), down)
            with nogil:
                self.table.pack_rows(self.panels.start, &source, across, self.depth, self.columns)

    @property
    def dtype(self):
        return np.dtype(np.float32 if self.table.itemsize == 4 else np.float64)


cdef struct Job:
    const kernel_table *table
    ptrdiff_t count, depth, columns, vectors, row_size
    const char *panels
    char *bias
    char *x
    char *y
    ptrdiff_t x_row, y_row, y_element
    char *scratch
    ptrdiff_t scratch_size
    int workers
    # Weight gradient: C (outputs, inputs) += dy^T x. Here y is dy.
    char *d_weight
    char *d_bias
    ptrdiff_t x_element, d_row


cdef void multiply_rows(void *context, int index) noexcept nogil:
    cdef Job *job = <Job *>context
    cdef ptrdiff_t blocks = (job.count + SCATTER - 1) // SCATTER, n = blocks * index // job.workers * SCATTER
    cdef ptrdiff_t last = min(job.count, blocks * (index + 1) // job.workers * SCATTER), here
    cdef char *target = job.scratch + index * job.scratch_size
    cdef unsigned mode = denormals_flush()
    cdef product p
    cdef rows user
    while n < last:
        here = min(<ptrdiff_t>SCATTER, last - n)
        memset(&p, 0, sizeof(product))
        p.a = evenly(job.x + n * job.x_row, job.x_row)
        p.c, p.c_panel = evenly(target, job.row_size), PLAIN_WIDTH * job.table.lanes * job.table.itemsize
        p.init, p.init_panel = evenly(job.bias, 0), p.c_panel
        p.count, p.depth, p.segments, p.repeats = here, job.depth, 1, 1
        p.b, p.vectors, p.width = job.panels, job.vectors, PLAIN_WIDTH
        job.table.multiply(&p)
        user = evenly(job.y + n * job.y_row, job.y_row)
        job.table.store_rows(&user, job.y_element, &p.c, here, job.columns)
        n += here
    denormals_restore(mode)


def multiply(PackedMatrix packed, cnp.ndarray x, cnp.ndarray y):
    """y = x M + bias.

    Parameters
    ----------
    packed : PackedMatrix
    x : ndarray of shape (N, K)
        Elements contiguous, aligned.
    y : ndarray of shape (N, columns)
        Written; any strides. The caller (ops.py) has checked shapes and dtypes.
    """
    cdef Job job
    cdef Buffer scratch
    memset(&job, 0, sizeof(Job))
    job.table, job.depth, job.columns = packed.table, packed.depth, packed.columns
    job.vectors, job.row_size = packed.vectors, packed.row_size
    job.panels, job.bias = packed.panels.start, packed.bias.start
    job.count = cnp.PyArray_DIM(x, 0)
    job.x, job.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    job.x_row, job.y_row, job.y_element = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(y, 0), cnp.PyArray_STRIDE(y, 1)
    job.workers = max(1, min(<int>MAX_WORKERS, threads_for(2.0 * job.count * job.depth * job.columns)))
    job.scratch_size = SCATTER * job.row_size
    scratch = Buffer.of(job.workers * job.scratch_size)
    job.scratch = scratch.start
    with nogil:
        run(multiply_rows, &job, job.workers)


cdef void weight_rows(void *context, int index) noexcept nogil:
    """This worker's share of the outputs: whole vectors of them, over all rows, block by block."""
    cdef Job *job = <Job *>context
    cdef const kernel_table *table = job.table
    cdef ptrdiff_t vectors = job.vectors, size = table.itemsize, first = vectors * index // job.workers * table.lanes
    cdef ptrdiff_t last = min(job.columns, vectors * (index + 1) // job.workers * table.lanes), count = last - first
    cdef ptrdiff_t padded = (count + table.lanes - 1) // table.lanes * table.lanes, n, here, r
    cdef char **a = <char **>(job.scratch + index * job.scratch_size)
    cdef char **c = a + padded
    cdef char *block = <char *>((<size_t>(c + padded) + 63) & ~<size_t>63)
    cdef char *transposed = block + BLOCK * padded * size
    cdef Outer outer
    cdef rows user, own
    cdef unsigned mode
    if count <= 0:
        return
    mode = denormals_flush()
    outer.table, outer.columns, outer.element = table, job.depth, job.x_element
    outer.vectors = (job.depth + table.lanes - 1) // table.lanes
    outer.panels = transposed + BLOCK * padded * size
    for r in range(count):
        a[r], c[r] = transposed + r * BLOCK * size, job.d_weight + (first + r) * job.d_row
    n = 0
    while n < job.count:
        here = min(<ptrdiff_t>BLOCK, job.count - n)
        own, user = evenly(block, padded * size), evenly(job.y + n * job.y_row + first * job.y_element, job.y_row)
        table.load_rows(&own, &user, job.y_element, here, count)
        table.transpose(transposed, BLOCK * size, &own, here, padded, job.d_bias + first * size)
        user = evenly(job.x + n * job.x_row, job.x_row)
        outer_block(&outer, &user, here, a, c, count)
        n += here
    denormals_restore(mode)


def weight_gradient(cnp.ndarray x, cnp.ndarray dy):
    """dW = dy^T x and db = the sum of dy over the rows.

    Parameters
    ----------
    x : ndarray of shape (N, K)
    dy : ndarray of shape (N, outputs)
        Aligned, any strides, the same dtype; the caller (ops.py) has checked them.

    Returns
    -------
    d_weight : ndarray of shape (outputs, K)
    d_bias : ndarray of shape (outputs,)
    """
    cdef Job job
    cdef Buffer scratch
    cdef ptrdiff_t widest, size = x.itemsize
    memset(&job, 0, sizeof(Job))
    job.table = kernels_of(<int>size)
    cdef ptrdiff_t lanes = job.table.lanes
    job.count, job.depth, job.columns = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(dy, 1)
    job.vectors = (job.columns + lanes - 1) // lanes
    cdef cnp.ndarray d_weight = np.zeros((job.columns, (job.depth + lanes - 1) // lanes * lanes), x.dtype)
    cdef cnp.ndarray d_bias = np.zeros(job.vectors * lanes, x.dtype)
    job.x, job.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(dy)
    job.x_row, job.x_element = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
    job.y_row, job.y_element = cnp.PyArray_STRIDE(dy, 0), cnp.PyArray_STRIDE(dy, 1)
    job.d_weight, job.d_bias, job.d_row = cnp.PyArray_BYTES(d_weight), cnp.PyArray_BYTES(d_bias), cnp.PyArray_STRIDE(d_weight, 0)
    job.workers = <int>max(<ptrdiff_t>1, min(min(<ptrdiff_t>MAX_WORKERS, job.vectors),
                                             <ptrdiff_t>threads_for(2.0 * job.count * job.depth * job.columns)))
    widest = (job.vectors // job.workers + 1) * lanes
    job.scratch_size = (2 * widest * sizeof(char *) + 2 * BLOCK * widest * size + outer_scratch(job.table, job.depth) + 2 * 64 + 63) & ~63
    scratch = Buffer.of(job.scratch_size * job.workers)
    job.scratch = scratch.start
    with nogil:
        run(weight_rows, &job, job.workers)
    return d_weight[:, : job.depth], d_bias[: job.columns]
