"""y = x W^T + b over rows, and its gradients: the same packed product as the recurrent layers', so the same bits
however the rows are cut into calls."""

cimport numpy as cnp
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._memory import zeros

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._plan cimport evenly
from rnnfast.kernels._products cimport BLOCK, SCATTER, Outer, outer_block, outer_scratch
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport PLAIN_WIDTH, denormals_flush, denormals_restore, kernel_table, product, rows
from rnnfast.kernels._team cimport MAX_WORKERS
from rnnfast.kernels._threads cimport Interrupt, end_watch, interrupted, run, threads_for, watch

cnp.import_array()


cdef void relu_float(void *to, const void *source, Py_ssize_t count) noexcept nogil:
    cdef float *y = <float *>to
    cdef const float *x = <const float *>source
    cdef Py_ssize_t i
    for i in range(count):
        y[i] = 0 if x[i] < 0 else x[i]


cdef void relu_double(void *to, const void *source, Py_ssize_t count) noexcept nogil:
    cdef double *y = <double *>to
    cdef const double *x = <const double *>source
    cdef Py_ssize_t i
    for i in range(count):
        y[i] = 0 if x[i] < 0 else x[i]


cdef class PackedMatrix:
    """A matrix M of shape (K, N), packed for products activation(x M + bias). Immutable.

    Parameters
    ----------
    matrix : ndarray of shape (K, N)
        Float32 or float64, aligned; any strides (a transposed view will do).
    bias : ndarray of shape (N,), contiguous, or None
    activation : None, "relu", "tanh" or "sigmoid"
    """

    def __cinit__(self, cnp.ndarray matrix not None, bias=None, activation=None):
        cdef Affine *made = &self.affine
        cdef ptrdiff_t size = matrix.itemsize
        cdef const kernel_table *table = kernels_of(<int>size)
        made.table = table
        made.depth, made.columns = cnp.PyArray_DIM(matrix, 0), cnp.PyArray_DIM(matrix, 1)
        made.vectors = (made.columns + table.lanes - 1) // table.lanes
        made.row_size = made.vectors * table.lanes * size
        made.activation = NULL
        if activation == "tanh":
            made.activation = table.passes.tanh
        elif activation == "sigmoid":
            made.activation = table.passes.sigmoid
        elif activation == "relu":
            made.activation = relu_float if size == 4 else relu_double
        elif activation is not None:
            raise ValueError(f"activation must be None, 'relu', 'tanh' or 'sigmoid', got {activation!r}")
        self.panels = Buffer.of(times(made.depth, made.row_size))
        self.bias = Buffer.of(made.row_size)
        made.panels, made.bias = self.panels.start, self.bias.start
        memset(self.bias.start, 0, made.row_size)
        cdef rows to = evenly(self.bias.start, 0), source
        if bias is not None:
            source = evenly(cnp.PyArray_BYTES(<cnp.ndarray>bias), 0)
            table.load_rows(&to, &source, size, 1, made.columns)
        cdef ptrdiff_t down = cnp.PyArray_STRIDE(matrix, 0), across = cnp.PyArray_STRIDE(matrix, 1)
        if down == size:
            source = evenly(cnp.PyArray_BYTES(matrix), across)
            with nogil:
                table.pack_columns(self.panels.start, &source, made.columns, made.depth, made.vectors, PLAIN_WIDTH)
        else:
            source = evenly(cnp.PyArray_BYTES(matrix), down)
            with nogil:
                table.pack_rows(self.panels.start, &source, across, made.depth, made.columns)

    @property
    def depth(self):
        return self.affine.depth

    @property
    def columns(self):
        return self.affine.columns

    @property
    def dtype(self):
        return np.dtype(np.float32 if self.affine.table.itemsize == 4 else np.float64)


cdef void affine_rows(const Affine *affine, const rows *x, char *to, ptrdiff_t count) noexcept nogil:
    cdef const kernel_table *table = affine.table
    cdef product p
    memset(&p, 0, sizeof(product))
    p.a = x[0]
    p.c, p.c_panel = evenly(to, affine.row_size), PLAIN_WIDTH * table.lanes * table.itemsize
    p.init, p.init_panel = evenly(affine.bias, 0), p.c_panel
    p.count, p.depth, p.segments, p.repeats = count, affine.depth, 1, 1
    p.b, p.vectors, p.width = affine.panels, affine.vectors, PLAIN_WIDTH
    table.multiply(&p)
    if affine.activation is not NULL:
        affine.activation(to, to, count * affine.vectors * table.lanes)


cdef struct Job:
    const Affine *affine
    ptrdiff_t count
    char *x
    char *y
    ptrdiff_t x_row, y_row, y_element
    char *scratch
    ptrdiff_t scratch_size
    int workers
    Interrupt interrupt


