"""What the tests of ONNX models share: made nodes, ONNX Runtime as the oracle, and layers with random parameters."""

import numpy as np

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OPSETS = {"": 17}


def randomized(layer, seed=0):
    """The layer, with parameters and running statistics of which no two are alike."""
    rng = np.random.default_rng(seed)
    for name in layer.params:
        layer.params[name] = rng.uniform(-0.6, 0.6, layer.params[name].shape)
    for name in layer.buffers:
        layer.buffers[name] = rng.uniform(0.5, 1.5, layer.buffers[name].shape)
    return layer


def problem(op, *, D=1, I=3, H=5, T=6, B=4, seed=0, peephole=False, layout=0, dtype=np.float32):  # noqa: E741
    """Every input of a recurrent node, by its name: random, with lengths that are ragged and 0."""
    rng, G = np.random.default_rng([seed, len(op), D]), GATES[op]

    def draw(*shape):
        return rng.uniform(-0.8, 0.8, shape).astype(dtype)

    found = {"X": draw(T, B, I), "W": draw(D, G * H, I), "R": draw(D, G * H, H), "B": draw(D, 2 * G * H)}
    found["sequence_lens"] = rng.permutation([T, 0, T - 1, 1]).astype(np.int32)[:B]
    found["initial_h"] = draw(D, B, H)
    if op == "LSTM":
        found["initial_c"] = draw(D, B, H)
        if peephole:
            found["P"] = draw(D, 3 * H)
    if layout:
        for name in ("X", "initial_h", "initial_c"):
            if name in found:
                found[name] = np.ascontiguousarray(found[name].swapaxes(0, 1))
    return found


def model_of(op, inputs, stored=("W", "R", "B", "P"), name="cell", opset=17, functions=(), **attributes):
    """A model of one node: what is `stored` is a part of it, the rest is fed."""
    from onnx import helper, numpy_helper

    outputs = ["Y", "Y_h", "Y_c"][: 2 + (op == "LSTM")]
    every = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + ["initial_c", "P"] * (op == "LSTM")
    names = [each if each in inputs else "" for each in every]
    node = helper.make_node(op, names, outputs, name=name, **attributes)
    kinds = {each: helper.np_dtype_to_tensor_dtype(array.dtype) for each, array in inputs.items()}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(n, kinds[n], [None] * a.ndim) for n, a in inputs.items() if n not in stored],
        [helper.make_tensor_value_info(each, kinds["X"], None) for each in outputs],
        [numpy_helper.from_array(inputs[each], each) for each in stored if each in inputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def fed(inputs, stored=("W", "R", "B", "P")):
    """What is fed to `model_of`."""
    return {name: array for name, array in inputs.items() if name not in stored}


def run_theirs(model, feed):
    """What ONNX Runtime gives, by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def largest_difference(found, wanted):
    """Of two mappings of arrays with the same names and shapes."""
    assert list(found) == list(wanted)
    assert [found[name].shape for name in found] == [wanted[name].shape for name in wanted]
    return max(float(np.abs(found[name] - wanted[name]).max(initial=0)) for name in found)
