"""The reference against loops apart from it, central differences, and PyTorch."""

from pathlib import Path

import checks
import checks_torch
import numpy as np
import pytest
from checks import directions, dtypes, variants

from rnnfast import reference

ragged = pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.npz"))


def assert_close(got, wanted, tolerance):
    assert checks.relative_error(got, wanted) < tolerance


@variants
@directions
@ragged
@pytest.mark.parametrize(("T", "B", "I", "H"), [(1, 1, 1, 1), (1, 3, 2, 5), (6, 1, 3, 4), (7, 5, 4, 3)])
def test_equals_the_naive_loop(cell, options, reverse, ragged, T, B, I, H):  # noqa: E741
    case = checks.make_case(cell, T, B, I, H, **options)
    lengths = checks.ragged(B, T) if ragged else None
    y, state, _ = reference.forward(cell, case.params, case.x, case.state, lengths=lengths, reverse=reverse, **options)
    wanted_y, wanted_state = checks.naive(case, lengths, reverse)
    assert_close(y, wanted_y, 1e-12)
    for got, wanted in zip(checks.parts(state), checks.parts(wanted_state), strict=True):
        assert_close(got, wanted, 1e-12)


@variants
@directions
@ragged
@pytest.mark.parametrize(("T", "B", "I", "H"), [(1, 1, 1, 1), (5, 4, 2, 3)])
def test_gradients(cell, options, reverse, ragged, T, B, I, H):  # noqa: E741
    case = checks.make_case(cell, T, B, I, H, seed=1, **options)
    lengths = checks.ragged(B, T) if ragged else None
    checks.check_gradients(reference.forward, reference.backward, case, lengths=lengths, reverse=reverse)


@variants
def test_gradients_without_bias(cell, options):
    case = checks.make_case(cell, 4, 3, 3, 4, seed=2, bias=False, **options)
    checks.check_gradients(reference.forward, reference.backward, case)


@pytest.mark.parametrize("absent", ["bias", "bias_hn"])
def test_gru_takes_either_bias_alone(absent):
    case = checks.make_case("gru", 4, 2, 3, 2, seed=3)
    zeros = {**case.params, absent: np.zeros_like(case.params[absent])}
    del case.params[absent]
    y = reference.forward("gru", case.params, case.x, case.state)[0]
    assert checks.max_error(y, reference.forward("gru", zeros, case.x, case.state)[0]) == 0
    checks.check_gradients(reference.forward, reference.backward, case)


@variants
@directions
def test_float32_is_close_to_float64(cell, options, reverse):
    case = checks.make_case(cell, 20, 3, 5, 7, **options)
    how = {"lengths": checks.ragged(3, 20), "reverse": reverse}
    wanted = checks.run(reference.forward, reference.backward, case, **how)
    got = checks.run(reference.forward, reference.backward, checks.cast(case, np.float32), **how)
    for name, array in got.items():
        assert array.dtype == np.float32
        assert 0 < checks.relative_error(array, wanted[name]) < 5e-6, name


@variants
@directions
def test_each_row_equals_the_row_alone(cell, options, reverse):
    T, B = 6, 5
    case = checks.make_case(cell, T, B, 3, 4, **options)
    lengths = checks.ragged(B, T)
    whole = checks.run(reference.forward, reference.backward, case, lengths=lengths, reverse=reverse)
    total = {name: np.zeros_like(array) for name, array in case.params.items()}
    for row, n in enumerate(lengths):
        rows = slice(row, row + 1)
        alone = checks.some_rows(case, rows, slice(0, n))
        for name, array in checks.run(reference.forward, reference.backward, alone, reverse=reverse).items():
            if name in total:
                total[name] += array
            elif name in ("y", "dx"):
                assert_close(whole[name][rows, :n], array, 1e-13)
                assert not whole[name][rows, n:].any()
            else:
                assert_close(whole[name][rows], array, 1e-13)
    for name, array in total.items():
        assert_close(whole[name], array, 1e-13)


@variants
@directions
def test_padding_counts_for_nothing(cell, options, reverse):
    case = checks.make_case(cell, 6, 4, 3, 4, **options)
    how = {"lengths": np.array([3, 0, 6, 1]), "reverse": reverse}
    clean = checks.run(reference.forward, reference.backward, case, **how)
    padding = np.arange(6) >= how["lengths"][:, None]
    case.x[padding] = np.inf
    case.dy[padding] = np.nan
    soiled = checks.run(reference.forward, reference.backward, case, **how)
    for name in clean:
        assert checks.same_bits(soiled[name], clean[name]), name


