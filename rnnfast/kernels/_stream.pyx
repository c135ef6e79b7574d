"""A model one step at a time: the check of what a caller passes, the steps, and the result, without a hop to Python."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._plan cimport evenly, pointed
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._step cimport Step
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore, kernel_table, rows

cnp.import_array()


cdef extern from *:
    enum: __ATOMIC_ACQUIRE
    enum: __ATOMIC_RELEASE
    bint __atomic_test_and_set(void *flag, int order) nogil
    void __atomic_clear(void *flag, int order) nogil


# Multiplications that take longer than to release the GIL and have it back: some microseconds' worth.
cdef double WORTH_RELEASING = 50e3


cdef char **through(Step step, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil:
    x = step.advance(x, slots, count)
    return x if step.following is None else through(step.following, x, slots, count)


cdef class Line:
    """Steps one after another, from an array of numbers, or of the ids of a table's rows.

    Parameters
    ----------
    steps : tuple of Step
        Each of this line alone.
    rows : int
        How many sequences the steps have.
    convert : callable
        ``convert(x, count)`` makes, of what cannot be read in place, a C-contiguous array (count, I) of the steps'
        dtype, or int64 (count,) with ids in range; or it raises.
    table : ndarray (V, F), C-contiguous, optional
        Where x holds ids.
    """
    cdef readonly tuple steps
    cdef readonly ptrdiff_t width
    cdef object convert
    cdef cnp.ndarray table
    cdef Step first
    cdef const kernel_table *kernels
    cdef int type_number
    cdef ptrdiff_t input_size, choices
    cdef double work
    cdef char **x_rows
    cdef Buffer memory
    cdef cnp.ndarray y, view

    def __cinit__(self, tuple steps not None, ptrdiff_t rows, convert, cnp.ndarray table=None):
        cdef Step step, before = None
        self.steps, self.convert, self.table = steps, convert, table
        if table is not None:
            self.choices, self.width = cnp.PyArray_DIM(table, 0), cnp.PyArray_DIM(table, 1)
        for step in steps:
            if before is None:
                self.first, self.input_size = step, step.input_size
            else:
                before.following = step
            before, self.width, self.work = step, step.output_size, self.work + step.work
        dtype = steps[0].dtype if steps else table.dtype
        self.type_number, self.kernels = dtype.num, kernels_of(dtype.itemsize)
        self.memory = Buffer.of(times(rows, sizeof(char *)))
        self.x_rows = <char **>self.memory.start
        self.y = np.zeros((rows, self.width), dtype)
        self.view = self.y[:]

    cdef bint look(self, object x, ptrdiff_t count):
        """Point x_rows at the rows of x; False where x is not what can be read in place."""
        cdef cnp.ndarray array
        cdef ptrdiff_t stride = 0, r
        cdef int64_t number
        if not cnp.PyArray_Check(x):
            return False
        array = <cnp.ndarray>x
        if not cnp.PyArray_ISBEHAVED_RO(array):
            return False
        if self.table is not None:
            if cnp.PyArray_TYPE(array) != cnp.NPY_INT64 or cnp.PyArray_NDIM(array) != 1 or cnp.PyArray_DIM(array, 0) != count:
                return False
            for r in range(count):
                number = (<int64_t *>(cnp.PyArray_BYTES(array) + r * cnp.PyArray_STRIDE(array, 0)))[0]
                if number < 0 or number >= self.choices:
                    return False
                self.x_rows[r] = cnp.PyArray_BYTES(self.table) + number * cnp.PyArray_STRIDE(self.table, 0)
            return True
        if cnp.PyArray_TYPE(array) != self.type_number:
            return False
        r = cnp.PyArray_NDIM(array) - 1
        if r == 1:
            if cnp.PyArray_DIM(array, 0) != count:
                return False
            stride = cnp.PyArray_STRIDE(array, 0)
        elif r != 0 or count != 1:
            return False
        if cnp.PyArray_DIM(array, <int>r) != self.input_size:
            return False
        if count and self.input_size > 1 and cnp.PyArray_STRIDE(array, <int>r) != self.kernels.itemsize:
            return False
        for r in range(count):
            self.x_rows[r] = cnp.PyArray_BYTES(array) + r * stride
        return True

    cdef object feed(self, object x, const ptrdiff_t *slots, ptrdiff_t count, object out):
        """One step; the caller has checked that out is None or a writeable array (count, width)."""
        cdef char *y = cnp.PyArray_BYTES(self.y)
        cdef ptrdiff_t element = self.kernels.itemsize, stride = self.width * element
        cdef bint copy = out is not None
        if not self.look(x, count):
            x = self.convert(x, count)
            if not self.look(x, count):
                raise ValueError("x changed while it was read")
        if copy and cnp.PyArray_TYPE(<cnp.ndarray>out) == self.type_number and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>out):
            y, copy = cnp.PyArray_BYTES(<cnp.ndarray>out), False
            stride, element = cnp.PyArray_STRIDE(<cnp.ndarray>out, 0), cnp.PyArray_STRIDE(<cnp.ndarray>out, 1)
        if self.work * count < WORTH_RELEASING:
            self.advance(slots, count, y, stride, element)
        else:
            with nogil:
                self.advance(slots, count, y, stride, element)
        if out is None:
            return self.result(count)
        if copy:
            out[...] = self.result(count)
        return out

    cdef cnp.ndarray result(self, ptrdiff_t count):
        """A view of the result, the same one as long as it has this shape: its holder may have given it another."""
        cdef cnp.ndarray view = self.view
        if cnp.PyArray_NDIM(view) != 2 or cnp.PyArray_DIM(view, 0) != count or cnp.PyArray_DIM(view, 1) != self.width:
            self.view = self.y[:count]
        return self.view

    cdef void advance(self, const ptrdiff_t *slots, ptrdiff_t count, char *y, ptrdiff_t stride, ptrdiff_t element) noexcept nogil:
        cdef unsigned mode = denormals_flush()
        cdef char **last = self.x_rows if self.first is None else through(self.first, self.x_rows, slots, count)
        cdef rows source = pointed(last), target = evenly(y, stride)
        self.kernels.store_rows(&target, element, &source, count, self.width)
        denormals_restore(mode)


cdef class Chain:
    """Lines, and callables of one value (those of `has_state` are told which sequences, where it is not all of them),
    one after another. One thread at a time may call it, or be inside
    ``with chain:``; whoever comes meanwhile gets a RuntimeError.

    Parameters
    ----------
    parts : sequence of Line or callable
    rows : int
        How many sequences there are.
    """
    cdef readonly tuple parts
    cdef readonly ptrdiff_t rows
    cdef Line only, last
    cdef char taken

    def __init__(self, parts, ptrdiff_t rows):
        self.parts, self.rows = tuple(parts), rows
        lines = [part for part in self.parts if isinstance(part, Line)]
        self.only = lines[0] if len(self.parts) == len(lines) == 1 else None
        self.last = lines.pop() if self.parts and isinstance(self.parts[len(self.parts) - 1], Line) else None

    cdef int enter(self) except -1:
        if __atomic_test_and_set(&self.taken, __ATOMIC_ACQUIRE):
            raise RuntimeError(
                f"this {type(self).__name__} is in use by another thread; give each thread one of its own")
        return 0

    cdef void leave(self) noexcept:
        __atomic_clear(&self.taken, __ATOMIC_RELEASE)

    def __enter__(self):
        self.enter()

    def __exit__(self, kind, error, traceback):
        self.leave()

    def __reduce__(self):
        # A copy would share the memory, but not the flag.
        raise TypeError(
            f"a {type(self).__name__} is neither copied nor pickled: make another and give it what snapshot returns")

    cdef object feed(self, object x, const ptrdiff_t *slots, ptrdiff_t count, object out):
        if out is not None and self.last is not None:
            check_out(out, (count, self.last.width))
        if self.only is not None:
            return self.only.feed(x, slots, count, out)
        for part in self.parts:
            if isinstance(part, Line):
                x = (<Line>part).feed(x, slots, count, out if part is self.last else None)
            elif slots is not NULL and getattr(part, "has_state", False):
                x = part(x, np.array([slots[r] for r in range(count)], np.intp))
            else:
                x = part(x)
        if out is None or out is x:
            return x
        check_out(out, x.shape)
        out[...] = x
        return out


cdef int check_out(object out, tuple shape) except -1:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    if out.shape != shape or not out.flags.writeable:
        kind = "an array" if out.flags.writeable else "a read-only array"
        raise ValueError(f"out must be a writeable array of shape {shape}, got {kind} of shape {out.shape}")
    return 0


cdef class StreamBase(Chain):
    """All sequences step together."""

    def __call__(self, x, *, out=None):
        """Advance one step.

        Parameters
        ----------
        x : array_like (B, I), or (B,) integers where the first layer is an Embedding
            Read in place where its dtype is the layer's (int64 for integers) and each row is contiguous; whatever else
            there is, is converted. With B = 1 the first axis may be missing.
        out : ndarray (B, F), optional
            Where the result is written.

        Returns
        -------
        ndarray (B, F)
            `out`, or a buffer that the next step overwrites.

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype, before anything has changed.
        RuntimeError
            When another thread is inside.
        """
        self.enter()
        try:
            return self.feed(x, NULL, self.rows, out)
        finally:
            self.leave()


cdef class PoolBase(Chain):
    """The sequences of chosen slots step."""
    cdef Buffer memory
    cdef ptrdiff_t *slots
    cdef ptrdiff_t *vacant
    cdef int64_t *seen
    cdef char *live
    cdef ptrdiff_t vacancies
    cdef int64_t turn

    def __init__(self, parts, ptrdiff_t rows):
        cdef ptrdiff_t r, size = times(rows, 2 * sizeof(ptrdiff_t) + sizeof(int64_t) + 1)
        super().__init__(parts, rows)
        self.memory = Buffer.of(size)
        memset(self.memory.start, 0, size)
        self.slots = <ptrdiff_t *>self.memory.start
        self.vacant, self.seen = self.slots + rows, <int64_t *>(self.slots + 2 * rows)
        self.live = <char *>(self.seen + rows)
        for r in range(rows):
            self.vacant[r] = rows - 1 - r
        self.vacancies = rows

    def __call__(self, x, slots, *, out=None):
        """Advance the streams in these slots by one step; the others stay as they are.

        Parameters
        ----------
        x : array_like (n, I), or (n,) integers where the first layer is an Embedding
            Read in place where its dtype is the layer's (int64 for integers) and each row is contiguous; whatever else
            there is, is converted.
        slots : sequence of int, n of them
            Whose steps the rows of x are, in any order, each once.
        out : ndarray (n, F), optional
            Where the result is written.

        Returns
        -------
        ndarray (n, F)
            `out`, or a buffer that the next step overwrites. Each row has the bits of a stream of its own.

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype, or slots that are not live or come twice, before anything has changed.
        RuntimeError
            When another thread is inside.
        """
        self.enter()
        try:
            return self.feed(x, self.slots, self.take(slots), out)
        finally:
            self.leave()

    cdef ptrdiff_t take(self, object slots) except -1:
        """Check the slots and copy their numbers. Returns how many there are."""
        cdef ptrdiff_t count = 0, slot
        cdef cnp.ndarray array
        self.turn += 1
        if isinstance(slots, (list, tuple, range)):
            for number in slots:
                if type(number) is not int:
                    break
                self.add(count, number)
                count += 1
            else:
                return count
            count = 0
            self.turn += 1
        array = slots if cnp.PyArray_Check(slots) else np.asarray(slots)
        if cnp.PyArray_TYPE(array) != cnp.NPY_INTP or not cnp.PyArray_ISBEHAVED_RO(array):
            if array.dtype.kind not in "iu" and array.size:
                raise TypeError(f"slots must be integers, got dtype {array.dtype}")
            array = array.astype(np.intp)
        if cnp.PyArray_NDIM(array) != 1:
            raise ValueError(f"slots must be a sequence of integers, one for each row of x, got shape {(<object>array).shape}")
        for count in range(cnp.PyArray_DIM(array, 0)):
            slot = (<ptrdiff_t *>(cnp.PyArray_BYTES(array) + count * cnp.PyArray_STRIDE(array, 0)))[0]
            self.add(count, slot)
        return cnp.PyArray_DIM(array, 0)

    cdef int add(self, ptrdiff_t at, ptrdiff_t slot) except -1:
        self.require_live(slot)
        if self.seen[slot] == self.turn:
            raise ValueError(f"slots must each come once, got {slot} twice")
        # No more than `rows` of them pass the check above.
        self.seen[slot], self.slots[at] = self.turn, slot
        return 0

    cpdef int require_live(self, ptrdiff_t slot) except -1:
        """Raise a ValueError where no stream is in this slot."""
        if slot < 0 or slot >= self.rows or not self.live[slot]:
            raise ValueError(f"slot {slot} has no stream; {self.rows - self.vacancies} of {self.rows} slots have one")
        return 0

    def occupy(self):
        """Take a vacant slot and return its number, or -1 where there is none."""
        if not self.vacancies:
            return -1
        self.vacancies -= 1
        self.live[self.vacant[self.vacancies]] = True
        return self.vacant[self.vacancies]

    def vacate(self, ptrdiff_t slot):
        """Give a live slot back."""
        self.require_live(slot)
        self.live[slot] = False
        self.vacant[self.vacancies] = slot
        self.vacancies += 1

    @property
    def live_slots(self):
        """The slots that have a stream, in ascending order."""
        return tuple([r for r in range(self.rows) if self.live[r]])
