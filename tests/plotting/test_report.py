import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import gate_report

X = np.random.default_rng(0).normal(size=(3, 6, 2))


def set_gate(layer, gate, size, values):
    """Make a gate constant: no weights, a bias that gives these values."""
    bias, values = layer.params["bias_l0"].copy(), np.asarray(values)
    weight_ih, weight_hh = layer.params["weight_ih_l0"].copy(), layer.params["weight_hh_l0"].copy()
    rows = slice(gate * size, (gate + 1) * size)
    bias[rows], weight_ih[rows], weight_hh[rows] = np.log(values / (1 - values)), 0, 0
    layer.params["bias_l0"], layer.params["weight_ih_l0"], layer.params["weight_hh_l0"] = bias, weight_ih, weight_hh


def test_numbers_of_an_lstm():
    layer = rf.LSTM(2, 4, dtype="float64", seed=0)
    set_gate(layer, 1, 4, [0.5, 0.9, 0.99, 0.01])
    set_gate(layer, 3, 4, [1e-9, 0.5, 0.5, 0.97])
    found = gate_report(layer, X)["l0"]
    assert (found["units"], found["steps"]) == (4, 18)
    np.testing.assert_allclose(found["memory"], -1 / np.log([0.5, 0.9, 0.99, 0.01]))
    assert found["gates"]["f"] == pytest.approx({"mean": 0.6, "closed": 0.25, "open": 0.25})
    assert found["gates"]["o"]["closed"] == found["gates"]["o"]["open"] == 0.25
    assert found["dead"].tolist() == [0]
    assert set(found["gates"]) == {"i", "f", "o"}


@pytest.mark.parametrize(("update", "keep"), [("keep", 0.9), ("new", 0.1)])
def test_memory_of_a_gru_follows_its_update(update, keep):
    layer = rf.GRU(2, 3, update=update, dtype="float64", seed=0)
    set_gate(layer, 1, 3, [0.9, 0.9, 0.9])
    np.testing.assert_allclose(gate_report(layer, X)["l0"]["memory"], -1 / np.log(keep))


def test_memory_of_other_cells():
    coupled = rf.LSTM(2, 3, coupled=True, dtype="float64", seed=0)
    np.testing.assert_allclose(
        gate_report(coupled, X)["l0"]["memory"], -1 / np.log(1 - coupled.trace(X)["l0"]["i"].mean(axis=(0, 1)))
    )
    mgu = rf.MGU(2, 3, dtype="float64", seed=0)
    np.testing.assert_allclose(
        gate_report(mgu, X)["l0"]["memory"], -1 / np.log(1 - mgu.trace(X)["l0"]["f"].mean(axis=(0, 1)))
    )
    found = gate_report(rf.RNN(2, 3, seed=0), X)["l0"]
    assert found["memory"] is None
    assert found["gates"] == {}


def test_saturation_and_lengths():
    layer = rf.RNN(2, 3, dtype="float64", seed=0)
    lengths = np.array([6, 2, 0])
    h = layer.trace(X, lengths=lengths)["l0"]["h"]
    rows = np.concatenate([h[0], h[1, :2]])
    found = gate_report(layer, X, lengths=lengths, high=0.5, still=1.0)["l0"]
    assert found["steps"] == 8
    assert found["saturated"] == (np.abs(rows) > 0.5).mean() > 0
    assert found["dead"].tolist() == np.flatnonzero(np.ptp(rows, axis=0) < 1.0).tolist()
    assert gate_report(layer, X[0], lengths=2)["l0"]["steps"] == 2


def test_every_layer_and_direction_and_the_table():
    report = gate_report(rf.GRU(2, 3, 2, bidirectional=True, seed=0), X)
    assert list(report) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    table = str(report)
    assert "l1_reverse: 3 units, 18 steps" in table
    assert f"gate z       mean {report['l0']['gates']['z']['mean']:.3f}" in table
    assert "dead units   0" in table
    assert str(gate_report(rf.RNN(2, 12, seed=0), np.zeros((4, 2)))).count("dead units   12: 0, 1, 2") == 1


def test_what_cannot_be_reported():
    with pytest.raises(TypeError, match="must be a recurrent layer"):
        gate_report(rf.Linear(2, 3), X)
    with pytest.raises(ValueError, match="no steps"):
        gate_report(rf.RNN(2, 3), X, lengths=[0, 0, 0])
