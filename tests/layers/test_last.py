import numpy as np
import pytest
from checks import awkward, ragged
from layer_checks import check_layer_gradients

from rnnfast.layers import Last


def loop(x, lengths, directions):
    half = x.shape[2] // directions
    y = np.zeros((len(x), x.shape[2]))
    for row, length in enumerate(lengths):
        if length:
            y[row, :half], y[row, half:] = x[row, length - 1, :half], x[row, 0, half:]
    return y


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("B", "T"), [(5, 4), (1, 3), (3, 1), (2, 0), (0, 4)])
def test_picks_the_last_valid_output(directions, B, T):
    layer, x = Last(directions), np.random.default_rng(0).standard_normal((B, T, 6))
    lengths = ragged(B, T)
    for given, used in ((None, [T] * B), (lengths, lengths)):
        wanted = loop(x, used, directions)
        for _, array in awkward(x):
            assert np.array_equal(layer(array, lengths=given), wanted)
        assert np.array_equal(layer.forward(x, lengths=given)[0], wanted)


@pytest.mark.parametrize("directions", [None, 1, 2])
@pytest.mark.parametrize("lengths", [None, [4, 0, 1]])
def test_gradients(directions, lengths):
    check_layer_gradients(Last(directions), np.random.default_rng(0).standard_normal((3, 4, 6)), lengths=lengths)


def test_one_unbatched_sequence():
    x = np.arange(12.0).reshape(3, 4)
    assert Last(2)(x).tolist() == [8, 9, 2, 3]
    assert Last()(x, lengths=2).tolist() == Last()(x, lengths=[2]).tolist() == [4, 5, 6, 7]
    _, backward = Last(2).forward(x, lengths=[2])
    assert backward(np.ones(4)).tolist() == [[0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_directions_are_given_or_learnt():
    layer = Last()
    layer.learn_directions(None)
    assert layer.directions is None
    layer.learn_directions(2)
    layer.learn_directions(2)
    assert (layer.directions, layer.config()) == (2, {"directions": None})
    with pytest.raises(ValueError, match=r"a Last\(\) of its own"):
        layer.learn_directions(1)
    given = Last(1)
    given.learn_directions(2)
    assert (given.directions, given.config()) == (1, {"directions": 1})


def test_time_ends_here():
    assert Last().output_shape(("B", "T", 5)) == ("B", 5)
    assert Last().output_lengths([1, 2]) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Last(3), "directions must be None, 1, 2 or -1"),
        (lambda: Last()(np.zeros(4)), r"\(B, T, F\) or \(T, F\), got \(4,\)"),
        (lambda: Last(2)(np.zeros((2, 3, 5))), "even last axis"),
        (lambda: Last()(np.zeros((2, 3, 5)), lengths=[3, 4]), "from 0 to 3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
