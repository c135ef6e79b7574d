import numpy as np
import pytest

from rnnfast import Forecaster, Tagger, files
from rnnfast.training import Quantile

WAVE = np.sin(np.arange(300) / 5)


def small(**options):
    return Forecaster(**{"window": 20, "hidden_size": 16, "seed": 0, **options})


def quick(series, *, epochs=1, past_covariates=None, **options):
    return small(hidden_size=4, **options).fit(series, epochs=epochs, past_covariates=past_covariates)


@pytest.mark.parametrize(
    "options",
    [
        {"horizon": 5},
        {"horizon": 5, "strategy": "recursive", "cell": "gru"},
        {"horizon": 5, "difference": True, "cell": "rnn"},
        {"horizon": 5, "scaling": "min_max"},
        {"horizon": 5, "scaling": None, "num_layers": 2},
    ],
)
def test_a_wave_goes_on(options):
    model = small(**options).fit(WAVE[:200], epochs=30)
    assert np.abs(model.predict(WAVE[:250]) - WAVE[250:255]).max() < 0.1
    assert model.predict(WAVE[:250]).shape == (5,)
    assert model.score(WAVE[200:]) > 0.99
    np.testing.assert_array_equal(model.predict(WAVE[230:250]), model.predict(WAVE[:250]))
    np.testing.assert_allclose(model.predict(WAVE[:250], 3), model.predict(WAVE[:250])[:3], rtol=1e-6)


def test_several_series_of_unequal_scale():
    series = [WAVE[:150], 1000 + 200 * WAVE[40:260]]
    model = small(horizon=2, per_series=True).fit(series, epochs=20)
    told = model.predict([each[:-2] for each in series])
    assert np.abs(told[0] - series[0][-2:]).max() < 0.1
    assert np.abs(told[1] - series[1][-2:]).max() < 20
    assert model.score(series) > 0.99
    one_by_one = small(horizon=2).fit(WAVE, epochs=1)
    both = one_by_one.predict(series)
    for each, found in zip(series, both, strict=True):
        np.testing.assert_allclose(one_by_one.predict(each), found, rtol=1e-5)


def test_scale_is_that_of_the_training_part():
    series = np.concatenate([WAVE[:80] * 3 + 7, np.full(20, 1e4)])
    model = quick(series, horizon=2)
    assert model._scalers[0].offset == pytest.approx([series.mean()])
    model = small(hidden_size=4, horizon=2).fit(series, epochs=1, validation_split=0.2)
    assert model._scalers[0].offset == pytest.approx([series[:80].mean()])
    assert model._scalers[0].scale == pytest.approx([series[:80].std()])
    assert "val_loss" in model.history_.history
    two = quick([series[:80], series[:50] + 5], per_series=True)
    assert [each.offset[0] for each in two._scalers] == pytest.approx([series[:80].mean(), series[:50].mean() + 5])
    joined = np.concatenate([series[:80], series[:50] + 5])
    assert quick([series[:80], series[:50] + 5])._scalers[0].offset == pytest.approx([joined.mean()])


def test_validation_windows_foretell_the_held_out_steps_alone():
    rng = np.random.default_rng(0)
    series = rng.normal(size=60)
    model = small(hidden_size=4, horizon=2, scaling=None, dtype="float64").fit(series, epochs=1, validation_split=0.1)
    starts = np.arange(54, 59)
    told = model.forecasts(series, starts)
    wanted = series[starts[:, None] + np.arange(2)]
    assert model.history_.history["val_loss"][-1] == pytest.approx(((told - wanted) ** 2).mean())


def test_recursive_feeds_its_forecasts_back():
    model = quick(WAVE, strategy="recursive", horizon=3, scaling="min_max", dtype="float64")
    step = quick(WAVE, strategy="recursive", horizon=1, scaling="min_max", dtype="float64")
    assert np.array_equal(model.network.flat_data, step.network.flat_data)
    series = WAVE[:50]
    for _ in range(5):
        series = np.append(series, step.predict(series))
    np.testing.assert_allclose(model.predict(WAVE[:50], 5), series[50:], rtol=1e-10)
    np.testing.assert_allclose(model.predict(WAVE[:50]), series[50:53], rtol=1e-10)


