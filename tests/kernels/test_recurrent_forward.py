"""Forward kernels against the reference: values, options, layouts, and which bits must be equal."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import checks
import checks_torch
import numpy as np
import pytest
from checks import directions, dtypes, variants

from rnnfast import ops

train = partial(ops.forward, save=True)
run = partial(checks.run_forward, ops.forward)
SIZES = [(T, B, I) for T in (1, 2, 13) for B in (1, 2, 7, 33) for I in (1, 3, 19)]  # noqa: E741


@variants
@dtypes
@pytest.mark.parametrize("H", [1, 5, 17, 33, 70])
def test_equals_the_reference(cell, options, dtype, H):
    for seed, (T, B, I) in enumerate(SIZES):  # noqa: E741
        case = checks.rounded_case(cell, T, B, I, H, seed, **options)
        reverse = bool(seed % 2)
        for lengths in (None, checks.ragged(B, T, seed)):
            how = {"lengths": lengths, "reverse": reverse}
            checks.assert_accurate(run(checks.cast(case, dtype), **how), case, **how)


@variants
@dtypes
@directions
@pytest.mark.parametrize(("B", "I", "H"), [(1, 19, 70), (7, 3, 33)])
def test_stays_accurate_over_a_hundred_steps(cell, options, dtype, reverse, B, I, H):  # noqa: E741
    case = checks.rounded_case(cell, 100, B, I, H, **options)
    checks.assert_accurate(run(checks.cast(case, dtype), reverse=reverse), case, reverse=reverse)


@variants
@dtypes
@pytest.mark.parametrize("absent", [("bias", "bias_hn"), ("bias",), ("bias_hn",)], ids="+".join)
def test_any_bias_may_be_absent(cell, options, dtype, absent):
    case = checks.rounded_case(cell, 5, 4, 3, 17, **options)
    for name in absent:
        case.params.pop(name, None)
    checks.assert_accurate(run(checks.cast(case, dtype)), case)


@variants
@dtypes
def test_no_state_is_zeros(cell, options, dtype):
    case = checks.make_case(cell, 3, 2, 3, 17, dtype, **options)
    case.state = checks.zeros_like(case.state)
    wanted = run(case)
    case.state = None
    checks.assert_same_bits(run(case), wanted)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("golden/*.npz")), ids=lambda path: path.stem)
def test_equals_recorded_torch(path):
    with np.load(path) as record:
        checks_torch.check_record(dict(record), train, ops.backward)


@pytest.mark.parametrize("name", checks_torch.RECORDS)
def test_equals_torch(name):
    pytest.importorskip("torch")
    checks_torch.check_record(checks_torch.make_record(name, 3), train, ops.backward)


@variants
@dtypes
@directions
def test_saving_and_packing_change_no_bit(cell, options, dtype, reverse):
    for T, B, H in ((1, 1, 5), (13, 1, 70), (2, 33, 17), (13, 7, 33)):
        case = checks.make_case(cell, T, B, 3, H, dtype, **options)
        packed = ops.pack(cell, case.params, **options)
        for lengths in (None, checks.ragged(B, T)):
            how = {"lengths": lengths, "reverse": reverse}
            wanted = run(case, **how)
            for save in (False, True):
                checks.assert_same_bits(run(case, save=save, **how), wanted)
                checks.assert_same_bits(run(case, save=save, packed=packed, **how), wanted)


@variants
@dtypes
def test_packed_weights_are_a_copy(cell, options, dtype):
    case = checks.make_case(cell, 3, 2, 3, 17, dtype, **options)
    wanted = run(case)
    packed = ops.pack(cell, {name: array.copy() for name, array in case.params.items()}, **options)
    checks.assert_same_bits(run(case, packed=packed), wanted)


@variants
def test_nothing_is_saved_unless_asked(cell, options):
    case = checks.make_case(cell, 3, 2, 3, 5, **options)
    assert ops.forward(cell, case.params, case.x, **options)[2] is None
    assert ops.forward(cell, case.params, case.x, save=True, **options)[2] is not None


@variants
@dtypes
@directions
def test_a_batch_has_the_bits_of_its_rows(cell, options, dtype, reverse):
    T, B = 13, 33
    case = checks.make_case(cell, T, B, 19, 33, dtype, **options)
    lengths = checks.ragged(B, T)
    whole = run(case, lengths=lengths, reverse=reverse)
    for rows in (slice(0, 1), slice(1, 8), slice(8, 20), slice(20, 33)):
        part = run(checks.some_rows(case, rows), lengths=lengths[rows], reverse=reverse)
        checks.assert_same_bits(part, {name: array[rows] for name, array in whole.items()})
    for row in (0, 11, 16, 32):
        alone = checks.some_rows(case, slice(row, row + 1), slice(0, lengths[row]))
        part = run(alone, reverse=reverse)
        checks.assert_same_bits(
            part,
            {name: a[row : row + 1, : lengths[row]] if name == "y" else a[row : row + 1] for name, a in whole.items()},
        )


@variants
@dtypes
@directions
def test_chunks_have_the_bits_of_the_whole(cell, options, dtype, reverse):
    T = 29
    for B, H in ((1, 17), (7, 33)):
        case = checks.make_case(cell, T, B, 19, H, dtype, **options)
        whole = run(case, reverse=reverse)
        for edges in ((0, 1, 2, 13, 29), range(T + 1)):
            chunks = [slice(a, b) for a, b in pairwise(edges)]
            state, outputs = case.state, []
            for chunk in reversed(chunks) if reverse else chunks:
                y, state, _ = ops.forward(cell, case.params, case.x[:, chunk], state, reverse=reverse, **options)
                outputs.append(y)
            y = np.concatenate(outputs[::-1] if reverse else outputs, axis=1)
            checks.assert_same_bits({"y": y, **dict(zip(("h", "c"), checks.parts(state), strict=False))}, whole)


@variants
@dtypes
def test_input_may_lie_anyhow_in_memory(cell, options, dtype):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    lengths = checks.ragged(5, 6)
    wanted = run(case, lengths=lengths)
    x, state, params = case.x, case.state, case.params
    for name, case.x in checks.awkward(x):
        got = run(case, lengths=lengths)
        assert checks.same_bits(got["y"], wanted["y"]), f"x {name}"
    case.x = x
    for layouts in zip(*map(checks.awkward, checks.parts(state)), strict=True):
        arrays = tuple(array for _, array in layouts)
        case.state = arrays if cell == "lstm" else arrays[0]
        checks.assert_same_bits(run(case, lengths=lengths), wanted)
    case.state = state
    for key in params:
        for name, array in checks.awkward(params[key]):
            case.params = {**params, key: array}
            got = run(case, lengths=lengths)
            assert checks.same_bits(got["y"], wanted["y"]), f"{key} {name}"


@pytest.mark.parametrize("kind", [list, np.int8, np.uint16, np.int32, np.uint64])
def test_lengths_of_any_integer_kind(kind):
    case = checks.make_case("gru", 6, 5, 3, 17)
    lengths = checks.ragged(5, 6)
    given = lengths.tolist() if kind is list else np.repeat(lengths, 2).astype(kind)[::2]
    checks.assert_same_bits(run(case, lengths=given), run(case, lengths=lengths))


@variants
@dtypes
@directions
def test_out_may_lie_anyhow_in_memory(cell, options, dtype, reverse):
    case = checks.make_case(cell, 6, 5, 3, 17, dtype, **options)
    for lengths in (None, checks.ragged(5, 6)):
        how = {"lengths": lengths, "reverse": reverse}
        wanted = run(case, **how)
        for name, out in checks.awkward(np.full_like(wanted["y"], np.nan)):
            if name == "read-only":
                continue
            for save in (False, True):
                out[...] = np.nan
                got = run(case, out=out, save=save, **how)
                assert got["y"] is out, name
                checks.assert_same_bits(got, wanted)


@variants
@dtypes
@directions
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_out_may_overlap_x(cell, options, dtype, reverse, shift):
    case = checks.make_case(cell, 13, 3, 17, 17, dtype, **options)
    wanted = run(case, reverse=reverse)
    buffer = np.empty((3, 15, 17), dtype)
    case.x, x = buffer[:, 1:14], case.x
    case.x[...] = x
    out = buffer[:, 1 + shift : 14 + shift]
    checks.assert_same_bits(run(case, reverse=reverse, out=out), wanted)


@variants
@dtypes
def test_two_directions_share_one_buffer(cell, options, dtype):
    T, B, H = 6, 5, 17
    case = checks.make_case(cell, T, B, 3, H, dtype, **options)
    lengths = checks.ragged(B, T)
    both = np.full((B, T, 2 * H + 1), np.nan, dtype)
    for reverse in (False, True):
        half = both[..., H:-1] if reverse else both[..., :H]
        wanted = run(case, lengths=lengths, reverse=reverse)
        got = run(case, lengths=lengths, reverse=reverse, out=half)
        assert got["y"] is half
        checks.assert_same_bits(got, wanted)
        if not reverse:
            assert np.isnan(both[..., H:]).all()
    assert np.isnan(both[..., -1]).all()
    assert checks.same_bits(both[..., :H], run(case, lengths=lengths)["y"])


@variants
@dtypes
def test_arguments_are_left_alone(cell, options, dtype):
    case, copy = (checks.make_case(cell, 6, 5, 3, 17, dtype, **options) for _ in range(2))
    run(case, lengths=checks.ragged(5, 6))
    for got, wanted in (
        (case.x, copy.x),
        *zip(checks.parts(case.state), checks.parts(copy.state), strict=True),
        *((case.params[name], copy.params[name]) for name in copy.params),
    ):
        assert checks.same_bits(got, wanted)
