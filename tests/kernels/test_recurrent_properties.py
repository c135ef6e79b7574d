"""Property tests: any cell, shape, stride, length and direction against the reference."""

from functools import partial

import checks
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnfast import ops

train = partial(ops.forward, save=True)
run = partial(checks.run, train, ops.backward)


@st.composite
def problems(draw):
    """(case in float64, dtype, lengths, reverse)."""
    cell, options = draw(st.sampled_from(checks.VARIANTS))
    T, B = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    input_size, H = draw(st.integers(1, 40)), draw(st.integers(1, 72))
    bias = draw(st.booleans())
    case = checks.make_case(cell, T, B, input_size, H, np.float32, draw(st.integers(0, 99)), bias=bias, **options)
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(lambda n: np.array(n, int)))
    return checks.cast(case, np.float64), draw(st.sampled_from([np.float32, np.float64])), lengths, draw(st.booleans())


@st.composite
def layouts(draw, array):
    """The same numbers in other memory: axes permuted, some spread out with a step, some backwards."""
    order = draw(st.permutations(range(array.ndim)))
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in order]
    offset = draw(st.integers(0, 2))
    moved = array.transpose(order)
    base = np.full([n * abs(step) + offset for n, step in zip(moved.shape, steps, strict=True)], np.nan, array.dtype)
    view = base[tuple(slice(offset, None, abs(step)) for step in steps)]
    view = view[tuple(slice(0, n) for n in moved.shape)][tuple(slice(None, None, np.sign(step)) for step in steps)]
    view = view.transpose(np.argsort(order))
    view[...] = array
    return view


@settings(deadline=None, max_examples=150)
@given(problem=problems())
def test_equals_the_reference(problem):
    case, dtype, lengths, reverse = problem
    how = {"lengths": lengths, "reverse": reverse}
    checks.assert_accurate(run(checks.cast(case, dtype), **how), case, **how)


@settings(deadline=None, max_examples=150)
@given(problem=problems(), data=st.data())
def test_strides_change_no_bit(problem, data):
    case, dtype, lengths, reverse = problem
    case = checks.cast(case, dtype)
    how = {"lengths": lengths, "reverse": reverse}
    wanted = run(case, **how)
    for name in ("x", "dy"):
        setattr(case, name, data.draw(layouts(getattr(case, name)), label=name))
    for name in ("state", "dstate"):
        moved = tuple(data.draw(layouts(part), label=name) for part in checks.parts(getattr(case, name)))
        setattr(case, name, moved if case.cell == "lstm" else moved[0])
    case.params = {name: data.draw(layouts(array), label=name) for name, array in case.params.items()}
    out = data.draw(layouts(np.full_like(wanted["y"], np.nan)), label="out")
    got = run(case, out=out, **how)
    assert got["y"] is out
    checks.assert_same_bits(got, wanted)


@settings(deadline=None, max_examples=100)
@given(problem=problems(), data=st.data())
def test_rows_in_another_order_have_the_same_bits(problem, data):
    case, dtype, lengths, reverse = problem
    case = checks.cast(case, dtype)
    B = len(case.x)
    order = np.array(data.draw(st.permutations(range(B))), int)
    wanted = run(case, lengths=lengths, reverse=reverse)
    for name in ("x", "dy"):
        setattr(case, name, getattr(case, name)[order])
    for name in ("state", "dstate"):
        setattr(case, name, checks.rows_of(getattr(case, name), order))
    got = run(case, lengths=None if lengths is None else lengths[order], reverse=reverse)
    for name, array in wanted.items():
        if name not in case.params:
            assert checks.same_bits(got[name], array[order]), name


@settings(deadline=None, max_examples=100)
@given(problem=problems(), data=st.data())
def test_chunks_have_the_bits_of_the_whole(problem, data):
    case, dtype, _, _ = problem
    case = checks.cast(case, dtype)
    T = case.x.shape[1]
    cut = data.draw(st.integers(0, T))
    whole = checks.run_forward(ops.forward, case)
    y_1, state, _ = ops.forward(case.cell, case.params, case.x[:, :cut], case.state, **case.options)
    y_2, state, _ = ops.forward(case.cell, case.params, case.x[:, cut:], state, **case.options)
    got = {"y": np.concatenate([y_1, y_2], axis=1), **dict(zip(("h", "c"), checks.parts(state), strict=False))}
    checks.assert_same_bits(got, whole)
