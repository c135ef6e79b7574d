import numpy as np
import pytest
from onnx_model_checks import fed, model_of, problem, run_theirs

import rnnfast as rf

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from rnnfast.interop.onnx import layers_of, prepare  # noqa: E402

OPTIONS = {
    "rnn": ("RNN", {"direction": "bidirectional", "activations": ["Relu", "Relu"], "clip": 0.4}),
    "rnn identity": ("RNN", {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}),
    "rnn elu reverse": ("RNN", {"direction": "reverse", "activations": ["Elu"], "activation_alpha": [0.7]}),
    "gru": ("GRU", {"direction": "bidirectional"}),
    "gru after": ("GRU", {"linear_before_reset": 1, "direction": "reverse", "layout": 1}),
    "gru hard": ("GRU", {"activations": ["HardSigmoid", "LeakyRelu"], "activation_alpha": [0.25, 0.3], "clip": 2.5}),
    "lstm": ("LSTM", {"direction": "bidirectional", "layout": 1}),
    "lstm coupled": ("LSTM", {"input_forget": 1, "clip": 0.5}),
    "lstm hard": ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Relu"], "direction": "reverse"}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_node_becomes_a_layer_that_gives_what_it_gives(name):
    op, attributes = OPTIONS[name]
    D, layout = 2 if attributes.get("direction") == "bidirectional" else 1, attributes.get("layout", 0)
    for peephole in (False, True)[: 1 + (op == "LSTM")]:
        inputs = problem(op, D=D, peephole=peephole, layout=layout)
        wanted = prepare(model_of(op, inputs, hidden_size=5, **attributes)).run(fed(inputs))
        (layer,) = layers_of(model_of(op, inputs, hidden_size=5, **attributes)).values()
        assert (type(layer).__name__, layer.bias, layer.dtype) == (op, "double", np.float32)
        swap = (lambda a: a) if layout else (lambda a: a.swapaxes(0, 1))
        h0, *c0 = (inputs[each] if not layout else inputs[each].swapaxes(0, 1) for each in inputs if "initial" in each)
        y, state = layer(swap(inputs["X"]), (h0, *c0) if c0 else h0, lengths=inputs["sequence_lens"])
        theirs = wanted["Y"] if layout else wanted["Y"].transpose(2, 0, 1, 3)
        assert np.abs(y.reshape(theirs.shape) - theirs).max() < 1e-6
        some = inputs["sequence_lens"] > 0
        last = wanted["Y_h"].swapaxes(0, 1) if layout else wanted["Y_h"]
        assert np.abs((state.h if c0 else state)[:, some] - last[:, some]).max() < 1e-6
        (_, _), backward = layer.forward(swap(inputs["X"]))
        backward(np.ones_like(y))
        assert all(np.abs(array).max() > 0 for array in layer.grads.values())


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_one_bias_where_the_second_is_zero(op):
    inputs = problem(op)
    G = inputs["B"].size // 5
    inputs["B"][:, G // 2 * 5 :] = 0
    (layer,) = layers_of(model_of(op, inputs)).values()
    assert layer.bias is True
    inputs.pop("B")
    (layer,) = layers_of(model_of(op, inputs)).values()
    assert layer.bias is False
    wanted = prepare(model_of(op, inputs)).run(fed(inputs))["Y"][:, 0].swapaxes(0, 1)
    state = [inputs[name] for name in ("initial_h", "initial_c") if name in inputs]
    y, _ = layer(inputs["X"].swapaxes(0, 1), state if op == "LSTM" else state[0], lengths=inputs["sequence_lens"])
    assert np.abs(y - wanted).max() < 1e-6


def test_dtypes():
    wide = problem("GRU", dtype=np.float64)
    (layer,) = layers_of(model_of("GRU", wide)).values()
    assert layer.dtype == np.float64
    np.testing.assert_array_equal(layer.params["weight_ih_l0"][:5], wide["W"][0, 5:10])  # r comes first here
    assert layers_of(model_of("GRU", wide), dtype="float32")["cell"].dtype == np.float32
    half = problem("GRU", dtype=np.float16)
    layer = layers_of(model_of("GRU", half))["cell"]
    assert layer.dtype == np.float32
    np.testing.assert_array_equal(layer.params["weight_hh_l0"][10:], half["R"][0, 10:].astype(np.float32))


def cut(array, name, axis=0):
    """Nodes that put the array together again from two constants, as exporters do, under this name."""
    whole = helper.make_node("Constant", [], [f"{name}_all"], value=numpy_helper.from_array(array[0]))
    two = helper.make_node("Constant", [], [f"{name}_two"], value_ints=[2])
    nodes = [whole, two]
    for part, start, end in (("a", 0, 2), ("b", 2, 10**9)):
        numbers = [
            helper.make_node("Constant", [], [f"{name}_{part}{i}"], value_ints=[n]) for i, n in enumerate((start, end))
        ]
        ends = [f"{name}_{part}0", f"{name}_{part}1"]
        nodes += [*numbers, helper.make_node("Slice", [f"{name}_all", *ends], [f"{name}_{part}"])]
    nodes.append(helper.make_node("Concat", [f"{name}_a", f"{name}_b"], [f"{name}_both"], axis=0))
    zero = helper.make_node("Constant", [], [f"{name}_zero"], value_ints=[0])
    return [*nodes, zero, helper.make_node("Unsqueeze", [f"{name}_both", f"{name}_zero"], [name])]


def test_weights_that_are_put_together_in_branches_and_functions():
    inputs = problem("LSTM")
    (plain,) = layers_of(model_of("LSTM", inputs)).values()
    info = helper.make_tensor_value_info
    pieces = [node for name in ("W", "R", "B") for node in cut(inputs[name], name)]
    node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["y"], hidden_size=5)
    branch = helper.make_graph([*pieces, node], "branch", [], [info("y", 1, None)])
    other = helper.make_graph([helper.make_node("Identity", ["X"], ["y"])], "other", [], [info("y", 1, None)])
    inner = helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=5)
    function = helper.make_function("own", "Cell", ["x", "w", "r", "b"], ["y"], [inner], [helper.make_opsetid("", 17)])
    nodes = [
        helper.make_node("If", ["yes"], ["Y"], then_branch=branch, else_branch=other),
        helper.make_node("Cell", ["X", "W0", "R0", "B0"], ["Z"], domain="own"),
        helper.make_node("Cell", ["X", "W0", "R0", "B0"], ["Z2"], domain="own"),
    ]
    graph = helper.make_graph(
        nodes,
        "all",
        [info("X", 1, [None] * 3), info("yes", 9, [])],
        [info("Y", 1, None), info("Z", 1, None)],
        [numpy_helper.from_array(inputs[name], f"{name}0") for name in ("W", "R", "B")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[function])
    layers = layers_of(model)
    assert list(layers) == ["y", "y_2", "y_3"]
    for layer in layers.values():
        for name, array in layer.params.items():
            np.testing.assert_array_equal(array, plain.params[name])


@pytest.mark.parametrize("per_row", [False, True])
def test_weights_that_onnx_runtime_has_quantized(per_row):
    inputs = problem("LSTM", D=2, peephole=True)
    zeros, scales, plain, rounded = {}, {}, dict(inputs), {}
    for name in ("W", "R"):
        array = inputs[name].swapaxes(1, 2)
        # Seven bits, as the eighth overflows on many processors.
        scales[name] = (np.abs(array).max(axis=1 if per_row else (1, 2)) / 63).astype(np.float32)
        zeros[name] = np.full(scales[name].shape, 0 if per_row else 64, np.int8 if per_row else np.uint8)
        factor, zero = scales[name].reshape(2, 1, -1), zeros[name].reshape(2, 1, -1)
        rounded[name] = (np.rint(array / factor) + zero).astype(zero.dtype)
        plain[name] = ((rounded[name] - zero.astype(np.float32)) * factor).swapaxes(1, 2).astype(np.float32)
    names = ["X", "Wq", "Rq", "B", "sequence_lens", "initial_h", "initial_c", "P", "Ws", "Wz", "Rs", "Rz"]
    how = {"hidden_size": 5, "direction": "bidirectional"}
    node = helper.make_node("DynamicQuantizeLSTM", names, ["Y", "Y_h"], name="cell", domain="com.microsoft", **how)
    stored = {name: plain[name] for name in ("B", "P")}
    for name in ("W", "R"):
        stored |= {f"{name}q": rounded[name], f"{name}s": scales[name], f"{name}z": zeros[name]}
    made = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = model_of("LSTM", plain, **how).graph
    outputs = [graph.output[0], graph.output[1]]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph([node], "quantized", graph.input, outputs, made), opset_imports=opsets, ir_version=8
    )
    found, wanted = layers_of(model)["cell"], layers_of(model_of("LSTM", plain, **how))["cell"]
    for name, array in wanted.params.items():
        np.testing.assert_allclose(found.params[name], array, rtol=1e-6)
    feed = fed(plain)
    y, exact = prepare(model).run(feed)["Y"], prepare(model_of("LSTM", plain, **how)).run(feed)["Y"]
    assert np.abs(y - exact).max() < 1e-6
    pytest.importorskip("onnxruntime")  # which rounds what enters to 8 bits too
    assert 1e-5 < np.abs(y - run_theirs(model, feed)["Y"]).max() < 0.006


