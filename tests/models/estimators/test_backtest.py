import numpy as np
import pytest

from rnnfast import Forecaster
from rnnfast.models import Backtest, seasonal_naive

RNG = np.random.default_rng(0)
SERIES = np.sin(np.arange(260) * 2 * np.pi / 13) * np.linspace(1, 2, 260) + 0.1 * RNG.normal(size=260)


def small(**options):
    return Forecaster(**{"window": 13, "horizon": 4, "hidden_size": 8, "seed": 0, **options})


def test_origins_roll_and_actuals_are_what_came():
    found = small().backtest(SERIES, start=200, stride=7, season=13, epochs=1)
    assert found.origins.tolist() == list(range(200, 257, 7))
    assert found.forecasts.shape == found.actual.shape == found.naive.shape == (9, 4)
    for origin, actual, naive in zip(found.origins, found.actual, found.naive, strict=True):
        assert np.array_equal(actual, SERIES[origin : origin + 4])
        assert np.array_equal(naive, SERIES[origin - 13 : origin - 9])
    assert small().backtest(SERIES, epochs=1).origins.tolist() == list(range(208, 257))


def test_only_what_lies_before_the_first_origin_is_learnt():
    model = small()
    found = model.backtest(SERIES, start=200, epochs=2)
    by_hand = small().fit(SERIES[:200], epochs=2)
    np.testing.assert_array_equal(found.forecasts, by_hand.forecasts(SERIES, found.origins))
    changed = SERIES.copy()
    changed[200:] = 1e3
    assert np.array_equal(small().backtest(changed, start=200, epochs=2).forecasts[0], found.forecasts[0])
    with pytest.raises(ValueError, match="not fitted"):
        model.predict(SERIES)


def test_refits_learn_what_has_come_since():
    found = small().backtest(SERIES, start=240, stride=4, refit_every=2, epochs=1, past_covariates=SERIES**2)
    assert found.origins.tolist() == [240, 244, 248, 252, 256]
    for part in ([240, 244], [248, 252], [256]):
        past = SERIES**2
        model = small().fit(SERIES[: part[0]], past_covariates=past[: part[0]], epochs=1)
        expected = model.forecasts(SERIES, part, past_covariates=past)
        np.testing.assert_array_equal(found.forecasts[np.isin(found.origins, part)], expected)


def test_better_than_the_seasonal_naive_forecast_with_bands():
    found = small(quantiles=(0.05, 0.5, 0.95), hidden_size=16).backtest(SERIES, season=13, epochs=60, batch_size=16)
    assert found.skill > 0.05
    assert 0.6 < found.coverage <= 1
    assert "within the band of 90%" in str(found)


def test_figures():
    actual, told = np.array([[1.0, 2.0]]), np.array([[[0.0, 2.0, 4.0], [2.5, 3.0, 4.0]]])
    found = Backtest(np.array([5]), told, actual, actual + 2, told[..., 1], (0.1, 0.5, 0.9))
    assert found.mae == 1.0
    assert found.rmse == 1.0
    assert (found.naive_mae, found.naive_rmse) == (2.0, 2.0)
    assert found.skill == 0.5
    assert found.coverage == 0.5
    plain = found._replace(forecasts=told[..., 1], quantiles=None)
    assert plain.coverage is None
    assert str(plain) == "1 origins: MAE 1, RMSE 1; seasonal-naive MAE 2, RMSE 2; skill 50.0%"


def test_seasonal_naive_of_vectors():
    series = np.arange(12.0).reshape(6, 2)
    told = seasonal_naive(series, [3, 6], 5, season=3)
    assert told.shape == (2, 5, 2)
    assert told[0, :, 0].tolist() == [0, 2, 4, 0, 2]
    assert told[1, :, 1].tolist() == [7, 9, 11, 7, 9]
    assert seasonal_naive([4.0, 5.0], [1, 2], 2).tolist() == [[4, 4], [5, 5]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small().backtest([SERIES, SERIES]), "backtest takes one series"),
        (lambda: small().backtest(SERIES, start=16), "start must leave 17 steps before it and 4 after, .* got step 16"),
        (lambda: small().backtest(SERIES, start=257), "got step 257"),
        (lambda: small().backtest(SERIES, season=250), "leave 250 steps before"),
        (lambda: small().backtest(SERIES, stride=0), "stride must be at least 1"),
        (lambda: small().backtest(SERIES, season=0), "season must be at least 1"),
        (lambda: small().backtest(SERIES, refit_every=0), "refit_every must be at least 1"),
        (lambda: seasonal_naive([1.0, 2.0], [1], 1, season=2), "starts must be from 2, the season, to 2"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
