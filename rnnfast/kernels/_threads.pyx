"""The pool of threads that all kernels share. Its C code is linked into this module alone; others cimport `run`."""

import operator
import os

import numpy as np

from rnnfast.kernels._processors import processors as processors_here

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF


cdef extern from "pool.h":
    enum: POOL_MAX_THREADS
    void pool_run(Task task, void *context, int count) noexcept nogil
    bint pool_run_together(Task task, void *context, int count) noexcept nogil
    bint pool_meet(meeting *where, int count, const int *stop) noexcept nogil
    void pool_set_threads(int threads) nogil
    int pool_get_threads() nogil
    void pool_set_processors(int processors) nogil
    bint pool_has_processors() nogil
    double pool_clock() nogil


cdef extern from "denormals.h":
    unsigned denormals_flush() nogil
    void denormals_restore(unsigned mode) nogil


cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil


cdef long _divided = 0


cdef void run(Task task, void *context, int count) noexcept nogil:
    global _divided
    if count > 1:
        _divided += 1
    pool_run(task, context, count)


cdef bint run_together(Task task, void *context, int count) noexcept nogil:
    global _divided
    cdef bint done = pool_run_together(task, context, count)
    _divided += done
    return done


cdef bint meet(meeting *where, int count, Interrupt *interrupt) noexcept nogil:
    return pool_meet(where, count, &interrupt.stop)


# Floating-point operations that a thread must get before it is woken: some 50 microseconds' worth.
cdef double _worth_a_thread = 5e6


cdef int threads_for(double operations) noexcept nogil:
    cdef int threads = pool_get_threads()
    if operations < threads * _worth_a_thread:
        threads = <int>(operations / _worth_a_thread) if operations > _worth_a_thread else 1
    return threads


# And what each must get between two meetings, which cost a fraction of a microsecond.
cdef double _WORTH_MEETING = 1e5


cdef int worth_meeting(double operations, int most) noexcept nogil:
    if _worth_a_thread == 0:
        return most
    return most if operations >= most * _WORTH_MEETING and pool_has_processors() else 1


def _set_worth_a_thread(double operations):
    """Set what a thread must get before it is woken, and return what it was; 0 divides every call. For tests."""
    global _worth_a_thread
    before = _worth_a_thread
    _worth_a_thread = operations
    return before


def _divided_calls():
    """How often work was handed to the pool in more than one piece. For tests."""
    return _divided


# Seconds between two looks at the signals of a long call.
cdef double _LOOK = 0.05


cdef void watch(Interrupt *interrupt) noexcept nogil:
    """Begin a call that Ctrl-C, or whatever a signal handler raises, may end."""
    interrupt.caller = PyThread_get_thread_ident()
    interrupt.next = pool_clock() + _LOOK
    interrupt.stop, interrupt.error = 0, NULL
    interrupt.mode = denormals_flush()
    denormals_restore(interrupt.mode)


cdef bint interrupted(Interrupt *interrupt) noexcept nogil:
    """Whether the call shall end. All its workers ask, now and then; the calling thread alone looks for signals."""
    cdef unsigned mode
    if interrupt.stop:
        return True
    if PyThread_get_thread_ident() == interrupt.caller and pool_clock() > interrupt.next:
        # A handler is the caller's code: it finds the caller's arithmetic.
        mode = denormals_flush()
        denormals_restore(interrupt.mode)
        look(interrupt)
        denormals_restore(mode)
        interrupt.next = pool_clock() + _LOOK
    return interrupt.stop


cdef void look(Interrupt *interrupt) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        Py_INCREF(error)
        interrupt.error = <void *>error
        interrupt.stop = 1


cdef int end_watch(Interrupt *interrupt) except -1:
    """Raise what ended the call, if anything did."""
    if interrupt.error is not NULL:
        error = <object>interrupt.error
        Py_DECREF(error)
        interrupt.error = NULL
        raise error
    return 0


cdef class _Calls:
    """Calls to be made side by side, and what came of them."""
    cdef tuple functions
    cdef list results, errors


cdef void call_one(void *context, int index) noexcept with gil:
    cdef _Calls calls = <_Calls>context
    try:
        calls.results[index] = calls.functions[index]()
    except BaseException as error:
        calls.errors[index] = error


def side_by_side(*functions):
    """Call each function, on threads of the pool where they are free; what they do then has one thread each.

    Returns
    -------
    list
        Their results in order; the first error in that order is raised.
    """
    cdef _Calls calls = _Calls.__new__(_Calls)
    cdef int count = len(functions)
    calls.functions, calls.results, calls.errors = functions, [None] * count, [None] * count
    with nogil:
        run(<Task>call_one, <void *>calls, count)
    for error in calls.errors:
        if error is not None:
            raise error
    return calls.results


