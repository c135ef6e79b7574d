"""Recurrent kernels at the edges: nothing to do, huge and invalid numbers, wrong arguments."""

import threading
import weakref
from functools import partial

import checks
import numpy as np
import pytest
from checks import directions, dtypes, variants

import rnnfast as rf
from rnnfast import ops, reference
from rnnfast.kernels import _threads

train = partial(ops.forward, save=True)
run = partial(checks.run, train, ops.backward)


@variants
@dtypes
@directions
@pytest.mark.parametrize(
    ("T", "B", "lengths"), [(0, 3, None), (4, 0, None), (4, 0, []), (0, 0, None), (0, 2, [0, 0]), (4, 7, [0] * 7)]
)
def test_nothing_to_do(cell, options, dtype, reverse, T, B, lengths):
    H = 17
    case = checks.make_case(cell, T, B, 3, H, dtype, **options)
    lengths = None if lengths is None else np.array(lengths, np.int64)
    for out in (None, np.full((B, T, H), np.nan, dtype)):
        results = run(case, lengths=lengths, reverse=reverse, out=out)
        assert checks.same_bits(results["y"], np.zeros((B, T, H), dtype))
        assert checks.same_bits(results["dx"], np.zeros((B, T, 3), dtype))
        for names, state in ((("h", "c"), case.state), (("dh0", "dc0"), case.dstate)):
            for name, array in zip(names, checks.parts(state), strict=False):
                assert checks.same_bits(results[name], array)
                assert not np.shares_memory(results[name], array)
        for name, array in case.params.items():
            assert results[name].shape == array.shape
            assert results[name].dtype == dtype
            assert not results[name].any()


@variants
@pytest.mark.parametrize("save", [False, True])
def test_steps_without_rows_take_no_memory(cell, options, save):
    params = checks.make_case(cell, 1, 1, 1, 1, np.float32, **options).params
    x = np.empty((0, 2**60, 1), np.float32)
    y, _, saved = ops.forward(cell, params, x, save=save, **options)
    assert y.shape == x.shape
    if save:
        assert ops.backward(saved, y)[0].shape == x.shape


@variants
@dtypes
@directions
def test_huge_input_gives_finite_results(cell, options, dtype, reverse):
    bounded = cell != "rnn" or options["activation"] == "tanh"
    for size in (1e4, 1e30) if bounded else (1e4,):
        case = checks.make_case(cell, 5, 7, 3, 17, dtype, **options)
        case.x *= dtype(size)
        results = run(case, reverse=reverse)
        for name, array in results.items():
            assert np.isfinite(array).all(), (name, size)
        if bounded:
            assert np.abs(results["y"]).max() <= 1 + 1e-6
            assert np.abs(results["y"]).max() > 0.5


@pytest.mark.parametrize("size", [1e4, 1e30])
@dtypes
def test_saturated_lstm_is_exact(dtype, size):
    """Gates at 0 and 1 to the last bit: c counts steps, h = tanh(c); no gradient passes a gate."""
    H, T = 17, 4
    params = {"weight_ih": np.ones((4 * H, 1), dtype), "weight_hh": np.zeros((4 * H, H), dtype)}
    x = np.full((2, T, 1), size, dtype)
    y, (h, c), saved = train("lstm", params, x)
    np.testing.assert_array_equal(c, np.full((2, H), T))
    np.testing.assert_allclose(y[0, :, 0], np.tanh(np.arange(1.0, T + 1)), rtol=3e-7)
    dx, (_, dc), grads = ops.backward(saved, np.zeros_like(y), (np.zeros_like(h), np.ones_like(c)))
    np.testing.assert_array_equal(dc, np.ones_like(c))
    assert not dx.any()
    assert not any(grad.any() for grad in grads.values())
    y, (_, c), _ = train("lstm", params, -x, (np.ones_like(h), np.full_like(c, size)))
    assert not y.any()
    assert not c.any()


@variants
@dtypes
def test_huge_state_gives_finite_results(cell, options, dtype):
    case = checks.make_case(cell, 3, 2, 3, 17, dtype, **options)
    case.state = tuple(part * dtype(1e4) for part in checks.parts(case.state))
    case.state = case.state if cell == "lstm" else case.state[0]
    for name, array in run(case).items():
        assert np.isfinite(array).all(), name


