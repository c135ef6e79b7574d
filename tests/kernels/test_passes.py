"""Losses, optimizer steps and sums against plain NumPy, and every pass the same bits however it is run."""

import hashlib
import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from rnnfast.kernels import _passes, _runtime, _threads

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SIZES = [0, 1, 5, 17, 4096, 4097, 100_003]
OPTIMIZER = {"learning_rate": 0.1}
ADAM = {"learning_rate": 0.01, "step": 1}


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-14, "atol": 1e-14}


def softmax_cross_entropy(logits, targets, mask):
    """Textbook, in float64: loss of each row and gradient of their sum."""
    z = logits.astype(np.float64)
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    safe = np.where(mask, targets, 0)[..., None]
    losses = np.where(mask, -np.take_along_axis(log_p, safe, -1)[..., 0], 0)
    gradient = np.exp(log_p)
    np.put_along_axis(gradient, safe, np.take_along_axis(gradient, safe, -1) - 1, -1)
    return losses, np.where(mask[..., None], gradient, 0)


@dtypes
@pytest.mark.parametrize("classes", [1, 2, 5, 8, 16, 17, 64, 1003])
@pytest.mark.parametrize("masked", [False, True])
def test_cross_entropy_equals_the_equation(dtype, classes, masked):
    rng = np.random.default_rng(classes)
    logits = rng.normal(0, 3, (3, 7, classes)).astype(dtype)
    targets = rng.integers(0, classes, (3, 7))
    mask = rng.random((3, 7)) < 0.6 if masked else np.ones((3, 7), bool)
    losses, want = softmax_cross_entropy(logits, targets, mask)
    total, count, gradient = _passes.cross_entropy(logits, targets, mask if masked else None)
    assert count == mask.sum()
    assert type(total) is float
    np.testing.assert_allclose(total, losses.sum(), **tolerance(dtype))
    np.testing.assert_allclose(gradient, want, **tolerance(dtype))
    assert gradient.dtype == dtype
    assert np.all(gradient[~mask] == 0)


@dtypes
def test_cross_entropy_does_not_read_what_is_masked(dtype):
    logits = np.random.default_rng(0).normal(size=(4, 9)).astype(dtype)
    targets = np.array([3, -100, 8, 2**40])
    mask = np.array([True, False, True, False])
    want = _passes.cross_entropy(logits[mask], targets[mask])
    logits[~mask] = np.nan
    total, count, gradient = _passes.cross_entropy(logits, targets, mask)
    assert (total, count) == want[:2]
    np.testing.assert_array_equal(gradient[mask], want[2])
    np.testing.assert_array_equal(gradient[~mask], 0)


@dtypes
def test_cross_entropy_of_extreme_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [-np.inf, 2, 2], [-1e4, -1e4, -1e4], [1e30, 0, -1e30]], dtype)
    total, _, gradient = _passes.cross_entropy(logits, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(total, math.log(2) + math.log(3), rtol=1e-7)
    third = 1 / 3
    want = [[0, 0, 0], [0, -0.5, 0.5], [third, third, third - 1], [0, 0, 0]]
    np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-7)
    total, _, gradient = _passes.cross_entropy(logits[:1], np.array([1]))
    assert total == 2e4
    np.testing.assert_array_equal(gradient, np.array([[1, -1, 0]], dtype))
    assert _passes.cross_entropy(logits[1:2], np.array([0]))[0] == np.inf


@dtypes
def test_cross_entropy_keeps_nan_in_its_row(dtype):
    logits = np.random.default_rng(1).normal(size=(3, 21)).astype(dtype)
    targets = np.array([0, 20, 7])
    clean = _passes.cross_entropy(logits, targets)[2]
    for position in range(21):
        spoilt = logits.copy()
        spoilt[1, position] = np.nan
        total, _, gradient = _passes.cross_entropy(spoilt, targets)
        assert math.isnan(total)
        assert np.all(np.isnan(gradient[1]))
        np.testing.assert_array_equal(gradient[::2], clean[::2])


def test_cross_entropy_takes_any_integer_type_and_layout():
    logits = np.random.default_rng(2).normal(size=(5, 4))
    targets = np.array([0, 3, 2, 1, 1])
    want = _passes.cross_entropy(logits, targets)
    for kind in (np.int8, np.uint8, np.int32, np.uint64, ">i4"):
        got = _passes.cross_entropy(np.asfortranarray(logits), targets.astype(kind))
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[2], want[2])
    reversed_order = _passes.cross_entropy(logits[::-1], targets[::-1])
    np.testing.assert_array_equal(reversed_order[2][::-1], want[2])


def test_cross_entropy_of_nothing():
    for shape in ((0, 4), (2, 0, 4), (0, 0)):
        total, count, gradient = _passes.cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))
        assert (total, count, gradient.shape) == (0.0, 0, shape)
    total, count, gradient = _passes.cross_entropy(np.ones((3, 4)), np.zeros(3, int), np.zeros(3, bool))
    assert (total, count) == (0.0, 0)
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))
    total, count, gradient = _passes.cross_entropy(np.arange(3.0), np.array(2))
    assert (count, gradient.shape) == (1, (3,))


