"""Linear-chain conditional random fields: likelihood with its gradient, marginals, and the best path.

A sequence of tags scores the sum of potentials[0, 0, tag_0] and potentials[t, tag_{t-1}, tag_t] for t >= 1. All sums
are in float64, and each sequence is one worker's, so that the number of threads changes no bit.
"""

import numpy as np

from rnnfast.kernels._memory import empty

cimport numpy as cnp
from libc.math cimport INFINITY, log
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.string cimport memset

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._passes cimport index_array, real_array
from rnnfast.kernels._passes_table cimport map_function
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore
from rnnfast.kernels._threads cimport Interrupt, end_watch, interrupted, run, threads_for, watch

cnp.import_array()


ctypedef fused real:
    float
    double


cdef enum Kind:
    LIKELIHOOD, MARGINALS, VITERBI, BEST_PATHS


cdef struct Job:
    Kind kind
    Py_ssize_t count, steps, tags, ranks, itemsize
    const char *potentials
    const int64_t *lengths
    const int64_t *targets
    const double *weights
    double *scores  # losses, logarithms of the normalisers, or the best paths' scores
    char *to  # gradient or marginals
    int64_t *paths
    map_function exp
    char *scratch
    Py_ssize_t scratch_size
    int workers
    Interrupt interrupt


cdef double filter_steps(Job *job, const real *x, Py_ssize_t steps, double *chances, double *alpha, double *top,
                         double *total) noexcept nogil:
    """Each tag's probability of the tag before it, given the tags up to then: chances (steps, tags, tags).

    Returns the logarithm of the normaliser; alpha holds the probabilities of the last tag.
    """
    cdef Py_ssize_t C = job.tags, t, i, j
    cdef double greatest, sum
    cdef double *p
    for j in range(C):
        alpha[j] = x[j]
    for t in range(1, steps):
        x += C * C
        p = chances + t * C * C
        for j in range(C):
            top[j], total[j] = -INFINITY, 0
        for i in range(C):
            for j in range(C):
                p[i * C + j] = alpha[i] + x[i * C + j]
                top[j] = p[i * C + j] if p[i * C + j] > top[j] else top[j]
        for j in range(C):
            # A tag that cannot be reached: exp(-inf) below.
            top[j] = top[j] if top[j] > -INFINITY else 0
        for i in range(C):
            for j in range(C):
                p[i * C + j] -= top[j]
        job.exp(p, p, C * C)
        for i in range(C):
            for j in range(C):
                total[j] += p[i * C + j]
        for j in range(C):
            alpha[j] = top[j] + log(total[j])
            total[j] = 1 / total[j] if total[j] != 0 else 0
        for i in range(C):
            for j in range(C):
                p[i * C + j] *= total[j]
    greatest = -INFINITY
    for j in range(C):
        greatest = alpha[j] if alpha[j] > greatest else greatest
    if greatest == -INFINITY:
        greatest = 0
    sum = 0
    for j in range(C):
        alpha[j] -= greatest
    job.exp(alpha, alpha, C)
    for j in range(C):
        sum += alpha[j]
    for j in range(C):
        alpha[j] /= sum
    return greatest + log(sum)


cdef void smooth_step(const Job *job, double *chances, double *share, double *before) noexcept nogil:
    """Chances of a step into probabilities of pairs of tags, and of the tag before, given the tag's own, `share`."""
    cdef Py_ssize_t C = job.tags, i, j
    for i in range(C):
        before[i] = 0
        for j in range(C):
            chances[i * C + j] *= share[j]
            before[i] += chances[i * C + j]
    for i in range(C):
        share[i] = before[i]


cdef double likelihood(Job *job, const real *x, real *gradient, const int64_t *targets, Py_ssize_t steps,
                       double weight, double *scratch) noexcept nogil:
    cdef Py_ssize_t C = job.tags, t, i
    cdef double *share = scratch
    cdef double *other = share + C
    cdef double *chances = other + 2 * C
    cdef double *p
    cdef double normaliser = filter_steps(job, x, steps, chances, share, other, other + C), score = x[targets[0]]
    for t in range(1, steps):
        score += x[(t * C + targets[t - 1]) * C + targets[t]]
    if score == -INFINITY:
        memset(gradient, 0, steps * C * C * sizeof(real))
        return INFINITY
    for t in range(steps - 1, 0, -1):
        p = chances + t * C * C
        smooth_step(job, p, share, other)
        p[targets[t - 1] * C + targets[t]] -= 1
        for i in range(C * C):
            gradient[t * C * C + i] = <real>(weight * p[i])
    memset(gradient, 0, C * C * sizeof(real))
    share[targets[0]] -= 1
    for i in range(C):
        gradient[i] = <real>(weight * share[i])
    return normaliser - score