@variants
@dtypes
@directions
@pytest.mark.parametrize("B", [2, 7, 33])
def test_nan_stays_in_its_row(cell, options, dtype, reverse, B):
    T, H, row, step = 5, 17, B // 2, 2
    case = checks.make_case(cell, T, B, 3, H, dtype, **options)
    clean = run(case, reverse=reverse)
    case.x[row, step, 1] = np.nan
    got = run(case, reverse=reverse)
    others = np.arange(B) != row
    for name in ("y", "h", "c", "dx", "dh0", "dc0"):
        if name in clean:
            assert checks.same_bits(got[name][others], clean[name][others]), name
    before, after = (slice(step + 1, T), slice(0, step + 1)) if reverse else (slice(0, step), slice(step, T))
    assert checks.same_bits(got["y"][row, before], clean["y"][row, before])
    assert np.isnan(got["y"][row, after]).all()
    assert np.isnan(got["h"][row]).all()


@variants
@dtypes
@pytest.mark.parametrize("H", [5, 16, 17])
@pytest.mark.parametrize("where", ["x", "state"])
def test_infinity_gives_what_the_equations_give(cell, options, dtype, H, where):
    """In H no whole number of vectors too, where the core's rows have lanes to spare."""
    case = checks.make_case(cell, 5, 3, 3, H, dtype, **options)
    array = case.x[:, 2] if where == "x" else checks.parts(case.state)[0]
    array[1, 1] = np.inf
    with np.errstate(all="ignore"):
        wanted = checks.run(reference.forward, reference.backward, case)
    got = run(case)
    for name, array in wanted.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


@variants
@dtypes
def test_nan_in_a_bias_shows(cell, options, dtype):
    case = checks.make_case(cell, 3, 2, 3, 17, dtype, **options)
    case.params["bias"][:] = np.nan
    assert np.isnan(ops.forward(cell, case.params, case.x, case.state, **options)[0]).all()


@dtypes
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize(("cell", "options"), checks.VARIANTS[:1] + checks.VARIANTS[3:])
def test_infinite_bias_saturates(cell, options, dtype, value):
    case = checks.make_case(cell, 3, 2, 3, 17, dtype, **options)
    case.params["bias"][:] = value
    y = ops.forward(cell, case.params, case.x, case.state, **options)[0]
    wanted = np.full(y.shape, np.sign(value))
    if cell == "lstm":
        wanted = np.tanh(case.state[1][:, None] + np.arange(1, 4)[:, None]) if value > 0 else np.zeros(y.shape)
    elif cell == "gru" and (value > 0) == (options["update"] == "keep"):
        wanted = np.broadcast_to(case.state[:, None], y.shape)
    np.testing.assert_allclose(y, wanted, rtol=1e-6)


BAD_FORWARD = {
    "x too flat": ({"x": np.zeros((3, 5))}, ValueError, ["x", "(3, 5)"]),
    "x too wide": ({"x": np.zeros((2, 3, 6))}, ValueError, ["6", "5"]),
    "x complex": ({"x": np.zeros((2, 3, 5), complex)}, TypeError, ["x", "complex128"]),
    "x of objects": ({"x": np.zeros((2, 3, 5), object)}, TypeError, ["x", "object"]),
    "x of text": ({"x": np.full((2, 3, 5), "a")}, TypeError, ["x"]),
    "state of other batch": ({"state": np.zeros((3, 4))}, ValueError, ["state", "(3, 4)", "(2, 4)"]),
    "state a pair": ({"state": (np.zeros((2, 4)), np.zeros((2, 4)))}, (ValueError, TypeError), ["state"]),
    "state complex": ({"state": np.zeros((2, 4), complex)}, TypeError, ["state", "complex128"]),
    "lengths of other batch": ({"lengths": [1, 2, 3]}, ValueError, ["lengths", "(3,)", "(2,)"]),
    "lengths too long": ({"lengths": [1, 4]}, ValueError, ["lengths", "4", "3"]),
    "lengths negative": ({"lengths": [-1, 3]}, ValueError, ["lengths", "-1"]),
    "lengths huge": ({"lengths": np.array([1, 2**63], np.uint64)}, ValueError, ["lengths"]),
    "lengths fractional": ({"lengths": [1.5, 2.0]}, TypeError, ["lengths", "float64"]),
    "out of other shape": ({"out": np.zeros((2, 3, 5))}, ValueError, ["out", "(2, 3, 5)", "(2, 3, 4)"]),
    "out of other dtype": ({"out": np.zeros((2, 3, 4), np.float32)}, TypeError, ["out", "float32", "float64"]),
    "out read-only": ({"out": np.broadcast_to(0.0, (2, 3, 4))}, ValueError, ["out", "read-only"]),
    "out no array": ({"out": [0.0]}, TypeError, ["out"]),
    "unknown cell": ({"cell": "lstn"}, ValueError, ["cell", "lstn"]),
    "unknown reset": ({"reset": "later"}, ValueError, ["reset", "later"]),
    "unknown update": ({"update": "old"}, ValueError, ["update", "old"]),
}


