import importlib

import numpy as np
import pytest
from onnx_model_checks import fed, largest_difference, model_of, problem, run_theirs

import rnnfast as rf

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rnnfast.interop.onnx import Backend, prepare, run_model, run_node, supports_device  # noqa: E402

FLOAT = TensorProto.FLOAT


def named(results):
    return dict(zip(results._fields, results, strict=True))


def test_the_recurrent_node_tests_of_the_onnx_package_pass():
    pytest.importorskip("onnx.backend.test.case.node")
    for module in ("rnn", "gru", "lstm"):  # what load_model_tests(kind="node") would import, and not the other hundreds
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    from onnx.backend.test.case.node import _NodeTestCases

    kinds = ("test_rnn_", "test_gru_", "test_lstm_", "test_simple_rnn_")
    cases = [case for case in _NodeTestCases if case.name.startswith(kinds)]
    assert len(cases) >= 12  # 18 since onnx 1.23
    for case in cases:
        prepared = Backend.prepare(case.model, "CPU")
        for inputs, wanted in case.data_sets:
            found = prepared.run(inputs)
            assert len(found) == len(wanted) > 0
            for a, b in zip(found, wanted, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=case.rtol, atol=case.atol)
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


FUNCTIONS = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "Elu", "HardSigmoid"]
NUMBERS = {"Affine": (0.7, 0.1), "ScaledTanh": (0.8, 1.2), "ThresholdedRelu": (0.1,)}  # defaults differ among operators
NODES = {
    "rnn": ("RNN", {}),
    "rnn reverse relu": ("RNN", {"direction": "reverse", "activations": ["Relu"]}),
    "rnn both, other functions": (
        "RNN",
        {
            "direction": "bidirectional",
            "activations": ["LeakyRelu", "Softsign"],
            "activation_alpha": [0.3],
            "clip": 0.5,
        },
    ),
    "gru": ("GRU", {"clip": 0.4}),
    "gru after": ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}),
    "gru odd": (
        "GRU",
        {"activations": ["HardSigmoid", "Elu"], "activation_alpha": [0.3, 0.8], "activation_beta": [0.4], "clip": 0.7},
    ),
    "lstm": ("LSTM", {}),
    "lstm coupled": ("LSTM", {"input_forget": 1, "direction": "bidirectional", "clip": 0.6}),
    "lstm reverse": ("LSTM", {"direction": "reverse"}),
    "lstm both, six functions": (
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": ["Sigmoid", "Affine", "ScaledTanh", "HardSigmoid", "Tanh", "ThresholdedRelu"],
            "activation_alpha": [0.8, 1.2, 0.25, 0.1],
            "activation_beta": [0.1, 0.9, 0.45],
        },
    ),
    **{f"rnn {name}": ("RNN", {"activations": [name]}) for name in FUNCTIONS},
    **{
        f"rnn {name}": (
            "RNN",
            {"activations": [name], "activation_alpha": [alpha]} | ({"activation_beta": beta} if beta else {}),
        )
        for name, (alpha, *beta) in NUMBERS.items()
    },
    "gru leaky with a negative slope": (
        "GRU",
        {"activations": ["Sigmoid", "LeakyRelu"], "activation_alpha": [-0.2], "linear_before_reset": 1},
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_nodes_equal_onnx_runtime(name):
    pytest.importorskip("onnxruntime")
    op, attributes = NODES[name]
    D = 2 if attributes.get("direction") == "bidirectional" else 1
    for peephole in (False, True)[: 1 + (op == "LSTM")]:
        inputs = problem(op, D=D, peephole=peephole)
        model = model_of(op, inputs, hidden_size=5, **attributes)
        found, wanted = prepare(model).run(fed(inputs)), run_theirs(model, fed(inputs))
        assert largest_difference(named(found), wanted) < 2e-6
        assert np.abs(wanted["Y"]).max() > 0.05


def test_inputs_that_are_left_out_are_zeros():
    pytest.importorskip("onnxruntime")
    for op in ("RNN", "GRU", "LSTM"):
        inputs = {name: array for name, array in problem(op).items() if name in ("X", "W", "R", "initial_h")}
        model = model_of(op, inputs, hidden_size=5)
        assert largest_difference(named(prepare(model).run(fed(inputs))), run_theirs(model, fed(inputs))) < 2e-6


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_layout_1_and_double_precision(op):
    narrow = problem(op, D=2, peephole=True)
    how = {"hidden_size": 5, "direction": "bidirectional"}
    wanted = prepare(model_of(op, narrow, **how)).run(fed(narrow))
    wide = problem(op, D=2, peephole=True, layout=1, dtype=np.float64)
    found = prepare(model_of(op, wide, layout=1, **how)).run(fed(wide))
    assert {each.dtype for each in found} == {np.dtype(np.float64)}
    assert found["Y"].shape == (4, 6, 2, 5)
    assert found["Y_h"].shape == (4, 2, 5)
    assert np.abs(found["Y"].transpose(1, 2, 0, 3) - wanted["Y"]).max() < 1e-6
    assert np.abs(found["Y_h"].swapaxes(0, 1) - wanted["Y_h"]).max() < 1e-6


def test_half_precision_is_computed_in_single():
    half = problem("GRU", dtype=np.float16)
    model = model_of("GRU", half, hidden_size=5)
    found = prepare(model).run(fed(half))
    single = {name: array if name == "sequence_lens" else array.astype(np.float32) for name, array in half.items()}
    wanted = prepare(model_of("GRU", single, hidden_size=5)).run(fed(single))
    assert found["Y"].dtype == np.float16
    np.testing.assert_array_equal(found["Y"], wanted["Y"].astype(np.float16))


def test_weights_are_packed_once_and_again_when_they_change(monkeypatch):
    packed = []
    from rnnfast import ops

    real = ops.pack
    monkeypatch.setattr(ops, "pack", lambda *args, **how: packed.append(1) or real(*args, **how))
    inputs = problem("LSTM", D=2)
    how = {"hidden_size": 5, "direction": "bidirectional"}
    stored = prepare(model_of("LSTM", inputs, **how))
    first = stored.run(fed(inputs))["Y"]
    longer = {"X": np.ones((9, 2, 3), "f"), "sequence_lens": np.array([9, 4], np.int32)}
    longer |= {name: np.zeros((2, 2, 5), "f") for name in ("initial_h", "initial_c")}
    assert stored.run(longer)["Y"].shape == (9, 2, 2, 5)
    np.testing.assert_array_equal(stored.run(fed(inputs))["Y"], first)
    assert len(packed) == 2

    packed.clear()
    given = prepare(model_of("LSTM", inputs, stored=(), **how))
    np.testing.assert_array_equal(given.run(inputs)["Y"], first)
    given.run(inputs)
    assert len(packed) == 2
    inputs["W"][1] *= 2  # in place: the same array has other numbers
    changed = given.run(inputs)["Y"]
    assert len(packed) == 4
    np.testing.assert_array_equal(changed[:, 0], first[:, 0])
    assert np.abs(changed[:, 1] - first[:, 1]).max() > 0.01


def test_the_numpy_backend_runs_graphs_too():
    inputs = problem("LSTM", peephole=True)
    prepared = prepare(model_of("LSTM", inputs, hidden_size=5))
    wanted = prepared.run(fed(inputs))
    with rf.backend("numpy"):
        found = prepared.run(fed(inputs))
    assert 0 < np.abs(found["Y"] - wanted["Y"]).max() < 2e-6


def info(name, shape=None, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def made(nodes, inputs, outputs, stored, functions=(), opset=17):
    graph = helper.make_graph(
        nodes, "made", inputs, outputs, [numpy_helper.from_array(a, n) for n, a in stored.items()]
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


BACK = {"scan_input_axes": [1], "scan_input_directions": [1], "scan_output_axes": [2], "scan_output_directions": [1]}
CUT = {"clip": 0.3, "hidden_size": 5}  # the onnx package's own operators do not know it


def test_nodes_in_branches_and_loops():
    pytest.importorskip("onnxruntime")
    inputs = problem("GRU")
    stored = {name: inputs[name] for name in ("W", "R", "B")}
    cell = helper.make_node("GRU", ["X", "W", "R", "B"], ["", "h"], **CUT)
    plain = helper.make_node("GRU", ["X", "W", "R"], ["", "h"], **CUT)
    branches = {
        f"{name}_branch": helper.make_graph([node], name, [], [info("h")])
        for name, node in (("then", cell), ("else", plain))
    }
    model = made(
        [helper.make_node("If", ["yes"], ["out"], **branches)],
        [info("X", [None] * 3), info("yes", [], TensorProto.BOOL)],
        [info("out")],
        stored,
    )
    for yes in (True, False):
        feed = {"X": inputs["X"], "yes": np.array(yes)}
        assert largest_difference(named(prepare(model).run(feed)), run_theirs(model, feed)) < 2e-6

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("GRU", ["X", "W", "R", "B", "", "h"], ["", "next"], **CUT),
            helper.make_node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h", [1, None, 5])],
        [info("still", [], TensorProto.BOOL), info("next", [1, None, 5]), info("seen", [1, None, 5])],
    )
    model = made(
        [helper.make_node("Loop", ["turns", "", "h0"], ["out", "all"], body=body)],
        [info("X", [None] * 3), info("h0", [1, None, 5]), info("turns", [], TensorProto.INT64)],
        [info("out", [1, None, 5]), info("all", [None] * 4)],
        stored,
    )
    feed = {"X": inputs["X"], "h0": inputs["initial_h"], "turns": np.array(3)}
    assert largest_difference(named(prepare(model).run(feed)), run_theirs(model, feed)) < 2e-6

    none = prepare(model).run(feed | {"turns": np.array(0)})
    np.testing.assert_array_equal(none["out"], inputs["initial_h"])
    assert none["all"].shape[0] == 0


def test_scans():
    pytest.importorskip("onnxruntime")
    inputs = problem("GRU")
    stored = {name: inputs[name] for name in ("W", "R", "B")} | {"axis": np.array([0])}
    feed = {"X": inputs["X"], "h0": inputs["initial_h"]}
    step = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["x", "axis"], ["X1"]),
            helper.make_node("GRU", ["X1", "W", "R", "B", "", "h"], ["", "next"], **CUT),
            helper.make_node("Identity", ["next"], ["y"]),
        ],
        "step",
        [info("h", [1, None, 5]), info("x", [None, 3])],
        [info("next", [1, None, 5]), info("y", [1, None, 5])],
    )
    for name, how in {"plain": {}, "back": BACK}.items():
        model = made(
            [helper.make_node("Scan", ["h0", "X"], ["last", "all"], body=step, num_scan_inputs=1, **how)],
            [info("X", [None] * 3), info("h0", [1, None, 5])],
            [info("last"), info("all")],
            stored,
        )
        given = feed if name == "plain" else feed | {"X": np.ascontiguousarray(inputs["X"].swapaxes(0, 1))}
        found = named(prepare(model).run(given))
        assert largest_difference(found, run_theirs(model, given)) < 2e-6
        if name == "plain":
            every = found["all"]
    cell = model_of("GRU", inputs | {"sequence_lens": np.full(4, 6, np.int32)}, hidden_size=5, clip=0.3)
    whole = prepare(cell).run([inputs["X"], np.full(4, 6, np.int32), inputs["initial_h"]])
    assert np.abs(every - whole["Y"]).max() < 1e-6
    assert np.abs(every[-1] - found["last"]).max() > 0.01


