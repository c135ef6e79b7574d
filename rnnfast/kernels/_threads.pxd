ctypedef void (*Task)(void *context, int index) noexcept nogil

# Runs task(context, 0) ... task(context, count - 1) on the program's one pool of threads (src/pool.h).
cdef void run(Task task, void *context, int count) noexcept nogil

# How many threads this much arithmetic is worth: fewer than are set where waking them would cost more than it saves.
cdef int threads_for(double operations) noexcept nogil


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
