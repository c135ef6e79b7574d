"""Backward kernels against central differences and against the reference."""

from functools import partial
from itertools import pairwise

import checks
import numpy as np
import pytest
from checks import directions, dtypes, variants

from rnnfast import ops

train = partial(ops.forward, save=True)
run = partial(checks.run, train, ops.backward)
ragged = pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
SIZES = [(T, B, I) for T in (1, 2, 13) for B in (1, 2, 7, 33) for I in (1, 3, 19)]  # noqa: E741


@variants
@directions
@ragged
@pytest.mark.parametrize(("T", "B", "I", "H"), [(1, 1, 1, 1), (5, 4, 3, 5)])
def test_gradients(cell, options, reverse, ragged, T, B, I, H):  # noqa: E741
    case = checks.make_case(cell, T, B, I, H, seed=1, **options)
    lengths = checks.ragged(B, T) if ragged else None
    checks.check_gradients(train, ops.backward, case, lengths=lengths, reverse=reverse)


@variants
def test_gradients_of_more_than_one_vector(cell, options):
    case = checks.make_case(cell, 3, 2, 3, 17, seed=2, **options)
    checks.check_gradients(train, ops.backward, case)


@variants
@pytest.mark.parametrize("absent", [("bias", "bias_hn"), ("bias",), ("bias_hn",)], ids="+".join)
def test_gradients_where_a_bias_is_absent(cell, options, absent):
    case = checks.make_case(cell, 4, 3, 3, 5, seed=3, **options)
    for name in absent:
        case.params.pop(name, None)
    checks.check_gradients(train, ops.backward, case)


@variants
@dtypes
@pytest.mark.parametrize("H", [1, 5, 17, 33, 70])
def test_equals_the_reference(cell, options, dtype, H):
    for seed, (T, B, I) in enumerate(SIZES):  # noqa: E741
        case = checks.rounded_case(cell, T, B, I, H, seed, **options)
        how = {"lengths": checks.ragged(B, T, seed) if seed % 3 else None, "reverse": bool(seed % 2)}
        checks.assert_accurate(run(checks.cast(case, dtype), **how), case, **how)


@variants
@dtypes
@directions
def test_stays_accurate_over_a_hundred_steps(cell, options, dtype, reverse):
    case = checks.rounded_case(cell, 100, 7, 19, 33, **options)
    checks.assert_accurate(run(checks.cast(case, dtype), reverse=reverse), case, reverse=reverse)


@variants
@dtypes
@directions
def test_rows_are_apart(cell, options, dtype, reverse):
    """dx and the gradient of the initial state have the bits of each row alone; parameters sum over the rows."""
    T, B = 13, 9
    case = checks.make_case(cell, T, B, 3, 17, dtype, **options)
    lengths = checks.ragged(B, T)
    whole = run(case, lengths=lengths, reverse=reverse)
    total = {name: np.zeros(array.shape) for name, array in case.params.items()}
    for row, n in enumerate(lengths):
        rows = slice(row, row + 1)
        for name, array in run(checks.some_rows(case, rows, slice(0, n)), reverse=reverse).items():
            if name in total:
                total[name] += array
            elif name in ("y", "dx"):
                assert checks.same_bits(whole[name][rows, :n], array), name
                assert not whole[name][rows, n:].any(), name
            else:
                assert checks.same_bits(whole[name][rows], array), name
    for name, array in total.items():
        assert checks.relative_error(whole[name], array) < (1e-12 if dtype == np.float64 else 5e-6), name


@variants
@directions
def test_chunks_add_up_to_the_whole(cell, options, reverse):
    """Truncated nowhere: the gradient of the state handed from chunk to chunk."""
    T, edges = 13, (0, 1, 6, 13)
    case = checks.make_case(cell, T, 3, 3, 17, **options)
    whole = run(case, reverse=reverse)
    chunks = [slice(a, b) for a, b in pairwise(edges)]
    state, saved = case.state, {}
    for chunk in reversed(chunks) if reverse else chunks:
        _, state, saved[chunk.start] = train(cell, case.params, case.x[:, chunk], state, reverse=reverse, **options)
    dstate, parts = case.dstate, {}
    total = {name: np.zeros_like(array) for name, array in case.params.items()}
    for chunk in chunks if reverse else reversed(chunks):
        parts[chunk.start], dstate, grads = ops.backward(saved[chunk.start], case.dy[:, chunk], dstate)
        for name in total:
            total[name] += grads[name]
    got = {"dx": np.concatenate([parts[chunk.start] for chunk in chunks], axis=1), **total}
    got.update(zip(("dh0", "dc0"), checks.parts(dstate), strict=False))
    for name, array in got.items():
        assert checks.relative_error(array, whole[name]) < 1e-12, name


