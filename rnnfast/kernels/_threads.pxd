ctypedef void (*Task)(void *context, int index) noexcept nogil

# Runs task(context, 0) ... task(context, count - 1) on the program's one pool of threads (src/pool.h).
cdef void run(Task task, void *context, int count) noexcept nogil
