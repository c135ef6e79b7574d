"""Losses with their gradients: passes over the predictions."""

import math

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.math cimport INFINITY, fmax, log, log1p
from libc.stdint cimport int64_t, uint8_t

from rnnfast.kernels._passes cimport (
    CROSS_ENTROPY, SQUARED_ERROR, Pass, block_sums, make_pass, mask_array, real_array, run_pass)
from rnnfast.kernels._passes_table cimport passes
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore
from rnnfast.kernels._threads cimport run

cnp.import_array()

ctypedef fused real:
    float
    double


cdef enum:
    # Elements of one task of the passes that are written here; what a task adds up has an order of its own.
    CHUNK = 8192
    # Elements whose shares of yes and no lie on the stack.
    BLOCK = 256


cdef cnp.ndarray _factors(str name, factors, tuple shape, dtype):
    """A contiguous array of this shape and dtype."""
    factors = np.asarray(factors)
    if factors.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got {factors.dtype}")
    if factors.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {factors.shape}")
    return np.require(factors, dtype, ["C", "A"])


cdef double _added(cnp.ndarray sums) noexcept:
    """The sum of float64 numbers, from the first to the last."""
    cdef const double *each = <const double *>cnp.PyArray_DATA(sums)
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(sums.size):
        total += each[i]
    return total


def mse(predictions, targets, mask=None):
    """Sum of squared errors, and its gradient: sum of (p - t)², 2 (p - t).

    Parameters
    ----------
    predictions : array of float32 or float64, any shape
    targets : real array of the same shape
    mask : bool array, optional
        True where an element counts. Its shape is that of predictions or the first axes of it, as for (B, T) of
        (B, T, C). What does not count is not read: it may hold anything.

    Returns
    -------
    (float, int, array)
        The sum, the number of elements that count, and the gradient of the sum, zero where nothing counts.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit.

    Examples
    --------
    >>> from rnnfast import ops
    >>> ops.mse(np.array([1.0, 5.0]), np.array([0.0, 2.0]))
    (10.0, 2, array([2., 6.]))
    """
    cdef cnp.ndarray source = real_array("predictions", predictions)
    shape = (<object>source).shape
    wanted = np.asarray(targets)
    if wanted.dtype.kind not in "biuf":
        raise TypeError(f"targets must be real numbers, got {wanted.dtype}")
    if wanted.shape != shape:
        raise ValueError(f"targets must have the shape of predictions, {shape}, got {wanted.shape}")
    cdef cnp.ndarray other = np.require(wanted, source.dtype, ["C", "A"])
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    cdef Pass p = make_pass(SQUARED_ERROR, source.itemsize, source.size)
    cdef cnp.ndarray counts
    count = source.size
    if mask is not None:
        axes = np.ndim(mask)
        counts = mask_array(mask, shape[:axes], f"the first axes of predictions {shape}")
        counts = np.repeat(counts.ravel(), math.prod(shape[axes:]))
        count = int(np.count_nonzero(counts))
        p.mask = <const uint8_t *>cnp.PyArray_DATA(counts)
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.other = <const char *>cnp.PyArray_DATA(other)
    p.to = <char *>cnp.PyArray_DATA(gradient)
    return run_pass(&p, block_sums(source.size)), count, gradient


# What is left to do after the plain pass: the weights of rows and classes, and the smoothing of labels.
cdef struct Mixture:
    Py_ssize_t itemsize, rows, classes, per_task
    char *gradient
    const char *logits
    const int64_t *targets
    const uint8_t *mask
    const double *weights
    const double *class_weights
    double class_total, smoothing
    double *losses


cdef void _mix(Mixture *m, Py_ssize_t row, real *g, const real *x) noexcept nogil:
    """Of loss and softmax(x) - onehot, those of targets that are (1 - smoothing) onehot + smoothing / classes."""
    cdef Py_ssize_t target = m.targets[row], c
    cdef double weight = 1 if m.weights == NULL else m.weights[row]
    cdef double own = 1 if m.class_weights == NULL else m.class_weights[target]
    cdef double hard = (1 - m.smoothing) * own, soft = m.smoothing / m.classes
    cdef double factor = weight * (hard + soft * m.class_total), total, rest = 0
    cdef real scale = <real>factor, share = <real>(weight * soft)
    if weight == 0 or hard + soft * m.class_total == 0:
        m.losses[row] = 0
        for c in range(m.classes):
            g[c] = 0
        return
    for c in range(m.classes):
        g[c] *= scale
    if soft == 0:
        m.losses[row] *= factor
        return
    total = m.losses[row] + x[target]
    if m.class_weights == NULL:
        for c in range(m.classes):
            g[c] -= share
            rest += total - x[c]
    else:
        for c in range(m.classes):
            g[c] -= share * <real>m.class_weights[c]
            if m.class_weights[c] != 0:
                rest += m.class_weights[c] * (total - x[c])
    g[target] += share * <real>m.class_total
    # The sum of the powers is lost where the target's logit is -inf.
    m.losses[row] = weight * (INFINITY if m.losses[row] == INFINITY else hard * m.losses[row] + soft * rest)


