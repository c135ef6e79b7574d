import numpy as np
import pytest
from metric_checks import check_metric, gather

from rnnfast.training.metrics import MAE, MAPE, MASE, MSE, R2, RMSE, SMAPE

rng = np.random.default_rng(0)
B, T, F = 7, 5, 3
PREDICTIONS = rng.standard_normal((B, T, F)) + 2
TARGETS = rng.standard_normal((B, T, F)) + 3
TRAINING = rng.standard_normal((4, 9, F))


def weighted(values, weights):
    return np.average(values.mean(axis=-1), weights=weights) if weights.sum() else np.nan


ERRORS = {
    MAE: lambda p, t, w: weighted(abs(p - t), w),
    MSE: lambda p, t, w: weighted((p - t) ** 2, w),
    RMSE: lambda p, t, w: weighted((p - t) ** 2, w) ** 0.5,
    MAPE: lambda p, t, w: weighted(abs((p - t) / t), w) * 100,
    SMAPE: lambda p, t, w: weighted(2 * abs(p - t) / (abs(p) + abs(t)), w) * 100,
}


@pytest.mark.parametrize("metric", ERRORS)
def test_errors(metric):
    check_metric(metric(), PREDICTIONS, TARGETS, ERRORS[metric])
    found = gather(metric(), PREDICTIONS[..., :1].astype(np.float32), TARGETS[..., 0].astype(np.float32))
    flat = [each[..., :1].astype(np.float32).astype(np.float64).reshape(-1, 1) for each in (PREDICTIONS, TARGETS)]
    assert found == pytest.approx(ERRORS[metric](*flat, np.ones(B * T)), rel=1e-14)
    assert gather(metric(name="mine"), PREDICTIONS[:, 0, 0], TARGETS[:, 0, 0]) > 0


def test_percentages_by_hand():
    predictions, targets = np.array([110.0, 0.0, 5.0]), np.array([100.0, 0.0, 0.0])
    assert gather(SMAPE(), predictions, targets) == pytest.approx((200 * 10 / 210 + 0 + 200) / 3)
    assert gather(MAPE(), predictions[:2], targets[:2]) == pytest.approx(5)
    assert gather(MAPE(), predictions, targets) == pytest.approx((10 + 100 * 5e7) / 3)


def test_mase():
    for period in (1, 3):
        scale = np.mean([abs(s[t] - s[t - period]) for s in TRAINING for t in range(period, 9)], axis=0)
        metric = MASE(TRAINING, period)
        np.testing.assert_allclose(metric.scale, scale, rtol=1e-14)
        check_metric(metric, PREDICTIONS, TARGETS, lambda p, t, w, scale=scale: weighted(abs(p - t) / scale, w))


def test_mase_of_ragged_series():
    lengths = np.array([9, 2, 0, 5])
    listed = MASE([series[:n] for series, n in zip(TRAINING, lengths, strict=True)], 2)
    padded = MASE(TRAINING, 2, lengths)
    wanted = [abs(s[t] - s[t - 2]) for s, n in zip(TRAINING, lengths, strict=True) for t in range(2, n)]
    np.testing.assert_allclose(padded.scale, np.mean(wanted, axis=0), rtol=1e-14)
    np.testing.assert_allclose(listed.scale, padded.scale, rtol=1e-14)
    one = MASE(TRAINING[0, :, 0])
    np.testing.assert_allclose(one.scale, np.abs(np.diff(TRAINING[0, :, 0])).mean(), rtol=1e-14)
    np.testing.assert_allclose(MASE(TRAINING[..., 0]).scale, np.abs(np.diff(TRAINING[..., 0])).mean(), rtol=1e-14)
    assert gather(one, PREDICTIONS, TARGETS) == pytest.approx(np.abs(PREDICTIONS - TARGETS).mean() / one.scale[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(9),), "the mean step in the training data must be a number above 0"),
        ((np.full(9, np.nan),), "the mean step"),
        ((TRAINING, 9), "no training series is longer than the period, 9"),
        ((TRAINING, 0), "period must be at least 1"),
        ((np.zeros((1, 2, 3, 4)),), "training must be series"),
        ((3.0,), "no training series"),
        (([],), "no training series"),
        ((TRAINING, 1, [1, 2]), "lengths must be 4 whole numbers"),
        ((TRAINING, 1, [1, 2, 3, 10]), "lengths must be 4 whole numbers"),
    ],
)
def test_mase_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        MASE(*arguments)


def test_mase_of_other_features():
    with pytest.raises(ValueError, match="mase: the training data have 3 features, the predictions 2"):
        MASE(TRAINING).update(PREDICTIONS[..., :2], TARGETS[..., :2])


def test_r2():
    def wanted(p, t, w):
        if (w > 0).sum() < 2:
            return np.nan
        around = t - np.average(t, axis=0, weights=w)
        return np.mean([1 - (w * (t - p)[:, f] ** 2).sum() / (w * around[:, f] ** 2).sum() for f in range(t.shape[1])])

    check_metric(R2(), PREDICTIONS, TARGETS, wanted)
    check_metric(R2(), 1e4 + PREDICTIONS, 1e4 + TARGETS, wanted, rel=1e-8)


def test_r2_of_constants():
    ones = np.ones(3)
    assert gather(R2(), ones, ones) == 1.0
    assert gather(R2(), ones + 1, ones) == 0.0
    assert np.isnan(gather(R2(), ones[:1], ones[:1]))
    assert gather(R2(), np.array([1.0, 3.0]), np.array([1.0, 3.0]), cuts=(1,)) == 1.0


@pytest.mark.parametrize("metric", [MAE(), R2()])
def test_targets_that_do_not_fit(metric):
    with pytest.raises(ValueError, match=rf"{metric.name}: targets must be numbers of shape \(7, 5, 3\), got float64"):
        metric.update(PREDICTIONS, TARGETS[:, :, 0])
    with pytest.raises(ValueError, match="targets must be numbers"):
        metric.update(PREDICTIONS, np.full((B, T, F), "a"))


def test_features_do_not_change():
    metric = R2()
    metric.update(PREDICTIONS, TARGETS)
    with pytest.raises(ValueError, match="r2: there were 3 features, now there are 2"):
        metric.update(PREDICTIONS[..., :2], TARGETS[..., :2])
