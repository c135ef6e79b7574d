import numpy as np
import pytest
from layer_checks import randomise

import rnnfast as rf
from rnnfast.training import train_step

WEIGHT = np.array([[3.0, -4.0], [0.6, 0.8], [0.0, 0.0]])


def test_max_norm_by_hand():
    assert rf.MaxNorm(2.5)(WEIGHT).tolist() == [[1.5, -2.0], [0.6, 0.8], [0.0, 0.0]]
    assert rf.MaxNorm(5.0)(WEIGHT).tolist() == WEIGHT.tolist()
    columns = rf.MaxNorm(1.0, axis=0)(WEIGHT)
    assert np.allclose(columns, WEIGHT / np.sqrt([9.36, 16.64]), rtol=1e-15)
    assert np.allclose(rf.MaxNorm(1.0, axis=(0, 1))(WEIGHT), WEIGHT / np.sqrt(26), rtol=1e-15)
    assert np.allclose(rf.MaxNorm(1.0)(np.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-15)


def test_unit_norm_by_hand():
    assert np.allclose(rf.UnitNorm()(WEIGHT), [[0.6, -0.8], [0.6, 0.8], [0.0, 0.0]], rtol=1e-15)
    assert np.allclose((rf.UnitNorm(axis=0)(WEIGHT) ** 2).sum(axis=0), 1, rtol=1e-15)


def test_non_negative_by_hand():
    assert rf.NonNegative()(WEIGHT).tolist() == [[3.0, 0.0], [0.6, 0.8], [0.0, 0.0]]


@pytest.mark.parametrize("axis", [0, -1])
def test_keras_formulas(axis):
    """Keras divides by the norm + 1e-7, which moves vectors that are short enough, too."""
    weight = randomise(rf.Linear(7, 9, dtype="float64")).params["weight"]
    norms = np.sqrt((weight**2).sum(axis=axis, keepdims=True))
    assert (norms > 0.6).any()
    assert (norms < 0.6).any()
    wanted = weight * np.clip(norms, 0, 0.6) / (1e-7 + norms)
    assert np.allclose(rf.MaxNorm(0.6, axis=axis)(weight), wanted, rtol=1e-6)
    assert np.allclose(rf.UnitNorm(axis=axis)(weight), weight / (1e-7 + norms), rtol=1e-6)


def test_what_fits_already_keeps_its_bits():
    weight = randomise(rf.Linear(7, 9)).params["weight"]
    once = rf.MaxNorm(10.0)(weight).astype(np.float32)
    assert once.tobytes() == weight.tobytes()


@pytest.mark.parametrize("constraint", [rf.MaxNorm(1.0), rf.UnitNorm(), rf.NonNegative()])
def test_nan_is_not_hidden(constraint):
    assert np.isnan(constraint(np.array([np.nan, 3.0]))).any()


def test_constraints_hold_after_each_step_and_packed_weights_follow():
    x, y = np.random.default_rng(0).standard_normal((2, 5, 6, 3))
    net = randomise(rf.Sequential(rf.LSTM(3, 4), rf.Linear(4, 3)))
    net(x)  # packs
    before = {name: array.copy() for name, array in net.params.items()}
    rules = {"0.weight_hh*": rf.MaxNorm(0.5), "1.weight": rf.UnitNorm(), "1.*": rf.NonNegative()}
    for _ in range(3):
        train_step(net, x.astype(np.float32), y.astype(np.float32), rf.MSE(), rf.SGD(0.3), constraints=rules)
        norms = np.linalg.norm(net.params["0.weight_hh_l0"], axis=1)
        assert norms.max() == pytest.approx(0.5, rel=1e-6)
        assert (net.params["1.weight"] >= 0).all()
        assert (net.params["1.bias"] >= 0).all()
        fresh = rf.Sequential(rf.LSTM(3, 4), rf.Linear(4, 3))
        for name, array in net.params.items():
            fresh.params[name] = array
        assert np.array_equal(net(x), fresh(x))
    assert np.linalg.norm(before["0.weight_hh_l0"], axis=1).max() > 0.6


def test_one_step_by_hand():
    net = rf.Linear(2, 1, bias=False, dtype="float64")
    net.params["weight"] = [[3.0, 4.0]]
    train_step(net, np.eye(2), np.zeros((2, 1)), rf.MSE(), rf.SGD(0.5), constraints={"weight": rf.MaxNorm(1.0)})
    assert np.allclose(net.params["weight"], [[0.6, 0.8]], rtol=1e-15)


def test_frozen_parameters_are_not_constrained():
    net = randomise(rf.Sequential(rf.Linear(2, 3), rf.Linear(3, 1)))
    net.params["0.weight"] = -net.params["0.weight"]
    net.freeze("0.weight")
    before = net.params["0.weight"].copy()
    net.fit(np.ones((4, 2)), np.ones((4, 1)), loss="mse", constraints={"*": rf.NonNegative()}, verbose=False, epochs=2)
    assert np.array_equal(net.params["0.weight"], before)
    assert (before < 0).any()
    assert (net.params["1.weight"] >= 0).all()


def test_bad_arguments():
    for make in (lambda: rf.MaxNorm(0), lambda: rf.MaxNorm(-1), lambda: rf.MaxNorm(float("nan"))):
        with pytest.raises(ValueError, match="value must be"):
            make()
    net = randomise(rf.Linear(2, 1))
    with pytest.raises(ValueError, match="axis 1 is out of bounds"):
        rf.Sequential(net).fit([[1, 2]], [[1]], loss="mse", constraints={"*": rf.MaxNorm(1, axis=1)}, verbose=False)
    assert repr([rf.MaxNorm(1), rf.UnitNorm(0), rf.NonNegative()]) == (
        "[MaxNorm(value=1.0, axis=-1), UnitNorm(axis=0), NonNegative()]"
    )
