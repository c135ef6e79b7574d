"""The reverse direction alone."""

import numpy as np
import pytest
from layer_checks import randomise
from recurrent_checks import draw, draw_state, kinds, make

import rnnfast as rf


@kinds
@pytest.mark.parametrize("lengths", [None, [4, 0, 6, 1]])
def test_it_is_the_second_half_of_both(kind, lengths):
    both, alone = make(kind, bidirectional=True), make(kind, reverse=True)
    for name in alone.params:
        alone.params[name] = both.params[f"{name}_reverse"]
    x = draw(4, 6, 3)
    y, state = both(x, lengths=lengths)
    ours, final = alone(x, lengths=lengths)
    np.testing.assert_array_equal(ours, y[..., 5:])
    parts = [(final, state)] if isinstance(final, np.ndarray) else zip(final, state, strict=True)
    for found, whole in parts:
        np.testing.assert_array_equal(found, whole[1:])


@kinds
def test_gradients(kind):
    layer = make(kind, layers=2, reverse=True)
    rf.testing.check_gradients(layer, draw(3, 4, 3), draw_state(layer, 3), lengths=[4, 0, 2])


def test_gradients_where_outputs_are_held():
    layer = make("gru", reverse=True, padding="hold")
    mask = np.array([[0, 1, 0, 1], [1, 1, 0, 0]], bool)
    y, _ = layer(draw(2, 4, 3), mask=mask)
    np.testing.assert_array_equal(y[0, 0], y[0, 1])
    np.testing.assert_array_equal(y[0, 2], y[0, 3])
    assert not y[1, 2:].any()
    rf.testing.check_gradients(layer, draw(2, 4, 3), mask=mask)


def test_last_takes_the_first_step():
    model = rf.Sequential(randomise(rf.LSTM(3, 5, reverse=True)), rf.Last(), rf.Linear(5, 2, seed=0))
    x = draw(4, 6, 3).astype("f")
    y, (h, _) = model.layers[0](x, lengths=[6, 2, 1, 4])
    np.testing.assert_array_equal(rf.Last(directions=-1)(y, lengths=[6, 2, 1, 4]), h[0])
    np.testing.assert_array_equal(model.layers[1](y, lengths=[6, 2, 1, 4]), h[0])
    assert model(x).shape == (4, 2)


def test_what_is_refused():
    with pytest.raises(ValueError, match="excludes bidirectional"):
        rf.GRU(3, 4, reverse=True, bidirectional=True)
    with pytest.raises(ValueError, match="a reverse GRU cannot run step by step"):
        rf.GRU(3, 4, reverse=True).stream()