@pytest.mark.parametrize("name", BAD_FORWARD)
def test_says_what_is_wrong(name):
    change, error, words = BAD_FORWARD[name]
    case = checks.make_case("gru", 3, 2, 5, 4)
    arguments = {"cell": "gru", "params": case.params, "x": case.x, **change}
    with pytest.raises(error) as raised:
        ops.forward(**arguments)
    for word in words:
        assert word in str(raised.value)


BAD_PARAMS = {
    "weight_ih of other rows": ("weight_ih", np.zeros((11, 5)), ValueError, ["weight_ih", "(11, 5)"]),
    "weight_ih flat": ("weight_ih", np.zeros(60), ValueError, ["weight_ih", "(60,)"]),
    "weight_hh of other rows": ("weight_hh", np.zeros((13, 4)), ValueError, ["weight_hh", "(13, 4)"]),
    "weight_hh complex": ("weight_hh", np.zeros((12, 4), complex), TypeError, ["weight_hh", "complex128"]),
    "bias short": ("bias", np.zeros(4), ValueError, ["bias", "(4,)", "(12,)"]),
    "bias_hn long": ("bias_hn", np.zeros(12), ValueError, ["bias_hn", "(12,)", "(4,)"]),
    "unknown parameter": ("bais", np.zeros(12), (ValueError, KeyError), ["bais"]),
}


@pytest.mark.parametrize("name", BAD_PARAMS)
@pytest.mark.parametrize("verb", ["forward", "pack"])
def test_says_what_is_wrong_with_parameters(verb, name):
    key, value, error, words = BAD_PARAMS[name]
    case = checks.make_case("gru", 3, 2, 5, 4)
    case.params[key] = value
    with pytest.raises(error) as raised:
        ops.forward("gru", case.params, case.x) if verb == "forward" else ops.pack("gru", case.params)
    for word in words:
        assert word in str(raised.value)


def test_missing_weight_is_named():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    del case.params["weight_hh"]
    with pytest.raises((ValueError, KeyError), match="weight_hh"):
        ops.forward("lstm", case.params, case.x)


@pytest.mark.parametrize(
    ("cell", "options", "other", "other_options"),
    [
        ("lstm", {}, "gru", {}),
        ("gru", {}, "lstm", {}),
        ("rnn", {}, "rnn", {"activation": "relu"}),
        ("gru", {"reset": "before"}, "gru", {"reset": "after"}),
        ("gru", {"update": "new"}, "gru", {"update": "keep"}),
    ],
)
def test_packed_weights_of_another_cell_are_refused(cell, options, other, other_options):
    case = checks.make_case(cell, 3, 2, 5, 4, **options)
    packed = ops.pack(other, checks.make_case(other, 3, 2, 5, 4, **other_options).params, **other_options)
    with pytest.raises((ValueError, TypeError), match="packed"):
        ops.forward(cell, case.params, case.x, packed=packed, **options)


