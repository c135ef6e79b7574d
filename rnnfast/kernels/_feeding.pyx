"""The time loop of a decoder whose steps depend on what the step before attended to.

One step is each recurrent level's own step, by the loops of _recurrent.pyx and _gradients.pyx, which run from step s to
step s + 1, and attention, by _attention.pyx. What is fed to the next step goes to the columns of its input that are kept
for it. So every cell and option that these loops know is known here. Weight gradients are made afterwards, of all steps.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._attention cimport Look, Memory, attend, attend_back, look_scratch, row_of
from rnnfast.kernels._gradients cimport Division, lay_carry, loop_rows, plan_backward
from rnnfast.kernels._linear cimport Affine, PackedMatrix, affine_rows
from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._packed cimport Packed, option_scratch, output_bytes
from rnnfast.kernels._plan cimport (
    Array3, Call, Plan, array3, before, make_plan, offset, point, pointed, running, store_state, zero_beyond,
)
from rnnfast.kernels._recurrent cimport Forward, Needs, forward_rows, operations, plan_forward, set_noise
from rnnfast.kernels._segments cimport lay_out
from rnnfast.kernels._tables cimport denormals_flush, denormals_restore, kernel_table, rows
from rnnfast.kernels._team cimport MAX_WORKERS, Team, gather
from rnnfast.kernels._threads cimport Interrupt, end_watch, interrupted, run, watch
from rnnfast.kernels._weight_gradients cimport Backward, Sums, input_rows, weight_units

cnp.import_array()


cdef struct Level:
    Plan *plan
    Forward forward
    Backward backward
    Division division
    Array3 out, d_out
    Array3 factor  # of the output; without a base: none
    bint residual


cdef struct Job:
    const kernel_table *table
    int count  # of levels
    Level *levels
    Look look
    bint early  # attention comes before the levels, and its context is what is fed
    ptrdiff_t fed, feed  # how many numbers, and the byte where they begin in a row of the first level's input
    # What is fed where it is not the context: tanh(W_c [context, h]).
    const Affine *combine
    const Affine *combine_back
    Array3 both, mixed, d_both, d_mixed
    ptrdiff_t scratch_size, level_scratch, most
    char *scratch
    Team team
    Interrupt interrupt


cdef void multiply_by(char *to, const char *by, ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    cdef ptrdiff_t k
    if size == 4:
        for k in range(count):
            (<float *>to)[k] *= (<const float *>by)[k]
    else:
        for k in range(count):
            (<double *>to)[k] *= (<const double *>by)[k]


cdef void through_tanh(char *to, const char *y, ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """From the gradient of y = tanh(z) to that of z."""
    cdef ptrdiff_t k
    if size == 4:
        for k in range(count):
            (<float *>to)[k] *= 1 - (<const float *>y)[k] * (<const float *>y)[k]
    else:
        for k in range(count):
            (<double *>to)[k] *= 1 - (<const double *>y)[k] * (<const double *>y)[k]


cdef char *aligned(char *address) noexcept nogil:
    return <char *>((<size_t>address + 63) & ~<size_t>63)


cdef void queries_before(const Job *job, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The uppermost level's states before step s, as queries."""
    cdef const Level *top = &job.levels[job.count - 1]
    cdef const Plan *plan = top.plan
    cdef ptrdiff_t size = job.table.itemsize, width = plan.panels.output_size * size, j, b
    cdef char *to
    for j in range(first, first + count):
        b = plan.row[j]
        to = row_of(&job.look.queries, b, s)
        if s > 0:
            memcpy(to, plan.h + (before(plan, s) + j) * output_bytes(plan.panels), width)
        elif top.forward.h0 is not NULL:
            memcpy(to, top.forward.h0 + b * width, width)
        else:
            memset(to, 0, width)