@pytest.mark.parametrize("bad", [-1, 4, 2**40, -(2**63), np.uint64(2**64 - 1)])
@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_targets_out_of_range_are_named(bad, place):
    targets = np.ones((2, 3), np.uint64 if isinstance(bad, np.uint64) else np.int64)
    targets[place] = bad
    place = ", ".join(map(str, place))
    with pytest.raises(ValueError, match=rf"targets must be classes 0 to 3 .* got {bad} at \({place}\)"):
        _passes.cross_entropy(np.zeros((2, 3, 4)), targets)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.zeros((2, 3), int), np.zeros(2, int)), TypeError, "logits must be float32 or float64, got int64"),
        ((np.float64(1), np.array(0)), ValueError, "logits must have shape"),
        ((np.zeros((2, 3)), np.zeros(2)), TypeError, "targets must be integers, got float64"),
        ((np.zeros((2, 3)), np.zeros(2, bool)), TypeError, "targets must be integers, got bool"),
        ((np.zeros((2, 3)), np.zeros(3, int)), ValueError, r"targets must have the shape .* \(2,\), got \(3,\)"),
        ((np.zeros((2, 0)), np.zeros(2, int)), ValueError, "targets must be classes"),
        ((np.zeros((2, 3)), np.zeros(2, int), np.ones(2)), TypeError, "mask must be boolean"),
        ((np.zeros((2, 3)), np.zeros(2, int), np.ones((2, 1), bool)), ValueError, r"mask must have shape \(2,\)"),
    ],
)
def test_cross_entropy_names_what_is_wrong(arguments, error, text):
    with pytest.raises(error, match=text):
        _passes.cross_entropy(*arguments)


@dtypes
@pytest.mark.parametrize("size", SIZES)
def test_mse_equals_the_equation(dtype, size):
    rng = np.random.default_rng(size)
    p, t = rng.normal(size=(2, size)).astype(dtype)
    mask = rng.random(size) < 0.5
    difference = (p - t).astype(np.float64)
    total, count, gradient = _passes.mse(p, t)
    np.testing.assert_allclose(total, (difference**2).sum(), rtol=1e-12)
    assert count == size
    np.testing.assert_array_equal(gradient, 2 * (p - t), strict=True)
    total, count, gradient = _passes.mse(p, t, mask)
    np.testing.assert_allclose(total, (difference[mask] ** 2).sum(), rtol=1e-12)
    assert count == mask.sum()
    np.testing.assert_array_equal(gradient, np.where(mask, 2 * (p - t), 0), strict=True)


def test_mse_mask_covers_first_axes_and_hides_what_is_under_it():
    rng = np.random.default_rng(5)
    p, t = rng.normal(size=(2, 4, 6, 3))
    mask = rng.random((4, 6)) < 0.5
    want = ((p - t)[mask] ** 2).sum()
    p[~mask], t[~mask] = np.nan, np.inf
    total, count, gradient = _passes.mse(p, t, mask)
    np.testing.assert_allclose(total, want, rtol=1e-13)
    assert count == 3 * mask.sum()
    np.testing.assert_array_equal(gradient[mask], 2 * (p - t)[mask])
    assert np.all(gradient[~mask] == 0)
    integers = _passes.mse(p[mask], np.round(t[mask]).astype(int), None)
    np.testing.assert_array_equal(integers[2], 2 * (p[mask] - np.round(t[mask])))
    assert math.isnan(_passes.mse(p, t)[0])


def test_mse_names_what_is_wrong():
    x = np.zeros((2, 3))
    with pytest.raises(TypeError, match="predictions must be float32 or float64, got int64"):
        _passes.mse(x.astype(int), x)
    with pytest.raises(TypeError, match="targets must be real numbers, got complex128"):
        _passes.mse(x, x.astype(complex))
    with pytest.raises(ValueError, match=r"targets must have the shape of predictions, \(2, 3\), got \(3,\)"):
        _passes.mse(x, np.zeros(3))
    for shape in ((3,), (3, 2), (2, 3, 1), (2, 1)):
        with pytest.raises(ValueError, match="mask must have shape"):
            _passes.mse(x, x, np.ones(shape, bool))
    with pytest.raises(TypeError, match="mask must be boolean"):
        _passes.mse(x, x, x)


@dtypes
@pytest.mark.parametrize("size", [*SIZES, 1_000_003])
def test_sum_of_squares(dtype, size):
    x = np.random.default_rng(size).normal(size=size).astype(dtype)
    want = math.fsum((x.astype(np.float64) ** 2).tolist())
    np.testing.assert_allclose(_passes.sum_of_squares(x), want, rtol=1e-14)
    np.testing.assert_allclose(_passes.sum_of_squares(x[::2]), math.fsum(x[::2].astype(float) ** 2), rtol=1e-14)