def test_what_no_layer_has_is_named():
    inputs = problem("RNN", D=2)
    how = {"hidden_size": 5, "direction": "bidirectional"}
    message = "RNN 'cell': no layer has these activations in these directions: "
    with pytest.raises(ValueError, match=f"{message}Relu, Tanh"):
        layers_of(model_of("RNN", inputs, activations=["Relu", "Tanh"], **how))
    with pytest.raises(ValueError, match=f"{message}Softplus, Softplus"):
        layers_of(model_of("RNN", inputs, activations=["Softplus", "Softplus"], **how))
    with pytest.raises(ValueError, match="RNN 'cell': W is fed to the model"):
        layers_of(model_of("RNN", inputs, stored=("R", "B"), **how))
    assert layers_of(model_of("RNN", inputs, stored=("W", "R", "B"), **how))["cell"].bidirectional
    layer = rf.Sequential(rf.Linear(3, 2))
    assert layers_of(rf.interop.onnx.to_onnx(layer)) == {}


WRONG = {
    "hidden_size": ({}, {"hidden_size": 4}, "hidden_size is 4, but R has shape"),
    "direction": ({}, {"direction": "sideways"}, "direction must be one of forward, reverse, bidirectional, got 'side"),
    "activations": ({}, {"activations": ["Swish"]}, "activations must be of Relu, .* got 'Swish'"),
    "number": ({}, {"activations": ["Tanh", "Tanh", "Tanh"]}, "activations must be 1 for each of 1 direction"),
    "clip": ({}, {"clip": -1.0}, "clip must be positive, got -1.0"),
    "layout": ({}, {"layout": 2}, "layout must be 0 or 1, got 2"),
    "R": ({"R": np.ones((1, 5, 4), "f")}, {}, r"R must have shape \(1, 1·H, H\), got \(1, 5, 4\)"),
    "W": ({"W": np.ones((1, 4, 3), "f")}, {}, r"W must have shape \(1, 5, I\), .*; got \(1, 4, 3\)"),
    "B": ({"B": np.ones((1, 5), "f")}, {}, r"B must have shape \(1, 10\), .*; got \(1, 5\)"),
    "dtype": ({"W": np.ones((1, 5, 3), "i")}, {}, "W must hold real numbers, got dtype int32"),
    "two directions": ({}, {"direction": "bidirectional"}, r"R must have shape \(2, 1·H, H\), got \(1, 5, 5\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_nodes_are_named(name):
    change, attributes, message = WRONG[name]
    inputs = problem("RNN") | change
    model = model_of("RNN", inputs, **attributes)
    with pytest.raises((ValueError, TypeError), match=f"RNN 'cell': {message}"):
        layers_of(model)
    with pytest.raises((ValueError, TypeError)) as error:
        prepare(model).run(fed(inputs))
    assert "RNN 'cell'" in str(error.value) + str(error.value.__cause__)