@pytest.mark.parametrize("difference", [False, True])
def test_quantiles_are_bands(difference):
    rng = np.random.default_rng(0)
    season = np.sin(np.arange(700) * 2 * np.pi / 12)
    series = 50 + 10 * (season + 0.3 * rng.normal(size=700))
    model = small(window=12, horizon=3, quantiles=(0.1, 0.5, 0.9), difference=difference)
    model.fit(series[:600], epochs=25)
    bands = model.forecasts(series, np.arange(600, 698))
    assert bands.shape == (98, 3, 3)
    assert (np.diff(bands, axis=-1) >= 0).all()
    actual = series[np.arange(600, 698)[:, None] + np.arange(3)]
    below = (actual[..., None] < bands).mean(axis=(0, 1))
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.12)
    assert np.array_equal(model.middle(bands), bands[..., 1])
    assert np.abs(bands[..., 1] - actual).mean() < 1.3 * 3 * np.sqrt(2 / np.pi)


def test_the_loss_of_bands_is_the_pinball_loss_of_each_target():
    rng = np.random.default_rng(0)
    series = rng.normal(size=(60, 2))
    levels = (0.2, 0.7)
    model = small(hidden_size=4, horizon=3, quantiles=levels, scaling=None, dtype="float64")
    model.fit(series, epochs=1, validation_split=0.1, batch_size=100)
    starts = np.arange(54, 58)
    x = np.stack([series[s - 20 : s] for s in starts])
    told = model.network(x).reshape(4, 3, 2, 2)
    total, count, _ = Quantile(levels)(told, series[starts[:, None] + np.arange(3)])
    assert model.history_.history["val_loss"][-1] == pytest.approx(total / count)


def test_past_covariates_tell_what_the_series_does_not():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=400)
    series = np.append(0.0, cause[:-1]) * 5 + 3
    model = small(window=4, cell="gru").fit(series[:300], past_covariates=cause[:300], epochs=40)
    assert model.score(series[300:], past_covariates=cause[300:]) > 0.98
    assert small(window=4, cell="gru").fit(series[:300], epochs=5).score(series[300:]) < 0.1
    assert abs(model.predict(series[:350], past_covariates=cause[:350]) - series[350]) < 1


