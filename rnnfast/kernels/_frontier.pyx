"""Which beginnings of each row a best-first search carries on, and in what order (see rnnfast/decoding/_best_first.py)."""

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._memory cimport Buffer, times

cnp.import_array()

ctypedef fused real:
    float
    double


# A beginning that was carried on: its last token has been fed.
cdef struct Beginning:
    int64_t parent  # its number, or -1
    int64_t token
    int64_t length
    double score
    # Its continuations wait one after the other, the next one with this score.
    ptrdiff_t which
    double waiting


cdef struct Search:
    ptrdiff_t beam_size, kept  # continuations of each beginning
    int64_t stop, shortest, longest
    ptrdiff_t count  # of beginnings
    Beginning *beginnings
    # Log-probabilities of the likeliest continuations of each, falling, and their tokens.
    double *values
    int64_t *continuations
    # Each row has room for so many beginnings, and for so many lengths.
    ptrdiff_t room
    # For each row a heap of numbers of beginnings, the next one at its top.
    int64_t *heaps
    ptrdiff_t *heap_sizes
    # For each row, by length, how many came out of its heap, and how many of them went on.
    int32_t *seen
    int32_t *gone_on
    # For each row the beginning that its best hypothesis ends after, or -1; and its score.
    int64_t *ends
    double *scores


cdef bint is_before(const Search *s, int64_t a, int64_t b) noexcept nogil:
    cdef double x = s.beginnings[a].waiting, y = s.beginnings[b].waiting
    return x > y or x == y and a < b


cdef void push(Search *s, ptrdiff_t row, int64_t number) noexcept nogil:
    """Let the next continuation of a beginning wait; the others come after it in any case."""
    cdef Beginning *each = &s.beginnings[number]
    cdef int64_t *heap = s.heaps + row * s.room
    cdef ptrdiff_t at = s.heap_sizes[row], above
    if each.which == s.kept or s.values[number * s.kept + each.which] == -INFINITY:
        return
    each.waiting = each.score + s.values[number * s.kept + each.which]
    s.heap_sizes[row] += 1
    while at > 0:
        above = (at - 1) // 2
        if not is_before(s, number, heap[above]):
            break
        heap[at] = heap[above]
        at = above
    heap[at] = number


cdef int64_t pop(Search *s, ptrdiff_t row) noexcept nogil:
    cdef int64_t *heap = s.heaps + row * s.room
    cdef int64_t top = heap[0], last
    cdef ptrdiff_t at = 0, below, size
    s.heap_sizes[row] -= 1
    size = s.heap_sizes[row]
    last = heap[size]
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and is_before(s, heap[below + 1], heap[below]):
            below += 1
        if not is_before(s, heap[below], last):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = last
    return top


cdef bint follow(Search *s, ptrdiff_t row, Beginning *found) noexcept nogil:
    """What goes on next in the order of scores; whether anything does."""
    cdef int64_t number
    cdef Beginning *parent
    cdef double score
    cdef ptrdiff_t length, rank
    while s.heap_sizes[row] > 0:
        number = pop(s, row)
        parent = &s.beginnings[number]
        score = parent.waiting
        found.token = s.continuations[number * s.kept + parent.which]
        found.parent, found.length, found.score = number, parent.length + 1, score
        parent.which += 1
        push(s, row, number)
        length = row * s.room + found.length
        rank = s.seen[length]
        s.seen[length] += 1
        if found.token == s.stop:
            if rank < s.beam_size:
                s.ends[row], s.scores[row] = number, score
                return False
        elif s.gone_on[length] < s.beam_size:
            s.gone_on[length] += 1
            return True
    return False


cdef bint likeliest(const Search *s, const Beginning *each, const real *log_probs, ptrdiff_t count, double *values,
                    int64_t *tokens) noexcept nogil:
    """The likeliest continuations that the limits allow, of equals the smaller token first; whether nothing is nan."""
    cdef ptrdiff_t k, at
    cdef real x
    cdef bint whole = True
    for k in range(s.kept):
        values[k], tokens[k] = -INFINITY, -1
    for k in range(count):
        x = log_probs[k]
        whole = whole and x == x
        if x <= <real>values[s.kept - 1] or (each.length < s.shortest if k == s.stop else each.length >= s.longest):
            continue
        at = s.kept - 1
        while at > 0 and values[at - 1] < x:
            values[at], tokens[at] = values[at - 1], tokens[at - 1]
            at -= 1
        values[at], tokens[at] = x, k
    return whole


