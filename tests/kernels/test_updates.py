"""Optimizer steps against plain NumPy."""

import numpy as np
import pytest

from rnnfast.kernels import _updates

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SIZES = [0, 1, 5, 17, 4099, 100_003]


def rmsprop(p, g, s, n, centered=False, momentum=False):
    s[0] = n[1] * s[0] + n[2] * g * g
    square = s[0]
    if centered:
        s[1] = s[1] + (g - s[1]) * n[2]
        square = np.maximum(s[0] - s[1] * s[1], 0)
    change = g / (np.sqrt(square) + n[3])
    if momentum:
        change = s[-1] = n[4] * s[-1] + change
    return p - n[0] * change


def sgd(p, g, s, n):
    return p - n[0] * g


def momentum(p, g, s, n):
    s[0] = n[1] * s[0] + g
    return p - n[0] * s[0]


def nesterov(p, g, s, n):
    s[0] = n[1] * s[0] + g
    return p - n[0] * (g + n[1] * s[0])


def adagrad(p, g, s, n):
    s[0] = s[0] + g * g
    return p - n[0] * (g / (np.sqrt(s[0]) + n[1]))


def adadelta(p, g, s, n):
    s[0] = n[1] * s[0] + n[2] * g * g
    change = np.sqrt(s[1] + n[3]) / np.sqrt(s[0] + n[3]) * g
    s[1] = n[1] * s[1] + n[2] * change * change
    return p - n[0] * change


def adam(p, g, s, n, greatest=False, ahead=0):
    s[0] = s[0] + (g - s[0]) * n[1]
    s[1] = n[2] * s[1] + n[3] * g * g
    if greatest:
        s[2] = np.maximum(s[1], s[2])
    return p - (n[0] * s[0] + ahead * g) / (np.sqrt(s[-1]) * n[4] + n[5])


def adamax(p, g, s, n):
    s[0] = s[0] + (g - s[0]) * n[1]
    s[1] = np.maximum(n[2] * s[1], np.abs(g) + n[3])
    return p - n[0] * s[0] / s[1]


def lion(p, g, s, n):
    change = np.sign(n[1] * s[0] + n[2] * g)
    s[0] = n[3] * s[0] + n[4] * g
    return p - n[0] * change


def rprop(p, g, s, n):
    turned, stayed = g * s[0] < 0, g * s[0] > 0
    s[1] = np.clip(np.where(turned, s[1] * n[0], np.where(stayed, s[1] * n[1], s[1])), n[2], n[3])
    s[0] = np.where(turned, 0, g)
    return p - s[1] * np.sign(s[0])


def asgd(p, g, s, n):
    p = p - n[0] * g
    s[0] = s[0] + n[1] * (p - s[0])
    return p


def average(p, g, s, n):
    return p + n[0] * (g - p)


RULES = {
    "sgd": (sgd, 0, [0.1]),
    "momentum": (momentum, 1, [0.1, 0.9]),
    "nesterov": (nesterov, 1, [0.1, 0.9]),
    "rmsprop": (rmsprop, 1, [0.1, 0.7, 0.3, 1e-3]),
    "rmsprop_momentum": (lambda *a: rmsprop(*a, momentum=True), 2, [0.1, 0.7, 0.3, 1e-3, 0.8]),
    "rmsprop_centered": (lambda *a: rmsprop(*a, centered=True), 2, [0.1, 0.7, 0.3, 1e-3]),
    "rmsprop_centered_momentum": (lambda *a: rmsprop(*a, True, True), 3, [0.1, 0.7, 0.3, 1e-3, 0.8]),
    "adagrad": (adagrad, 1, [0.1, 1e-3]),
    "adadelta": (adadelta, 2, [0.5, 0.7, 0.3, 1e-3]),
    "adam": (adam, 2, [0.1, 0.2, 0.7, 0.3, 1.5, 1e-3]),
    "amsgrad": (lambda *a: adam(*a, greatest=True), 3, [0.1, 0.2, 0.7, 0.3, 1.5, 1e-3]),
    "nadam": (lambda *a: adam(*a, ahead=a[3][6]), 2, [0.1, 0.2, 0.7, 0.3, 1.5, 1e-3, 0.4]),
    "adamax": (adamax, 2, [0.1, 0.2, 0.7, 1e-3]),
    "lion": (lion, 1, [0.1, 0.4, 0.6, 0.7, 0.3]),
    "rprop": (rprop, 2, [0.5, 1.2, 0.5, 2.0]),
    "asgd": (asgd, 1, [0.1, 0.3]),
    "average": (average, 0, [0.3]),
}


def arrays_of(rule, size, dtype, seed=0):
    """Parameters, gradients and states; the squares among these are positive."""
    params, grads, *states = np.random.default_rng(size + seed).normal(size=(5, size)).astype(dtype)
    states[1] = states[1] ** 2
    if rule.startswith(("rmsprop", "adag", "adad")):
        states[0] = states[0] ** 2 + 0.5
    if rule.startswith("rmsprop_centered"):
        states[1] *= 0.1
    states[2] = states[2] ** 2
    return params, grads, states[: RULES[rule][1]]


