"""Dividing the time loop of one call among threads."""

from libc.string cimport memset

from rnnfast.kernels._tables cimport PLAIN_WIDTH
from rnnfast.kernels._threads cimport meet, run, run_together, threads_for, worth_meeting

# So many rows keep a thread's multipliers busy; with fewer, slices of the units do better than slices of the rows.
cdef enum:
    ENOUGH_ROWS = 8


cdef void gather(Team *team, ptrdiff_t B, const int64_t *length, ptrdiff_t first, ptrdiff_t last, ptrdiff_t total,
                 ptrdiff_t vectors, double operations, bint divides_units) noexcept nogil:
    cdef ptrdiff_t threads = min(<ptrdiff_t>MAX_WORKERS, <ptrdiff_t>threads_for(operations * total)), panels
    cdef ptrdiff_t i, j = 0, done = 0
    memset(team, 0, sizeof(Team))
    panels = (vectors + PLAIN_WIDTH - 1) // PLAIN_WIDTH if divides_units else 1
    team.rows = <int>max(<ptrdiff_t>1, min(threads, B // ENOUGH_ROWS))
    team.units = <int>max(<ptrdiff_t>1, min(threads // team.rows, panels))
    if last > first:
        team.units = worth_meeting(operations * total / (last - first) / team.rows, team.units)
    if team.units == 1:
        team.rows = <int>max(<ptrdiff_t>1, min(threads, B))
    for i in range(1, team.rows):
        while j < B and done * team.rows < total * i:
            done += max(<ptrdiff_t>0, min(<ptrdiff_t>length[j], last) - first)
            j += 1
        team.row[i] = j
    team.row[team.rows] = B
    for i in range(1, team.units):
        team.vector[i] = panels * i // team.units * PLAIN_WIDTH
    team.vector[team.units] = vectors


cdef void run_team(Task task, void *context, Team *team) noexcept nogil:
    if team.units > 1:
        if run_together(task, context, team.rows * team.units):
            return
        team.vector[1] = team.vector[team.units]
        team.units = 1
    run(task, context, team.rows)


cdef bint meet_team(Team *team, int index, Interrupt *interrupt) noexcept nogil:
    return team.units == 1 or meet(&team.where[index // team.units], team.units, interrupt)
