"""Optimizer steps against plain NumPy."""

import numpy as np
import pytest

from rnnfast.kernels import _updates

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SIZES = [0, 1, 5, 17, 4096, 4097, 100_003]
OPTIMIZER = {"learning_rate": 0.1}
ADAM = {"learning_rate": 0.01, "step": 1}


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-14, "atol": 1e-14}


def sgd(params, grads, velocity, *, learning_rate, momentum=0.0, weight_decay=0.0, scale=1.0, nesterov=False):
    g = scale * grads + weight_decay * params
    if velocity is not None:
        velocity = momentum * velocity + g
        g = g + momentum * velocity if nesterov else velocity
    return params - learning_rate * g, velocity


@dtypes
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9, "scale": 0.25},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3},
        {"weight_decay": 0.3, "scale": 2.0},
    ],
)
def test_sgd_step_equals_the_equation(dtype, size, options):
    params, grads, velocity = np.random.default_rng(size).normal(size=(3, size)).astype(dtype)
    velocity = velocity if "momentum" in options else None
    want, speed = sgd(params, grads, velocity, learning_rate=0.1, **options)
    given = grads.copy()
    _updates.sgd_step(params, grads, velocity, learning_rate=0.1, **options)
    np.testing.assert_allclose(params, want, **tolerance(dtype))
    np.testing.assert_array_equal(grads, given)
    if velocity is not None:
        np.testing.assert_allclose(velocity, speed, **tolerance(dtype))


def adam(params, grads, m, v, *, learning_rate, beta1, beta2, epsilon, weight_decay, step, scale, decoupled):
    g = scale * grads
    if decoupled:
        params = params - learning_rate * weight_decay * params
    else:
        g = g + weight_decay * params
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    change = m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return params - learning_rate * change, m, v


@dtypes
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("step", [1, 1000])
def test_adam_step_equals_the_equation(dtype, size, decoupled, step):
    params, grads, m, v = np.random.default_rng(size).normal(size=(4, size)).astype(dtype)
    v = v**2
    options = {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1, "step": step}
    options |= {"scale": 0.5, "decoupled": decoupled}
    want = adam(*(a.astype(np.float64) for a in (params, grads, m, v)), **options)
    given = grads.copy()
    _updates.adam_step(params, grads, m, v, **options)
    for got, wish in zip((params, m, v), want, strict=True):
        np.testing.assert_allclose(got, wish, **tolerance(dtype))
    np.testing.assert_array_equal(grads, given)


def flat_arrays(count, size=6, dtype=np.float64):
    return [np.full(size, 0.5 + k, dtype) for k in range(count)]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_optimizer_steps_refuse_arrays_that_do_not_fit(place):
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
        for function, count, options in ((_updates.sgd_step, 3, OPTIMIZER), (_updates.adam_step, 4, ADAM)):
            if place < count:
                arrays = flat_arrays(count)
                arrays[place] = bad
                with pytest.raises(error, match=text):
                    function(*arrays, **options)


def test_optimizer_steps_refuse_overlap_and_bad_numbers():
    buffer = np.zeros(10)
    with pytest.raises(ValueError, match="params and grads must not share memory"):
        _updates.sgd_step(buffer[:6], buffer[4:], None, learning_rate=0.1)
    with pytest.raises(ValueError, match="m and v must not share memory"):
        _updates.adam_step(np.zeros(6), np.zeros(6), buffer[:6], buffer[4:], **ADAM)
    with pytest.raises(ValueError, match="velocity must be an array"):
        _updates.sgd_step(np.zeros(6), np.zeros(6), None, learning_rate=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="step must be 1 or more, got 0"):
        _updates.adam_step(*flat_arrays(4), learning_rate=0.1, step=0)
    with pytest.raises(ValueError, match="beta2 must be 0 or more and below 1, got 1"):
        _updates.adam_step(*flat_arrays(4), **ADAM, beta2=1.0)
    with pytest.raises(TypeError):
        _updates.adam_step(*flat_arrays(4), learning_rate=0.1, step=1.5)