def test_nodes_in_functions_of_the_model():
    pytest.importorskip("onnxruntime")
    inputs = problem("RNN")
    node = helper.make_node("RNN", ["x", "w", "r", "", "n"], ["y"], hidden_size=5)
    node.attribute.append(onnx.AttributeProto(name="clip", ref_attr_name="limit", type=onnx.AttributeProto.FLOAT))
    function = helper.make_function(
        "own", "Cell", ["x", "w", "r", "n"], ["y"], [node], [helper.make_opsetid("", 17)], ["limit"]
    )
    call = helper.make_node("Cell", ["X", "W", "R", "n"], ["Y"], domain="own", limit=0.3)
    model = made(
        [call],
        [info("X", [None] * 3), info("n", [None], TensorProto.INT32)],
        [info("Y")],
        {name: inputs[name] for name in ("W", "R")},
        [function],
    )
    feed = {"X": inputs["X"], "n": inputs["sequence_lens"]}
    assert largest_difference(named(prepare(model).run(feed)), run_theirs(model, feed)) < 2e-6


def test_what_follows_from_constants_is_computed_once():
    inputs = problem("RNN")
    half = {"W": inputs["W"][0, :, :2], "V": inputs["W"][0, :, 2:], "R": inputs["R"], "zero": np.array([0])}
    nodes = [
        helper.make_node("Concat", ["W", "V"], ["both"], axis=1),
        helper.make_node("Unsqueeze", ["both", "zero"], ["whole"]),
        helper.make_node("RNN", ["X", "whole", "R"], ["Y"], hidden_size=5),
    ]
    model = made(nodes, [info("X", [None] * 3)], [info("Y"), info("whole")], half)
    prepared = prepare(model)
    assert [node.op_type for node in prepared._evaluator.rt_nodes_] == ["RNN"]
    found = prepared.run([inputs["X"]])
    np.testing.assert_array_equal(found["whole"], inputs["W"])
    plain = model_of("RNN", {name: inputs[name] for name in ("X", "W", "R")})
    np.testing.assert_array_equal(found["Y"], prepare(plain).run([inputs["X"]])["Y"])

    model = made(nodes, [info("X", [None] * 3), info("V", [5, 1])], [info("Y"), info("whole")], half)
    open_one = prepare(model)  # V has a value, and may be fed another
    np.testing.assert_array_equal(open_one.run([inputs["X"]])["Y"], found["Y"])
    other = open_one.run({"X": inputs["X"], "V": half["V"] + 1})
    np.testing.assert_array_equal(other["whole"][0, :, 2:], half["V"] + 1)
    assert np.abs(other["Y"] - found["Y"]).max() > 0.01

    bad = helper.make_graph([helper.make_node("Concat", ["W", "R"], ["out"], axis=0)], "bad", [], [info("out")])
    good = helper.make_graph([helper.make_node("Neg", ["V"], ["out"])], "good", [], [info("out")])
    fork = helper.make_node("If", ["yes"], ["Y"], then_branch=good, else_branch=bad)
    prepared = prepare(made([fork], [info("yes", [], TensorProto.BOOL)], [info("Y")], half))
    np.testing.assert_array_equal(prepared.run([np.array(True)])["Y"], -half["V"])
    with pytest.raises(ValueError, match="dimensions"):
        prepared.run([np.array(False)])