def test_vectors_are_foretold_as_vectors():
    series = np.stack([WAVE, 10 * np.cos(np.arange(300) / 5)], axis=1)
    model = small(horizon=4).fit(series[:250], epochs=25)
    told = model.predict(series[:260])
    assert told.shape == (4, 2)
    assert (np.abs(told - series[260:264]).max(axis=0) < [0.15, 1.5]).all()
    model = quick(series, horizon=4, quantiles=[0.1, 0.9])
    assert model.predict(series).shape == (4, 2, 2)
    assert [each.shape for each in model.predict([series, series[:30]])] == [(4, 2, 2)] * 2
    assert model.forecasts(series, [20, 300]).shape == (2, 4, 2, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"quantiles": (0.1, 0.5, 0.9), "difference": True},
        {"strategy": "recursive", "scaling": "min_max", "per_series": True},
        {"scaling": None, "dtype": "float64", "dropout": 0.1, "recurrent_dropout": 0.1},
    ],
)
def test_files_seeds_and_params(tmp_path, options):
    series = [WAVE[:60], WAVE[10:90] * 3]
    past = None if "strategy" in options else [each**2 for each in series]
    models = [quick(series, horizon=2, past_covariates=past, **options) for _ in range(2)]
    model = models[0]
    assert np.array_equal(model.network.flat_data, models[1].network.flat_data)
    other = quick(series, horizon=2, past_covariates=past, **{**options, "seed": 1})
    assert not np.array_equal(other.network.flat_data, model.network.flat_data)
    model.save(tmp_path / "model.safetensors")
    again = Forecaster.load(tmp_path / "model.safetensors")
    assert Forecaster(**again.get_params()).get_params() == again.get_params()
    assert {**again.get_params(), "quantiles": None} == {**model.get_params(), "quantiles": None}
    for a, b in zip(
        again.predict(series, past_covariates=past), model.predict(series, past_covariates=past), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_damaged_files(tmp_path):
    path = tmp_path / "model.safetensors"
    model = quick(WAVE, horizon=2)
    whole = {"class": "Forecaster", "params": model.get_params(), "state": model._state()}
    for wrong in (
        {"params": {**whole["params"], "horizon": 3}},
        {"params": {**whole["params"], "strategy": "none"}},
        {"state": {**whole["state"], "features": 2}},
        {"state": {**whole["state"], "scalers": []}},
    ):
        files.save(model.network, path, extra={"estimator": {**whole, **wrong}})
        with pytest.raises(ValueError, match=r"model\.safetensors: the Forecaster in it is damaged"):
            Forecaster.load(path)
    model.save(path)
    with pytest.raises(ValueError, match="it is a Forecaster, not a Tagger"):
        Tagger.load(path)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small().predict(WAVE), ValueError, "this Forecaster is not fitted yet"),
        (lambda: small(window=0).fit(WAVE), ValueError, "window must be at least 1, got 0"),
        (lambda: small(horizon=1.5).fit(WAVE), TypeError, "horizon must be a whole number"),
        (lambda: small(strategy="both").fit(WAVE), ValueError, "strategy must be 'direct' or 'recursive', got 'both'"),
        (lambda: small(scaling="max").fit(WAVE), ValueError, "scaling must be 'standard', 'min_max' or None"),
        (lambda: small(quantiles=0.5).fit(WAVE), ValueError, "quantiles must be several and rise, got 0.5"),
        (lambda: small(quantiles=(0.9, 0.1)).fit(WAVE), ValueError, "several and rise"),
        (lambda: small(quantiles=(0.0, 0.1)).fit(WAVE), ValueError, "greater than 0 and less than 1"),
        (
            lambda: small(quantiles=(0.1, 0.9), horizon=2, strategy="recursive").fit(WAVE),
            ValueError,
            "strategy='direct'",
        ),
        (lambda: small(horizon=5).fit(WAVE[:24]), ValueError, "take 25 steps, the longest series has 24"),
        (lambda: small().fit(np.append(WAVE, np.nan)), ValueError, "series must hold finite numbers"),
        (lambda: small().fit([WAVE, np.append(WAVE, np.inf)]), ValueError, r"series\[1\] must hold finite numbers"),
        (lambda: small().fit(["a"] * 30), TypeError, "series must hold real numbers"),
        (lambda: small().fit(WAVE, validation_split=1), ValueError, "validation_split"),
        (lambda: small().fit(WAVE, past_covariates=WAVE[:9]), ValueError, r"as many steps as the series, \[300\]"),
        (lambda: quick(WAVE).predict(WAVE[:19]), ValueError, "series 0 must have at least 20 steps, got 19"),
        (lambda: quick(WAVE).predict(WAVE[:, None] * [1, 2]), ValueError, "series must have 1 features, .* got 2"),
        (lambda: quick(WAVE).predict(WAVE, 2), ValueError, "horizon must be at most 1, .* got 2"),
        (lambda: quick(WAVE).predict(WAVE, past_covariates=WAVE), ValueError, "must have no features, .* got 1"),
        (lambda: quick(WAVE, past_covariates=WAVE).predict(WAVE), ValueError, "must have 1 features, .* got none"),
        (
            lambda: quick(WAVE, past_covariates=WAVE, strategy="recursive").predict(WAVE, 2, past_covariates=WAVE),
            ValueError,
            "past covariates of later steps are not known",
        ),
        (lambda: quick([WAVE] * 2, per_series=True).predict([WAVE]), ValueError, "the 2 series .* got 1"),
        (lambda: quick(WAVE).forecasts(WAVE, [19]), ValueError, r"whole numbers from 20 to 300, got \[19\]"),
        (lambda: quick(WAVE).forecasts(WAVE, [301]), ValueError, "from 20 to 300"),
        (lambda: quick(WAVE).forecasts(WAVE, []), ValueError, "from 20 to 300"),
        (lambda: quick(WAVE).forecasts([WAVE], [[20], [30]]), ValueError, "as many lists as series, 1, got 2"),
    ],
)
def test_kind_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
