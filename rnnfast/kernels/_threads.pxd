ctypedef void (*Task)(void *context, int index) noexcept nogil

# Runs task(context, 0) ... task(context, count - 1) on the program's one pool of threads (src/pool.h).
cdef void run(Task task, void *context, int count) noexcept nogil

# The same with each index on a thread of its own, so that tasks may meet; False, and nothing done, where that cannot be.
cdef bint run_together(Task task, void *context, int count) noexcept nogil


cdef extern from "pool.h":
    cdef struct meeting:
        int arrived

# Wait for all `count` tasks of a run_together. False when the call shall end: then whoever waits leaves.
cdef bint meet(meeting *where, int count, Interrupt *interrupt) noexcept nogil

# How many threads this much arithmetic is worth: fewer than are set where waking them would cost more than it saves.
cdef int threads_for(double operations) noexcept nogil

# Of how many threads it is worth that they meet after so much arithmetic, `most` or 1.
cdef int worth_meeting(double operations, int most) noexcept nogil


# Signals during a long call: see interrupted() in _threads.pyx.
cdef struct Interrupt:
    unsigned long caller
    double next
    int stop
    unsigned mode
    void *error

cdef void watch(Interrupt *interrupt) noexcept nogil
cdef bint interrupted(Interrupt *interrupt) noexcept nogil
cdef int end_watch(Interrupt *interrupt) except -1
