"""A case as an ONNX model, for the systems that run one."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.cli._cases import Array, Case, Data, regate, two_biases


def states(case: Case) -> list[str]:
    """Names of the states that a model of a step has, without the 0 (before) or 1 (after) that follows."""
    return [] if case.mode != "step" else ["h", "c"] if case.kind == "lstm" else ["h"]


def model(case: Case, data: Data) -> bytes:
    """One operator a layer, time-major: x (T, B, I) and, for a ragged batch, lengths (B,) to y (T, B, D*H).

    A step has T = 1 and takes and gives its states (1, B, H); its output is h1.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    # ONNX stacks gates i o f c and z r h, and keeps two biases in one tensor.
    order = {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}[case.kind]
    T, D = 1 if case.mode == "step" else case.T, 1 + case.bidirectional
    nodes, top, kept = [], "x", states(case)
    constants: dict[str, Array] = {} if kept else {"shape": np.array([0, 0, -1])}
    attributes: dict[str, Any] = {"hidden_size": case.H, "direction": "bidirectional" if D == 2 else "forward"}
    if case.kind == "gru":
        attributes["linear_before_reset"] = int(case.cell == "gru")
    for layer, ends in enumerate(case.stack):
        directions = [data.direction(end) for end in ends]
        biases = [np.concatenate([regate(b, order) for b in two_biases(case, d)]) for d in directions]
        constants[f"W{layer}"] = np.stack([regate(d["weight_ih"], order) for d in directions])
        constants[f"R{layer}"] = np.stack([regate(d["weight_hh"], order) for d in directions])
        constants[f"b{layer}"] = np.stack(biases)
        inputs = [top, f"W{layer}", f"R{layer}", f"b{layer}", "lengths" if case.ragged else ""]
        inputs += [name + "0" for name in kept]
        outputs = ["", *(name + "1" for name in kept)] if kept else [f"Y{layer}"]
        nodes.append(helper.make_node(case.kind.upper(), inputs, outputs, **attributes))
        if not kept:  # (T, D, B, H) to (T, B, D*H)
            top = "y" if layer == case.layers - 1 else f"y{layer}"
            nodes.append(helper.make_node("Transpose", [f"Y{layer}"], [f"Z{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"Z{layer}", "shape"], [top]))

    def value(name: str, shape: list[int], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    given = [value("x", [T, case.B, case.I]), *(value(name + "0", [1, case.B, case.H]) for name in kept)]
    given += [value("lengths", [case.B], TensorProto.INT32)] * case.ragged
    made = [value(name + "1", [1, case.B, case.H]) for name in kept] or [value("y", [T, case.B, case.outputs])]
    tensors = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "layers", given, made, tensors)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(whole)
    return whole.SerializeToString()


def inputs(case: Case, data: Data) -> dict[str, Array]:
    """What a model is fed, without the states."""
    x = data.x[:, :1] if case.mode == "step" else data.x
    fed = {"x": np.ascontiguousarray(x.swapaxes(0, 1))}
    return fed if data.lengths is None else fed | {"lengths": data.lengths.astype(np.int32)}
