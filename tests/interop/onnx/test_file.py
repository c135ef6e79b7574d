"""Files that are damaged or mean harm end in an error that says so."""

import contextlib
import os

import numpy as np
import pytest
from onnx_model_checks import fed, model_of, problem

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rnnfast.interop.onnx import layers_of, prepare  # noqa: E402


def refused(model, message):
    for use in (layers_of, prepare):
        with pytest.raises(ValueError, match=message):
            use(model)


def test_a_file_bytes_and_a_proto_are_the_same(tmp_path):
    inputs = problem("GRU")
    model = model_of("GRU", inputs)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    before = model.SerializeToString()
    found = [prepare(each).run(fed(inputs))["Y"] for each in (model, path, str(path), path.read_bytes())]
    assert all(np.array_equal(found[0], each) for each in found)
    assert model.SerializeToString() == before
    assert layers_of(path)["cell"].num_params == 150
    with pytest.raises(TypeError, match=r"model must be a path, bytes or an onnx.ModelProto, got int"):
        prepare(3)
    with pytest.raises(FileNotFoundError):
        layers_of(tmp_path / "none.onnx")


def test_what_is_no_model_or_not_a_whole_one():
    whole = model_of("LSTM", problem("LSTM")).SerializeToString()
    for content in (
        b"PK\x03\x04 a zip file of something",
        b"\x80\x04\x95 a pickle",
        b"",
        b"{}",
        os.urandom(200) + b"\0",
    ):
        refused(content, "no ONNX model|no valid ONNX model")
    for end in range(1, len(whole), 211):
        refused(whole[:end], "no ONNX model|no valid ONNX model|cannot be (read|run)|is missing from")


def test_flipped_bits_never_do_more_than_raise():
    rng, inputs = np.random.default_rng(0), problem("GRU")
    whole = model_of("GRU", inputs).SerializeToString()
    raised = 0
    for _ in range(60):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 3):
            content[at] ^= 1 << rng.integers(8)
        for use in (layers_of, lambda m: prepare(m).run(fed(inputs))):
            with contextlib.suppress(ValueError, TypeError, NotImplementedError, RuntimeError):
                use(bytes(content))
                raised -= 1
            raised += 1
    assert 20 < raised < 120


def with_weights(change):
    """A model whose W `change` has damaged."""
    model = model_of("GRU", problem("GRU"))
    change(next(tensor for tensor in model.graph.initializer if tensor.name == "W"))
    return model


def test_sizes_that_the_data_do_not_have():
    def huge(tensor):
        tensor.dims[:] = [1, 1 << 40, 1 << 20]

    def huge_without_data(tensor):
        huge(tensor)
        tensor.ClearField("raw_data")

    def negative(tensor):
        tensor.dims[:] = [1, -15, 3]

    for change in (huge, huge_without_data, negative):
        refused(with_weights(change), r"no valid ONNX model|tensor 'W' of shape .* cannot be read|cannot be run")


def test_weights_that_are_not_there_and_graphs_that_go_round():
    model = model_of("GRU", problem("GRU"))
    del model.graph.initializer[:]
    refused(model, r"no valid ONNX model: .*W")
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    info = helper.make_tensor_value_info
    round_trip = helper.make_graph(nodes, "round", [], [info("a", 1, [1])])
    refused(helper.make_model(round_trip, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "no valid ONNX")

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = helper.make_node("Cell", ["x"], ["y"], domain="own")
    function = helper.make_function("own", "Cell", ["x"], ["y"], [inner], opsets)
    call = helper.make_node("Cell", ["X"], ["Y"], domain="own")
    graph = helper.make_graph([call], "calls itself", [info("X", 1, [1])], [info("Y", 1, [1])])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[function])
    with pytest.raises(ValueError, match=r"'Cell' calls itself|no valid ONNX"):
        layers_of(model)
    with pytest.raises((ValueError, NotImplementedError), match="Cell"):
        prepare(model)


def test_weights_that_are_doubled_without_end():
    doubles = [helper.make_node("Concat", [f"w{i}", f"w{i}"], [f"w{i + 1}"], axis=0) for i in range(60)]
    info = helper.make_tensor_value_info
    node = helper.make_node("GRU", ["X", "w60", "R"], ["Y"], hidden_size=5)
    stored = [numpy_helper.from_array(np.ones((1, 15, n), "f"), name) for name, n in (("w0", 3), ("R", 5))]
    graph = helper.make_graph([*doubles, node], "doubles", [info("X", 1, [None] * 3)], [info("Y", 1, None)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ValueError, match="put together from more numbers than it holds"):
        layers_of(model)


def beside(tmp_path, **told):
    """A model in a folder, whose W says where its data lie."""
    inputs = problem("GRU")
    model = model_of("GRU", inputs)
    tensor = next(each for each in model.graph.initializer if each.name == "W")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for name, value in told.items():
        tensor.external_data.add(key=name, value=value)
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "w.bin").write_bytes(b"12345678" + inputs["W"].tobytes())
    (tmp_path / "secret.bin").write_bytes(bytes(200))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx", model, inputs


def test_data_in_other_files(tmp_path):
    path, model, inputs = beside(tmp_path, location="w.bin", offset="8")
    np.testing.assert_array_equal(layers_of(path)["cell"].params["weight_ih_l0"][10:], inputs["W"][0, 10:])
    wanted = prepare(model_of("GRU", inputs)).run(fed(inputs))["Y"]
    np.testing.assert_array_equal(prepare(path).run(fed(inputs))["Y"], wanted)
    refused(model, "tensor 'W' lies in another file: give the path")
    refused(
        beside(tmp_path, location="w.bin", offset="8", length="100")[0], "too small for the declared shape|cannot be r"
    )
    refused(beside(tmp_path, location="w.bin", offset="1000000")[0], "reach beyond the end of 'w.bin'")
    refused(beside(tmp_path, location="w.bin", length=str(1 << 50))[0], "reach beyond the end of 'w.bin'")
    refused(beside(tmp_path, location="w.bin", offset="-8")[0], "reach beyond the end of 'w.bin'")
    refused(beside(tmp_path, location="w.bin", offset="all")[0], "must be numbers")
    refused(beside(tmp_path, location="v.bin")[0], "'v.bin', which is not beside the model")


def test_data_outside_the_folder_are_not_read(tmp_path):
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "", ".", "/dev/zero", "sub/../../secret.bin"):
        refused(beside(tmp_path, location=location)[0], "outside the model's folder")
    path, *_ = beside(tmp_path, location="link.bin")
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    refused(path, "outside the model's folder")


def test_the_long_name_of_the_standard_domain():
    inputs = problem("GRU")
    model = model_of("GRU", inputs, clip=0.3)
    wanted = prepare(model).run(fed(inputs))["Y"]
    model.graph.node[0].domain = model.opset_import[0].domain = "ai.onnx"
    np.testing.assert_array_equal(prepare(model).run(fed(inputs))["Y"], wanted)
    assert list(layers_of(model)) == ["cell"]


def test_an_element_type_that_nobody_knows():
    for number in (0, 65):
        model = model_of("GRU", problem("GRU"))
        model.graph.input[0].type.tensor_type.elem_type = number
        with pytest.raises(ValueError, match=f"unknown element type, {number}|no valid ONNX model"):
            prepare(model)


def test_no_shape_is_asked_of_what_goes_in_and_out():
    inputs = problem("RNN")
    model = model_of("RNN", inputs)
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.ClearField("shape")
    np.testing.assert_array_equal(
        prepare(model).run(fed(inputs))["Y"], prepare(model_of("RNN", inputs)).run(fed(inputs))["Y"]
    )