def test_packed_weights_of_another_size_are_refused():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    for I, H in ((6, 4), (5, 7)):  # noqa: E741
        packed = ops.pack("lstm", checks.make_case("lstm", 3, 2, I, H).params)
        with pytest.raises(ValueError, match="shape"):
            ops.forward("lstm", case.params, case.x, case.state, packed=packed)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"dy": np.zeros((2, 3, 5))}, ValueError, ["dy", "(2, 3, 5)", "(2, 3, 4)"]),
        ({"dy": np.zeros((2, 4, 4))}, ValueError, ["dy", "(2, 4, 4)", "(2, 3, 4)"]),
        ({"dy": np.zeros((2, 3, 4), complex)}, TypeError, ["dy", "complex128"]),
        ({"dstate": (np.zeros((2, 4)), np.zeros((2, 5)))}, ValueError, ["dstate", "(2, 5)", "(2, 4)"]),
        ({"dstate": np.zeros((2, 4))}, (ValueError, TypeError), ["dstate"]),
    ],
)
def test_says_what_is_wrong_with_gradients(change, error, words):
    case = checks.make_case("lstm", 3, 2, 5, 4)
    saved = train("lstm", case.params, case.x)[2]
    with pytest.raises(error) as raised:
        ops.backward(**{"saved": saved, "dy": case.dy, **change})
    for word in words:
        assert word in str(raised.value)


@variants
@directions
@pytest.mark.parametrize("part", [0, -1])
def test_out_may_overlap_the_state(cell, options, reverse, part):
    rf.set_num_threads(3)
    before = _threads._set_worth_a_thread(0)
    try:
        for B, T in ((7, 1), (1, 4)):  # an output of one row or one step is the state's memory as it is
            case = checks.make_case(cell, T, B, 5, 17, **options)
            wanted = ops.forward(cell, case.params, case.x, case.state, reverse=reverse, **options)[0]
            out = np.empty((B, T, 17))
            states = list(checks.parts(case.state))
            out[:, 0] = states[part]
            states[part] = out[:, 0]
            state = tuple(states) if cell == "lstm" else states[0]
            ops.forward(cell, case.params, case.x, state, reverse=reverse, out=out, **options)
            assert checks.same_bits(out, wanted)
    finally:
        _threads._set_worth_a_thread(before)


def test_out_without_memory_for_each_element_is_refused():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    memory = np.zeros(100)
    for strides in ((0, 32, 8), (96, 0, 8), (96, 32, 0), (96, 24, 8), (32, 32, 8), (-16, 32, 8)):
        out = np.lib.stride_tricks.as_strided(memory[50:], (2, 3, 4), strides)
        with pytest.raises(ValueError, match="out must have memory for each element"):
            ops.forward("lstm", case.params, case.x, out=out)
    assert not memory.any()
    interleaved = np.lib.stride_tricks.as_strided(memory, (2, 3, 4), (8, 16, 48))
    ops.forward("lstm", case.params, case.x, out=interleaved)
    assert checks.same_bits(interleaved.copy(), ops.forward("lstm", case.params, case.x)[0])


def test_backward_of_an_inference_pass_is_refused():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    saved = ops.forward("lstm", case.params, case.x)[2]
    with pytest.raises((ValueError, TypeError), match="save"):
        ops.backward(saved, case.dy)


def test_backward_works_once():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    saved = train("lstm", case.params, case.x)[2]
    with pytest.raises(ValueError, match="dy"):
        ops.backward(saved, case.dy[:1])
    ops.backward(saved, case.dy)
    with pytest.raises(RuntimeError, match="once"):
        ops.backward(saved, case.dy)


def test_backward_works_once_where_threads_compete():
    case = checks.make_case("lstm", 30, 2, 5, 40)
    for _ in range(20):
        saved = train("lstm", case.params, case.x)[2]
        results, gate = [], threading.Barrier(4)

        def compete(saved=saved, results=results, gate=gate):
            gate.wait()
            try:
                results.append(ops.backward(saved, case.dy)[0])
            except RuntimeError:
                results.append(None)

        threads = [threading.Thread(target=compete) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(result is not None for result in results) == 1


def test_backward_lets_go_of_what_was_saved():
    case = checks.make_case("lstm", 3, 2, 5, 4)
    saved = train("lstm", case.params, case.x)[2]
    x = weakref.ref(case.x)
    del case.x
    assert x() is not None
    ops.backward(saved, case.dy)
    assert x() is None