@variants
@dtypes
def test_gradient_of_the_input_is_optional(cell, options, dtype):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    lengths = checks.ragged(5, 6)
    wanted = run(case, lengths=lengths)
    got = checks.run(train, partial(ops.backward, need_dx=False), case, lengths=lengths)
    assert got.pop("dx") is None
    for name in got:
        assert checks.same_bits(got[name], wanted[name]), name


@variants
@dtypes
def test_no_gradient_of_the_state_is_zeros(cell, options, dtype):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    case.dstate = checks.zeros_like(case.dstate)
    wanted = run(case)
    case.dstate = None
    got = run(case)
    checks.assert_same_bits(got, wanted)


@variants
@dtypes
@directions
def test_padding_counts_for_nothing(cell, options, dtype, reverse):
    case = checks.make_case(cell, 6, 7, 3, 17, dtype, **options)
    lengths = checks.ragged(7, 6)
    wanted = run(case, lengths=lengths, reverse=reverse)
    padding = np.arange(6) >= lengths[:, None]
    for value in (np.nan, np.inf, np.finfo(dtype).max):
        case.x[padding] = value
        case.dy[padding] = -value
        got = run(case, lengths=lengths, reverse=reverse)
        checks.assert_same_bits(got, wanted, f"padding {value}")


@variants
@dtypes
def test_gradients_may_come_anyhow_in_memory(cell, options, dtype):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    lengths = checks.ragged(5, 6)
    wanted = run(case, lengths=lengths)
    x, dy, dstate = case.x, case.dy, case.dstate
    for attribute, array in (("dy", dy), ("x", x)):
        for layout, value in checks.awkward(array):
            setattr(case, attribute, value)
            got = run(case, lengths=lengths)
            checks.assert_same_bits(got, wanted, f"{attribute} {layout}")
        setattr(case, attribute, array)
    for layouts in zip(*map(checks.awkward, checks.parts(dstate)), strict=True):
        arrays = tuple(array for _, array in layouts)
        case.dstate = arrays if cell == "lstm" else arrays[0]
        got = run(case, lengths=lengths)
        checks.assert_same_bits(got, wanted, f"dstate {layouts[0][0]}")


@variants
@dtypes
def test_half_of_a_bidirectional_gradient(cell, options, dtype):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    wanted = run(case, reverse=True)
    both = np.full((5, 6, 35), np.nan, dtype)
    both[..., 18:] = case.dy
    case.dy = both[..., 18:]
    got = run(case, reverse=True)
    checks.assert_same_bits(got, wanted)


@variants
@dtypes
def test_what_is_saved_is_not_what_was_returned(cell, options, dtype):
    """The caller may do to y, to out and to the state what he likes before backward."""
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    wanted = run(case)
    for out in (None, np.empty_like(case.dy)):
        y, state, saved = train(cell, case.params, case.x, case.state, out=out, **options)
        y[...] = np.nan
        for part in checks.parts(state):
            part[...] = np.nan
        dx, dstate, grads = ops.backward(saved, case.dy, case.dstate)
        got = {"dx": dx, **grads, **dict(zip(("dh0", "dc0"), checks.parts(dstate), strict=False))}
        for name, array in got.items():
            assert checks.same_bits(array, wanted[name]), name


@variants
@dtypes
def test_arguments_are_left_alone(cell, options, dtype):
    case, copy = (checks.make_case(cell, 6, 5, 3, 17, dtype, **options) for _ in range(2))
    run(case, lengths=checks.ragged(5, 6))
    pairs = [(case.x, copy.x), (case.dy, copy.dy)]
    pairs += zip(checks.parts(case.state), checks.parts(copy.state), strict=True)
    pairs += zip(checks.parts(case.dstate), checks.parts(copy.dstate), strict=True)
    pairs += [(case.params[name], copy.params[name]) for name in copy.params]
    for got, wanted in pairs:
        assert checks.same_bits(got, wanted)
