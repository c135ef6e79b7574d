import copy
import pickle

import numpy as np
import pytest

from rnnfast.layers import LSTM, Block, Layer, Linear, StatefulLayer
from rnnfast.layers._base import table


@pytest.fixture
def layer():
    layer = Linear(2, 3, dtype="float64", seed=0)
    layer.params["bias"] = [1, 2, 3]
    return layer


def test_params_by_name(layer):
    assert list(layer.params) == ["weight", "bias"]
    assert len(layer.params) == 2
    assert "bias" in layer.params
    assert layer.params["bias"].tolist() == [1, 2, 3]
    assert layer.block.version == 2  # the first weights, and the bias
    assert repr(layer.params) == "{'weight': float64(3, 2), 'bias': float64(3,)}"


def test_params_cannot_be_written_through_or_misnamed(layer):
    with pytest.raises(ValueError, match="read-only"):
        layer.params["bias"] += 1
    with pytest.raises(KeyError, match="weight, bias"):
        layer.params["biass"]
    assert layer.params["bias"].tolist() == [1, 2, 3]


def test_grads_are_writable_and_zeroed(layer):
    layer.grads["bias"] += 2
    layer.grads["weight"] = np.ones((3, 2))
    assert layer.block.grad.tolist() == [1] * 6 + [2] * 3
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        layer.grads["bias"] = [1, 2]
    layer.zero_grad()
    assert not layer.block.grad.any()


def test_counts_dtype_and_freezing(layer):
    assert layer.num_params == 9
    assert layer.dtype == np.float64
    assert not layer.frozen
    layer.frozen = True
    assert layer.frozen
    assert layer.block.frozen


def test_freezing_by_name():
    layer = LSTM(2, 3, num_layers=2)
    layer.freeze("weight_hh*", "*_l1")
    assert layer.frozen_names == ["weight_hh_l0", "weight_ih_l1", "weight_hh_l1", "bias_l1"]
    layer.unfreeze("*_ih_*")
    assert layer.frozen_names == ["weight_hh_l0", "weight_hh_l1", "bias_l1"]
    assert not layer.frozen
    layer.freeze()
    assert layer.frozen
    layer.unfreeze()
    assert layer.frozen_names == []
    with pytest.raises(ValueError, match=r"'weight_xx\*' fits no parameter; there are weight_ih_l0, weight_hh_l0"):
        layer.freeze("bias_l0", "weight_xx*")
    assert layer.frozen_names == []


def test_a_layer_without_parameters():
    layer = Layer()
    assert (layer.num_params, layer.dtype, layer.frozen, layer.blocks(), dict(layer.params)) == (0, None, False, [], {})
    layer.zero_grad()


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_learn_apart(layer, copier):
    layer._cache_other = lambda: None  # nothing that copies or pickles
    other = copier(layer)
    assert not hasattr(other, "_cache_other")
    other.params["bias"] = [0, 0, 0]
    x = np.array([[1.0, -2.0]])
    assert np.array_equal(layer(x), np.add(other(x), [1, 2, 3]))


def test_repr_and_summary(layer, capsys):
    assert repr(layer) == "Linear(in_features=2, out_features=3, bias=True, activation=None, dtype='float64')"
    layer.summary()
    assert capsys.readouterr().out.splitlines() == [
        "Layer   Output shape  Parameters",
        "--------------------------------",
        "Linear  (B, 3)                 9",
        "--------------------------------",
        "9 parameters",
    ]


def test_table_is_as_wide_as_its_widest_cell():
    lines = table([("A long name", ("B", 5), 1_234_567), ("B", ("B", "T", 5), 2)], 1_234_569).splitlines()
    assert lines[2] == "A long name  (B, 5)         1,234,567"
    assert lines[-1] == "1,234,569 parameters"


def test_a_recurrent_layer_says_its_shapes():
    layer = StatefulLayer()
    layer.input_size, layer.output_size = 3, 8
    layer.block = Block({"weight": (2, 2)})
    assert layer.input_shape == ("B", "T", 3)
    assert layer.output_shape(("B", "T", 3)) == ("B", "T", 8)
    assert layer.has_state
