import numpy as np
import pytest
from checks import awkward, max_error, ragged
from layer_checks import check_citizen, check_layer_gradients

import rnnfast as rf
from rnnfast.layers import MaxPool1D, MeanPool1D, Pad

LAYERS = [MaxPool1D(2), MaxPool1D(3, 1), MaxPool1D(2, 3), MeanPool1D(3), MeanPool1D(3, 2), Pad(2, 1), Pad(0, 2, -1.5)]
layers = pytest.mark.parametrize("layer", LAYERS, ids=repr)


def draw(*shape, seed=0):
    """Distinct numbers, far enough apart that a nudge changes no order."""
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1


def loop(layer, x, lengths):
    rows = []
    for sequence, length in zip(x, lengths, strict=True):
        steps = list(sequence[:length])
        if isinstance(layer, Pad):
            value = np.full(x.shape[2], layer.value)
            rows.append([value] * layer.before + steps + [value] * layer.after)
        else:
            combine = np.max if isinstance(layer, MaxPool1D) else np.mean
            starts = range(0, length - layer.size + 1, layer.stride)
            rows.append([combine(steps[t : t + layer.size], axis=0) for t in starts])
    y = np.zeros((len(x), *layer.output_shape(("B", *x.shape[1:]))[1:]))
    for row, steps in enumerate(rows):
        for t, step in enumerate(steps):
            y[row, t] = step
    return y, [len(steps) for steps in rows]


@layers
@pytest.mark.parametrize(("B", "T"), [(5, 7), (1, 3), (3, 1), (2, 0), (0, 4)])
def test_values(layer, B, T):
    x, lengths = draw(B, T, 6), ragged(B, T)
    for given, used in ((None, [T] * B), (lengths, lengths)):
        wanted, counts = loop(layer, x, used)
        padded = np.where(np.arange(T)[:, None] < np.asarray(used).reshape(-1, 1, 1), x, np.nan)
        for _, array in awkward(padded) if x.size else [("", x)]:
            y = layer(array, lengths=given)
            assert max_error(y, wanted) < 1e-14
            assert np.array_equal(layer.forward(array, lengths=given)[0], y)
        assert layer(padded.astype(np.float32), lengths=given).dtype == np.float32
        if given is not None:
            assert list(layer.output_lengths(given)) == counts


@layers
def test_gradients_and_citizenship(layer, tmp_path):
    x = draw(4, 7, 3)
    check_layer_gradients(layer, x)
    check_layer_gradients(layer, x, lengths=[7, 0, 4, 1])
    check_citizen(layer, x, tmp_path)


def test_one_sequence_is_a_batch_of_one():
    x = draw(7, 3)
    for layer in LAYERS:
        assert np.array_equal(layer(x), layer(x[None])[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_least_number_is_never_the_greatest(dtype):
    x = draw(2, 5, 3).astype(dtype) - 1e30
    y = Pad(1, 1, "least")(x)
    assert np.array_equal(y[:, [0, -1]], np.full((2, 2, 3), np.finfo(dtype).min))
    assert np.array_equal(MaxPool1D(2)(y)[:, 0], x[:, 0])


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="size"):
        MaxPool1D(0)
    with pytest.raises(ValueError, match="stride"):
        MeanPool1D(2, stride=-1)
    with pytest.raises(ValueError, match="before"):
        Pad(-1)
    with pytest.raises(ValueError, match="finite"):
        Pad(1, value=np.nan)
    with pytest.raises(ValueError, match="'least'"):
        Pad(1, value="most")
    with pytest.raises(ValueError, match=r"\(B, T, F\)"):
        MaxPool1D(2)(np.zeros(3))
    with pytest.raises(ValueError, match="whole sequence"):
        rf.Sequential(MaxPool1D(2), rf.GRU(3, 4)).stream()
