import numpy as np
import pytest

from rnnfast import AnomalyDetector, files

METHODS = ("forecast", "autoencoder")


def wave(size=400, seed=0):
    rng = np.random.default_rng(seed)
    return 20 + 5 * (np.sin(np.arange(size) / 4) + 0.05 * rng.normal(size=size))


def small(**options):
    return AnomalyDetector(**{"window": 12, "hidden_size": 12, "seed": 0, **options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_spikes_and_a_flat_line_are_found(method, cell):
    model = small(method=method, cell=cell).fit(wave(), epochs=20)
    series, labels = wave(300, seed=1), np.zeros(300, bool)
    for place in (50, 140):
        series[place] += 8
        labels[place] = True
    series[200:212] = series[200]
    labels[202:212] = True
    scores = model.score_samples(series)
    assert scores.shape == (300,)
    assert set(np.argsort(np.nan_to_num(scores))[-2:]) == {50, 140} or method == "forecast"
    assert scores[[50, 140]].min() > model.threshold_
    told = model.predict(series)
    assert told.dtype == bool
    assert told[[50, 140]].all()
    assert told[12:38].mean() < 0.15
    assert model.score(series, labels) > 0.9
    if method == "forecast":
        assert np.isnan(scores[:12]).all()
        assert np.isfinite(scores[12:]).all()
        assert not told[:12].any()
    else:
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_threshold_is_a_quantile_of_the_training_scores(method):
    series = [wave(100), wave(60, seed=1)]
    model = small(method=method, quantile=0.9, hidden_size=4).fit(series, epochs=1)
    joined = np.concatenate(model.score_samples(series))
    assert model.threshold_ == pytest.approx(np.nanquantile(joined, 0.9))
    told = np.concatenate(model.predict(series))
    assert told.sum() == pytest.approx(0.1 * np.isfinite(joined).sum(), abs=1)


def test_scores_of_an_autoencoder_are_means_over_windows():
    series = wave(20)
    model = small(method="autoencoder", hidden_size=4, dtype="float64").fit(wave(60), epochs=1)
    scaled = model._scalers[0].transform(series)
    sums, counts = np.zeros(20), np.zeros(20)
    for start in range(9):
        x = scaled[start : start + 12, None]
        sums[start : start + 12] += ((model.network(x[None])[0] - x) ** 2)[:, 0]
        counts[start : start + 12] += 1
    np.testing.assert_allclose(model.score_samples(series), np.sqrt(sums / counts), rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_several_features_and_series_of_their_own_scale(method):
    series = [np.stack([wave(80), wave(80, seed=1) * 100], axis=1), np.stack([wave(50), wave(50, seed=2)], axis=1)]
    model = small(method=method, per_series=True, hidden_size=4).fit(series, epochs=1)
    found = model.score_samples(series)
    assert [each.shape for each in found] == [(80,), (50,)]
    labels = [np.arange(len(each)) == 30 for each in found]
    assert 0 <= model.score(series, labels) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_files_seeds_and_params(tmp_path, method):
    model = small(method=method, scaling="min_max", dropout=0.2, num_layers=2)
    assert AnomalyDetector(**model.get_params()).get_params() == model.get_params()
    model.fit(wave(80), epochs=1)
    again = AnomalyDetector(**model.get_params()).fit(wave(80), epochs=1)
    assert np.array_equal(again.network.flat_data, model.network.flat_data)
    other = AnomalyDetector(**{**model.get_params(), "seed": 1}).fit(wave(80), epochs=1)
    assert not np.array_equal(other.network.flat_data, model.network.flat_data)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = AnomalyDetector.load(path)
    assert loaded.get_params() == model.get_params()
    assert loaded.threshold_ == model.threshold_
    np.testing.assert_array_equal(loaded.score_samples(wave(50)), model.score_samples(wave(50)))
    kept = {"class": "AnomalyDetector", "params": {**model.get_params(), "method": "none"}, "state": model._state()}
    files.save(model.network, path, extra={"estimator": kept})
    with pytest.raises(ValueError, match="the AnomalyDetector in it is damaged"):
        AnomalyDetector.load(path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small().predict(wave()), "this AnomalyDetector is not fitted yet"),
        (lambda: small(method="density").fit(wave()), "method must be 'forecast' or 'autoencoder', got 'density'"),
        (lambda: small(quantile=0.0).fit(wave()), "quantile must be more than 0 and at most 1, got 0.0"),
        (lambda: small(window=0).fit(wave()), "window must be at least 1"),
        (lambda: small().fit(wave(12)), "take 13 steps, the longest series has 12"),
        (lambda: small().fit(np.full(40, np.nan)), "series must hold finite numbers"),
        (lambda: small().fit(wave(40), epochs=1).predict(wave(12)), "series 0 must have at least 13 steps, got 12"),
        (lambda: small().fit(wave(40), epochs=1).score(wave(40), [True]), r"labels must have shapes \[\(40,\)\]"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
