"""Passes over whole arrays: what they share, activations, sums and dropout. Losses: _losses.pyx; optimizers: _updates.pyx.

Every sum has a fixed order, so that neither the instruction set nor the number of threads changes a bit.
"""

import math
import operator

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rnnfast.kernels._passes_table cimport PASS_BLOCK, UPDATE_STATES, dropout_options, map_function
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore
from rnnfast.kernels._threads cimport run

cnp.import_array()


cdef extern from "random.h" nogil:
    enum: PHILOX_BATCH
    void philox(uint32_t *numbers, uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t key)


cdef enum:
    # Elements of one task: enough to be worth a thread's while, a whole number of the blocks of a sum.
    CHUNK = 8 * PASS_BLOCK


cdef char *_at(const char *start, Py_ssize_t offset) noexcept nogil:
    return <char *>start + offset if start != NULL else NULL


cdef void _task(void *context, int index) noexcept nogil:
    cdef Pass *p = <Pass *>context
    cdef Py_ssize_t start = index * p.per_task, stop = min(start + p.per_task, p.count), size, i
    cdef Py_ssize_t at = start * p.width * p.itemsize, length = (stop - start) * p.width
    cdef void *states[UPDATE_STATES]
    cdef unsigned mode = denormals_flush()
    if p.kind == MAP:
        p.function(p.to + at, p.source + at, length)
    elif p.kind == CROSS_ENTROPY:
        p.table.cross_entropy(p.to + at, p.sums + start, p.source + at, p.targets + start,
                              <const uint8_t *>_at(<const char *>p.mask, start), stop - start, p.width)
    elif p.kind == UPDATE:
        for i in range(UPDATE_STATES):
            states[i] = _at(<const char *>p.states[i], at)
        p.rule(p.to + at, p.source + at, states, length, p.update)
    elif p.kind == DROPOUT:
        for i in range(start, stop):
            p.table.dropout(p.to + i // p.steps * p.to_row + i % p.steps * p.to_step,
                            p.source + i // p.steps * p.source_row + i % p.steps * p.source_step,
                            p.width, <uint32_t>(i % p.steps), <uint32_t>(i // p.steps), p.dropout)
    else:
        i = start
        while i < stop:
            size = min(<Py_ssize_t>PASS_BLOCK, stop - i)
            at = i * p.itemsize
            if p.kind == SUM_OF_SQUARES:
                p.sums[i // PASS_BLOCK] = p.table.sum_of_squares(p.source + at, size)
            else:
                p.sums[i // PASS_BLOCK] = p.table.squared_error(
                    p.to + at, p.source + at, p.other + at, <const uint8_t *>_at(<const char *>p.mask, i), size)
            i += size
    denormals_restore(mode)


cdef Pass make_pass(Kind kind, Py_ssize_t itemsize, Py_ssize_t count, Py_ssize_t width=1) noexcept:
    """A pass over `count` rows of `width` elements, its pointers still to be filled in."""
    cdef Pass p
    cdef int i
    p.kind = kind
    p.table = &kernels_of(<int>itemsize).passes
    p.function = NULL
    p.itemsize, p.count, p.width = itemsize, count, width
    p.per_task = max(<Py_ssize_t>1, CHUNK // max(width, <Py_ssize_t>1))
    p.to = NULL
    for i in range(UPDATE_STATES):
        p.states[i] = NULL
    p.source = p.other = NULL
    p.mask = NULL
    p.targets = NULL
    p.sums = NULL
    p.rule = NULL
    p.update = NULL
    p.dropout = NULL
    p.steps = p.to_row = p.to_step = p.source_row = p.source_step = 0
    return p


cdef double run_pass(Pass *p, cnp.ndarray sums=None):
    """Run the tasks of a pass; the sum of `sums`, where given, from the first to the last."""
    cdef Py_ssize_t i, length = 0 if sums is None else sums.size
    cdef double total = 0
    if sums is not None:
        p.sums = <double *>cnp.PyArray_DATA(sums)
    with nogil:
        if p.count > 0 and p.width > 0:
            run(_task, p, <int>((p.count + p.per_task - 1) // p.per_task))
        for i in range(length):
            total += p.sums[i]
    return total


cdef cnp.ndarray block_sums(Py_ssize_t count):
    return np.empty((count + PASS_BLOCK - 1) // PASS_BLOCK)


cdef cnp.ndarray real_array(str name, array):
    """`array` as a contiguous float32 or float64 array, copied where it must be."""
    array = np.asarray(array)
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if not (array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
        array = np.array(array, array.dtype.type, order="C")
    return array


cdef cnp.ndarray in_place(str name, array, cnp.ndarray like=None, bint written=True):
    """Check a one-dimensional array that a pass works on where it lies."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.ndim != 1 or not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} must be one-dimensional and contiguous, got shape {array.shape}, "
                         f"strides {array.strides}")
    if written and not array.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")
    if like is not None:
        if array.dtype != like.dtype:
            raise TypeError(f"{name} must have dtype {like.dtype} as the first argument, got {array.dtype}")
        if array.shape != (<object>like).shape:
            raise ValueError(f"{name} must have shape {(<object>like).shape} as the first argument, got {array.shape}")
    return array


cdef separate(dict arrays):
    """Refuse arrays that overlap: a pass reads one while it writes another."""
    names = list(arrays)
    for i, first in enumerate(names):
        for second in names[:i]:
            if np.may_share_memory(arrays[first], arrays[second]):
                raise ValueError(f"{second} and {first} must not share memory")


cdef cnp.ndarray mask_array(mask, tuple shape, str meaning):
    """A contiguous bool array of this shape."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must be boolean (True counts), got {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"mask must have shape {shape}, {meaning}, got {mask.shape}")
    return np.ascontiguousarray(mask)


cdef cnp.ndarray index_array(str name, values, tuple shape, Py_ssize_t least, Py_ssize_t most):
    """A copy of whole numbers in a range, as int64: nobody can change it between the check and the kernel."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.size and not (array.min() >= least and array.max() <= most):
        raise ValueError(f"{name} must be {least} to {most}, got {array.min()} to {array.max()}")
    return np.array(array, np.int64, order="C")


def apply(str name, array):
    """exp, tanh or sigmoid of every element, by the functions that the kernels use.

    Parameters
    ----------
    name : {"exp", "tanh", "sigmoid"}
    array : array of float32 or float64, any shape

    Returns
    -------
    array of the same shape and dtype

    Raises
    ------
    ValueError
        The name is none of the three.
    TypeError
        The array is neither float32 nor float64.

    Examples
    --------
    >>> from rnnfast.kernels import _passes
    >>> _passes.apply("sigmoid", np.zeros(2))
    array([0.5, 0.5])
    """
    if name not in ("exp", "tanh", "sigmoid"):
        raise ValueError(f"name must be 'exp', 'tanh' or 'sigmoid', got {name!r}")
    cdef cnp.ndarray source = real_array("array", array)
    cdef cnp.ndarray to = empty((<object>source).shape, source.dtype)
    cdef Pass p = make_pass(MAP, source.itemsize, source.size)
    p.function = p.table.exp if name == "exp" else p.table.tanh if name == "tanh" else p.table.sigmoid
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.to = <char *>cnp.PyArray_DATA(to)
    run_pass(&p)
    return to


def accumulate(to, source):
    """to += source, in place.

    Parameters
    ----------
    to, source : (n,) arrays of one dtype, float32 or float64, contiguous; they must not overlap
    """
    cdef cnp.ndarray target = in_place("to", to)
    cdef cnp.ndarray addend = in_place("source", source, target, written=False)
    separate({"to": target, "source": addend})
    cdef Pass p = make_pass(MAP, target.itemsize, target.size)
    p.function = p.table.accumulate
    p.to = <char *>cnp.PyArray_DATA(target)
    p.source = <const char *>cnp.PyArray_DATA(addend)
    run_pass(&p)


def add_rows(cnp.ndarray total not None, cnp.ndarray ids not None, cnp.ndarray rows not None):
    """total[ids[n]] += rows[n], for one n after the other.

    Parameters
    ----------
    total : (K, F) contiguous array of float32 or float64, written
    ids : (N,) contiguous int64 array
        From 0 to K - 1.
    rows : (N, F) contiguous array of total's dtype

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a number is out of range.
    """
    cdef Py_ssize_t n, count = ids.size, F, bytes
    cdef const int64_t *chosen = <const int64_t *>cnp.PyArray_DATA(ids)
    cdef char *to = <char *>cnp.PyArray_DATA(total)
    cdef const char *source = <const char *>cnp.PyArray_DATA(rows)
    cdef map_function add
    cdef unsigned mode
    if total.ndim != 2 or ids.ndim != 1 or (<object>rows).shape != (count, total.shape[1]):
        raise ValueError(f"total, ids and rows must have shapes (K, F), (N,) and (N, F), got {(<object>total).shape}, "
                         f"{(<object>ids).shape} and {(<object>rows).shape}")
    if ids.dtype != np.int64 or not ids.flags.c_contiguous:
        raise TypeError(f"ids must be contiguous int64, got {ids.dtype}")
    if count and not (ids.min() >= 0 and ids.max() < total.shape[0]):
        raise ValueError(f"ids must be 0 to {total.shape[0] - 1}, got {ids.min()} to {ids.max()}")
    for name, array in (("total", total), ("rows", rows)):
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} must be contiguous, got strides {(<object>array).strides}")
        in_place(name, array.reshape(-1), None, array is total)
    if total.dtype != rows.dtype:
        raise TypeError(f"rows must have dtype {total.dtype} as total, got {rows.dtype}")
    separate({"total": total, "rows": rows})
    F = total.shape[1]
    bytes = F * total.itemsize
    add = kernels_of(<int>total.itemsize).passes.accumulate
    with nogil:
        mode = denormals_flush()
        for n in range(count):
            add(to + chosen[n] * bytes, source + n * bytes, F)
        denormals_restore(mode)


def sum_of_squares(flat):
    """Sum of the squares of all elements, in float64 and in a fixed order.

    Parameters
    ----------
    flat : array of float32 or float64

    Returns
    -------
    float

    Examples
    --------
    >>> from rnnfast import ops
    >>> ops.sum_of_squares(np.array([3.0, 4.0]))
    25.0
    """
    cdef cnp.ndarray source = real_array("flat", flat)
    cdef Pass p = make_pass(SUM_OF_SQUARES, source.itemsize, source.size)
    p.source = <const char *>cnp.PyArray_DATA(source)
    return run_pass(&p, block_sums(source.size))


cdef bint _side_by_side(array):
    return array.strides[array.ndim - 1] == array.itemsize and array.flags.aligned


cdef cnp.ndarray _rows(str name, array):
    """A float32 or float64 array with elements side by side in its last axis, copied where they are not."""
    array = np.asarray(array)
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} must have shape (B, T, F) or (B, F), got {array.shape}")
    if _side_by_side(array) and array.dtype.isnative:
        return array
    return np.array(array, array.dtype.type, order="C")


def dropout(x, double p, key, stream, out=None):
    """Inverted dropout: each unit zero with probability p, otherwise x / (1 - p) (Srivastava et al. 2014).

    Which units depends on (key, stream, step, row, unit) alone: Philox4x32-10 (Salmon et al. 2011) at the counter
    (unit / 4, step, row, stream). The same call on the gradient of the output gives that of the input.

    Parameters
    ----------
    x : (B, T, F) or (B, F) array of float32 or float64
        (B, F) is one step, number 0.
    p : float
        0 to 1.
    key : int
        64 bits.
    stream : int
        32 bits: tells the layers of a model apart.
    out : array of x's shape and dtype, optional
        Where the result goes; may be x.

    Returns
    -------
    array of x's shape and dtype

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong dtype, shape or range.

    Examples
    --------
    >>> from rnnfast import ops
    >>> ops.dropout(np.ones((2, 4)), 0.5, key=5, stream=0)
    array([[2., 0., 2., 2.],
           [0., 0., 2., 2.]])
    """
    cdef cnp.ndarray source = _rows("x", x), to
    shape, strides = (<object>source).shape, (<object>source).strides
    if not 0 <= p <= 1:
        raise ValueError(f"p, the probability to drop a unit, must be 0 to 1, got {p}")
    words = {"key": (operator.index(key), 64), "stream": (operator.index(stream), 32)}
    for name, (value, bits) in words.items():
        if not 0 <= value < 2**bits:
            raise ValueError(f"{name} must be 0 to 2**{bits} - 1, got {value}")
    if out is None:
        to = empty(shape, source.dtype)
    else:
        if not isinstance(out, np.ndarray) or out.dtype != source.dtype:
            raise TypeError(f"out must be an array of dtype {source.dtype}, got "
                            f"{out.dtype if isinstance(out, np.ndarray) else type(out).__name__}")
        if out.shape != shape:
            raise ValueError(f"out must have the shape of x, {shape}, got {out.shape}")
        if not out.flags.writeable:
            raise ValueError("out must be writable, got a read-only array")
        to = out if _side_by_side(out) else empty(shape, source.dtype)
        same = cnp.PyArray_DATA(to) == cnp.PyArray_DATA(source) and (<object>to).strides == strides
        if not same and np.may_share_memory(to, source):
            source = source.copy()
            strides = (<object>source).strides
    cdef dropout_options options
    options.key, options.stream = words["key"][0], words["stream"][0]
    options.threshold = min(math.floor(p * 2**32), 2**32 - 1)
    options.scale = 1 / (1 - p) if p < 1 else 0
    steps = shape[1] if len(shape) == 3 else 1
    cdef Pass task = make_pass(DROPOUT, source.itemsize, shape[0] * steps, shape[len(shape) - 1])
    task.steps = steps
    task.source_row, task.to_row = strides[0], (<object>to).strides[0]
    if len(shape) == 3:
        task.source_step, task.to_step = strides[1], (<object>to).strides[1]
    task.source = <const char *>cnp.PyArray_DATA(source)
    task.to = <char *>cnp.PyArray_DATA(to)
    task.dropout = &options
    run_pass(&task)
    if out is None or out is to:
        return to
    out[...] = to
    return out


def _philox(counter, key):
    """The four words at a counter (four words), for the published test vectors."""
    cdef uint32_t numbers[4 * PHILOX_BATCH]
    philox(numbers, counter[0], counter[1], counter[2], counter[3], key)
    return [numbers[word] for word in range(4)]