cdef double marginals_of(Job *job, const real *x, real *to, Py_ssize_t steps, double *scratch) noexcept nogil:
    cdef Py_ssize_t C = job.tags, t, j
    cdef double *share = scratch
    cdef double *other = share + C
    cdef double *chances = other + 2 * C
    cdef double normaliser = filter_steps(job, x, steps, chances, share, other, other + C)
    for t in range(steps - 1, -1, -1):
        for j in range(C):
            to[t * C + j] = <real>share[j] if normaliser != -INFINITY else 0
        if t:
            smooth_step(job, chances + t * C * C, share, other)
    return normaliser


cdef double best_path(Job *job, const real *x, int64_t *path, Py_ssize_t steps, double *scratch) noexcept nogil:
    """The path of the greatest score; of equal ones that with the smaller tag, decided from the last step on."""
    cdef Py_ssize_t C = job.tags, t, i, j
    cdef double *best = scratch
    cdef double *new = best + C
    cdef int32_t *before = <int32_t *>(new + C)
    cdef double score
    for j in range(C):
        best[j] = x[j]
    for t in range(1, steps):
        x += C * C
        before += C
        for j in range(C):
            new[j], before[j] = best[0] + x[j], 0
        for i in range(1, C):
            for j in range(C):
                score = best[i] + x[i * C + j]
                before[j] = <int32_t>i if score > new[j] else before[j]
                new[j] = score if score > new[j] else new[j]
        best, new = new, best
    i = 0
    for j in range(1, C):
        i = j if best[j] > best[i] else i
    score = best[i]
    for t in range(steps - 1, -1, -1):
        path[t] = i
        if t:
            i = before[i]
            before -= C
    return score


cdef void rank(double *scores, int32_t *froms, Py_ssize_t ranks, double score, int32_t where) noexcept nogil:
    """Put a score in its place among the greatest so far, after those it equals. One that is not among them is left."""
    cdef Py_ssize_t k = ranks - 1
    if not score > scores[k]:
        return
    while k > 0 and score > scores[k - 1]:
        scores[k], froms[k] = scores[k - 1], froms[k - 1]
        k -= 1
    scores[k], froms[k] = score, where


