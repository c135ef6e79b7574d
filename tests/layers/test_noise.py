import numpy as np
import pytest
from checks import max_error
from layer_checks import check_citizen, check_layer_gradients

import rnnfast as rf
from rnnfast.layers import GaussianNoise, SpatialDropout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_whole_features_of_a_sequence_are_dropped(p, dtype):
    x = np.random.default_rng(0).uniform(1, 2, (200, 6, 50)).astype(dtype)
    y, backward = SpatialDropout(p).forward(x, rng=0)
    assert y.dtype == dtype
    kept = y[:, 0] != 0
    assert np.array_equal(y != 0, np.broadcast_to(kept[:, None], x.shape))
    assert relative_share(kept, p)
    mask = np.where(kept, 1 / (1 - p), 0)[:, None]
    assert np.allclose(y, x * mask, rtol=1e-6)
    assert np.allclose(backward(x), x * mask, rtol=1e-6)


def relative_share(kept, p):
    """No row and no feature is favoured."""
    return (
        abs(kept.mean() - (1 - p)) < 0.015
        and np.abs(kept.mean(axis=0) - (1 - p)).max() < 0.15
        and np.abs(kept.mean(axis=1) - (1 - p)).max() < 0.3
    )


@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 7), (1, 1, 5)])
@pytest.mark.parametrize("layer", [SpatialDropout(0.4), GaussianNoise(0.7)], ids=repr)
def test_gradients(layer, shape):
    check_layer_gradients(layer, np.random.default_rng(0).uniform(1, 2, shape), rng=4)


@pytest.mark.parametrize("layer", [SpatialDropout(0.5), GaussianNoise(0.5)], ids=repr)
def test_the_key_the_row_and_the_place_alone_decide(layer):
    x = np.random.default_rng(0).uniform(1, 2, (4, 5, 6))
    a, b, c = (layer.forward(x, rng=rng)[0] for rng in (1, np.random.default_rng(1), 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(layer.forward(x)[0], layer.forward(x)[0])
    # Fewer rows and fewer steps change nothing in those that stay; no two rows have the same noise.
    assert np.array_equal(layer.forward(x[:3, :2], rng=1)[0], a[:3, :2])
    noise = layer.forward(np.ones((4, 5, 64)), rng=1)[0]
    assert not any(np.array_equal(noise[i], noise[j]) for i in range(4) for j in range(i))
    # float32 gets the same noise, rounded.
    assert max_error(layer.forward(x.astype(np.float32), rng=1)[0], a) < 1e-6


def test_one_unbatched_sequence():
    x = np.ones((5, 40))
    y = SpatialDropout(0.5).forward(x, rng=3)[0]
    assert np.array_equal(y, SpatialDropout(0.5).forward(x[None], rng=3)[0][0])
    assert np.array_equal(y, np.broadcast_to(y[0], y.shape))
    assert sorted(set(y.ravel().tolist())) == [0, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_noise_is_normal(dtype):
    x = np.random.default_rng(0).standard_normal((50, 40, 30)).astype(dtype)
    y, backward = GaussianNoise(0.25).forward(x, rng=0)
    assert y.dtype == dtype
    noise = (np.asarray(y, np.float64) - x) / 0.25
    # Of 60,000 numbers the mean is within 0.02, and the variance within 0.03 of 1, but for one time in a million.
    assert abs(noise.mean()) < 0.02
    assert abs(noise.var() - 1) < 0.03
    assert abs((np.abs(noise) < 1).mean() - 0.6827) < 0.01
    assert abs((noise**4).mean() - 3) < 0.15
    assert abs((noise[:, :-1] * noise[:, 1:]).mean()) < 0.02
    dy = np.ones_like(x)
    assert np.array_equal(backward(dy), dy)


def test_padding_gets_no_noise():
    y = GaussianNoise(1.0).forward(np.zeros((3, 4, 5)), lengths=[4, 0, 2], rng=0)[0]
    assert not y[1].any()
    assert not y[2, 2:].any()
    assert y[0].all()
    assert y[2, :2].all()


@pytest.mark.parametrize("layer", [SpatialDropout(0.9), GaussianNoise(3.0)], ids=repr)
def test_inference_and_streams_change_nothing(layer):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert np.array_equal(layer(x), x)
    lstm = rf.GRU(4, 3, seed=0)
    stream = rf.Sequential(layer, lstm).stream(2)
    assert np.array_equal(stream(x[:, 0]), lstm(x[:, :1])[0][:, 0])


def test_none_of_it():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for layer in (SpatialDropout(0), GaussianNoise(0)):
        y, backward = layer.forward(x)
        assert np.array_equal(y, x)
        assert np.array_equal(backward(x), x)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (0, 4), (2, 3, 0)])
@pytest.mark.parametrize("layer", [SpatialDropout(0.5), GaussianNoise(0.5)], ids=repr)
def test_no_numbers(layer, shape):
    y, backward = layer.forward(np.zeros(shape), rng=1)
    assert y.shape == backward(y).shape == shape


@pytest.mark.parametrize("layer", [SpatialDropout(0.25), GaussianNoise(0.5)], ids=repr)
def test_citizen(layer, tmp_path):
    check_citizen(layer, np.random.default_rng(0).standard_normal((3, 4, 5)), tmp_path, lengths=[4, 0, 2])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpatialDropout(1), ValueError, "p must be at least 0 and less than 1"),
        (lambda: GaussianNoise(-1), ValueError, "stddev must be at least 0 and finite, got -1"),
        (lambda: GaussianNoise(float("inf")), ValueError, "stddev must be at least 0 and finite"),
        (lambda: GaussianNoise(float("nan")), ValueError, "stddev must be at least 0 and finite"),
        (lambda: GaussianNoise("1"), TypeError, "stddev must be a number"),
        (lambda: SpatialDropout(0.5).forward(np.zeros(4)), ValueError, r"\(B, T, F\) or \(T, F\), got \(4,\)"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