def test_an_output_without_a_name_is_not_what_is_left_out_later():
    inputs = problem("LSTM")
    nodes = [
        helper.make_node("LSTM", ["X", "W", "R"], ["", "h"], hidden_size=5),
        helper.make_node("LSTM", ["X", "W", "R", "", "", "h"], ["y"], hidden_size=5),
    ]
    stored = {name: inputs[name] for name in ("W", "R")}
    first = prepare(made(nodes[:1], [info("X", [None] * 3)], [info("h")], stored)).run(inputs["X"])[0]
    found = prepare(made(nodes, [info("X", [None] * 3)], [info("y")], stored)).run(inputs["X"])["y"]
    named_inputs = {"X": inputs["X"], "W": inputs["W"], "R": inputs["R"], "initial_h": first}
    wanted = prepare(model_of("LSTM", named_inputs, hidden_size=5)).run(fed(named_inputs))["Y"]
    np.testing.assert_array_equal(found, wanted)


def test_the_standard_interface():
    assert supports_device("CPU")
    assert supports_device("CPU:0")
    assert not supports_device("CUDA")
    inputs = problem("GRU")
    model = model_of("GRU", inputs, hidden_size=5)
    with pytest.raises(ValueError, match="device must be 'CPU', got 'CUDA:1'"):
        prepare(model, "CUDA:1")
    prepared = prepare(model)
    assert prepared.input_names == ["X", "sequence_lens", "initial_h"]
    by_name, in_order = prepared.run(fed(inputs)), prepared.run(list(fed(inputs).values()))
    np.testing.assert_array_equal(by_name.Y, in_order[0])
    np.testing.assert_array_equal(run_model(model, fed(inputs))["Y_h"], by_name["Y_h"])
    node = helper.make_node("GRU", ["x", "w", "r", "b", "", "h"], ["", "last"], hidden_size=5)
    (last,) = run_node(node, [inputs[name] for name in ("X", "W", "R", "B", "initial_h")])
    all_long = {**fed(inputs), "sequence_lens": [6, 6, 6, 6]}
    np.testing.assert_array_equal(last, prepared.run(all_long)["Y_h"])
    assert Backend.is_compatible(model)
    unknown = made([helper.make_node("Cell", ["X"], ["Y"], domain="own")], [info("X")], [info("Y")], {})
    assert not Backend.is_compatible(unknown)
    with pytest.raises(NotImplementedError, match="Cell"):
        prepare(unknown)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": None}, ValueError, "inputs must be X, sequence_lens, initial_h; got sequence_lens, initial_h"),
        ({"Z": np.ones(3)}, ValueError, "inputs must be X, sequence_lens, initial_h; got .*Z"),
        ({"X": np.ones((6, 4, 3))}, TypeError, "input 'X' must have dtype float32, got float64"),
        ({"X": np.ones((6, 4), "f")}, ValueError, r"input 'X' must have shape \(\?, \?, \?\), got \(6, 4\)"),
        ({"X": np.ones((6, 4, 2), "f")}, ValueError, r"GRU 'cell': X must have 3 features.* \(6, 4, 2\)"),
        ({"sequence_lens": np.array([7, 0, 0, 0], "i")}, ValueError, "lengths must be from 0 to 6"),
        ({"sequence_lens": np.array([1, 2], "i")}, ValueError, r"lengths must have shape \(4,\)"),
        ({"initial_h": np.ones((2, 4, 5), "f")}, ValueError, r"initial_h must have shape \(1, 4, 5\), got \(2, 4, 5\)"),
    ],
)
def test_wrong_inputs_are_named(change, error, message):
    inputs = problem("GRU")
    prepared = prepare(model_of("GRU", inputs, hidden_size=5))
    feed = {name: value for name, value in (fed(inputs) | change).items() if value is not None}
    with pytest.raises(error, match=message):
        prepared.run(feed)


def test_empty_batches_and_no_steps():
    for T, B in ((0, 3), (4, 0)):
        inputs = problem("LSTM", T=5, B=3) | {
            "X": np.ones((T, B, 3), "f"),
            "sequence_lens": np.zeros(B, "i"),
            **{name: np.ones((1, B, 5), "f") for name in ("initial_h", "initial_c")},
        }
        found = prepare(model_of("LSTM", inputs, hidden_size=5)).run(fed(inputs))
        assert found["Y"].shape == (T, 1, B, 5)
        assert found["Y_c"].shape == (1, B, 5)
        assert not found["Y_c"].any()
