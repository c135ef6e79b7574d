"""Losses and their gradients against plain NumPy."""

import math

import numpy as np
import pytest

from rnnfast.kernels import _losses

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SIZES = [0, 1, 5, 17, 4096, 4097, 100_003]


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
    total, count, gradient = _losses.cross_entropy(logits, targets, mask if masked else None)
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
    want = _losses.cross_entropy(logits[mask], targets[mask])
    logits[~mask] = np.nan
    total, count, gradient = _losses.cross_entropy(logits, targets, mask)
    assert (total, count) == want[:2]
    np.testing.assert_array_equal(gradient[mask], want[2])
    np.testing.assert_array_equal(gradient[~mask], 0)


@dtypes
def test_cross_entropy_of_extreme_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [-np.inf, 2, 2], [-1e4, -1e4, -1e4], [1e30, 0, -1e30]], dtype)
    total, _, gradient = _losses.cross_entropy(logits, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(total, math.log(2) + math.log(3), rtol=1e-7)
    third = 1 / 3
    want = [[0, 0, 0], [0, -0.5, 0.5], [third, third, third - 1], [0, 0, 0]]
    np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-7)
    total, _, gradient = _losses.cross_entropy(logits[:1], np.array([1]))
    assert total == 2e4
    np.testing.assert_array_equal(gradient, np.array([[1, -1, 0]], dtype))
    assert _losses.cross_entropy(logits[1:2], np.array([0]))[0] == np.inf


@dtypes
def test_cross_entropy_keeps_nan_in_its_row(dtype):
    logits = np.random.default_rng(1).normal(size=(3, 21)).astype(dtype)
    targets = np.array([0, 20, 7])
    clean = _losses.cross_entropy(logits, targets)[2]
    for position in range(21):
        spoilt = logits.copy()
        spoilt[1, position] = np.nan
        total, _, gradient = _losses.cross_entropy(spoilt, targets)
        assert math.isnan(total)
        assert np.all(np.isnan(gradient[1]))
        np.testing.assert_array_equal(gradient[::2], clean[::2])


def test_cross_entropy_takes_any_integer_type_and_layout():
    logits = np.random.default_rng(2).normal(size=(5, 4))
    targets = np.array([0, 3, 2, 1, 1])
    want = _losses.cross_entropy(logits, targets)
    for kind in (np.int8, np.uint8, np.int32, np.uint64, ">i4"):
        got = _losses.cross_entropy(np.asfortranarray(logits), targets.astype(kind))
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[2], want[2])
    reversed_order = _losses.cross_entropy(logits[::-1], targets[::-1])
    np.testing.assert_array_equal(reversed_order[2][::-1], want[2])


def test_cross_entropy_of_nothing():
    for shape in ((0, 4), (2, 0, 4), (0, 0)):
        total, count, gradient = _losses.cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))
        assert (total, count, gradient.shape) == (0.0, 0, shape)
    total, count, gradient = _losses.cross_entropy(np.ones((3, 4)), np.zeros(3, int), np.zeros(3, bool))
    assert (total, count) == (0.0, 0)
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))
    total, count, gradient = _losses.cross_entropy(np.arange(3.0), np.array(2))
    assert (count, gradient.shape) == (1, (3,))


@pytest.mark.parametrize("bad", [-1, 4, 2**40, -(2**63), np.uint64(2**64 - 1)])
@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_targets_out_of_range_are_named(bad, place):
    targets = np.ones((2, 3), np.uint64 if isinstance(bad, np.uint64) else np.int64)
    targets[place] = bad
    place = ", ".join(map(str, place))
    with pytest.raises(ValueError, match=rf"targets must be classes 0 to 3 .* got {bad} at \({place}\)"):
        _losses.cross_entropy(np.zeros((2, 3, 4)), targets)


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
        _losses.cross_entropy(*arguments)


@dtypes
@pytest.mark.parametrize("size", SIZES)
def test_mse_equals_the_equation(dtype, size):
    rng = np.random.default_rng(size)
    p, t = rng.normal(size=(2, size)).astype(dtype)
    mask = rng.random(size) < 0.5
    difference = (p - t).astype(np.float64)
    total, count, gradient = _losses.mse(p, t)
    np.testing.assert_allclose(total, (difference**2).sum(), rtol=1e-12)
    assert count == size
    np.testing.assert_array_equal(gradient, 2 * (p - t), strict=True)
    total, count, gradient = _losses.mse(p, t, mask)
    np.testing.assert_allclose(total, (difference[mask] ** 2).sum(), rtol=1e-12)
    assert count == mask.sum()
    np.testing.assert_array_equal(gradient, np.where(mask, 2 * (p - t), 0), strict=True)


