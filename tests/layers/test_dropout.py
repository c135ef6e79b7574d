import numpy as np
import pytest
from layer_checks import check_layer_gradients

from rnnfast.layers import Dropout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_the_share_and_keeps_the_mean(p, dtype):
    x = np.full((20, 30, 50), 3, dtype)
    y, backward = Dropout(p).forward(x, rng=0)
    assert y.dtype == dtype
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 0.015
    assert np.allclose(y[kept], 3 / (1 - p), rtol=1e-6)
    # No row, step or unit is favoured.
    for axes in ((1, 2), (0, 2), (0, 1)):
        assert np.abs(kept.mean(axis=axes) - (1 - p)).max() < 0.12
    dx = backward(np.ones_like(x))
    assert np.array_equal(dx != 0, kept)
    assert np.allclose(dx[kept], 1 / (1 - p), rtol=1e-6)


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (2, 3, 2, 7)])
def test_gradients_of_every_shape(shape):
    x = np.random.default_rng(0).uniform(1, 2, shape)
    check_layer_gradients(Dropout(0.3), x, rng=4)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (0, 4)])
def test_nothing_to_drop(shape):
    y, backward = Dropout(0.5).forward(np.zeros(shape), rng=1)
    assert y.shape == shape
    assert backward(y).shape == shape


def test_the_key_alone_decides():
    x, layer = np.ones((4, 5, 6)), Dropout(0.5)
    a, b, c = (layer.forward(x, rng=rng)[0] for rng in (1, np.random.default_rng(1), 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(layer.forward(x)[0], layer.forward(x)[0])


def test_inference_and_p_zero_change_nothing():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert np.array_equal(Dropout(0.9)(x), x)
    y, backward = Dropout(0.0).forward(x)
    assert np.array_equal(y, x)
    assert np.array_equal(backward(x), x)
    with pytest.raises(RuntimeError, match="works once"):
        backward(x)


@pytest.mark.parametrize("p", [-0.1, 1.0, 2, float("nan")])
def test_bad_p(p):
    with pytest.raises(ValueError, match="p must be at least 0 and less than 1"):
        Dropout(p)
    assert Dropout(0.25).config() == {"p": 0.25}
