import numpy as np
import pytest

import rnnfast as rf
from rnnfast.layers import initialize


@pytest.mark.parametrize(
    ("name", "variance"),
    [("glorot", 2 / (90 + 60)), ("he", 2 / 60), ("lecun", 1 / 60)],
)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_variances_are_those_of_one_gate(name, variance, kind):
    layer = rf.LSTM(60, 90, dtype="float64")
    initialize(layer, {"weight_ih*": f"{name}_{kind}"}, seed=0)
    for gate in np.split(layer.params["weight_ih_l0"], 4):
        assert abs(gate.mean()) < 4 * np.sqrt(variance / gate.size)
        assert gate.var() == pytest.approx(variance, rel=0.05)
        if kind == "uniform":
            assert 0.999 * np.sqrt(3 * variance) < np.abs(gate).max() <= np.sqrt(3 * variance)
        else:
            assert np.abs(gate).max() > 3 * np.sqrt(variance)


@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        (rf.RNN(5, 7, dtype="float64"), 1),
        (rf.GRU(5, 7, 2, bidirectional=True, dtype="float64"), 3),
        (rf.LSTM(5, 7, peephole=True, coupled=True, dtype="float64"), 3),
        (rf.LSTMCell(5, 7, dtype="float64"), 4),
    ],
)
def test_each_gate_is_orthogonal_by_itself(layer, gates):
    before = {name: array.copy() for name, array in layer.params.items()}
    initialize(layer, {"weight_hh*": "orthogonal"}, seed=0)
    for name, array in layer.params.items():
        if not name.startswith("weight_hh"):
            assert np.array_equal(array, before[name])
            continue
        parts = np.split(array, gates)
        assert all(np.abs(part @ part.T - np.eye(7)).max() < 1e-13 for part in parts)
        assert len({part.tobytes() for part in parts}) == gates


def test_models_and_later_rules():
    model = rf.Sequential(
        rf.Embedding(9, 4), rf.LSTM(4, 3, proj_size=2, bias="double"), rf.Conv1D(2, 5, 3), rf.Linear(5, 2)
    )
    version = model.layers[1].block.version
    initialize(model, {"*": 0.5, "1.weight_hh*": "orthogonal", "2.weight": "he_normal", "*bias*": "zeros"}, seed=3)
    assert (model.params["0.weight"] == 0.5).all()
    assert (model.params["1.bias_hh_l0"] == 0).all()
    assert model.layers[1].block.version > version
    for gate in np.split(model.params["1.weight_hh_l0"], 4):
        assert np.allclose(gate.T @ gate, np.eye(2), atol=1e-6)
    again = model.params["2.weight"].copy()
    initialize(model, {"2.weight": "he_normal"}, seed=3)
    initialize(model, {"*": 0.5, "1.weight_hh*": "orthogonal", "2.weight": "he_normal", "*bias*": "zeros"}, seed=3)
    assert np.array_equal(model.params["2.weight"], again)


def test_the_fans_of_a_convolution_count_its_width():
    layer = rf.Conv1D(40, 50, 5, dtype="float64")
    initialize(layer, {"weight": "lecun_normal"}, seed=0)
    assert layer.params["weight"].var() == pytest.approx(1 / 200, rel=0.05)


def test_identity():
    layer = rf.RNN(2, 3)
    initialize(layer, {"weight_*": "identity", "bias*": "ones"})
    assert np.array_equal(layer.params["weight_hh_l0"], np.eye(3))
    assert layer.params["weight_ih_l0"].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert layer.params["bias_l0"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"weight_xx*": "zeros"}, "weight_xx"),
        ({"weight_ih*": "xavier"}, "an initialiser is a function, a number or one of 'glorot_uniform'"),
        ({"weight_hh*": "zeros", "bias*": "he_normal"}, r"'bias_l0' has shape \(3,\) a gate: it is not a matrix"),
        ({"bias*": "orthogonal"}, "cannot be orthogonal"),
        ({"bias*": "identity"}, "cannot be the identity"),
        ({"weight_hh*": lambda rng, shape: np.zeros(7)}, r"'weight_hh_l0' has shape \(3, 3\) a gate"),
        ({"weight_hh*": True}, "got True"),
    ],
)
def test_what_does_not_fit_changes_nothing(rules, message):
    layer = rf.GRU(2, 3, seed=0)
    before = [each.copy() for each in layer.params.values()]
    with pytest.raises(ValueError, match=message):
        initialize(layer, rules, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.params.values(), strict=True))