@variants
@directions
@pytest.mark.parametrize(
    ("T", "B", "lengths"), [(0, 3, None), (4, 0, None), (0, 0, None), (0, 2, [0, 0]), (4, 2, [0, 0])]
)
def test_nothing_to_do(cell, options, reverse, T, B, lengths):
    case = checks.make_case(cell, T, B, 3, 4, **options)
    y, state, saved = reference.forward(
        cell, case.params, case.x, case.state, lengths=lengths, reverse=reverse, **options
    )
    dx, dstate, grads = reference.backward(saved, case.dy, case.dstate)
    assert y.shape == (B, T, 4)
    assert dx.shape == (B, T, 3)
    assert not y.any()
    assert not dx.any()
    pairs = [*zip(checks.parts(state), checks.parts(case.state), strict=True)]
    pairs += zip(checks.parts(dstate), checks.parts(case.dstate), strict=True)
    for got, wanted in pairs:
        assert checks.same_bits(got, wanted)
    for name, array in case.params.items():
        assert grads[name].shape == array.shape
        assert not grads[name].any()


@variants
def test_no_state_is_zeros(cell, options):
    case = checks.make_case(cell, 3, 2, 3, 4, **options)
    case.state = checks.zeros_like(case.state)
    case.dstate = checks.zeros_like(case.dstate)
    wanted = checks.run(reference.forward, reference.backward, case)
    case.state = case.dstate = None
    got = checks.run(reference.forward, reference.backward, case)
    for name in wanted:
        assert checks.same_bits(got[name], wanted[name]), name


@variants
@dtypes
def test_saturates_without_warning(cell, options, dtype):
    case = checks.make_case(cell, 3, 2, 3, 4, dtype, **options)
    y, _, saved = reference.forward(cell, case.params, case.x * dtype(1e4), **options)
    dx, _, grads = reference.backward(saved, case.dy)
    assert all(np.isfinite(array).all() for array in (y, dx, *grads.values()))
    if cell != "rnn" or options["activation"] == "tanh":
        assert np.abs(y).max() <= 1 + 1e-6


@variants
def test_arguments_are_left_alone(cell, options):
    case = checks.make_case(cell, 3, 4, 3, 4, **options)
    copy = checks.make_case(cell, 3, 4, 3, 4, **options)
    y, state, saved = reference.forward(cell, case.params, case.x, case.state, lengths=[3, 0, 1, 2], **options)
    first = reference.backward(saved, case.dy, case.dstate)
    y[...] = 7
    for part in checks.parts(state):
        part[...] = 7
    second = reference.backward(saved, case.dy, case.dstate)
    assert checks.same_bits(first[0], second[0])
    for name in ("x", "dy"):
        assert checks.same_bits(getattr(case, name), getattr(copy, name))
    for name in case.params:
        assert checks.same_bits(first[2][name], second[2][name])
        assert checks.same_bits(case.params[name], copy.params[name])
    for name in ("state", "dstate"):
        for a, b in zip(checks.parts(getattr(case, name)), checks.parts(getattr(copy, name)), strict=True):
            assert checks.same_bits(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "lstn"}, r"cell must be one of rnn, lstm, gru, got 'lstn'"),
        ({"activation": "sin"}, r"activation must be one of tanh, relu, identity, got 'sin'"),
        ({"reset": "later"}, r"reset must be one of after, before"),
        ({"update": "old"}, r"update must be one of keep, new"),
        ({"x": np.zeros((2, 3))}, r"x has shape \(2, 3\), wanted \(B, T, I\)"),
        ({"x": np.zeros((2, 3, 6))}, r"weight_ih has shape \(12, 5\), wanted \(12, 6\)"),
        ({"state": np.zeros((1, 4))}, r"state has shape \(1, 4\), wanted \(2, 4\)"),
        ({"lengths": [1, 2, 3]}, r"lengths has shape \(3,\), wanted \(2,\)"),
        ({"lengths": [1, 4]}, r"lengths run from 1 to 4, wanted 0 to 3"),
        ({"lengths": [-1, 3]}, r"lengths run from -1 to 3, wanted 0 to 3"),
    ],
)
def test_says_what_is_wrong(change, message):
    case = checks.make_case("gru", 3, 2, 5, 4)
    arguments = {"cell": "gru", "params": case.params, "x": case.x, **change}
    with pytest.raises(ValueError, match=message):
        reference.forward(**arguments)


def test_says_what_is_wrong_with_parameters():
    case = checks.make_case("gru", 3, 2, 5, 4)
    with pytest.raises(ValueError, match=r"bias has shape \(4,\), wanted \(12,\)"):
        reference.forward("gru", {**case.params, "bias": np.ones(4)}, case.x)
    with pytest.raises(ValueError, match=r"params has 'bias_hn', wanted only weight_ih, weight_hh, bias"):
        reference.forward("gru", case.params, case.x, reset="before")
    with pytest.raises(ValueError, match=r"dy has shape \(2, 3, 1\), wanted \(2, 3, 4\)"):
        reference.backward(reference.forward("gru", case.params, case.x)[2], case.dy[..., :1])


def test_golden_files_are_there():
    assert [path.stem for path in GOLDEN] == sorted(checks_torch.RECORDS)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_equals_recorded_torch(path):
    with np.load(path) as record:
        checks_torch.check_record(dict(record), reference.forward, reference.backward)


@pytest.mark.parametrize("name", checks_torch.RECORDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_torch(name, seed):
    pytest.importorskip("torch")
    checks_torch.check_record(checks_torch.make_record(name, seed), reference.forward, reference.backward)
