"""Operators of older opsets against ONNX Runtime."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from rnnfast.interop.onnx import layers_of, prepare  # noqa: E402

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


def model_of(node, opset, inputs, initializers=()):
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    nodes = node if isinstance(node, list) else [node]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", given, [output], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def difference(model, inputs):
    wanted = runtime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    found = prepare(model).run(inputs)[0]
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max()


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [7, 11, 12, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
def test_softmax_over_all_axes_from_axis_on_until_opset_13(operator, opset, axis):
    if axis == -1 and opset < 11:
        pytest.skip("negative axes came with opset 11")
    node = helper.make_node(operator, ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    assert difference(model_of(node, opset, {"x": X}), {"x": X}) < 1e-6


@pytest.mark.parametrize(("opset", "axis"), [(10, None), (13, 0), (13, None), (17, 2)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_dequantize_linear_before_opset_19(opset, axis, dtype):
    rng = np.random.default_rng(1)
    shape = () if opset < 13 else (X.shape[1 if axis is None else axis],)
    info = np.iinfo(dtype)
    inputs = {
        "q": rng.integers(info.min, info.max, X.shape, dtype=dtype, endpoint=True),
        "scale": rng.uniform(0.1, 1, shape).astype(np.float32),
        "zero": rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True),
    }
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    node = helper.make_node("DequantizeLinear", [*inputs], ["y"], **({} if axis is None else {"axis": axis}))
    assert difference(model_of(node, opset, inputs), inputs) == 0


def test_a_layer_of_weights_that_were_quantized_at_opset_13():
    rng = np.random.default_rng(2)
    stored, nodes = {}, []
    for name, features in (("W", 4), ("R", 5)):
        stored[f"{name}_q"] = rng.integers(-128, 127, (1, 20, features)).astype(np.int8)
        stored[f"{name}_s"] = rng.uniform(0.001, 0.01, 20).astype(np.float32)
        stored[f"{name}_z"] = rng.integers(-9, 9, 20).astype(np.int8)
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_{each}" for each in "qsz"], [name], axis=1))
    nodes.append(helper.make_node("LSTM", ["x", "W", "R"], ["y"], name="rnn", hidden_size=5))
    model = model_of(nodes, 13, {"x": X}, [onnx.numpy_helper.from_array(a, n) for n, a in stored.items()])
    assert difference(model, {"x": X}) < 1e-6
    wanted = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0][:, 0]
    layer = layers_of(model)["rnn"]
    np.testing.assert_allclose(layer(X.swapaxes(0, 1))[0].swapaxes(0, 1), wanted, atol=1e-6)