cdef bint carry_on(Search *s, const int64_t *rows, Beginning *chosen, ptrdiff_t *left, const real *log_probs,
                   ptrdiff_t stride, ptrdiff_t classes, ptrdiff_t n) noexcept nogil:
    """Add what was chosen, and choose again; `left[0]` rows are left, moved to the front with their numbers in `left`."""
    cdef ptrdiff_t i, number, kept = 0
    cdef bint whole = True
    for i in range(n):
        number = s.count + i
        s.beginnings[number] = chosen[i]
        s.beginnings[number].which = 0
        if not likeliest(s, &chosen[i], log_probs + i * stride, classes, s.values + number * s.kept,
                         s.continuations + number * s.kept):
            whole = False
    if not whole:
        return False
    for i in range(n):
        push(s, rows[i], s.count + i)
        if follow(s, rows[i], &chosen[kept]):
            left[1 + kept] = i
            kept += 1
    s.count += n
    left[0] = kept
    return True


cdef Buffer grown(Buffer old, ptrdiff_t size):
    """The same bytes with room for more, unless there is enough."""
    if old is not None and old.size >= size:
        return old
    cdef Buffer made = Buffer.of(2 * size)
    memset(made.start, 0, made.size)
    if old is not None:
        memcpy(made.start, old.start, old.size)
    return made


