"""What every metric keeps to, for tests of metrics."""

import json
from itertools import pairwise

import numpy as np
import pytest


def gather(metric, predictions, targets, mask=None, weights=None, cuts=()):
    """The metric's result, of batches cut at `cuts`, carried through JSON from each to the next."""
    metric.reset()
    empty = metric.state()
    edges = [0, *cuts, len(predictions)]
    for start, stop in pairwise(edges):
        parts = (None if each is None else each[start:stop] for each in (predictions, targets, mask, weights))
        metric.update(*parts)
        state = json.loads(json.dumps(metric.state()))
        before = metric.result()
        metric.reset()
        assert metric.state() == empty
        metric.load_state(state)
        np.testing.assert_equal(metric.result(), before)
        assert json.dumps(metric.state()) == json.dumps(state)  # where nan is nan
    assert isinstance(metric.result(), float)
    return metric.result()


def check_metric(metric, predictions, targets, wanted, rel=1e-12):
    """Equal to `wanted(predictions, targets, weights)` of what counts, whatever the batches, with mask and weights.

    Parameters
    ----------
    predictions : numpy.ndarray (B, T, F)
    targets : numpy.ndarray (B, T) or (B, T, F)
    wanted : callable
        Of predictions (n, F), targets (n,) or (n, F), and weights (n,).
    """
    rng = np.random.default_rng(9)
    B, T = predictions.shape[:2]
    steps = rng.random((B, T)) < 0.7
    rows = rng.random(B) < 0.7
    weights = rng.integers(1, 5, (B, T)) / 2 * (rng.random((B, T)) < 0.8)
    for mask in (None, steps, rows):
        counts = np.ones((B, T), bool) if mask is None else np.broadcast_to(mask.reshape(B, -1), (B, T))
        holed, wrong = np.where(counts[..., None], predictions, np.nan), targets.copy()
        if targets.dtype.kind == "f":
            wrong[~counts] = np.nan
        for each in (None, weights, weights[:, 0]):
            full = np.ones((B, T)) if each is None else np.broadcast_to(each.reshape(B, -1), (B, T))
            expected = wanted(predictions[counts], targets[counts], full[counts])
            # Weights are not read either where nothing counts.
            given = each if each is None or each.ndim == 1 else np.where(counts, each, np.nan)
            for cuts in ((), (1, 2, 2), (B // 2,)):
                found = gather(metric, holed, wrong, mask, given, cuts)
                assert found == pytest.approx(expected, rel=rel, abs=1e-14, nan_ok=True), (mask, each, cuts)
    for empty in (predictions[:0], predictions[:, :0]):
        assert np.isnan(gather(metric, empty, targets[: len(empty), : empty.shape[1]]))
    assert np.isnan(gather(metric, predictions, targets, np.zeros((B, T), bool)))
