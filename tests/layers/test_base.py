import copy
import pickle

import numpy as np
import pytest

from rnnfast.layers import LSTM, BatchNorm, Block, Layer, Linear, StatefulLayer


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


def test_weights_in_order_and_by_name(layer):
    before = layer.get_weights()
    assert [array.shape for array in before] == [(3, 2), (3,)]
    before[1][...] = 7
    assert layer.params["bias"].tolist() == [1, 2, 3]
    version = layer.block.version
    layer.set_weights(before)
    assert layer.params["bias"].tolist() == [7, 7, 7]
    assert layer.block.version > version
    layer.set_weights({"bias": [4, 5, 6], "weight": np.ones((3, 2), np.int8)})
    assert layer.block.data.tolist() == [1] * 6 + [4, 5, 6]


def test_weights_are_set_all_or_none(layer):
    before = layer.block.data.copy()
    good = np.ones((3, 2))
    for weights, error, message in (
        ([good], ValueError, "weights must hold 2 arrays, weight, bias, got 1"),
        ([good, np.ones(2)], ValueError, r"weights\['bias'\] has shape \(2,\), wanted \(3,\)"),
        ([good, np.ones(3, complex)], TypeError, r"weights\['bias'\] must hold real numbers"),
        ({"weight": good}, ValueError, r"missing \['bias'\], unknown \[\]"),
        ({"weight": good, "bias": [1, 2, 3], "b": 0}, ValueError, r"missing \[\], unknown \['b'\]"),
    ):
        with pytest.raises(error, match=message):
            layer.set_weights(weights)
    assert np.array_equal(layer.block.data, before)


def test_buffers_are_among_the_weights():
    layer = BatchNorm(2)
    layer.set_weights([[1, 2], [3, 4], [5, 6], [7, 8]])
    assert layer.buffers["running_var"].tolist() == [7, 8]
    assert [array.tolist() for array in layer.get_weights()] == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_configs_of_foreign_and_malformed_layers():
    class Linear(Layer):
        pass

    with pytest.raises(TypeError, match="not one of rnnfast's layers"):
        Linear().get_config()
    with pytest.raises(TypeError, match="Linear is not one of rnnfast's layers and cannot be rebuilt"):
        Linear.from_config({"in_features": 2, "out_features": 3})
    with pytest.raises(ValueError, match=r"LSTM cannot be made.*hidden_size"):
        LSTM.from_config({"input_size": 3})


def test_a_recurrent_layer_says_its_shapes():
    layer = StatefulLayer()
    layer.input_size, layer.output_size = 3, 8
    layer.block = Block({"weight": (2, 2)})
    assert layer.input_shape == ("B", "T", 3)
    assert layer.output_shape(("B", "T", 3)) == ("B", "T", 8)
    assert layer.has_state
