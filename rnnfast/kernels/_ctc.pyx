"""Connectionist temporal classification: the loss of Graves et al. (2006) and its gradient.

Forward and backward probabilities are numbers with an exponent of their own (src/wide.h): they have the range of
logarithms without their cost, so no length and no logits make them vanish. Each sequence is one worker's, so that the
number of threads changes no bit.
"""

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.math cimport INFINITY, log
from libc.stdint cimport int64_t
from libc.string cimport memset

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._passes cimport index_array, real_array
from rnnfast.kernels._passes_table cimport map_function
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore
from rnnfast.kernels._threads cimport Interrupt, end_watch, interrupted, run, threads_for, watch

cnp.import_array()


cdef extern from "wide.h" nogil:
    double two_to(double e)
    void wide_split(double *rest, double *e, const double *x, Py_ssize_t count)
    void wide_step(double *to_m, double *to_e, const double *from_m, const double *from_e, const double *skip,
                   const double *factor_m, const double *factor_e, Py_ssize_t count)


cdef enum:
    # Zeros before the start of a row of the lattice.
    PAD = 2

cdef double LN2 = 0.6931471805599453


ctypedef fused real:
    float
    double


cdef struct Job:
    Py_ssize_t count, steps, classes, itemsize
    int64_t blank
    const char *logits
    char *gradient
    const int64_t *labels
    const int64_t *starts
    const int64_t *lengths
    const double *weights
    double *losses
    map_function exp
    char *scratch
    Py_ssize_t scratch_size
    int workers
    Interrupt interrupt


cdef struct Lattice:
    # One sequence's: states 0 to count - 1 are blank, label, blank, label ... blank.
    Py_ssize_t steps, count
    double *skip  # 0 where a path may come from two states before, -inf elsewhere; of the lattice and of its mirror
    double *mirror_skip
    double *symbols_m  # (steps, count): each state's symbol, as numerators of the softmax
    double *symbols_e
    double *alpha_m  # (1 + steps, PAD + count): all paths that end in a state; before the first step, in front of it
    double *alpha_e
    double *beta_m  # (2, PAD + count): the same for the mirrored lattice, from the last step to the first
    double *beta_e
    double *factors_m  # (count): a step's symbols, mirrored
    double *factors_e
    double *shares  # (count): of the paths through each state
    double *row  # (classes): logits, then rest and exponent of their exponentials, then the symbols' shares
    double *powers
    double *exponents
    double *occupied


cdef Py_ssize_t lattice_size(Py_ssize_t steps, Py_ssize_t count, Py_ssize_t classes) except -1:
    cdef Py_ssize_t cells = times(steps + 3, PAD + count)
    return times(4 * cells + 7 * (PAD + count) + 4 * classes, sizeof(double))


cdef Lattice lay_out(double *at, Py_ssize_t steps, Py_ssize_t count, Py_ssize_t classes) noexcept nogil:
    cdef Lattice p
    cdef double **parts[16]
    cdef Py_ssize_t sizes[16]
    cdef int i
    parts = [&p.skip, &p.mirror_skip, &p.symbols_m, &p.symbols_e, &p.alpha_m, &p.alpha_e, &p.beta_m, &p.beta_e,
             &p.factors_m, &p.factors_e, &p.shares, &p.row, &p.powers, &p.exponents, &p.occupied, NULL]
    sizes = [count, count, steps * count, steps * count, (1 + steps) * (PAD + count), (1 + steps) * (PAD + count),
             2 * (PAD + count), 2 * (PAD + count), count, count, count, classes, classes, classes, classes, 0]
    p.steps, p.count = steps, count
    for i in range(15):
        parts[i][0] = at
        at += sizes[i]
    return p