cdef void _mix_task(void *context, int index) noexcept nogil:
    cdef Mixture *m = <Mixture *>context
    cdef Py_ssize_t row, at, start = index * m.per_task, stop = min(start + m.per_task, m.rows)
    cdef unsigned mode = denormals_flush()
    for row in range(start, stop):
        if m.mask != NULL and not m.mask[row]:
            continue
        at = row * m.classes * m.itemsize
        if m.itemsize == 4:
            _mix(m, row, <float *>(m.gradient + at), <const float *>(m.logits + at))
        else:
            _mix(m, row, <double *>(m.gradient + at), <const double *>(m.logits + at))
    denormals_restore(mode)


def cross_entropy(logits, targets, mask=None, weights=None, *, class_weights=None, double label_smoothing=0):
    """Sum of the softmax cross-entropies of all rows, and its gradient.

    A row's loss is log(sum of exp(logits)) - logits[target], its gradient softmax(logits) - onehot(target).

    Parameters
    ----------
    logits : (..., C) array of float32 or float64
        Of any size; -inf is fine for a class that is not the target, unless labels are smoothed.
    targets : (...) integer array
        Classes, 0 to C - 1.
    mask : (...) bool array, optional
        True where a row counts. Logits and targets of the other rows are not read: they may hold anything.
    weights : (...) array, optional
        What each row's loss and gradient are multiplied by.
    class_weights : (C,) array, optional
        What the loss of each class is multiplied by.
    label_smoothing : float
        The part of each target, 0 to 1, that goes in equal shares to all classes.

    Returns
    -------
    (float, int or float, array)
        The sum, the number of rows that count, and the gradient of the sum, zero in rows that do not count. With
        class weights, the weights of the rows' targets are counted.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a target that counts is out of range.

    Examples
    --------
    >>> from rnnfast import ops
    >>> total, count, gradient = ops.cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(total, 6), count, gradient
    (1.386294, 1, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    cdef cnp.ndarray source = real_array("logits", logits)
    shape = (<object>source).shape
    if len(shape) == 0:
        raise ValueError("logits must have shape (..., C), got a single number")
    *leading, classes = shape
    leading = tuple(leading)
    wanted = np.asarray(targets)
    if wanted.dtype.kind not in "iu":
        raise TypeError(f"targets must be integers, got {wanted.dtype}")
    if wanted.shape != leading:
        raise ValueError(f"targets must have the shape of logits without the last axis, {leading}, "
                         f"got {wanted.shape}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be 0 to 1, got {label_smoothing}")
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    # Our own copy: nobody can change it between the check and the pass.
    cdef cnp.ndarray chosen = np.array(wanted, np.int64, order="C")
    cdef Py_ssize_t rows = chosen.size, row = 0, counted = 0
    cdef Pass p = make_pass(CROSS_ENTROPY, source.itemsize, rows, classes)
    cdef int64_t last = classes - 1
    cdef cnp.ndarray counts, each, by_class, losses = np.zeros(rows)
    cdef Mixture m
    cdef double weighed = 0
    m.weights = m.class_weights = NULL
    m.class_total, m.smoothing = classes, label_smoothing
    if weights is not None:
        each = _factors("weights", weights, leading, np.float64)
        m.weights = <const double *>cnp.PyArray_DATA(each)
    if class_weights is not None:
        by_class = _factors("class_weights", class_weights, (classes,), np.float64)
        m.class_weights = <const double *>cnp.PyArray_DATA(by_class)
        m.class_total = _added(by_class)
    if mask is not None:
        counts = mask_array(mask, leading, "that of targets")
        if np.may_share_memory(counts, mask):
            counts = counts.copy()
        p.mask = <const uint8_t *>cnp.PyArray_DATA(counts)
    p.targets = <const int64_t *>cnp.PyArray_DATA(chosen)
    with nogil:
        while row < rows:
            if p.mask == NULL or p.mask[row]:
                if p.targets[row] < 0 or p.targets[row] > last:
                    break
                counted += 1
                if m.class_weights != NULL:
                    weighed += m.class_weights[p.targets[row]]
            row += 1
    if row < rows:
        raise ValueError(f"targets must be classes 0 to {classes - 1} (logits have shape {shape}), got "
                         f"{wanted.flat[row]} at {tuple(map(int, np.unravel_index(row, wanted.shape)))}")
    p.source = <const char *>cnp.PyArray_DATA(source)
    p.to = <char *>cnp.PyArray_DATA(gradient)
    cdef double total = run_pass(&p, losses)
    if m.weights != NULL or m.class_weights != NULL or label_smoothing:
        m.itemsize, m.rows, m.classes = source.itemsize, rows, classes
        m.per_task = max(<Py_ssize_t>1, CHUNK // max(m.classes, <Py_ssize_t>1))
        m.gradient, m.logits, m.targets, m.mask = p.to, p.source, p.targets, p.mask
        m.losses = <double *>cnp.PyArray_DATA(losses)
        with nogil:
            run(_mix_task, &m, <int>((m.rows + m.per_task - 1) // m.per_task))
        total = _added(losses)
    return total, counted if class_weights is None else weighed, gradient


cdef struct Binary:
    const passes *table
    Py_ssize_t itemsize, count, width
    char *gradient
    const char *predictions
    const char *targets
    const uint8_t *mask
    const double *weights
    const double *positive
    double smoothing
    bint from_logits
    double *sums
    # Of each task, the first element that is no target, or is no probability; -1 where there is none.
    int64_t *wrong


cdef double _binary(Binary *b, int index, real *g, const real *x, const real *t) noexcept nogil:
    """A task's loss, yes * -log(y) + no * -log(1 - y): the shares of both are made a block at a time."""
    cdef Py_ssize_t first, i, size, start = index * <Py_ssize_t>CHUNK, stop = min(start + CHUNK, b.count)
    cdef Py_ssize_t channel = start % b.width if b.width else 0
    cdef real yes[BLOCK]
    cdef real no[BLOCK]
    cdef double target, weight, total = 0
    cdef bint plain = b.from_logits and b.mask == NULL and b.weights == NULL and b.width == 1, right
    cdef real keep = <real>(1 - b.smoothing), blur = <real>(0.5 * b.smoothing), factor = <real>b.positive[0]
    first = start
    while first < stop:
        size = min(<Py_ssize_t>BLOCK, stop - first)
        right = plain
        if plain:
            # Without a branch, many at once. Whatever is wrong is found below.
            for i in range(size):
                right &= (t[first + i] >= 0) & (t[first + i] <= 1)
                yes[i] = (t[first + i] * keep + blur) * factor
                no[i] = 1 - (t[first + i] * keep + blur)
        for i in range(0 if right else size):
            weight = 1 if b.weights == NULL else b.weights[first + i]
            yes[i] = no[i] = 0
            if weight != 0 and (b.mask == NULL or b.mask[first + i]):
                target = t[first + i]
                if not 0 <= target <= 1 or not b.from_logits and (x[first + i] < 0 or x[first + i] > 1):
                    b.wrong[index] = first + i
                    return 0
                target = target * (1 - b.smoothing) + 0.5 * b.smoothing
                yes[i] = <real>(weight * target * b.positive[channel])
                no[i] = <real>(weight * (1 - target))
            channel = channel + 1 if channel + 1 < b.width else 0
        if b.from_logits:
            total += b.table.binary_cross_entropy(g + first, x + first, yes, no, size)
        else:
            total += _of_probabilities(g + first, x + first, yes, no, size)
        first += size
    return total