def test_every_rule_is_here():
    assert {name: (states, len(numbers)) for name, (_, states, numbers) in RULES.items()} == {
        name: (states, numbers) for name, (_, states, numbers) in _updates._RULES.items()
    }


@dtypes
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "options", [{}, {"scale": 0.25, "decay": 0.3, "clip_value": 0.2, "shrink": 0.9}], ids=["plain", "all"]
)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_equals_the_equation(rule, size, dtype, options):
    function, _, numbers = RULES[rule]
    params, grads, states = arrays_of(rule, size, dtype)
    given = {"scale": 1, "decay": 0, "clip_value": np.inf, "shrink": 1} | options
    scale, decay, limit, shrink = (dtype(given[name]) for name in ("scale", "decay", "clip_value", "shrink"))
    wanted_states = [state.copy() for state in states]
    gradient = np.clip(scale * grads, -limit, limit) + decay * params
    # In the kernel's own dtype, as signs and roots tell roundings apart.
    wanted = function(params * shrink, gradient, wanted_states, [dtype(number) for number in numbers])
    before = grads.copy()
    _updates.update(rule, params, grads, states, numbers, **options)
    for got, wish in zip((params, *states), (wanted, *wanted_states), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wish, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(grads, before)


@dtypes
@pytest.mark.parametrize("rule", ["asgd", "average"])
def test_a_share_of_one_copies_to_the_bit(rule, dtype):
    params, grads, states = np.full(37, 1e8, dtype), np.full(37, 0.1, dtype), [np.full(37, 0.3, dtype)]
    if rule == "asgd":
        _updates.update(rule, params, grads, states, [0.0, 1.0])
        assert np.array_equal(states[0], params)
    else:
        _updates.update(rule, params, grads, (), [1.0])
        assert np.array_equal(params, grads)


@dtypes
def test_a_constant_gradient_has_no_variance(dtype):
    params, mean = np.zeros(37, dtype), np.full(37, 0.1, dtype)
    square = mean * mean * dtype(1 - 1e-7)
    _updates.update("rmsprop_centered", params, mean.copy(), [square, mean], [0.1, 1.0, 0.0, 1e-3])
    assert np.isfinite(params).all()


def test_parameters_without_bounds_do_not_decay():
    params = np.array([np.inf, 1.0] * 9)
    _updates.update("sgd", params, np.ones(18), numbers=[0.5])
    assert params.tolist() == [np.inf, 0.5] * 9


def test_subnormal_states_are_flushed():
    tiny = np.finfo(np.float32).tiny
    params, grads, velocity = np.ones(19, np.float32), np.zeros(19, np.float32), np.full(19, tiny)
    _updates.update("momentum", params, grads, [velocity], [0.1, 0.5])
    assert not velocity.any()
    assert np.float32(0.5) * tiny > 0


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_what_does_not_fit_is_refused(place):
    read_only = np.ones(6)
    read_only.flags.writeable = False
    cases = [
        ([1.0] * 6, TypeError, "must be a NumPy array, got list"),
        (np.ones(6, int), TypeError, "must be float32 or float64, got int64"),
        (np.ones(6, ">f8"), TypeError, "must be float32 or float64, got >f8"),
        (np.ones((2, 3)), ValueError, r"must be one-dimensional and contiguous, got shape \(2, 3\)"),
        (np.ones(12)[::2], ValueError, "must be one-dimensional and contiguous"),
    ]
    if place > 0:
        cases += [(np.ones(6, np.float32), TypeError, "must have dtype float64"), (np.ones(5), ValueError, r"\(6,\)")]
    if place != 1:
        cases += [(read_only, ValueError, "must be writable")]
    for bad, error, text in cases:
        arrays = [np.full(6, 0.5 + k) for k in range(4)]
        arrays[place] = bad
        with pytest.raises(error, match=text):
            _updates.update("adam", arrays[0], arrays[1], arrays[2:], RULES["adam"][2])


def test_overlap_and_wrong_counts_are_refused():
    buffer, x = np.zeros(10), np.zeros(6)
    with pytest.raises(ValueError, match="params and grads must not share memory"):
        _updates.update("sgd", buffer[:6], buffer[4:], numbers=[0.1])
    with pytest.raises(ValueError, match=r"states\[0\] and states\[1\] must not share memory"):
        _updates.update("adam", x, x.copy(), [buffer[:6], buffer[4:]], RULES["adam"][2])
    with pytest.raises(ValueError, match=r"rule must be one of sgd, .*, got 'adamant'"):
        _updates.update("adamant", x, x.copy())
    with pytest.raises(ValueError, match="'momentum' wants 1 states, got 0"):
        _updates.update("momentum", x, x.copy(), [], [0.1, 0.9])
    with pytest.raises(ValueError, match="'momentum' wants 2 numbers, got 1"):
        _updates.update("momentum", x, x.copy(), [buffer[:6]], [0.1])
    with pytest.raises(TypeError):
        _updates.update(None, x, x.copy())
    assert not buffer.any()