cdef class Frontier:
    """A best-first search over many rows, each of which carries one beginning on at a time.

    Parameters
    ----------
    tokens : int64 ndarray of shape (R,)
        Each row's start token, which is fed first.
    beam_size, min_length, max_length : int
    stop : int

    Attributes
    ----------
    rows, tokens, parents : int64 ndarray of shape (N,)
        What is to be carried on next: rows, rising; the token that is fed; and the number of the beginning before it, in
        the order in which they were carried on, -1 for none. Empty at the end.
    """
    cdef Search search
    cdef Buffer beginnings, values, continuations, heaps, heap_sizes, seen, gone_on, ends, scores, chosen, left
    cdef ptrdiff_t count, steps
    cdef readonly cnp.ndarray rows, tokens, parents

    def __cinit__(self, cnp.ndarray tokens not None, ptrdiff_t beam_size, int64_t stop, int64_t min_length,
                  int64_t max_length):
        cdef Search *s = &self.search
        cdef ptrdiff_t i
        self.count, self.steps = len(tokens), 0
        s.beam_size, s.kept, s.stop, s.shortest, s.longest = beam_size, beam_size + 1, stop, min_length, max_length
        s.count, s.room = 0, 0
        self.heap_sizes = grown(None, times(self.count, sizeof(ptrdiff_t)))
        self.ends, self.scores = grown(None, times(self.count, 8)), grown(None, times(self.count, 8))
        self.chosen = grown(None, times(self.count, sizeof(Beginning)))
        self.left = Buffer.of(times(self.count + 1, sizeof(ptrdiff_t)))
        s.heap_sizes = <ptrdiff_t *>self.heap_sizes.start
        s.ends, s.scores = <int64_t *>self.ends.start, <double *>self.scores.start
        for i in range(self.count):
            s.ends[i] = -1
            (<Beginning *>self.chosen.start)[i].parent = -1
        self.rows, self.tokens = np.arange(self.count, dtype=np.int64), np.ascontiguousarray(tokens, np.int64)
        self.parents = np.full(self.count, -1, np.int64)

    cdef make_room(self, ptrdiff_t n):
        """For n more beginnings, one at most in each row."""
        cdef Search *s = &self.search
        cdef ptrdiff_t row, needed = s.count + n, room, width
        cdef Buffer heaps, seen, gone_on
        self.beginnings = grown(self.beginnings, times(needed, sizeof(Beginning)))
        self.values = grown(self.values, times(needed, s.kept * 8))
        self.continuations = grown(self.continuations, times(needed, s.kept * 8))
        s.beginnings, s.values = <Beginning *>self.beginnings.start, <double *>self.values.start
        s.continuations = <int64_t *>self.continuations.start
        self.steps += 1
        # A row has a beginning for each step at most, and the longest is as long as there were steps.
        if s.room <= self.steps:
            room = 2 * self.steps + 16
            heaps = grown(None, times(self.count, room * 8))
            seen, gone_on = grown(None, times(self.count, room * 4)), grown(None, times(self.count, room * 4))
            width = s.room
            for row in range(self.count if width else 0):
                memcpy(heaps.start + row * room * 8, self.heaps.start + row * width * 8, width * 8)
                memcpy(seen.start + row * room * 4, self.seen.start + row * width * 4, width * 4)
                memcpy(gone_on.start + row * room * 4, self.gone_on.start + row * width * 4, width * 4)
            self.heaps, self.seen, self.gone_on = heaps, seen, gone_on
            s.room = room
            s.heaps = <int64_t *>heaps.start
            s.seen, s.gone_on = <int32_t *>seen.start, <int32_t *>gone_on.start

    def advance(self, cnp.ndarray log_probs not None):
        """Go on from the log-probabilities of what follows `tokens`.

        Parameters
        ----------
        log_probs : float32 or float64 ndarray of shape (N, V)

        Returns
        -------
        bool
            False where one is nan; the search is at its end then.
        """
        cdef Search *s = &self.search
        cdef ptrdiff_t n = len(self.tokens), i, classes
        cdef ptrdiff_t *left = <ptrdiff_t *>self.left.start
        cdef Beginning *chosen = <Beginning *>self.chosen.start
        cdef int64_t *rows = <int64_t *>cnp.PyArray_DATA(self.rows)
        cdef const char *at
        cdef bint single, whole
        if log_probs.dtype != np.float32 and log_probs.dtype != np.float64:
            log_probs = log_probs.astype(np.float64)
        log_probs = np.ascontiguousarray(log_probs)
        if log_probs.ndim != 2 or len(log_probs) != n:
            raise ValueError(f"log_probs must have shape ({n}, V), got {(<object>log_probs).shape}")
        classes, at, single = cnp.PyArray_DIM(log_probs, 1), cnp.PyArray_BYTES(log_probs), log_probs.itemsize == 4
        self.make_room(n)
        if s.count == 0:
            for i in range(n):
                chosen[i].token = (<int64_t *>cnp.PyArray_DATA(self.tokens))[i]
        with nogil:
            if single:
                whole = carry_on[float](s, rows, chosen, left, <const float *>at, classes, classes, n)
            else:
                whole = carry_on[double](s, rows, chosen, left, <const double *>at, classes, classes, n)
        if not whole:
            left[0] = 0
        cdef cnp.ndarray kept = np.empty(left[0], np.int64), tokens = np.empty(left[0], np.int64)
        cdef cnp.ndarray parents = np.empty(left[0], np.int64)
        for i in range(left[0]):
            (<int64_t *>cnp.PyArray_DATA(kept))[i] = rows[left[1 + i]]
            (<int64_t *>cnp.PyArray_DATA(tokens))[i] = chosen[i].token
            (<int64_t *>cnp.PyArray_DATA(parents))[i] = chosen[i].parent
        self.rows, self.tokens, self.parents = kept, tokens, parents
        return whole

    def best(self, ptrdiff_t row):
        """The best hypothesis of a row: its score, its tokens, and the beginnings that its steps were taken from.

        Returns
        -------
        (float, int64 ndarray (L,), int64 ndarray (L,)), or None where none has ended
        """
        cdef Search *s = &self.search
        cdef cnp.ndarray tokens, steps
        cdef int64_t number
        cdef ptrdiff_t i
        if not 0 <= row < self.count:
            raise IndexError(f"row must be from 0 to {self.count - 1}, got {row}")
        number = s.ends[row]
        if number < 0:
            return None
        tokens = np.empty(s.beginnings[number].length, np.int64)
        steps = np.empty(s.beginnings[number].length, np.int64)
        for i in range(s.beginnings[number].length - 1, -1, -1):
            (<int64_t *>cnp.PyArray_DATA(tokens))[i] = s.beginnings[number].token
            number = s.beginnings[number].parent
            (<int64_t *>cnp.PyArray_DATA(steps))[i] = number
        return s.scores[row], tokens, steps