cdef double _of_probabilities(real *g, const real *x, const real *yes, const real *no, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef double y, total = 0
    for i in range(count):
        g[i] = 0
        if yes[i] == 0 and no[i] == 0:
            continue
        y = x[i]
        g[i] = <real>((no[i] * y - yes[i] * (1 - y)) / fmax(y * (1 - y), 1e-12))
        if y != y:
            # fmax takes nan for the lesser.
            g[i] = <real>y
            total += y
            continue
        if yes[i] != 0:
            total -= yes[i] * fmax(log(y), -100)
        if no[i] != 0:
            total -= no[i] * fmax(log1p(-y), -100)
    return total


cdef void _binary_task(void *context, int index) noexcept nogil:
    cdef Binary *b = <Binary *>context
    cdef unsigned mode = denormals_flush()
    if b.itemsize == 4:
        b.sums[index] = _binary(b, index, <float *>b.gradient, <const float *>b.predictions, <const float *>b.targets)
    else:
        b.sums[index] = _binary(b, index, <double *>b.gradient, <const double *>b.predictions,
                                <const double *>b.targets)
    denormals_restore(mode)


def binary_cross_entropy(predictions, targets, mask=None, weights=None, *, positive_weights=None,
                         double label_smoothing=0, bint from_logits=True):
    """Sum of the cross-entropies of yes-or-no questions, one an element, and its gradient.

    An element's loss is -(p t log(y) + (1 - t) log(1 - y)), where t is the target, y the probability and p the
    positive weight.

    Parameters
    ----------
    predictions : array of float32 or float64, any shape
        Logits, y = sigmoid(prediction), of any size; or, not `from_logits`, the probabilities themselves.
    targets : real array of the same shape
        0 to 1.
    mask : bool array of the same shape, optional
        True where an element counts. What does not count is not read: it may hold anything.
    weights : array of the same shape, optional
        What each element's loss and gradient are multiplied by.
    positive_weights : (F,) array, optional
        p of the elements along the last axis; 1 by default.
    label_smoothing : float
        s of 0 to 1: targets become t (1 - s) + s / 2.
    from_logits : bool
        Of probabilities, the logarithms are at least -100, and what the gradient is divided by is at least 1e-12.

    Returns
    -------
    (float, int, array)
        The sum, the number of elements that count, and the gradient of the sum, zero where nothing counts.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a target or a probability that counts is not 0 to 1.

    Examples
    --------
    >>> from rnnfast import ops
    >>> total, count, gradient = ops.binary_cross_entropy(np.zeros(2), np.array([0, 1]))
    >>> round(total, 6), count, gradient
    (1.386294, 2, array([ 0.5, -0.5]))
    """
    cdef cnp.ndarray source = real_array("predictions", predictions)
    shape = (<object>source).shape
    cdef cnp.ndarray wanted = _factors("targets", targets, shape, source.dtype)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be 0 to 1, got {label_smoothing}")
    cdef cnp.ndarray gradient = empty(shape, source.dtype)
    cdef cnp.ndarray counts, each, positive = np.ones(1)
    cdef Binary b
    count = source.size
    b.mask, b.weights = NULL, NULL
    if mask is not None:
        counts = mask_array(mask, shape, "that of predictions")
        count = int(np.count_nonzero(counts))
        b.mask = <const uint8_t *>cnp.PyArray_DATA(counts)
    if weights is not None:
        each = _factors("weights", weights, shape, np.float64)
        b.weights = <const double *>cnp.PyArray_DATA(each)
    if positive_weights is not None:
        positive = _factors("positive_weights", positive_weights, (shape[len(shape) - 1] if shape else 1,), np.float64)
    cdef int tasks = <int>((source.size + CHUNK - 1) // CHUNK)
    cdef cnp.ndarray sums = np.zeros(tasks), wrong = np.full(tasks, -1, np.int64)
    b.table = &kernels_of(<int>source.itemsize).passes
    b.itemsize, b.count, b.width = source.itemsize, source.size, positive.size
    b.gradient, b.predictions = <char *>cnp.PyArray_DATA(gradient), <const char *>cnp.PyArray_DATA(source)
    b.targets, b.positive = <const char *>cnp.PyArray_DATA(wanted), <const double *>cnp.PyArray_DATA(positive)
    b.smoothing, b.from_logits = label_smoothing, from_logits
    b.sums, b.wrong = <double *>cnp.PyArray_DATA(sums), <int64_t *>cnp.PyArray_DATA(wrong)
    with nogil:
        run(_binary_task, &b, tasks)
    for place in wrong[wrong >= 0].tolist():
        at = f"at {tuple(map(int, np.unravel_index(place, shape)))}"
        if 0 <= wanted.flat[place] <= 1:
            raise ValueError(f"predictions must be probabilities, 0 to 1, got {source.flat[place]} {at}; "
                             "logits want from_logits=True")
        raise ValueError(f"targets must be 0 to 1, got {wanted.flat[place]} {at}")
    return _added(sums), count, gradient
