"""Normalisation of rows over their features, or of features over the rows: forward, backward, and as a stream's step.

Every sum has a fixed order, so that neither the instruction set nor the number of threads changes a bit.
"""

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.stdint cimport uint8_t

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._norms_table cimport NORM_BLOCK, norms
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._step cimport Step
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore
from rnnfast.kernels._threads cimport run

cnp.import_array()


cdef enum Kind:
    LAYER, LAYER_BACK, MOMENTS, SHIFTED, BATCH_SUMS, BATCH_BACK

# Elements of one task: enough to be worth a thread's while.
cdef enum:
    CHUNK = 1 << 15


# One pass, over `count` rows of `width` elements; `blocks` of rows are one task. `sums` has a (2, width) for each block.
cdef struct Pass:
    Kind kind
    const norms *table
    Py_ssize_t itemsize, count, width, blocks
    char *to
    char *statistics
    char *sums
    const char *dy
    const char *x
    const char *mean
    const char *factor
    const char *bias
    const char *level
    const char *slope
    const uint8_t *valid
    Py_ssize_t *counts
    double epsilon


cdef char *_at(const char *start, Py_ssize_t offset) noexcept nogil:
    return <char *>start + offset if start != NULL else NULL


cdef void _task(void *context, int index) noexcept nogil:
    cdef Pass *p = <Pass *>context
    cdef Py_ssize_t block, first, rows, at, row = p.width * p.itemsize
    cdef char *sums
    cdef const uint8_t *valid
    cdef unsigned mode = denormals_flush()
    for block in range(index * p.blocks, min((index + 1) * p.blocks, (p.count + NORM_BLOCK - 1) // NORM_BLOCK)):
        first = block * NORM_BLOCK
        rows, at = min(<Py_ssize_t>NORM_BLOCK, p.count - first), first * row
        sums = _at(p.sums, 2 * block * row)
        valid = <const uint8_t *>_at(<const char *>p.valid, first)
        if p.kind == LAYER:
            p.table.layer(p.to + at, _at(p.statistics, 2 * first * p.itemsize), p.x + at, p.factor, p.bias, valid, rows,
                          p.width, p.epsilon)
        elif p.kind == LAYER_BACK:
            p.table.layer_back(_at(p.to, at), sums, p.dy + at, p.x + at, p.statistics + 2 * first * p.itemsize, p.factor,
                               valid, rows, p.width)
        elif p.kind == MOMENTS:
            p.counts[block] = p.table.moments(sums, p.x + at, valid, rows, p.width)
        elif p.kind == SHIFTED:
            p.table.shifted(p.to + at, p.x + at, p.mean, p.factor, p.bias, valid, rows, p.width)
        elif p.kind == BATCH_SUMS:
            p.table.batch_sums(sums, p.dy + at, p.x + at, p.mean, valid, rows, p.width)
        else:
            p.table.batch_back(p.to + at, p.dy + at, p.x + at, p.mean, p.factor, p.level, p.slope, valid, rows, p.width)
    denormals_restore(mode)


cdef void _run(Pass *p, Kind kind) noexcept:
    cdef Py_ssize_t blocks = (p.count + NORM_BLOCK - 1) // NORM_BLOCK
    p.kind = kind
    p.blocks = max(<Py_ssize_t>1, CHUNK // (NORM_BLOCK * p.width))
    with nogil:
        run(_task, p, <int>((blocks + p.blocks - 1) // p.blocks))


cdef const char *_data(str name, array, dtype, tuple shape) except NULL:
    """Where an array lies that must be contiguous, of this dtype and shape."""
    if not (isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape and array.flags.c_contiguous
            and array.flags.aligned):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} must be a contiguous array {dtype} {shape}, got {got}")
    return <const char *>cnp.PyArray_DATA(<cnp.ndarray>array)


cdef Pass _pass(x, valid) except *:
    """A pass over rows x (N, F), its other pointers still to be filled in."""
    cdef Pass p
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64) or not x.dtype.isnative:
        raise TypeError(f"x must be an array of float32 or float64, got {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 2 or x.shape[1] < 1:
        raise ValueError(f"x must have shape (N, F) with F at least 1, got {x.shape}")
    p.x = _data("x", x, x.dtype, x.shape)
    p.itemsize, p.count, p.width = x.itemsize, x.shape[0], x.shape[1]
    p.table = &kernels_of(<int>p.itemsize).norms
    p.valid = NULL
    if valid is not None:
        p.valid = <const uint8_t *>_data("valid", valid, np.dtype(bool), x.shape[:1])
    p.to = p.statistics = p.sums = NULL
    p.dy = p.mean = p.factor = p.bias = p.level = p.slope = NULL
    p.counts = NULL
    p.epsilon = 0
    return p


cdef cnp.ndarray _result(Pass *p, tuple shape, dtype):
    """An array for the pass to write its result to."""
    cdef cnp.ndarray array = empty(shape, dtype)
    p.to = <char *>cnp.PyArray_DATA(array)
    return array


cdef cnp.ndarray _sums(Pass *p, dtype):
    """Room for the sums of each block: (blocks, 2, F)."""
    cdef cnp.ndarray array = empty(((p.count + NORM_BLOCK - 1) // NORM_BLOCK, 2, p.width), dtype)
    p.sums = <char *>cnp.PyArray_DATA(array)
    return array


def layer_norm(x, weight, bias, double epsilon, valid=None, bint save=False):
    """y = weight * (x - mean) / sqrt(variance + epsilon) + bias, with each row's own mean and variance.

    Parameters
    ----------
    x : (N, F) contiguous array of float32 or float64
    weight, bias : (F,) contiguous arrays of x's dtype
    epsilon : float
    valid : (N,) contiguous bool array, optional
        Rows that do not count are not read, and y is zero there.
    save : bool

    Returns
    -------
    y : (N, F) array
    statistics : (N, 2) array or None
        With `save`, each row's mean and 1 / sqrt(variance + epsilon), for `layer_norm_backward`.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit.
    """
    cdef Pass p = _pass(x, valid)
    cdef cnp.ndarray statistics = None
    p.factor, p.bias = _data("weight", weight, x.dtype, x.shape[1:]), _data("bias", bias, x.dtype, x.shape[1:])
    p.epsilon = epsilon
    if save:
        statistics = empty((p.count, 2), x.dtype)
        p.statistics = <char *>cnp.PyArray_DATA(statistics)
    y = _result(&p, x.shape, x.dtype)
    _run(&p, LAYER)
    return y, statistics


def layer_norm_backward(dy, x, statistics, weight, valid=None, bint need_dx=True):
    """Gradients of `layer_norm`: of x, which is None without `need_dx`, weight and bias.

    Parameters
    ----------
    dy, x : (N, F) contiguous arrays
    statistics : (N, 2) contiguous array
    weight : (F,) contiguous array
    valid : (N,) contiguous bool array, optional
        As forward had it: dx is zero in the other rows.
    need_dx : bool
    """
    cdef Pass p = _pass(x, valid)
    p.dy, p.factor = _data("dy", dy, x.dtype, x.shape), _data("weight", weight, x.dtype, x.shape[1:])
    p.statistics = <char *>_data("statistics", statistics, x.dtype, (x.shape[0], 2))
    dx = _result(&p, x.shape, x.dtype) if need_dx else None
    sums = _sums(&p, x.dtype)
    _run(&p, LAYER_BACK)
    d_bias, d_weight = sums.sum(axis=0, dtype=np.float64).astype(x.dtype, copy=False)
    return dx, d_weight, d_bias


def moments(x, valid=None):
    """How many rows count, and the means and variances (mean squares) of the columns over them, float64 (F,) each.

    Parameters
    ----------
    x : (N, F) contiguous array of float32 or float64
    valid : (N,) contiguous bool array, optional

    Examples
    --------
    >>> from rnnfast.kernels import _norms
    >>> _norms.moments(np.array([[1.0], [3.0], [np.nan]]), np.array([True, True, False]))
    (2, array([2.]), array([1.]))
    """
    cdef Pass p = _pass(x, valid)
    sums = _sums(&p, x.dtype)
    cdef cnp.ndarray counts = np.zeros(len(sums), np.intp)
    p.counts = <Py_ssize_t *>cnp.PyArray_DATA(counts)
    _run(&p, MOMENTS)
    total = int(counts.sum())
    means, squares = sums[:, 0].astype(np.float64), sums[:, 1].sum(axis=0, dtype=np.float64)
    # Chan, Golub and LeVeque 1983: the squares about the blocks' means, and those of the blocks' means about theirs.
    weights = counts[:, None]
    mean = (weights * means).sum(axis=0) / max(total, 1)
    means -= mean
    return total, mean, (squares + (weights * means * means).sum(axis=0)) / max(total, 1)


def shifted(x, mean, factor, bias, valid=None):
    """(x - mean) * factor + bias, by columns; zero in rows that do not count.

    Parameters
    ----------
    x : (N, F) contiguous array of float32 or float64
    mean, factor, bias : (F,) contiguous arrays of x's dtype
    valid : (N,) contiguous bool array, optional
    """
    cdef Pass p = _pass(x, valid)
    p.mean, p.factor = _data("mean", mean, x.dtype, x.shape[1:]), _data("factor", factor, x.dtype, x.shape[1:])
    p.bias = _data("bias", bias, x.dtype, x.shape[1:])
    y = _result(&p, x.shape, x.dtype)
    _run(&p, SHIFTED)
    return y


def batch_norm_backward(dy, x, mean, scale, weight, valid=None, Py_ssize_t count=0, bint need_dx=True):
    """Gradients of weight * z + bias with z = (x - mean) * scale: of x, which is None without `need_dx`, weight and bias.

    Parameters
    ----------
    dy, x : (N, F) contiguous arrays of float32 or float64
    mean, scale, weight : (F,) contiguous arrays
        scale is 1 / sqrt(variance + epsilon).
    valid : (N,) contiguous bool array, optional
        As forward had it: dx is zero in the other rows.
    count : int
        Of how many rows mean and scale are the statistics: their gradients pass into dx. 0 where they are constants.
    need_dx : bool
    """
    cdef Pass p = _pass(x, valid)
    p.dy, p.mean = _data("dy", dy, x.dtype, x.shape), _data("mean", mean, x.dtype, x.shape[1:])
    _data("scale", scale, x.dtype, x.shape[1:])
    _data("weight", weight, x.dtype, x.shape[1:])
    sums = _sums(&p, x.dtype)
    _run(&p, BATCH_SUMS)
    d_bias, d_weight = sums.sum(axis=0, dtype=np.float64)
    d_weight *= scale
    dx = None
    if need_dx:
        share = 1.0 / count if count else 0.0
        factor, level, slope = (each.astype(x.dtype, copy=False) for each in (scale * weight, share * d_bias, share * d_weight * scale))
        p.factor, p.level = _data("factor", factor, x.dtype, x.shape[1:]), _data("level", level, x.dtype, x.shape[1:])
        p.slope = _data("slope", slope, x.dtype, x.shape[1:])
        dx = _result(&p, x.shape, x.dtype)
        _run(&p, BATCH_BACK)
    return dx, d_weight.astype(x.dtype, copy=False), d_bias.astype(x.dtype, copy=False)


cdef class NormStep(Step):
    """One step of a normalisation: of each row where mean is None, else by columns, weight then the factor.

    Parameters
    ----------
    weight, bias : (F,) contiguous arrays of float32 or float64
        As mean, held and never changed.
    mean : (F,) contiguous array or None
    epsilon : float
    rows : int
    """
    cdef cnp.ndarray weight, bias, mean
    cdef const norms *table
    cdef double epsilon
    cdef char **y

    def __cinit__(self, cnp.ndarray weight not None, bias, mean, double epsilon, ptrdiff_t rows):
        cdef ptrdiff_t r, size
        shape = (weight.size,)
        for name, array in (("weight", weight), ("bias", bias), ("mean", weight if mean is None else mean)):
            _data(name, array, weight.dtype, shape)
        self.weight, self.bias, self.mean, self.epsilon = weight, bias, mean, epsilon
        self.table = &kernels_of(<int>weight.itemsize).norms
        self.rows, self.input_size, self.output_size, self.work = rows, weight.size, weight.size, 8.0 * weight.size
        size = weight.size * weight.itemsize
        self.memory = Buffer.of(times(rows, sizeof(char *) + size))
        self.y = <char **>self.memory.start
        for r in range(rows):
            self.y[r] = <char *>(self.y + rows) + r * size

    @property
    def dtype(self):
        return self.weight.dtype

    cdef char **advance(self, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil:
        cdef const char *weight = cnp.PyArray_BYTES(self.weight)
        cdef const char *bias = cnp.PyArray_BYTES(self.bias)
        cdef ptrdiff_t r
        for r in range(count):
            if self.mean is None:
                self.table.layer(self.y[r], NULL, x[r], weight, bias, NULL, 1, self.input_size, self.epsilon)
            else:
                self.table.shifted(self.y[r], x[r], cnp.PyArray_BYTES(self.mean), weight, bias, NULL, 1, self.input_size)
        return self.y