@dtypes
def test_sum_of_squares_of_huge_values_and_nan(dtype):
    x = np.full(33, 1e30, dtype)
    np.testing.assert_allclose(_passes.sum_of_squares(x), 33e60, rtol=1e-6)
    for position in range(33):
        spoilt = x.copy()
        spoilt[position] = np.nan
        assert math.isnan(_passes.sum_of_squares(spoilt))
    with pytest.raises(TypeError, match="flat must be float32 or float64"):
        _passes.sum_of_squares(np.arange(3))


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
    _passes.sgd_step(params, grads, velocity, learning_rate=0.1, **options)
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
    _passes.adam_step(params, grads, m, v, **options)
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
        for function, count, options in ((_passes.sgd_step, 3, OPTIMIZER), (_passes.adam_step, 4, ADAM)):
            if place < count:
                arrays = flat_arrays(count)
                arrays[place] = bad
                with pytest.raises(error, match=text):
                    function(*arrays, **options)


def test_optimizer_steps_refuse_overlap_and_bad_numbers():
    buffer = np.zeros(10)
    with pytest.raises(ValueError, match="params and grads must not share memory"):
        _passes.sgd_step(buffer[:6], buffer[4:], None, learning_rate=0.1)
    with pytest.raises(ValueError, match="m and v must not share memory"):
        _passes.adam_step(np.zeros(6), np.zeros(6), buffer[:6], buffer[4:], **ADAM)
    with pytest.raises(ValueError, match="velocity must be an array"):
        _passes.sgd_step(np.zeros(6), np.zeros(6), None, learning_rate=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="step must be 1 or more, got 0"):
        _passes.adam_step(*flat_arrays(4), learning_rate=0.1, step=0)
    with pytest.raises(ValueError, match="beta2 must be 0 or more and below 1, got 1"):
        _passes.adam_step(*flat_arrays(4), **ADAM, beta2=1.0)
    with pytest.raises(TypeError):
        _passes.adam_step(*flat_arrays(4), learning_rate=0.1, step=1.5)


@dtypes
@pytest.mark.parametrize("size", SIZES)
def test_accumulate(dtype, size):
    to, source = np.random.default_rng(size).normal(size=(2, size)).astype(dtype)
    want = to + source
    _passes.accumulate(to, source)
    np.testing.assert_array_equal(to, want, strict=True)


def test_accumulate_refuses_what_does_not_fit():
    x = np.zeros(8)
    for bad in (np.zeros(7), np.zeros((2, 4)), np.zeros(16)[::2], x[:8]):
        with pytest.raises(ValueError, match=r"source|share memory"):
            _passes.accumulate(x, bad)


def digest(dtype, exact_only=False):
    """A hash of what every pass gives. exact_only: without exp, which takes an FMA where there is one."""
    rng = np.random.default_rng(11)
    size = 150_001
    a, b, m, v = rng.normal(size=(4, size)).astype(dtype)
    numbers = [_passes.sum_of_squares(a), *_passes.mse(a, b)[::2], _passes.mse(a, b, rng.random(size) < 0.5)[0]]
    v = v**2
    _passes.sgd_step(a, b, m, learning_rate=0.1, momentum=0.9, weight_decay=0.1, scale=0.7, nesterov=True)
    _passes.adam_step(a, b, m, v, learning_rate=0.1, weight_decay=0.1, step=3, scale=0.7)
    _passes.accumulate(b, a)
    numbers += [a, b, m, v, _passes.dropout(a[:150_000].reshape(30, 50, 100), 0.3, 5, 6)]
    if not exact_only:
        numbers += [_passes.apply(name, a) for name in ("exp", "tanh", "sigmoid")]
        numbers += _passes.cross_entropy(a[:150_000].reshape(1500, 100), rng.integers(0, 100, 1500))[::2]
    return hashlib.sha256(b"".join(np.asarray(number).tobytes() for number in numbers)).hexdigest()


@dtypes
def test_threads_change_no_bit(dtype):
    before = _threads.get_num_threads()
    try:
        digests = []
        for threads in (1, 2, 3, 7):
            _threads.set_num_threads(threads)
            digests.append(digest(dtype))
    finally:
        _threads.set_num_threads(before)
    assert len(set(digests)) == 1


@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_instruction_sets_agree_to_the_last_bit(isa):
    program = f"""
        import runpy
        import numpy as np
        from rnnfast.kernels import _runtime
        digest = runpy.run_path({__file__!r})["digest"]
        for dtype in (np.float32, np.float64):
            print(_runtime.isa(), digest(dtype, True), digest(dtype))
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "RNNFAST_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    fused = {"avx512", "avx2", "neon"}
    for line, dtype in zip(run.stdout.splitlines(), (np.float32, np.float64), strict=True):
        name, exact, everything = line.split()
        assert name == isa
        assert exact == digest(dtype, exact_only=True)
        if {isa, _runtime.isa()} <= fused:
            assert everything == digest(dtype)


def test_subnormal_numbers_are_flushed_and_the_mode_comes_back():
    tiny = np.finfo(np.float32).tiny
    to, source = np.full(20, np.float32(1.5) * tiny), np.full(20, -tiny)
    assert np.all(to + source > 0)
    _passes.accumulate(to, source)
    np.testing.assert_array_equal(to, np.zeros(20, np.float32), strict=True)
    assert np.float32(0.5) * tiny > 0