cdef void best_paths(Job *job, const real *x, int64_t *paths, double *scores, Py_ssize_t steps,
                     double *scratch) noexcept nogil:
    """The paths of the greatest scores, each tag's best `ranks` carried on; -1 and -inf where there are fewer."""
    cdef Py_ssize_t C = job.tags, N = job.ranks, t, i, j, r, at
    cdef double *best = scratch
    cdef double *new = best + C * N
    cdef int32_t *before = <int32_t *>(new + C * N)
    for j in range(C * N):
        best[j] = x[j // N] if j % N == 0 else -INFINITY
    for t in range(1, steps):
        x += C * C
        before += C * N
        for j in range(C * N):
            new[j], before[j] = -INFINITY, 0
        for i in range(C):
            for j in range(C):
                for r in range(N):
                    rank(new + j * N, before + j * N, N, best[i * N + r] + x[i * C + j], <int32_t>(i * N + r))
        best, new = new, best
    # The first step's row of `before` has nothing before it, and holds the ranking of the ends.
    cdef int32_t *ends = <int32_t *>(scratch + 2 * C * N)
    for r in range(N):
        scores[r], ends[r] = -INFINITY, 0
    for j in range(C * N):
        rank(scores, ends, N, best[j], <int32_t>j)
    for r in range(N):
        at = ends[r]
        for t in range(steps - 1, -1, -1):
            paths[r * job.steps + t] = at // N if scores[r] > -INFINITY else -1
            if t:
                at = before[at - (steps - 1 - t) * C * N]


cdef void one(Job *job, Py_ssize_t n, const real *x, double *scratch) noexcept nogil:
    cdef Py_ssize_t C = job.tags, T = job.steps, steps = job.lengths[n], t, size, used = steps
    cdef real *to = <real *>job.to
    x += n * T * C * C
    if job.kind == BEST_PATHS:
        for t in range(job.ranks * T):
            job.paths[n * job.ranks * T + t] = -1
        for t in range(job.ranks):
            job.scores[n * job.ranks + t] = -INFINITY if t else 0
        if steps:
            best_paths(job, x, job.paths + n * job.ranks * T, job.scores + n * job.ranks, steps, scratch)
        return
    job.scores[n] = 0
    if job.kind == VITERBI:
        if steps:
            job.scores[n] = best_path(job, x, job.paths + n * T, steps, scratch)
        for t in range(steps, T):
            job.paths[n * T + t] = -1
        return
    size = C if job.kind == MARGINALS else C * C
    to += n * T * size
    if job.kind == MARGINALS and steps:
        job.scores[n] = marginals_of(job, x, to, steps, scratch)
    elif job.kind == LIKELIHOOD and steps and job.weights[n] != 0:
        job.scores[n] = likelihood(job, x, to, job.targets + n * T, steps, job.weights[n], scratch)
    else:
        used = 0
    memset(to + used * size, 0, (T - used) * size * sizeof(real))


cdef void task(void *context, int index) noexcept nogil:
    """This worker's sequences, one of every `workers`."""
    cdef Job *job = <Job *>context
    cdef double *scratch = <double *>(job.scratch + index * job.scratch_size)
    cdef unsigned mode = denormals_flush()
    cdef Py_ssize_t n = index
    while n < job.count and not interrupted(&job.interrupt):
        if job.itemsize == 4:
            one[float](job, n, <const float *>job.potentials, scratch)
        else:
            one[double](job, n, <const double *>job.potentials, scratch)
        n += job.workers
    denormals_restore(mode)


cdef object start(Job *job, Kind kind, cnp.ndarray source, cnp.ndarray steps, cnp.ndarray scores):
    """Fill in what all kinds share and run; what a kind has of its own is there already."""
    cdef Py_ssize_t C = job.tags, N = job.ranks, longest = steps.max(), cells
    if kind == VITERBI or kind == BEST_PATHS:
        if times(C, N) > INT32_MAX:
            raise ValueError(f"C * n_best must be less than 2**31, got {C} * {N}")
        cells = times(longest, C * N + 1) // 2
    else:
        cells = times(longest, times(C, C))
    job.kind, job.itemsize, job.exp = kind, source.itemsize, kernels_of(8).passes.exp
    job.potentials, job.lengths = <const char *>cnp.PyArray_DATA(source), <const int64_t *>cnp.PyArray_DATA(steps)
    job.scores = <double *>cnp.PyArray_DATA(scores)
    job.workers = min(<int>min(job.count, <Py_ssize_t>1024), threads_for(300.0 * job.count * longest * C * C * N))
    job.scratch_size = (times(cells + 3 * C * N, sizeof(double)) + 63) & ~<Py_ssize_t>63
    cdef Buffer scratch = Buffer.of(times(job.workers, job.scratch_size))
    job.scratch = scratch.start
    with nogil:
        watch(&job.interrupt)
        run(task, job, job.workers)
    end_watch(&job.interrupt)


cdef tuple checked(Job *job, potentials, lengths):
    cdef cnp.ndarray source = real_array("potentials", potentials)
    shape = (<object>source).shape
    if len(shape) != 4 or shape[2] != shape[3] or not shape[3]:
        raise ValueError(f"potentials must have shape (B, T, C, C) with C at least 1, got {shape}")
    job.count, job.steps, job.tags = shape[:3]
    job.ranks = 1
    if lengths is None:
        return source, np.full(job.count, job.steps, np.int64)
    return source, index_array("lengths", lengths, (job.count,), 0, job.steps)


def crf(potentials, targets, lengths, weights):
    """Minus the logarithm of the probability of each sequence's tags, and the gradient (Lafferty et al. 2001).

    Parameters
    ----------
    potentials : (B, T, C, C) array of float32 or float64
        The score of tag j after tag i at [i, j]. Of the first step, which has no tag before it, row 0 alone is read.
    targets : (B, T) integer array
        Tags, 0 to C - 1. Those beyond the lengths are not read.
    lengths : (B,) integer array
        Steps of each sequence, 0 to T; None takes all. Potentials beyond them are not read.
    weights : (B,) float array
        Factors of the gradient. A sequence of weight 0 is not read: its loss is 0.

    Returns
    -------
    losses : (B,) array of float64
        Without the weights; 0 for a sequence without steps. Infinite where a target's potential is -inf; the gradient
        is zero there.
    gradient : (B, T, C, C) array
        Of the sum of weights * losses: the probability of each pair of tags, less one for the target's.

    Raises
    ------
    TypeError, ValueError
        A dtype or a shape does not fit, or a number is out of range.

    Examples
    --------
    >>> from rnnfast import ops
    >>> losses, _ = ops.crf(np.zeros((1, 3, 2, 2)), np.zeros((1, 3), int), None, [1.0])
    >>> round(float(np.exp(-losses[0])), 6)  # of eight sequences, one
    0.125
    """
    cdef Job job
    cdef cnp.ndarray source, steps
    source, steps = checked(&job, potentials, lengths)
    shape = (job.count, job.steps)
    wanted = np.asarray(targets)
    if wanted.shape == shape:
        wanted = np.where((np.arange(job.steps) < steps[:, None]), wanted, 0)
    cdef cnp.ndarray chosen = index_array("targets", wanted, shape, 0, job.tags - 1)
    cdef cnp.ndarray factors = np.array(weights, np.float64, order="C")
    if (<object>factors).shape != (job.count,):
        raise ValueError(f"weights must have shape ({job.count},), got {(<object>factors).shape}")
    cdef cnp.ndarray losses = np.zeros(job.count)
    cdef cnp.ndarray gradient = empty((<object>source).shape, source.dtype)
    job.targets, job.weights = <const int64_t *>cnp.PyArray_DATA(chosen), <const double *>cnp.PyArray_DATA(factors)
    job.to = <char *>cnp.PyArray_DATA(gradient)
    if job.count:
        start(&job, LIKELIHOOD, source, steps, losses)
    return losses, gradient


def crf_marginals(potentials, lengths=None):
    """Each tag's probability at each step, over all sequences of tags.

    Parameters
    ----------
    potentials, lengths
        As of `crf`.

    Returns
    -------
    marginals : (B, T, C) array
        Zero beyond the lengths, and where no sequence of tags is possible.
    normalisers : (B,) array of float64
        The logarithm of the sum of exp(score) over all sequences of tags; 0 for a sequence without steps.
    """
    cdef Job job
    cdef cnp.ndarray source, steps
    source, steps = checked(&job, potentials, lengths)
    cdef cnp.ndarray marginals = empty((job.count, job.steps, job.tags), source.dtype)
    cdef cnp.ndarray normalisers = np.zeros(job.count)
    job.to = <char *>cnp.PyArray_DATA(marginals)
    if job.count:
        start(&job, MARGINALS, source, steps, normalisers)
    return marginals, normalisers


def crf_viterbi(potentials, lengths=None):
    """The sequence of tags of the greatest score (Viterbi 1967).

    Parameters
    ----------
    potentials, lengths
        As of `crf`.

    Returns
    -------
    paths : (B, T) array of int64
        Tags, -1 beyond the lengths. Of equal scores the smaller tag wins, from the last step on.
    scores : (B,) array of float64
        0 for a sequence without steps.
    """
    cdef Job job
    cdef cnp.ndarray source, steps
    source, steps = checked(&job, potentials, lengths)
    cdef cnp.ndarray paths = np.empty((job.count, job.steps), np.int64)
    cdef cnp.ndarray scores = np.zeros(job.count)
    job.paths = <int64_t *>cnp.PyArray_DATA(paths)
    if job.count:
        start(&job, VITERBI, source, steps, scores)
    return paths, scores


def crf_best_paths(potentials, lengths, Py_ssize_t n_best):
    """The `n_best` sequences of tags of the greatest scores, best first.

    Parameters
    ----------
    potentials, lengths
        As of `crf`.
    n_best : int
        At least 1.

    Returns
    -------
    paths : (B, n_best, T) array of int64
        Tags, -1 beyond the lengths, and where there are fewer paths.
    scores : (B, n_best) array of float64
        -inf where there are fewer; of a sequence without steps, 0 for the first.
    """
    cdef Job job
    cdef cnp.ndarray source, steps
    if n_best < 1:
        raise ValueError(f"n_best must be at least 1, got {n_best}")
    source, steps = checked(&job, potentials, lengths)
    job.ranks = n_best
    cdef cnp.ndarray paths = np.empty((job.count, n_best, job.steps), np.int64)
    cdef cnp.ndarray scores = np.empty((job.count, n_best))
    job.paths = <int64_t *>cnp.PyArray_DATA(paths)
    if job.count:
        start(&job, BEST_PATHS, source, steps, scores)
    return paths, scores