cdef void multiply_rows(void *context, int index) noexcept nogil:
    cdef Job *job = <Job *>context
    cdef const Affine *affine = job.affine
    cdef ptrdiff_t blocks = (job.count + SCATTER - 1) // SCATTER, n = blocks * index // job.workers * SCATTER
    cdef ptrdiff_t last = min(job.count, blocks * (index + 1) // job.workers * SCATTER), here
    cdef char *target = job.scratch + index * job.scratch_size
    cdef unsigned mode = denormals_flush()
    cdef rows own = evenly(target, affine.row_size), user
    while n < last and not interrupted(&job.interrupt):
        here = min(<ptrdiff_t>SCATTER, last - n)
        user = evenly(job.x + n * job.x_row, job.x_row)
        affine_rows(affine, &user, target, here)
        user = evenly(job.y + n * job.y_row, job.y_row)
        affine.table.store_rows(&user, job.y_element, &own, here, affine.columns)
        n += here
    denormals_restore(mode)


def multiply(PackedMatrix packed, cnp.ndarray x, cnp.ndarray y):
    """y = activation(x M + bias).

    Parameters
    ----------
    packed : PackedMatrix
    x : ndarray of shape (N, K)
        Elements contiguous, aligned.
    y : ndarray of shape (N, columns)
        Written; any strides. The caller (`ops.linear`) has checked shapes and dtypes.
    """
    cdef const Affine *affine = &packed.affine
    cdef Job job
    cdef Buffer scratch
    job.affine, job.count = affine, cnp.PyArray_DIM(x, 0)
    job.x, job.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    job.x_row, job.y_row, job.y_element = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(y, 0), cnp.PyArray_STRIDE(y, 1)
    job.workers = max(1, min(<int>MAX_WORKERS, threads_for(2.0 * job.count * affine.depth * affine.columns)))
    job.scratch_size = SCATTER * affine.row_size
    scratch = Buffer.of(job.workers * job.scratch_size)
    job.scratch = scratch.start
    with nogil:
        watch(&job.interrupt)
        run(multiply_rows, &job, job.workers)
    end_watch(&job.interrupt)


cdef struct GradientJob:
    const kernel_table *table
    ptrdiff_t count, depth, columns, vectors
    char *x
    char *dy
    ptrdiff_t x_row, x_element, dy_row, dy_element
    char *d_weight  # C (outputs, inputs) += dy^T x, rows of d_row bytes
    char *d_bias
    ptrdiff_t d_row
    char *scratch
    ptrdiff_t scratch_size
    int workers
    Interrupt interrupt


cdef void weight_rows(void *context, int index) noexcept nogil:
    """This worker's share of the outputs: whole vectors of them, over all rows, block by block."""
    cdef GradientJob *job = <GradientJob *>context
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
    while n < job.count and not interrupted(&job.interrupt):
        here = min(<ptrdiff_t>BLOCK, job.count - n)
        own, user = evenly(block, padded * size), evenly(job.dy + n * job.dy_row + first * job.dy_element, job.dy_row)
        table.load_rows(&own, &user, job.dy_element, here, count)
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
        Aligned, any strides, the same dtype; the caller (`ops.linear`) has checked them.

    Returns
    -------
    d_weight : ndarray of shape (outputs, K)
    d_bias : ndarray of shape (outputs,)
    """
    cdef GradientJob job
    cdef Buffer scratch
    cdef ptrdiff_t widest, size = x.itemsize
    memset(&job, 0, sizeof(GradientJob))
    job.table = kernels_of(<int>size)
    cdef ptrdiff_t lanes = job.table.lanes
    job.count, job.depth, job.columns = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(dy, 1)
    job.vectors = (job.columns + lanes - 1) // lanes
    cdef cnp.ndarray d_weight = zeros((job.columns, (job.depth + lanes - 1) // lanes * lanes), x.dtype)
    cdef cnp.ndarray d_bias = np.zeros(job.vectors * lanes, x.dtype)
    job.x, job.dy = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(dy)
    job.x_row, job.x_element = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
    job.dy_row, job.dy_element = cnp.PyArray_STRIDE(dy, 0), cnp.PyArray_STRIDE(dy, 1)
    job.d_weight, job.d_bias, job.d_row = cnp.PyArray_BYTES(d_weight), cnp.PyArray_BYTES(d_bias), cnp.PyArray_STRIDE(d_weight, 0)
    job.workers = <int>max(<ptrdiff_t>1, min(min(<ptrdiff_t>MAX_WORKERS, job.vectors),
                                             <ptrdiff_t>threads_for(2.0 * job.count * job.depth * job.columns)))
    widest = (job.vectors // job.workers + 1) * lanes
    job.scratch_size = (2 * widest * sizeof(char *) + 2 * BLOCK * widest * size + outer_scratch(job.table, job.depth) + 2 * 64 + 63) & ~63
    scratch = Buffer.of(job.scratch_size * job.workers)
    job.scratch = scratch.start
    with nogil:
        watch(&job.interrupt)
        run(weight_rows, &job, job.workers)
    end_watch(&job.interrupt)
    return d_weight[:, : job.depth], d_bias[: job.columns]
