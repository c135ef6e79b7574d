"""Checks that the tests of losses share: each compares a loss with its formula, written out for one place."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from checks import central_differences, max_error, relative_error

from rnnfast.training import Loss

MASK = np.array([[True, False, True, True], [False, False, True, False], [False] * 4])


class Case(NamedTuple):
    """A loss, predictions of (B=3, T=4) places, targets, the loss of one place in plain Python, torch's of them all."""

    loss: Loss
    predictions: np.ndarray
    targets: Any
    formula: Callable[[np.ndarray, Any], float]
    # torch's losses, of any shape that adds up to the places', from tensors of predictions and targets.
    torch: Callable[[Any, Any, Any], Any] | None = None
    # What one place adds to the count.
    numbers: int = 1


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers of this shape."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def spoilt(values: Any, where: np.ndarray) -> np.ndarray:
    """A copy that holds nonsense there: nan, or a number out of every range."""
    values = np.array(values)
    values[where] = np.nan if values.dtype.kind == "f" else -123
    return values


def check_loss(case: Case) -> None:
    """Sum, count and gradient: with and without mask and weights, in both dtypes, where nothing counts."""
    loss, predictions, targets, formula, _, numbers = case
    each = np.array([[formula(predictions[b, t], targets[b, t]) for t in range(4)] for b in range(3)])
    plain = loss(predictions, targets)[2]
    differences = central_differences(lambda: loss(predictions, targets)[0], predictions)
    assert relative_error(plain, differences) < 1e-6
    rows, steps = np.random.default_rng(5).uniform(-1, 2, 3), np.random.default_rng(6).uniform(-1, 2, (3, 4))
    steps[0, 3] = 0
    for mask in (None, MASK, MASK[:, 0]):
        counts = np.ones((3, 4), bool) if mask is None else np.broadcast_to(mask.reshape(3, -1), (3, 4))
        for weights in (None, rows, steps):
            scale = np.ones((3, 4)) if weights is None else np.broadcast_to(weights.reshape(3, -1), (3, 4))
            read = counts & (scale != 0)
            x, t = spoilt(predictions, ~read), spoilt(targets, ~counts)
            total, count, gradient = loss(x, t, mask, weights)
            assert type(total) is float
            assert count == counts.sum() * numbers
            assert abs(total - (each * scale)[read].sum()) < 1e-12 * max(1, abs(each).sum())
            assert gradient.dtype == np.float64
            assert gradient.flags.writeable
            assert not gradient[~read].any()
            factors = np.where(read, scale, 0).reshape(3, 4, *[1] * (predictions.ndim - 2))
            assert max_error(gradient, np.where(factors, plain, 0) * factors) < 1e-12 * max(1, abs(plain).max())
            small = targets.astype(np.float32) if np.asarray(targets).dtype == np.float64 else targets
            again = loss(predictions.astype(np.float32), small, mask, weights)
            assert again[2].dtype == np.float32
            assert again[1] == count
            assert abs(again[0] - total) < 1e-5 * max(1, abs(each).sum())
            assert max_error(again[2], gradient) < 1e-5 * max(1, abs(gradient).max())
    for nothing in (np.zeros(3, bool), np.zeros((3, 4), bool)):
        everywhere = np.ones((3, 4), bool)
        total, count, gradient = loss(spoilt(predictions, everywhere), spoilt(targets, everywhere), nothing)
        assert (total, count) == (0, 0)
        assert not gradient.any()
    for empty in (slice(0, 0), (slice(None), slice(0, 0))):
        total, count, gradient = loss(predictions[empty], targets[empty])
        assert (total, count) == (0, 0)
        assert gradient.shape == predictions[empty].shape
    one = loss(predictions[0, 0], targets[0, 0])
    assert abs(one[0] - each[0, 0]) < 1e-12 * max(1, abs(each[0, 0]))
    assert one[1] == numbers


def check_torch(case: Case, torch: Any) -> None:
    """Sum and gradient are torch's, live: to 1e-12 in float64, to 1e-6 in float32."""
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-6)):
        predictions, targets = case.predictions.astype(dtype), np.asarray(case.targets)
        targets = targets.astype(dtype) if targets.dtype.kind == "f" else targets
        theirs = torch.from_numpy(predictions.copy()).requires_grad_()
        wanted = case.torch(torch, theirs, torch.from_numpy(np.array(targets))).sum()
        wanted.backward()
        total, _, gradient = case.loss(predictions, targets)
        assert abs(total - wanted.item()) < tolerance * max(1, abs(wanted.item()), abs(predictions).sum())
        assert relative_error(gradient, theirs.grad.numpy()) < tolerance * 2