def test_mse_mask_covers_first_axes_and_hides_what_is_under_it():
    rng = np.random.default_rng(5)
    p, t = rng.normal(size=(2, 4, 6, 3))
    mask = rng.random((4, 6)) < 0.5
    want = ((p - t)[mask] ** 2).sum()
    p[~mask], t[~mask] = np.nan, np.inf
    total, count, gradient = _losses.mse(p, t, mask)
    np.testing.assert_allclose(total, want, rtol=1e-13)
    assert count == 3 * mask.sum()
    np.testing.assert_array_equal(gradient[mask], 2 * (p - t)[mask])
    assert np.all(gradient[~mask] == 0)
    integers = _losses.mse(p[mask], np.round(t[mask]).astype(int), None)
    np.testing.assert_array_equal(integers[2], 2 * (p[mask] - np.round(t[mask])))
    assert math.isnan(_losses.mse(p, t)[0])


def test_mse_names_what_is_wrong():
    x = np.zeros((2, 3))
    with pytest.raises(TypeError, match="predictions must be float32 or float64, got int64"):
        _losses.mse(x.astype(int), x)
    with pytest.raises(TypeError, match="targets must be real numbers, got complex128"):
        _losses.mse(x, x.astype(complex))
    with pytest.raises(ValueError, match=r"targets must have the shape of predictions, \(2, 3\), got \(3,\)"):
        _losses.mse(x, np.zeros(3))
    for shape in ((3,), (3, 2), (2, 3, 1), (2, 1)):
        with pytest.raises(ValueError, match="mask must have shape"):
            _losses.mse(x, x, np.ones(shape, bool))
    with pytest.raises(TypeError, match="mask must be boolean"):
        _losses.mse(x, x, x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x, t: _losses.cross_entropy(x, t, None, x),
            ValueError,
            r"weights must have shape \(3,\), got",
        ),
        (lambda x, t: _losses.cross_entropy(x, t, None, 1j * t), TypeError, "weights must hold real numbers"),
        (
            lambda x, t: _losses.cross_entropy(x, t, class_weights=t),
            ValueError,
            r"class_weights .* shape \(4,\)",
        ),
        (lambda x, t: _losses.cross_entropy(x, t, label_smoothing=2), ValueError, "label_smoothing must be 0 to 1"),
        (lambda x, t: _losses.binary_cross_entropy(t, t), TypeError, "predictions must be float32 or float64"),
        (lambda x, t: _losses.binary_cross_entropy(x, t), ValueError, r"targets must have shape \(3, 4\), got \(3,\)"),
        (lambda x, t: _losses.binary_cross_entropy(x, 0 * x, t), TypeError, "mask must be boolean"),
        (lambda x, t: _losses.binary_cross_entropy(x, 0 * x, t > 0), ValueError, r"mask must have shape \(3, 4\)"),
        (lambda x, t: _losses.binary_cross_entropy(x, 0 * x, None, t), ValueError, r"weights must have shape \(3, 4\)"),
        (
            lambda x, t: _losses.binary_cross_entropy(x, 0 * x, positive_weights=t),
            ValueError,
            r"positive_weights must have shape \(4,\), got \(3,\)",
        ),
        (
            lambda x, t: _losses.binary_cross_entropy(x, x + 3),
            ValueError,
            r"targets must be 0 to 1, got .* \(0, 0\)",
        ),
        (lambda x, t: _losses.binary_cross_entropy(x, 0 * x, from_logits=False), ValueError, "want from_logits=True"),
    ],
)
def test_bad_options(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0).standard_normal((3, 4)), np.array([0, 1, 2]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_the_equation(dtype):
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((101, 87)).astype(dtype), rng.random((101, 87)).astype(dtype)
    mask, weights, positive = rng.random(x.shape) < 0.7, rng.standard_normal(x.shape), rng.random(87)
    y = 1 / (1 + np.exp(-x.astype(np.float64)))
    smooth = 0.9 * t.astype(np.float64) + 0.05
    each = -weights * (positive * smooth * np.log(y) + (1 - smooth) * np.log(1 - y))
    slope = -weights * (positive * smooth * (1 - y) - (1 - smooth) * y)
    total, count, gradient = _losses.binary_cross_entropy(
        x, t, mask, weights, positive_weights=positive, label_smoothing=0.1
    )
    assert total == pytest.approx(each[mask].sum(), rel=1e-11 if dtype == np.float64 else 1e-6)
    assert count == mask.sum()
    np.testing.assert_allclose(gradient, np.where(mask, slope, 0), atol=1e-6 if dtype == np.float32 else 1e-14)
    for shape in ((0, 3), (3, 0), ()):
        total, count, gradient = _losses.binary_cross_entropy(np.zeros(shape, dtype), np.zeros(shape))
        assert (count, gradient.shape) == (math.prod(shape), shape)
        assert total == pytest.approx(count * math.log(2))
