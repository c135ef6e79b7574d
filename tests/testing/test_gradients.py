"""check_gradients passes what is right and names what is wrong."""

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.layers._base import BackwardOnce, Block, Layer


class Scale(Layer):
    """y = scale * x + shift, with a fault to choose."""

    def __init__(self, fault=""):
        self.fault = fault
        self.block = Block({"scale": (3,), "shift": (3,)}, "float64")
        self.block.set("scale", [1.0, -2.0, 0.5])

    def forward(self, x, *, lengths=None, rng=None):
        once = BackwardOnce(self.slots())
        scale = self.params["scale"].copy()

        def backward(dy, grads=None, need_dx=True):
            once.start()
            found = {"scale": (dy * x).sum(axis=(0, 1)), "shift": dy.sum(axis=(0, 1))}
            if self.fault == "twice":
                found["scale"] *= 2
            if self.fault == "missing":
                del found["shift"]
            if self.fault == "nan":
                found["shift"][1] = np.nan
            once.add(found, grads)
            return dy if self.fault == "dx" else dy * scale

        return x * scale + self.params["shift"], backward


X = np.random.default_rng(0).normal(size=(2, 4, 3))


@pytest.mark.parametrize(
    ("fault", "names"), [("twice", ["scale"]), ("missing", ["shift"]), ("nan", ["shift"]), ("dx", ["x"])]
)
def test_names_the_tensor_that_is_wrong(fault, names):
    with pytest.raises(AssertionError) as caught:
        rf.testing.check_gradients(Scale(fault), X)
    for name in ("scale", "shift", "x"):
        assert (f"gradient of {name} " in str(caught.value)) == (name in names)


def test_says_where_it_is_worst():
    with pytest.raises(AssertionError, match=r"off by 5.0e-01 relative: at \((\d),\) backward gives (\S+), diff"):
        rf.testing.check_gradients(Scale("twice"), X)


def test_passes_what_is_right():
    errors = rf.testing.check_gradients(Scale(), X)
    assert set(errors) == {"scale", "shift", "x"}
    assert max(errors.values()) < 1e-9


def test_layers_with_state_give_names_to_its_parts():
    layer = rf.LSTM(3, 2, 2, bidirectional=True, dropout=0.4, dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    state = (rng.normal(size=(4, 2, 2)), rng.normal(size=(4, 2, 2)))
    errors = rf.testing.check_gradients(layer, X, state, lengths=[4, 2])
    assert {"x", "state.h", "state.c", "weight_ih_l1_reverse"} < set(errors)
    assert max(errors.values()) < 1e-6
    model = rf.Sequential(rf.GRU(3, 2, dtype="float64", seed=1), rf.LSTM(2, 2, dtype="float64", seed=2))
    errors = rf.testing.check_gradients(model, X, (state[0][:1], (state[0][1:2], state[1][:1])))
    assert {"state[0]", "state[1].h", "state[1].c"} < set(errors)
    assert set(rf.testing.check_gradients(layer, X, samples=1)) == {*layer.params, "x"}


def test_models_embeddings_and_cells():
    model = rf.Sequential(
        rf.Embedding(7, 3, dtype="float64", seed=0),
        rf.Dropout(0.3),
        rf.GRU(3, 4, dtype="float64", seed=1),
        rf.Last(),
        rf.Linear(4, 2, activation="tanh", dtype="float64", seed=2),
    )
    errors = rf.testing.check_gradients(model, np.array([[3, 1, 4], [1, 5, 6]]), lengths=[3, 2])
    assert set(errors) == set(model.params)
    cell = rf.LSTMCell(3, 2, dtype="float64", seed=0)
    errors = rf.testing.check_gradients(cell, X[0], (X[1, :, :2], X[1, :, 1:]))
    assert set(errors) == {"weight_ih", "weight_hh", "bias", "x", "state.h", "state.c"}


def test_the_layer_stays_as_it_was():
    layer = rf.GRU(3, 2, dtype="float64", seed=0)
    before, version = layer.block.data.copy(), layer.block.version
    rf.testing.check_gradients(layer, X)
    assert (layer.block.data == before).all()
    assert layer.block.version == version
    assert not layer.block.grad.any()


def test_frozen_parameters_are_left_out():
    model = rf.Sequential(rf.Linear(3, 3, dtype="float64", seed=0), rf.Linear(3, 1, dtype="float64", seed=1))
    model.layers[0].frozen = True
    assert set(rf.testing.check_gradients(model, X)) == {"1.weight", "1.bias", "x"}
    model.layers[1].freeze("bias")
    assert set(rf.testing.check_gradients(model, X)) == {"1.weight", "x"}


def test_float32_is_refused():
    with pytest.raises(ValueError, match="wanted float64"):
        rf.testing.check_gradients(rf.GRU(3, 2), X)


def test_samples_cost_as_many_calls():
    calls = []

    class Counted(Scale):
        def forward(self, x, **how):
            calls.append(1)
            return super().forward(x, **how)

    rf.testing.check_gradients(Counted(), X, samples=2)
    assert len(calls) == 1 + 4 * 2 * 3


def test_no_steps_have_no_gradients():
    errors = rf.testing.check_gradients(rf.GRU(3, 2, dtype="float64", seed=0), X[:, :0], np.ones((1, 2, 2)))
    assert errors["weight_hh_l0"] == 0
    assert errors["state"] < 1e-9


def test_graphs_with_several_inputs_and_outputs():
    graph = rf.Graph({"words": ("B", "T"), "size": ("B", 2)})
    words = graph.add(rf.Embedding(7, 3, dtype="float64", seed=0), "words")
    read = graph.add(rf.GRU(3, 4, dtype="float64", seed=1), words)
    both = graph.add(rf.Concatenate(), [graph.add(rf.Last(), read), "size"])
    graph.outputs(score=graph.add(rf.Linear(6, 1, dtype="float64", seed=2), both), read=read)
    x = {"words": np.array([[3, 1, 4], [1, 5, 6]]), "size": X[0, :2, :2]}
    errors = rf.testing.check_gradients(graph, x, lengths={"words": [3, 2]})
    assert set(errors) == {*graph.params, "x.size"}
    assert max(errors.values()) < 1e-6


def test_the_padding_symbol_takes_no_gradient():
    embedding = rf.Embedding(4, 3, padding_idx=1, dtype="float64", seed=0)
    model = rf.Sequential(embedding, rf.GRU(3, 2, dtype="float64", seed=1))
    ids = np.array([[0, 1, 2], [1, 1, 3]])
    assert rf.testing.check_gradients(embedding, ids)["weight"] < 1e-8
    assert rf.testing.check_gradients(model, ids)["0.weight"] < 1e-6
    tied = rf.Linear(3, 4, tied=embedding, dtype="float64")
    errors = rf.testing.check_gradients(rf.Sequential(embedding, tied), ids)
    assert max(errors.values()) < 1e-6