cdef double softmax(Lattice *p, const real *logits, real *gradient, double weight, map_function exp,
                    Py_ssize_t classes) noexcept nogil:
    """Numerators of a step's softmax into powers and exponents, weight * softmax into the gradient.

    Returns the denominator, NaN where a logit is NaN or all are infinite.
    """
    cdef double greatest = -INFINITY, total = 0, factor
    cdef bint wrong = False
    cdef Py_ssize_t k
    for k in range(classes):
        p.row[k] = logits[k]
        greatest = p.row[k] if p.row[k] > greatest else greatest
    for k in range(classes):
        p.row[k] -= greatest
        wrong |= p.row[k] != p.row[k]
    wide_split(p.powers, p.exponents, p.row, classes)
    exp(p.powers, p.powers, classes)
    for k in range(classes):
        p.row[k] = p.powers[k] * two_to(p.exponents[k])
        total += p.row[k]
    if wrong:
        total = INFINITY - INFINITY
    factor = weight / total
    for k in range(classes):
        gradient[k] = <real>(p.row[k] * factor)
    return total


cdef void connect(double *skip, const int64_t *labels, Py_ssize_t count, int step) noexcept nogil:
    """Where a path may leave out a blank: between labels that differ, and before the first."""
    cdef Py_ssize_t s
    for s in range(2 * count + 1):
        skip[s] = -INFINITY
        if s % 2 and (s == 1 or labels[s // 2 * step] != labels[(s // 2 - 1) * step]):
            skip[s] = 0


cdef void start_row(double *m, double *e, Py_ssize_t count, bint one) noexcept nogil:
    """Zeros, or the row before the first step: one in front of the first state."""
    cdef Py_ssize_t s
    for s in range(count):
        m[s], e[s] = 1, -INFINITY
    if one:
        e[PAD - 1] = 0


cdef void share_out(Lattice *p, const double *alpha_m, const double *alpha_e, const double *beta_m,
                    const double *beta_e, const double *symbols_m, const double *symbols_e) noexcept nogil:
    """What share of all paths runs through each state; alpha and beta both hold the state's own symbol."""
    cdef Py_ssize_t s
    cdef double top = -INFINITY, total = 0, e
    for s in range(p.count):
        # NaN, -inf + inf, where there is no path.
        e = p.factors_e[s] = alpha_e[s] + beta_e[-s] - symbols_e[s]
        top = e if e > top else top
    for s in range(p.count):
        p.shares[s] = alpha_m[s] * beta_m[-s] / symbols_m[s] * two_to(p.factors_e[s] - top)
        total += p.shares[s]
    for s in range(p.count):
        p.shares[s] /= total


cdef void gradient_row(Lattice *p, real *gradient, const int64_t *labels, int64_t blank, double weight) noexcept nogil:
    """Subtract weight * the share of the paths that give each symbol."""
    cdef Py_ssize_t i
    cdef double blanks = p.shares[0]
    for i in range(p.count // 2):
        p.occupied[labels[i]] += p.shares[2 * i + 1]
        blanks += p.shares[2 * i + 2]
    gradient[blank] -= <real>(weight * blanks)
    for i in range(p.count // 2):
        # A label that comes again has nothing left.
        gradient[labels[i]] -= <real>(weight * p.occupied[labels[i]])
        p.occupied[labels[i]] = 0


cdef double sequence(Job *job, Lattice *p, const real *logits, real *gradient, const int64_t *labels,
                     double weight) noexcept nogil:
    cdef Py_ssize_t classes = job.classes, t, s, count = p.count, width = PAD + p.count
    cdef double denominators = 0, m, e, last, before, blank_m, blank_e
    cdef double *alpha_m = p.alpha_m + PAD
    cdef double *alpha_e = p.alpha_e + PAD
    cdef double *beta_m = p.beta_m + PAD
    cdef double *beta_e = p.beta_e + PAD
    cdef double *symbols_m = p.symbols_m
    cdef double *symbols_e = p.symbols_e
    connect(p.skip, labels, count // 2, 1)
    connect(p.mirror_skip, labels + count // 2 - 1, count // 2, -1)
    memset(p.occupied, 0, classes * sizeof(double))
    start_row(p.alpha_m, p.alpha_e, width, True)
    for t in range(p.steps):
        denominators += log(softmax(p, logits + t * classes, gradient + t * classes, weight, job.exp, classes))
        blank_m, blank_e = p.powers[job.blank], p.exponents[job.blank]
        symbols_m[0], symbols_e[0] = blank_m, blank_e
        for s in range(count // 2):
            symbols_m[2 * s + 1], symbols_e[2 * s + 1] = p.powers[labels[s]], p.exponents[labels[s]]
            symbols_m[2 * s + 2], symbols_e[2 * s + 2] = blank_m, blank_e
        start_row(alpha_m + width - PAD, alpha_e + width - PAD, PAD, False)
        wide_step(alpha_m + width, alpha_e + width, alpha_m, alpha_e, p.skip, symbols_m, symbols_e, count)
        alpha_m += width
        alpha_e += width
        symbols_m += count
        symbols_e += count
    if denominators != denominators:
        return denominators
    last, before = alpha_e[count - 1], alpha_e[count - 2]
    e = last if last > before else before
    if e == -INFINITY:
        memset(gradient, 0, p.steps * classes * sizeof(real))
        return INFINITY
    m = alpha_m[count - 1] * two_to(last - e) + alpha_m[count - 2] * two_to(before - e)

    start_row(p.beta_m, p.beta_e, 2 * width, True)
    for t in range(p.steps - 1, -1, -1):
        symbols_m -= count
        symbols_e -= count
        for s in range(count):
            p.factors_m[s], p.factors_e[s] = symbols_m[count - 1 - s], symbols_e[count - 1 - s]
        beta_m, beta_e = p.beta_m + PAD, p.beta_e + PAD
        if (p.steps - 1 - t) % 2:
            wide_step(beta_m, beta_e, beta_m + width, beta_e + width, p.mirror_skip, p.factors_m, p.factors_e, count)
            start_row(p.beta_m, p.beta_e, PAD, False)
        else:
            beta_m += width
            beta_e += width
            wide_step(beta_m, beta_e, beta_m - width, beta_e - width, p.mirror_skip, p.factors_m, p.factors_e, count)
        share_out(p, alpha_m, alpha_e, beta_m + count - 1, beta_e + count - 1, symbols_m, symbols_e)
        gradient_row(p, gradient + t * classes, labels, job.blank, weight)
        alpha_m -= width
        alpha_e -= width
    return denominators - (log(m) + e * LN2)


cdef void task(void *context, int index) noexcept nogil:
    """This worker's sequences, one of every `workers`."""
    cdef Job *job = <Job *>context
    cdef Py_ssize_t n, size = job.steps * job.classes * job.itemsize, done
    cdef unsigned mode = denormals_flush()
    cdef Lattice lattice
    cdef const int64_t *labels
    n = index
    while n < job.count and not interrupted(&job.interrupt):
        labels = job.labels + job.starts[n]
        lattice = lay_out(<double *>(job.scratch + index * job.scratch_size), job.lengths[n],
                          2 * (job.starts[n + 1] - job.starts[n]) + 1, job.classes)
        done = lattice.steps * job.classes * job.itemsize
        if job.weights[n] == 0:
            job.losses[n], done = 0, 0
        elif not lattice.steps:
            job.losses[n] = 0 if lattice.count == 1 else INFINITY
        elif job.itemsize == 4:
            job.losses[n] = sequence[float](job, &lattice, <const float *>(job.logits + n * size),
                                            <float *>(job.gradient + n * size), labels, job.weights[n])
        else:
            job.losses[n] = sequence[double](job, &lattice, <const double *>(job.logits + n * size),
                                             <double *>(job.gradient + n * size), labels, job.weights[n])
        memset(job.gradient + n * size + done, 0, size - done)
        n += job.workers
    denormals_restore(mode)


def ctc(logits, labels, label_lengths, lengths, weights, Py_ssize_t blank=0):
    """Minus the logarithm of the probability of each sequence's labels, and the gradient.

    The probability is that of all paths, a symbol a step, which give the labels when repeated symbols are merged and
    then blanks left out (Graves et al. 2006, equations 3 to 16).

    Parameters
    ----------
    logits : (B, T, C) array of float32 or float64
        Before the softmax.
    labels : (sum of label_lengths,) integer array
        All sequences' labels end to end: 0 to C - 1, and not the blank.
    label_lengths : (B,) integer array
    lengths : (B,) integer array
        Steps of each sequence, 0 to T. Logits beyond them are not read.
    weights : (B,) float array
        Factors of the gradient. A sequence of weight 0 is not read: its loss is 0.
    blank : int
        The blank's class.

    Returns
    -------
    losses : (B,) array of float64
        Without the weights. Infinite where there are too few steps for the labels, or a symbol that they need has
        logits of -inf; the gradient is zero there.
    gradient : (B, T, C) array
        Of the sum of weights * losses, in the dtype of the logits; zero beyond the lengths.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a number is out of range.

    Examples
    --------
    >>> from rnnfast import ops
    >>> losses, gradient = ops.ctc(np.zeros((1, 2, 3)), [1], [1], [2], [1.0])
    >>> round(float(np.exp(-losses[0])) * 9, 6)  # of nine paths, 1 1, 1 0 and 0 1
    3.0
    """
    cdef cnp.ndarray source = real_array("logits", logits)
    if source.ndim != 3:
        raise ValueError(f"logits must have shape (B, T, C), got {(<object>source).shape}")
    cdef Job job
    job.count, job.steps, job.classes = source.shape[0], source.shape[1], source.shape[2]
    if not 0 <= blank < job.classes:
        raise ValueError(f"blank must be a class, 0 to {job.classes - 1}, got {blank}")
    cdef cnp.ndarray chosen = index_array("labels", labels, (np.size(labels),), 0, job.classes - 1)
    if np.any(chosen == blank):
        raise ValueError(f"labels must not hold the blank, {blank}")
    cdef cnp.ndarray parts = index_array("label_lengths", label_lengths, (job.count,), 0, chosen.size)
    cdef cnp.ndarray starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(parts)])
    if starts[job.count] != chosen.size:
        raise ValueError(f"label_lengths must add up to the number of labels, {chosen.size}, got {starts[job.count]}")
    cdef cnp.ndarray steps = index_array("lengths", lengths, (job.count,), 0, job.steps)
    cdef cnp.ndarray factors = np.array(weights, np.float64, order="C")
    if (<object>factors).shape != (job.count,):
        raise ValueError(f"weights must have shape ({job.count},), got {(<object>factors).shape}")
    cdef cnp.ndarray losses = np.zeros(job.count)
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    if not job.count:
        return losses, gradient
    cdef Py_ssize_t longest = steps.max(), states = 2 * parts.max() + 1
    job.itemsize, job.blank = source.itemsize, blank
    job.logits, job.gradient = <const char *>cnp.PyArray_DATA(source), <char *>cnp.PyArray_DATA(gradient)
    job.labels, job.starts = <const int64_t *>cnp.PyArray_DATA(chosen), <const int64_t *>cnp.PyArray_DATA(starts)
    job.lengths, job.weights = <const int64_t *>cnp.PyArray_DATA(steps), <const double *>cnp.PyArray_DATA(factors)
    job.losses = <double *>cnp.PyArray_DATA(losses)
    job.exp = kernels_of(8).passes.exp
    job.workers = min(<int>min(job.count, <Py_ssize_t>1024),
                      threads_for((800.0 * (2 * chosen.size + job.count) + 400.0 * job.count * job.classes) * longest))
    job.scratch_size = (lattice_size(longest, states, job.classes) + 63) & ~<Py_ssize_t>63
    cdef Buffer scratch = Buffer.of(times(job.workers, job.scratch_size))
    job.scratch = scratch.start
    with nogil:
        watch(&job.interrupt)
        run(task, &job, job.workers)
    end_watch(&job.interrupt)
    return losses, gradient