def set_num_threads(n):
    """Set how many threads a call may use, the calling thread among them.

    Results do not depend on it, to the last bit. The number holds for the whole process, from the next call on;
    calls made by several Python threads at once share it: one has the pool, the others each run on their own thread.

    Parameters
    ----------
    n : int
        1 to 1024. The default is the environment variable ``RNNFAST_NUM_THREADS`` or, without it, the number of
        processors this process may use.

    Raises
    ------
    TypeError
        n is not an integer.
    ValueError
        n is below 1 or above 1024.

    Examples
    --------
    >>> import rnnfast as rf
    >>> before = rf.get_num_threads()
    >>> rf.set_num_threads(1)
    >>> rf.get_num_threads()
    1
    >>> rf.set_num_threads(before)
    """
    if isinstance(n, (bool, np.bool_)) or not hasattr(n, "__index__"):
        raise TypeError(f"n, the number of threads, must be an integer, got {n!r}")
    number = operator.index(n)
    if not 1 <= number <= POOL_MAX_THREADS:
        raise ValueError(f"n, the number of threads, must be 1 to {POOL_MAX_THREADS}, got {n!r}")
    pool_set_threads(number)


def get_num_threads():
    """Number of threads a call may use, the calling thread among them.

    Returns
    -------
    int
    """
    return pool_get_threads()


def _start():
    processors = min(processors_here(), POOL_MAX_THREADS)
    pool_set_processors(processors)
    wish = os.environ.get("RNNFAST_NUM_THREADS", "").strip()
    if not wish:
        pool_set_threads(processors)
    elif wish.isascii() and wish.isdigit() and 1 <= int(wish) <= POOL_MAX_THREADS:
        pool_set_threads(int(wish))
    else:
        raise ValueError(f"the environment variable RNNFAST_NUM_THREADS must be an integer from 1 to "
                         f"{POOL_MAX_THREADS}, got {wish!r}")


_start()


# What follows lets the tests see the pool at work.

cdef struct Probe:
    int count
    int inner
    double wait
    volatile int *started
    int *runs
    unsigned long *threads
    const volatile double *factors
    volatile double *products


cdef struct InnerProbe:
    Probe *probe
    int index


cdef void _probe_inner(void *context, int index) noexcept nogil:
    cdef InnerProbe *p = <InnerProbe *>context
    cdef Py_ssize_t at = <Py_ssize_t>p.index * p.probe.inner + index
    p.probe.runs[at] += 1
    p.probe.threads[at] = PyThread_get_thread_ident()


cdef void _probe(void *context, int index) noexcept nogil:
    cdef Probe *p = <Probe *>context
    cdef InnerProbe inner = InnerProbe(p, index)
    cdef double end = pool_clock() + p.wait
    cdef int others = 0
    cdef unsigned mode
    p.started[index] = 1
    while others < p.count and pool_clock() < end:
        others = 0
        while others < p.count and p.started[others]:
            others += 1
    pool_run(_probe_inner, &inner, p.inner)
    p.products[3 * index] = p.factors[0] * p.factors[1]
    mode = denormals_flush()
    p.products[3 * index + 1] = p.factors[0] * p.factors[1]
    denormals_restore(mode)
    p.products[3 * index + 2] = p.factors[0] * p.factors[1]


def _self_test(int count, int inner=1, double wait=0.0, factors=(1.0, 1.0)):
    """Run `count` tasks, each of which runs `inner` tasks from inside.

    A task first waits until all have started, `wait` seconds at most: with no more tasks than threads that puts each
    on a thread of its own. Returns how often each ran and on which thread (both (count, inner)), and the product of
    the two factors as each task found it before, between and after flushing denormals (count, 3).
    """
    started = np.zeros(count, np.intc)
    runs = np.zeros((count, inner), np.intc)
    threads = np.zeros((count, inner), np.dtype("L"))
    operands = np.array(factors, np.float64)
    products = np.zeros((count, 3))
    cdef int[::1] started_view = started
    cdef int[:, ::1] runs_view = runs
    cdef unsigned long[:, ::1] threads_view = threads
    cdef double[::1] operands_view = operands
    cdef double[:, ::1] products_view = products
    cdef Probe probe
    if count > 0 and inner > 0:
        probe = Probe(count, inner, wait, &started_view[0], &runs_view[0, 0], &threads_view[0, 0],
                      &operands_view[0], &products_view[0, 0])
        with nogil:
            pool_run(_probe, &probe, count)
    return runs, threads, products
