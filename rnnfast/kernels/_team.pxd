from libc.stdint cimport int64_t

from rnnfast.kernels._threads cimport Interrupt, Task, meeting

cdef enum:
    MAX_WORKERS = 64


# How a time loop is divided among threads: into slices of the rows, which know nothing of each other, and each of those
# into slices of the units, which meet after every product. Task i has the row slice i // units, the unit slice i % units.
cdef struct Team:
    int rows, units
    ptrdiff_t row[MAX_WORKERS + 1]
    ptrdiff_t vector[MAX_WORKERS + 1]
    meeting where[MAX_WORKERS]


# Plan a team for the steps [first, last) of B sequences of these lengths (falling), which are so many steps in `total`,
# whose loop does so many floating-point operations for each step of a row, over so many vectors of units, which threads may
# share or not.
cdef void gather(Team *team, ptrdiff_t B, const int64_t *length, ptrdiff_t first, ptrdiff_t last, ptrdiff_t total,
                 ptrdiff_t vectors, double operations, bint divides_units) noexcept nogil

# Run the tasks. Where the threads for unit slices are not to be had, the row slices alone run, each with all units.
cdef void run_team(Task task, void *context, Team *team) noexcept nogil

# Wait for the other unit slices. False when the call shall end.
cdef bint meet_team(Team *team, int index, Interrupt *interrupt) noexcept nogil