cdef void finish_output(const Level *level, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """What leads around the level is added; then what the next one takes is dropped."""
    cdef const Plan *plan = level.plan
    cdef ptrdiff_t size = plan.panels.itemsize, width = plan.panels.output_size, j, b
    for j in range(first, first + count):
        b = plan.row[j]
        if level.residual:
            plan.panels.table.passes.accumulate(row_of(&level.out, b, s), row_of(&plan.x, b, s), width)
        if level.factor.base is not NULL:
            multiply_by(row_of(&level.out, b, s), row_of(&level.factor, b, s), width, size)


cdef void forward_slice(void *context, int index) noexcept nogil:
    cdef Job *job = <Job *>context
    cdef const kernel_table *table = job.table
    cdef ptrdiff_t first = job.team.row[index], last = job.team.row[index + 1], width = last - first, size = table.itemsize
    cdef char *at = job.scratch + index * job.scratch_size
    cdef Plan *plans = <Plan *>at
    cdef Forward *levels = <Forward *>(plans + job.count)
    cdef char **each = <char **>(levels + job.count)
    cdef char *own = aligned(<char *>(each + 3 * job.most))
    cdef char *many = own + job.level_scratch
    cdef unsigned mode
    cdef ptrdiff_t s, n, r, b
    cdef rows user
    cdef int l
    if width == 0:
        return
    mode = denormals_flush()
    for l in range(job.count):
        plans[l] = job.levels[l].plan[0]
        levels[l] = job.levels[l].forward
        levels[l].plan = &plans[l]
        levels[l].team.rows = levels[l].team.units = 1
        levels[l].chunk = width
        levels[l].each, levels[l].scratch = each + job.most, &own
    for s in range(plans[0].steps):
        n = running(&plans[0], s, last) - first
        if n <= 0 or interrupted(&job.interrupt):
            break
        if job.early:
            queries_before(job, s, first, n)
            attend(&job.look, &plans[0], s, first, n, each, many)
            for r in range(n):
                b = plans[0].row[first + r]
                memcpy(row_of(&plans[0].x, b, s) + job.feed, row_of(&job.look.context, b, s), job.fed * size)
        for l in range(job.count):
            plans[l].first_step, plans[l].last_step = s, s + 1
            forward_rows(&levels[l], &plans[l], 0, first, last, 0, plans[l].panels.vectors)
            finish_output(&job.levels[l], s, first, n)
        if job.early:
            continue
        attend(&job.look, &plans[0], s, first, n, each, many)
        if job.combine is NULL:
            continue
        point(&plans[0], &job.both, s, first, first + n, each)
        user = pointed(each)
        affine_rows(job.combine, &user, many, n)
        for r in range(n):
            b = plans[0].row[first + r]
            memcpy(row_of(&job.mixed, b, s), many + r * job.combine.row_size, job.fed * size)
            if s + 1 < plans[0].T:
                memcpy(row_of(&plans[0].x, b, s + 1) + job.feed, many + r * job.combine.row_size, job.fed * size)
    denormals_restore(mode)


cdef void backward_slice(void *context, int index) noexcept nogil:
    cdef Job *job = <Job *>context
    cdef const kernel_table *table = job.table
    cdef ptrdiff_t first = job.team.row[index], last = job.team.row[index + 1], size = table.itemsize
    cdef char *at = job.scratch + index * job.scratch_size
    cdef Plan *plans = <Plan *>at
    cdef Backward *levels = <Backward *>(plans + job.count)
    cdef char **each = <char **>(levels + job.count)
    cdef char *own = aligned(<char *>(each + 3 * job.most))
    cdef char *many = own + job.level_scratch
    cdef int l, top = job.count - 1
    cdef const Level *level
    cdef unsigned mode
    cdef ptrdiff_t s, n, r, b, width, output
    cdef rows user
    if last == first:
        return
    mode = denormals_flush()
    for l in range(job.count):
        plans[l] = job.levels[l].plan[0]
        levels[l] = job.levels[l].backward
        levels[l].plan = &plans[l]
        levels[l].team.rows = levels[l].team.units = levels[l].workers = 1
        levels[l].scratch = &own
    output = output_bytes(plans[top].panels)
    for s in range(plans[0].steps - 1, -1, -1):
        n = running(&plans[0], s, last) - first
        if n <= 0:
            continue
        if interrupted(&job.interrupt):
            break
        if not job.early:
            if job.combine_back is not NULL:
                for r in range(n):
                    b = plans[0].row[first + r]
                    at = row_of(&job.d_mixed, b, s)
                    if s + 1 < plans[0].length[first + r]:
                        table.passes.accumulate(at, row_of(&levels[0].dx, b, s + 1) + job.feed, job.fed)
                    through_tanh(at, row_of(&job.mixed, b, s), job.fed, size)
                point(&plans[0], &job.d_mixed, s, first, first + n, each)
                user = pointed(each)
                affine_rows(job.combine_back, &user, many, n)
                for r in range(n):
                    table.passes.accumulate(row_of(&job.d_both, plans[0].row[first + r], s),
                                            many + r * job.combine_back.row_size, job.combine_back.columns)
            point(&plans[0], &job.levels[top].d_out, s, first, first + n, each + job.most)
            attend_back(&job.look, &plans[0], s, first, n, each, many, each + job.most)
        for l in range(top, -1, -1):
            level = &job.levels[l]
            width = plans[l].panels.output_size
            if level.factor.base is not NULL:
                for r in range(first, first + n):
                    b = plans[l].row[r]
                    multiply_by(row_of(&level.d_out, b, s), row_of(&level.factor, b, s), width, size)
            plans[l].first_step, plans[l].last_step = s, s + 1
            loop_rows(&levels[l], &plans[l], 0, first, last, 0, plans[l].panels.vectors)
            plans[l].first_row = offset(&plans[l], s) + first
            plans[l].last_row = plans[l].first_row + n
            input_rows(&levels[l], 0)
            if level.residual:
                for r in range(first, first + n):
                    b = plans[l].row[r]
                    table.passes.accumulate(row_of(&levels[l].dx, b, s), row_of(&level.d_out, b, s), width)
        if job.early:
            for r in range(n):
                b = plans[0].row[first + r]
                table.passes.accumulate(row_of(&job.look.d_context, b, s), row_of(&levels[0].dx, b, s) + job.feed, job.fed)
                # The query is the state before the step, whose gradient the uppermost level carries.
                each[job.most + r] = levels[top].dh + (first + r) * output
            attend_back(&job.look, &plans[0], s, first, n, each, many, each + job.most)
            if s == 0:
                for r in range(first, first + n):
                    store_state(levels[top].dh0, levels[top].dh + r * output, plans[top].row[r], plans[top].panels.output_size,
                                size)
    denormals_restore(mode)


cdef Array3 array_or_none(array):
    cdef Array3 none
    if array is not None:
        return array3(<cnp.ndarray>array)
    memset(&none, 0, sizeof(Array3))
    return none


cdef char *bytes_or_none(array):
    return NULL if array is None else cnp.PyArray_BYTES(<cnp.ndarray>array)


cdef class Loop:
    """One call, from its forward to its backward.

    Parameters
    ----------
    stages : sequence of objects, one for each recurrent level, from the lowest up
        ``packed`` : Packed; ``noise`` : (key, stream) for the masks of zoneout and recurrent dropout; ``x`` (B, T, I) and
        ``out`` (B, T, P), which is the next stage's x; ``residual``, whether x is added to the output; ``factor``
        (B, T, P), what the output is then multiplied by, or None.
    reader : object
        ``memory`` : Memory; ``query`` : PackedMatrix, ``weight`` and ``along`` (K,), padded with zeros, of additive scores, else None;
        ``queries`` (B, T, Q), ``projected`` (B, T, K) zeros, padded as weight is, or None; ``weights`` (B, T, S);
        ``coverage`` (B, T + 1, S) or None; ``both`` (B, T, F + Q), context and output, whose last Q columns are the
        last stage's ``out``.
    lengths : int64 ndarray (B,), or None
    early : bool
        Whether the query is the uppermost state before the step, and the context is fed to the first stage at this
        step; else it is the output of the step, and ``queries`` are columns of ``both``.
    feed : int
        The column of the first stage's x where what is fed begins.
    combine : PackedMatrix or None
        Of W_c, with tanh: then ``mixed`` (B, T, A) is tanh(W_c both) and is fed to the next step.
    mixed : ndarray or None
    draws : bool
        Whether masks are drawn, as in training.

    Notes
    -----
    All arrays are of one dtype, aligned, with contiguous features; the caller has checked them. Where sequences end
    earlier nothing is read or written.
    """
    cdef readonly tuple stages, calls
    cdef readonly object reader, mixed
    cdef Packed packed
    cdef Memory memory
    cdef PackedMatrix combine, query
    cdef Buffer room
    cdef cnp.ndarray source
    cdef list saved
    cdef Job job
    cdef ptrdiff_t B, T

    def __cinit__(self, stages, reader, *, lengths, bint early, ptrdiff_t feed, combine, mixed, bint draws):
        cdef Job *job = &self.job
        cdef Level *level
        cdef Call call
        cdef Packed packed
        cdef Needs needs
        cdef Buffer saved
        cdef cnp.ndarray x
        cdef double work = 0
        cdef int l
        self.stages, self.reader, self.mixed = tuple(stages), reader, mixed
        self.memory, self.combine, self.query = reader.memory, combine, reader.query
        x = self.stages[0].x
        self.B, self.T = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        memset(job, 0, sizeof(Job))
        job.count = <int>len(self.stages)
        job.table, job.early, job.most = self.memory.sources.table, early, max(self.B, <ptrdiff_t>48)
        job.feed = feed * job.table.itemsize
        self.room = Buffer.of(job.count * sizeof(Level))
        memset(self.room.start, 0, self.room.size)
        job.levels = <Level *>self.room.start
        calls, self.saved = [], []
        for l in range(job.count):
            stage, level = self.stages[l], &job.levels[l]
            packed, call = stage.packed, Call.__new__(Call)
            make_plan(call, &packed.panels, self.B, self.T, lengths, False, True)
            level.plan = &call.plan
            call.plan.draws = draws
            plan_forward(&call.plan, &level.forward, &needs)
            saved = Buffer.of(needs.saved)
            call.packed, call.x, call.saved = packed, stage.x, saved
            lay_out(&call.plan, saved.start)
            set_noise(&call.plan, stage.noise[0], stage.noise[1])
            call.plan.x, call.plan.y = array3(stage.x), array3(stage.out)
            level.out, level.residual, level.factor = call.plan.y, stage.residual, array_or_none(stage.factor)
            job.level_scratch = max(job.level_scratch, option_scratch(&packed.panels) + self.B * level.forward.row_scratch)
            work += operations(&packed.panels)
            calls.append(call)
        self.calls = tuple(calls)
        job.look.sources = &self.memory.sources
        job.look.ahead = &self.query.affine if self.query is not None else NULL
        job.look.weight, job.look.along = bytes_or_none(reader.weight), bytes_or_none(reader.along)
        job.look.queries, job.look.projected = array3(reader.queries), array_or_none(reader.projected)
        job.look.query_size = cnp.PyArray_DIM(<cnp.ndarray>reader.queries, 2)
        job.look.weights, job.look.coverage = array3(reader.weights), array_or_none(reader.coverage)
        job.both = job.look.context = array3(reader.both)
        job.mixed = array_or_none(mixed)
        if early:
            job.fed = self.memory.sources.value_size
        elif combine is not None:
            job.combine, job.fed = &self.combine.affine, self.combine.affine.columns
        work += 2.0 * job.look.sources.positions * (job.look.sources.key_size + job.look.sources.value_size)
        gather(&job.team, self.B, job.levels[0].plan.length, 0, job.levels[0].plan.steps, job.levels[0].plan.total, 1, work, False)

    cdef Buffer scratch(self, ptrdiff_t each_level, const Affine *combine):
        """Scratch for every slice of the rows."""
        cdef Job *job = &self.job
        cdef ptrdiff_t size
        job.level_scratch = (job.level_scratch + 63) & ~<ptrdiff_t>63
        size = look_scratch(&job.look, self.B)
        if combine is not NULL:
            size = max(size, self.B * combine.row_size)
        size += job.count * (<ptrdiff_t>sizeof(Plan) + each_level) + 3 * job.most * <ptrdiff_t>sizeof(char *)
        job.scratch_size = (size + job.level_scratch + 2 * 64 + 63) & ~<ptrdiff_t>63
        cdef Buffer made = Buffer.of(times(job.team.rows, job.scratch_size))
        job.scratch = made.start
        return made

    cdef look_at(self, sources):
        """Which source of the memory each row looks at; None: the one of its number."""
        cdef cnp.ndarray given
        if sources is None:
            if self.memory.count != self.B:
                raise ValueError(f"the memory must have a source for each of {self.B} rows, it has {self.memory.count}")
            self.job.look.source = NULL
            return
        given = np.ascontiguousarray(sources, np.int64)
        if (<object>given).shape != (self.B,) or self.B and not 0 <= given.min() <= given.max() < self.memory.count:
            raise ValueError(f"source must be the number, below {self.memory.count}, of each of {self.B} rows' source")
        self.source = given
        self.job.look.source = <int64_t *>cnp.PyArray_DATA(given)

    def forward(self, initial, final, sources=None):
        """Run all steps.

        Parameters
        ----------
        initial : sequence of (h, c) or (h,) of arrays (B, P) and (B, H), C-contiguous, or None for zeros
        final : sequence of the same, arrays
            Written; rows without a step are left as they are.
        sources : int64 ndarray (B,), or None
            Which source of the memory each row looks at; None is its own, and what backward needs.
        """
        cdef Job *job = &self.job
        cdef Buffer scratch
        cdef int l
        self.look_at(sources)
        for l in range(job.count):
            h0, c0 = initial[l] if len(initial[l]) == 2 else (initial[l][0], None)
            hn, cn = final[l] if len(final[l]) == 2 else (final[l][0], None)
            job.levels[l].forward.h0, job.levels[l].forward.c0 = bytes_or_none(h0), bytes_or_none(c0)
            job.levels[l].forward.hn, job.levels[l].forward.cn = bytes_or_none(hn), bytes_or_none(cn)
        scratch = self.scratch(sizeof(Forward), job.combine)
        with nogil:
            watch(&job.interrupt)
            run(forward_slice, job, job.team.rows)
        end_watch(&job.interrupt)

    def backward(self, *, cnp.ndarray d_both not None, d_mixed, d_x, d_initial, cnp.ndarray d_scores, cnp.ndarray d_projected,
                 cnp.ndarray d_keys, cnp.ndarray d_weight, cnp.ndarray d_along, d_weights, d_coverage, combine_back,
                 query_back):
        """Run all steps back; once.

        Parameters
        ----------
        d_both : ndarray (B, T, F + Q)
            Gradient of ``both`` from outside; on return with what comes through attention and the feeding.
        d_mixed : ndarray (B, T, A), or None
            The same of ``mixed``; on return before its tanh.
        d_x : sequence of ndarray (B, T, I), one for each stage
            Written.
        d_initial : sequence of (dh, dc) or (dh,)
            Written where a row has a step.
        d_scores : ndarray (B, T, S), or None with additive scores
            Written, for the gradient of the keys.
        d_projected, d_keys, d_weight, d_along : ndarray (B, T, K), (B, S, K), (B, K), (B, K), or None
            Of additive scores: zeros, padded as weight is, to which is added.
        d_weights, d_coverage : ndarray (B, T, S), or None for zeros
            Gradients from outside of ``weights``, and of the coverage before each step.
        combine_back, query_back : PackedMatrix or None
            Of the transposed matrices.

        Returns
        -------
        list of dict of str to ndarray
            Gradients of each stage's parameters.
        """
        cdef Job *job = &self.job
        cdef Level *level
        cdef PackedMatrix back = combine_back, of_query = query_back
        cdef Packed packed
        cdef Sums sums
        cdef Buffer carry, scratch, own, carried
        cdef char *scratches[MAX_WORKERS]
        cdef ptrdiff_t size = 0, i
        cdef int l
        carries, sums_of = [], []
        job.level_scratch = 0
        for l in range(job.count):
            level, packed = &job.levels[l], self.stages[l].packed
            memset(&level.backward, 0, sizeof(Backward))
            level.backward.plan = level.plan
            size = max(size, plan_backward(level.plan, &level.backward.team, &level.division, True))
            job.level_scratch = max(job.level_scratch, level.division.scratch)
            carry = Buffer.of(level.division.carry)
            memset(carry.start, 0, carry.size)
            lay_carry(&level.backward, carry.start)
            sums = Sums(packed)
            sums.point(&level.backward)
            carries.append(carry)
            sums_of.append(sums)
            level.backward.dx = array3(d_x[l])
            level.d_out = array3(d_x[l + 1]) if l + 1 < job.count else array3(d_both)
            if l + 1 == job.count:
                level.d_out.base += self.memory.sources.value_size * job.table.itemsize
            level.backward.dy = level.d_out
            dh, dc = d_initial[l] if len(d_initial[l]) == 2 else (d_initial[l][0], None)
            level.backward.dh0, level.backward.dc0 = bytes_or_none(dh), bytes_or_none(dc)
        job.d_both = job.look.d_context = array3(d_both)
        job.d_mixed = array_or_none(d_mixed)
        job.combine_back = &back.affine if back is not None else NULL
        job.look.back = &of_query.affine if of_query is not None else NULL
        job.look.d_scores, job.look.d_projected = array_or_none(d_scores), array_or_none(d_projected)
        job.look.d_keys, job.look.d_weight, job.look.d_along = bytes_or_none(d_keys), bytes_or_none(d_weight), bytes_or_none(d_along)
        job.look.d_weights, job.look.d_coverage = array_or_none(d_weights), array_or_none(d_coverage)
        carried = Buffer.of(times(self.B, self.memory.sources.score_row) + 64)
        memset(carried.start, 0, carried.size)
        job.look.carried = carried.start
        scratch, own = self.scratch(sizeof(Backward), job.combine_back), Buffer.of(size)
        with nogil:
            watch(&job.interrupt)
            for l in range(job.count):
                if job.levels[l].plan.has_lengths:
                    zero_beyond(job.levels[l].plan, &job.levels[l].backward.dx, job.levels[l].plan.panels.input_size)
            run(backward_slice, job, job.team.rows)
            for l in range(job.count):
                level = &job.levels[l]
                for i in range(level.division.most):
                    scratches[i] = own.start + i * level.division.scratch
                level.backward.scratch, level.backward.workers = scratches, level.division.weights
                level.backward.interrupt = job.interrupt
                run(weight_units, &level.backward, level.division.weights)
                job.interrupt = level.backward.interrupt
        end_watch(&job.interrupt)
        return [(<Sums>sums_of[l]).gradients(&job.levels[l].backward) for l in range(job.count)]
