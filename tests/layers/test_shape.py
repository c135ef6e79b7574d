import numpy as np
import pytest
from checks import awkward, max_error
from layer_checks import check_citizen, check_layer_gradients

import rnnfast as rf
from rnnfast.layers import Flatten, Repeat


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(1, 2, shape)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 5), (2, 0, 5), (0, 4, 5)])
def test_flatten(shape):
    x = draw(*shape)
    B, T, F = shape
    for _, array in awkward(x) if x.size else [("", x)]:
        y = Flatten()(array)
        assert y.shape == (B, T * F)
        for t in range(T):
            assert np.array_equal(y[:, t * F : (t + 1) * F], x[:, t])
    y, backward = Flatten().forward(x)
    assert np.array_equal(backward(y), x)


def test_flatten_zeroes_what_lies_beyond():
    x, lengths = draw(3, 4, 5), [4, 0, 2]
    y, backward = Flatten().forward(np.where(x > 1.9, np.nan, x), lengths=lengths)
    assert not y[1].any()
    assert not y[2, 10:].any()
    assert np.array_equal(Flatten()(x, lengths=lengths)[2, :10], x[2, :2].ravel())
    dx = backward(np.ones_like(y))
    assert dx.sum(axis=2).tolist() == [[5, 5, 5, 5], [0] * 4, [5, 5, 0, 0]]
    check_layer_gradients(Flatten(), x, lengths=lengths)
    check_layer_gradients(Flatten(), x[0])


@pytest.mark.parametrize("shape", [(3, 5), (1, 5), (5,), (0, 5)])
@pytest.mark.parametrize("n", [1, 4])
def test_repeat(shape, n):
    x = draw(*shape)
    y = Repeat(n)(x)
    assert y.shape == (*shape[:-1], n, 5)
    for t in range(n):
        assert np.array_equal(y[..., t, :], x)
    y, backward = Repeat(n).forward(x)
    assert max_error(backward(y), n * x) < 1e-14
    if x.size:
        check_layer_gradients(Repeat(n), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_citizens(dtype, tmp_path):
    check_citizen(Flatten(), draw(3, 4, 5).astype(dtype), tmp_path, lengths=[4, 0, 2])
    check_citizen(Repeat(3), draw(3, 5).astype(dtype), tmp_path)


def test_shapes_for_the_summary():
    assert Flatten().output_shape(("B", "T", 5)) == ("B", "T·5")
    assert Flatten().output_shape(("B", 4, 5)) == ("B", 20)
    assert Flatten().output_lengths([1]) is None
    assert Repeat(4).output_shape(("B", 5)) == ("B", 4, 5)


def test_one_to_many():
    """An encoder's last output, repeated, feeds a decoder: all steps of x have a say in all of y."""
    model = rf.Sequential(
        *(rf.GRU(3, 6, dtype="float64", seed=0), rf.Last(), Repeat(4), rf.GRU(6, 5, dtype="float64", seed=1)),
        *(Flatten(), rf.Linear(20, 2, dtype="float64", seed=2)),
    )
    assert model(draw(2, 7, 3)).shape == (2, 2)
    check_layer_gradients(model, draw(2, 3, 3), lengths=[3, 1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Repeat(0), ValueError, "n must be at least 1"),
        (lambda: Repeat(2)(np.zeros((2, 3, 4))), ValueError, r"\(B, F\) or \(F,\), got \(2, 3, 4\)"),
        (lambda: Repeat(2)(np.zeros((2, 3)), lengths=[1, 1]), ValueError, "lengths must be None"),
        (lambda: Flatten()(np.zeros(3)), ValueError, r"\(B, T, F\) or \(T, F\), got \(3,\)"),
        (lambda: Flatten().stream(), ValueError, "needs the whole sequence"),
        (lambda: Repeat(2).stream(), ValueError, "needs the whole sequence"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
