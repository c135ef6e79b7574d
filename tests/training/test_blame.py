import numpy as np
import pytest

from rnnfast.layers import LSTM, Activation, Embedding, Last, Linear
from rnnfast.models import Graph, Sequential
from rnnfast.training import SGD
from rnnfast.training._blame import blame as blame_batches


def blame(model, x, state, lengths, y=None):
    return blame_batches(model, [(x, state, lengths, y)])


def network():
    return Sequential(LSTM(2, 3, seed=0), Linear(3, 3, seed=0), LSTM(3, 2, seed=0))


def test_the_first_layer_the_sequence_and_the_step_are_named():
    x = np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)
    model = network()
    bias = model.params["1.bias"].copy()
    bias[1] = np.inf
    model.params["1.bias"] = bias
    assert blame(model, x, None, None) == "the output of layer 1, Linear, is first not finite at step 0 of sequence 0"
    # Beyond a sequence's end nothing is computed.
    found = blame(model, x, None, np.array([0, 0, 5, 2]))
    assert found == "the output of layer 1, Linear, is first not finite at step 0 of sequence 2"


def test_the_input_is_looked_at_first():
    x = np.zeros((4, 6, 2))
    x[2, 3] = np.nan
    x[1, 5, 0] = np.inf
    assert blame(network(), x, None, None) == "the input is first not finite at step 3 of sequence 2"
    flat = Sequential(Linear(2, 1))
    assert blame(flat, np.array([[0.0, 1.0], [np.nan, 0.0]]), None, None) == "the input is not finite in sequence 1"


def test_a_state_that_is_carried_is_looked_through():
    model = network()
    x = np.ones((2, 3, 2))
    _, state = model.run(x)
    (h, c), other = state
    c = c.copy()
    c[0, 1] = np.nan
    found = blame(model, x, (type(state[0])(h, c), other), None)
    assert found == "the output of layer 0, LSTM, is first not finite at step 0 of sequence 1"


def test_other_models_and_gradients():
    graph = Graph({"x": ("B", "T", 2)})
    graph.outputs(graph.add(Linear(2, 2, seed=0), "x"))
    assert blame(graph, {"x": np.full((1, 1, 2), np.inf)}, None, None).startswith("the input 'x' is first not finite")
    graph.grads[next(iter(graph.grads))][...] = np.nan
    assert blame(graph, np.ones((1, 1, 2)), None, None).startswith("outputs are finite; gradients that are not: ")
    layer = LSTM(2, 3)
    layer.params["bias_l0"] = np.full(12, np.nan)
    assert blame(layer, np.ones((2, 3, 2)), None, None) == "the output is first not finite at step 0 of sequence 0"
    ids = Sequential(Embedding(4, 2), Activation("relu"))
    assert blame(ids, np.zeros((2, 3), int), None, None).startswith("outputs are finite; gradients that are not: ")


def test_of_several_batches_that_make_a_step_the_one_is_named():
    x, y = np.zeros((7, 3, 2)), np.zeros((7, 2))
    x[3, 1] = np.nan
    model = Sequential(LSTM(2, 2, seed=0), Last())
    what = "the input is first not finite at step 1 of sequence 1, in part 2 of the 3 that make the step"
    with pytest.raises(FloatingPointError, match=what):
        model.fit(x, y, loss="mse", batch_size=2, accumulate=3, shuffle=False, verbose=False)
    with pytest.raises(FloatingPointError, match=r"step 1 of sequence 3$"):
        model.fit(x, y, loss="mse", shuffle=False, verbose=False)


def test_targets_are_looked_at_after_the_outputs():
    x, y = np.zeros((3, 4, 2)), np.zeros((3, 4, 2))
    y[0, 2] = y[2, 1, 1] = np.nan
    assert blame(network(), x, None, None, y) == "the target is first not finite at step 1 of sequence 2"
    assert blame(network(), x, None, np.array([4, 4, 1]), y) == "the target is first not finite at step 2 of sequence 0"
    assert blame(network(), x, None, np.array([2, 4, 1]), y).startswith("outputs are finite; gradients")
    assert blame(network(), x, None, None, {"a": x, "b": y, "c": [[1], []]}).startswith("the target 'b' is first not")
    assert blame(network(), x, None, None, [[1], [2, 3], []]).startswith("outputs are finite; gradients")
    model = Sequential(Linear(2, 2, seed=0))
    with pytest.raises(FloatingPointError, match="the target is first not finite at step 1 of sequence 2"):
        model.fit(x, y, loss="mse", batch_size=3, shuffle=False, verbose=False)


def test_fit_says_where():
    model = Sequential(Linear(1, 1, seed=0), Activation("relu"))
    x = np.full((6, 2, 1), 1.0)
    x[4] = np.nan
    before = model.flat_data.copy()
    message = "epoch 1, step 3: the gradients' norm is nan.*the input is first not finite at step 0 of sequence 0"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(x, x, loss="mse", optimizer=SGD(0.0), batch_size=2, shuffle=False, verbose=False)
    assert np.array_equal(model.flat_data, before)
