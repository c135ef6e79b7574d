"""Parity with ONNX Runtime: records of what its RNN, LSTM and GRU compute in float32, and the comparison with them.

A record is a flat dict of arrays: x, lengths, our parameters under our names, `state_h`, `state_c`, `y`, `final_h`,
`final_c`. The cell and its options stand in `RECORDS` under the record's name.
"""

from collections.abc import Callable
from typing import Any

import checks
import numpy as np

from rnnfast import equations

RECORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_relu": ("rnn", {"activation": "relu"}),
    "rnn_identity": ("rnn", {"activation": "identity"}),
    "rnn_leaky": ("rnn", {"activation": ("leaky_relu", 0.3)}),
    "rnn_elu": ("rnn", {"activation": ("elu", 0.7)}),
    "rnn_softsign_clip": ("rnn", {"activation": "softsign", "clip": 0.4}),
    "lstm_peephole": ("lstm", {"peephole": True}),
    "lstm_coupled": ("lstm", {"coupled": True}),
    "lstm_coupled_peephole": ("lstm", {"coupled": True, "peephole": True}),
    "lstm_clip": ("lstm", {"clip": 0.4}),
    "lstm_peephole_clip": ("lstm", {"peephole": True, "clip": 0.4}),
    "lstm_hard": (
        "lstm",
        {"recurrent_activation": "hard_sigmoid_onnx", "activation": "softsign", "output_activation": "relu"},
    ),
    "gru_before": ("gru", {"reset": "before"}),
    "gru_before_clip": ("gru", {"reset": "before", "clip": 0.3}),
    "gru_after_clip": ("gru", {"reset": "after", "clip": 0.3}),
    "gru_hard": ("gru", {"recurrent_activation": "hard_sigmoid_onnx", "activation": "softsign"}),
}
_THEIRS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "identity": "Affine",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "softsign": "Softsign",
    "hard_sigmoid_onnx": "HardSigmoid",
}
_CONSTANTS = {"Affine": (1.0, 0.0), "HardSigmoid": (0.2, 0.5)}


def make_record(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Run ONNX Runtime on a random problem with ragged lengths, a zero among them."""
    import onnx
    import onnxruntime
    from onnx import helper

    cell, options = RECORDS[name]
    B, T, I, H = 3, 6, 4, 5  # noqa: E741
    rng = np.random.default_rng([seed, sorted(RECORDS).index(name)])

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    shapes = equations.parameter_shapes(cell, I, H, **options)
    params = {key: draw(*shape) for key, shape in shapes.items()}
    record = {**params, "x": draw(B, T, I), "lengths": np.array([6, 0, 3]), "state_h": draw(B, H)}
    if cell == "lstm":
        record["state_c"] = draw(B, H)

    inputs = {
        "X": record["x"].swapaxes(0, 1),
        "W": _in_their_order(cell, options, params["weight_ih"], draw),
        "R": _in_their_order(cell, options, params["weight_hh"], draw),
        "B": _biases(cell, options, params, draw),
        "lengths": record["lengths"].astype(np.int32),
        "h": record["state_h"][None],
    }
    if cell == "lstm":
        inputs["c"] = record["state_c"][None]
        if options.get("peephole"):
            p_i, *p_f, p_o = np.split(params["weight_ch"], 2 if options.get("coupled") else 3)
            inputs["P"] = np.concatenate([p_i, p_o, p_f[0] if p_f else draw(H)])[None]
    outputs = ["y", "final_h", "final_c"][: 3 if cell == "lstm" else 2]
    node = helper.make_node(cell.upper(), list(inputs), outputs, hidden_size=H, **_attributes(cell, options))
    graph = helper.make_graph(
        [node],
        name,
        [
            helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for key, value in inputs.items()
        ],
        [helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, None) for key in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {key: np.ascontiguousarray(value) for key, value in inputs.items()}
    results = dict(zip(outputs, session.run(outputs, feed), strict=True))
    record["y"] = results.pop("y")[:, 0].swapaxes(0, 1)
    return record | {key: value[0] for key, value in results.items()}


def _in_their_order(cell: str, options: dict[str, Any], stacked: np.ndarray, draw: Callable) -> np.ndarray:
    """(1, G*H, ...): LSTM i o f c, GRU z r h. A coupled LSTM has a forget gate there too, which nothing may read."""
    if options.get("coupled"):
        i, g, o = np.split(stacked, 3)
        return np.concatenate([i, o, draw(*i.shape), g])[None]
    blocks = np.split(stacked, checks.GATES[cell])
    order = {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}[cell]
    return np.concatenate([blocks[k] for k in order])[None]


def _biases(cell: str, options: dict[str, Any], params: dict[str, np.ndarray], draw: Callable) -> np.ndarray:
    first = _in_their_order(cell, options, params["bias"], draw)
    second = np.zeros_like(first)
    if "bias_hn" in params:
        second[0, -params["bias_hn"].size :] = params["bias_hn"]
    return np.concatenate([first, second], axis=1)


def _attributes(cell: str, options: dict[str, Any]) -> dict[str, Any]:
    activation = options.get("activation", "tanh")
    gates = options.get("recurrent_activation", "sigmoid")
    chosen = {
        "rnn": [activation],
        "gru": [gates, activation],
        "lstm": [gates, activation, options.get("output_activation", activation)],
    }[cell]
    names, alphas, betas = [], [], []
    for one in chosen:
        name, *constants = (one,) if isinstance(one, str) else one
        names.append(_THEIRS[name])
        constants = constants or _CONSTANTS.get(names[-1], ())
        alphas += constants[:1]
        betas += constants[1:]
    found: dict[str, Any] = {"activations": names}
    if alphas:
        found |= {"activation_alpha": alphas, "activation_beta": betas} if betas else {"activation_alpha": alphas}
    if "clip" in options:
        found["clip"] = options["clip"]
    if options.get("coupled"):
        found["input_forget"] = 1
    if cell == "gru":
        found["linear_before_reset"] = int(options.get("reset", "after") == "after")
    return found


def check_record(name: str, record: dict[str, np.ndarray], run: Callable, tolerance: float = 2e-6) -> None:
    """Compare with what `run(cell, params, x, state, lengths=, **options) -> (y, state)` gives for the record."""
    cell, options = RECORDS[name]
    x = record["x"]
    params = {key: record[key] for key in equations.parameter_shapes(cell, x.shape[2], 5, **options)}
    names = ("h", "c") if cell == "lstm" else ("h",)
    states = tuple(record[f"state_{part}"] for part in names)
    y, final = run(cell, params, x, states if cell == "lstm" else states[0], lengths=record["lengths"], **options)
    assert checks.max_error(y, record["y"]) < tolerance
    ends = record["lengths"] > 0  # ONNX Runtime gives zeros for a sequence without steps, we its initial state
    for part, value in zip(names, checks.parts(final), strict=True):
        assert checks.max_error(value[ends], record[f"final_{part}"][ends]) < tolerance, part
