import copy
import pickle

import numpy as np
import pytest
from checks import central_differences, max_error, relative_error, same_bits
from layer_checks import rebuilt

from rnnfast.layers import Add, Average, Concatenate, Linear, Multiply
from rnnfast.models import Sequential

EQUATIONS = {
    Concatenate: lambda *x: np.concatenate(x, -1),
    Add: lambda *x: sum(x),
    Multiply: lambda *x: np.prod(x, axis=0),
    Average: lambda *x: np.mean(x, axis=0),
}
merges = pytest.mark.parametrize("merge", EQUATIONS)


def draw(*shapes, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


@merges
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 7, 5), (2, 0, 5), (0, 3, 5)])
def test_the_equations(merge, count, shape):
    inputs = draw(*[shape] * count)
    layer = merge()
    wanted = EQUATIONS[merge](*inputs)
    assert max_error(layer(inputs), wanted) < 1e-14
    y, backward = layer.forward(inputs)
    assert max_error(y, wanted) < 1e-14
    assert not np.shares_memory(y, inputs[0])
    found = backward(np.ones_like(y))
    assert [dx.shape for dx in found] == [shape] * count
    assert not any(np.shares_memory(a, b) for i, a in enumerate(found) for b in found[:i])
    assert layer.output_shape([shape] * count) == wanted.shape


@merges
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("lengths", [None, [3, 0, 2]])
def test_gradients(merge, count, lengths):
    inputs, layer = draw(*[(3, 4, 5)] * count), merge()
    # A factor of zero must not spoil the others' gradients.
    inputs[0][0, 0, 0] = 0
    dy = draw(layer(inputs).shape, seed=2)[0]
    found = layer.forward(inputs, lengths=lengths)[1](dy)
    for x, dx in zip(inputs, found, strict=True):
        assert dx.any()
        assert relative_error(dx, central_differences(lambda: (layer(inputs, lengths=lengths) * dy).sum(), x)) < 1e-6


@merges
def test_padding_may_hold_anything(merge):
    inputs, layer, lengths = draw((3, 4, 5), (3, 4, 5)), merge(), [4, 0, 2]
    beyond = np.arange(4) >= np.array(lengths)[:, None]
    y, backward = layer.forward(inputs, lengths=lengths)
    wanted = backward(np.ones_like(y))
    junk = [np.where(beyond[..., None], np.inf, x) for x in inputs]
    again, backward = layer.forward(junk, lengths=lengths)
    assert np.array_equal(again, y)
    assert not y[beyond].any()
    for a, b in zip(backward(np.ones_like(y)), wanted, strict=True):
        assert np.array_equal(a, b)
        assert not a[beyond].any()


def test_widths_may_differ_side_by_side():
    inputs = draw((2, 3, 4), (2, 3, 1), (2, 3, 2))
    y, backward = Concatenate().forward(inputs)
    assert np.array_equal(y, np.concatenate(inputs, axis=-1))
    for dx, x in zip(backward(y), inputs, strict=True):
        assert np.array_equal(dx, x)
        assert dx.flags.c_contiguous


@merges
def test_dtypes(merge):
    a, b = (array.astype(np.float32) for array in draw((2, 3), (2, 3)))
    assert merge()([a, b]).dtype == np.float32
    assert merge()([a, b.astype(np.float64)]).dtype == np.float64
    assert merge()([a, [[1, 2, 3]] * 2]).dtype == np.float32
    y, backward = merge().forward([a, b])
    assert [dx.dtype for dx in backward(y)] == [np.float32] * 2


@merges
def test_backward_belongs_to_its_call(merge):
    y, backward = merge().forward(draw((2, 3), (2, 3)))
    with pytest.raises(ValueError, match="shape of y"):
        backward(y[:1])
    backward(y)
    with pytest.raises(RuntimeError, match="works once"):
        backward(y)


@merges
def test_copies_files_and_models(merge, tmp_path):
    inputs = draw((2, 3), (2, 3))
    layer = merge()
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), rebuilt(layer, tmp_path)):
        assert type(again) is merge
        assert repr(again) == f"{merge.__name__}()"
        assert same_bits(again(inputs), layer(inputs))
    layer.summary()
    model = Sequential(layer, Linear(layer(inputs).shape[1], 2, dtype="float64"))
    (y, _), backward = model.forward(inputs)
    assert np.array_equal(y, model.layers[1](layer(inputs)))
    assert [dx.shape for dx in backward(y)[0]] == [(2, 3)] * 2


def test_lengths_and_directions_of_many():
    lengths = np.array([3, 1])
    for merge in EQUATIONS:
        assert merge().lengths_of_many([None, lengths, lengths.copy()])[0] is lengths
        assert merge().lengths_of_many([None, None]) == (None,)
        with pytest.raises(ValueError, match="different lengths"):
            merge().lengths_of_many([lengths, lengths - 1])
    directions = [[None, None], [1, None], [2], [2, 2], [2, 1]]
    assert [Add().directions_of_many(each) for each in directions] == [None, 1, 2, 2, 0]
    assert [Concatenate().directions_of_many(each) for each in directions] == [1, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("layer", "shapes", "wanted"),
    [
        (Concatenate(), [("B", "T", 3), ("B", "T", 4)], ("B", "T", 7)),
        (Concatenate(), [("B", "T", 3), ("B", "T", "F")], ("B", "T", "F")),
        (Add(), [("B", "T", "F"), ("B", "T", 4)], ("B", "T", 4)),
    ],
)
def test_shapes(layer, shapes, wanted):
    assert layer.shapes_of_many(shapes) == (wanted,)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([np.ones((2, 3)), np.ones((2, 4))], ValueError, r"one shape, \(2, 3\), got \(2, 4\) at 1"),
        ([np.ones((2, 3)), np.ones((3,))], ValueError, "at 1"),
        (np.ones((2, 3)), TypeError, "a list of arrays, got ndarray"),
        ([], TypeError, "a list of arrays, got list"),
        ([["a"]], TypeError, r"inputs\[0\] must hold real numbers"),
    ],
)
def test_bad_input(inputs, error, message):
    with pytest.raises(error, match=message):
        Add()(inputs)


@pytest.mark.parametrize("inputs", [[np.ones((2, 3)), np.ones((3, 3))], [np.float64(1)], [np.ones(2), np.ones((2, 2))]])
def test_bad_concatenation(inputs):
    with pytest.raises(ValueError, match="but for the last axis"):
        Concatenate()(inputs)
