"""The same recurrent layer in rnnfast, in plain NumPy and in the rivals that are installed, ready to be timed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast import layers, ops, reference
from rnnfast.kernels._threads import get_num_threads, set_num_threads

Array = np.ndarray
Call = Callable[[], Any]

CELLS = ("rnn", "lstm", "gru", "gru_before")
MODES = ("forward", "training", "step")


class Case(NamedTuple):
    """One row of a table.

    cell is one of CELLS ("gru_before": the reset gate before the product), mode one of MODES ("training" is forward,
    backward to everything, and the packing of weights that have changed), B, T, I, H as in the equations.
    """

    cell: str
    mode: str
    B: int
    T: int
    I: int  # noqa: E741 - as in the equations
    H: int
    dtype: str = "float32"

    @property
    def kind(self) -> str:
        """The cell without its variant."""
        return self.cell.partition("_")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The variant."""
        return {"reset": "before"} if self.cell == "gru_before" else {}

    @property
    def operations(self) -> float:
        """Floating-point operations of the matrix products of one call."""
        forward = 2.0 * self.B * self.T * ops.GATES[self.kind] * self.H * (self.I + self.H)
        return 3 * forward if self.mode == "training" else forward

    @property
    def name(self) -> str:
        """The case in one word."""
        return f"{self.mode}-{self.cell}-B{self.B}-T{self.T}-I{self.I}-H{self.H}" + (
            "-float64" if self.dtype == "float64" else ""
        )


class Data(NamedTuple):
    """Weights and input of a case, and the gradient of y."""

    params: dict[str, Array]
    x: Array
    dy: Array


class Contestant(NamedTuple):
    """What to time, and what the timed call computes, to be compared before: y, for training dx and gradients too.

    A stream's result is that of its first step, from the state zero.
    """

    call: Call
    result: Callable[[], dict[str, Array]]


def make_data(case: Case, seed: int = 0) -> Data:
    """Random data of a case."""
    rng, G, H, I = np.random.default_rng(seed), ops.GATES[case.kind], case.H, case.I  # noqa: E741
    params = {
        "weight_ih": rng.normal(size=(G * H, I)) / np.sqrt(I),
        "weight_hh": rng.normal(size=(G * H, H)) / np.sqrt(H),
        "bias": rng.normal(size=G * H) / 4,
    }
    if case.cell == "gru":
        params["bias_hn"] = rng.normal(size=H) / 4
    x, dy = rng.normal(size=(case.B, case.T, I)), rng.normal(size=(case.B, case.T, H))
    return Data({k: v.astype(case.dtype) for k, v in params.items()}, x.astype(case.dtype), dy.astype(case.dtype))


def rnnfast(case: Case, data: Data) -> Contestant:
    """The layer, by its public interface."""
    kind = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}[case.kind]
    layer = kind(case.I, case.H, dtype=case.dtype, **case.options)
    for name, value in data.params.items():
        layer.params[f"{name}_l0"] = value
    if case.mode == "step":
        stream, x = layer.stream(case.B), np.ascontiguousarray(data.x[:, 0])
        return Contestant(lambda: stream(x), lambda: {"y": layer.stream(case.B)(x)[:, None]})
    if case.mode == "forward":
        return Contestant(lambda: layer(data.x), lambda: {"y": layer(data.x)[0]})

    def train() -> tuple[Array, Array]:
        layer.params["weight_hh_l0"] = data.params["weight_hh"]  # weights that change are packed again
        layer.zero_grad()
        (y, _), backward = layer.forward(data.x)
        return y, backward(data.dy)[0]

    def trained() -> dict[str, Array]:
        y, dx = train()
        return {"y": y, "dx": dx} | {name: layer.grads[f"{name}_l0"] for name in data.params}

    return Contestant(train, trained)


def numpy(case: Case, data: Data) -> Contestant:
    """The NumPy reference."""
    x = data.x[:, :1] if case.mode == "step" else data.x
    state: list[Any] = [None]

    def forward() -> None:
        after = reference.forward(case.kind, data.params, x, state[0], **case.options)[1]
        if case.mode == "step":
            state[0] = after

    def train() -> dict[str, Array]:
        return _reference(case, data)

    return Contestant(train if case.mode == "training" else forward, lambda: _reference(case, data))


def torch(case: Case, data: Data) -> Contestant | None:
    """torch.nn; it has no GRU with the reset before the product."""
    if case.cell == "gru_before" or importlib.util.find_spec("torch") is None:
        return None
    import torch

    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[case.kind]
    module = kind(case.I, case.H, batch_first=True).to(getattr(torch, case.dtype))
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(data.params["weight_ih"]))
        module.weight_hh_l0.copy_(torch.from_numpy(data.params["weight_hh"]))
        module.bias_ih_l0.copy_(torch.from_numpy(data.params["bias"]))
        module.bias_hh_l0.zero_()
        if case.cell == "gru":
            module.bias_hh_l0[2 * case.H :] = torch.from_numpy(data.params["bias_hn"])
    x, dy = torch.from_numpy(data.x[:, :1] if case.mode == "step" else data.x), torch.from_numpy(data.dy)
    state: list[Any] = [None]
    if case.mode == "training":
        x = x.clone().requires_grad_()
        wanted = [x, *module.parameters()]

        def train() -> Any:
            y = module(x)[0]
            return y, torch.autograd.grad(y, wanted, dy)

        def trained() -> dict[str, Array]:
            y, (dx, dW, dR, db, db_hh) = train()
            found = {"y": y.detach(), "dx": dx, "weight_ih": dW, "weight_hh": dR, "bias": db}
            if case.cell == "gru":
                found["bias_hn"] = db_hh[2 * case.H :]
            return {name: tensor.numpy() for name, tensor in found.items()}

        return Contestant(train, trained)

    def forward() -> None:
        with torch.inference_mode():
            after = module(x, state[0])[1]
            if case.mode == "step":
                state[0] = after

    def first() -> dict[str, Array]:
        with torch.inference_mode():
            return {"y": module(x)[0].numpy()}

    return Contestant(forward, first)


def onnxruntime(case: Case, data: Data) -> Contestant | None:
    """ONNX Runtime's operator, inference in float32; the `onnx` package makes the model."""
    if case.mode == "training" or case.dtype != "float32":
        return None
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        return None
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    # ONNX stacks gates i o f c and z r h, and keeps two biases in one tensor.
    H, order = case.H, {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}[case.kind]

    def gates(array: Array) -> Array:
        return np.concatenate([array[g * H : (g + 1) * H] for g in order])[None]

    second = np.zeros_like(data.params["bias"])
    if case.cell == "gru":
        second[2 * H :] = data.params["bias_hn"]
    bias = np.concatenate([gates(data.params["bias"]), gates(second)], axis=1)
    weights = {"W": gates(data.params["weight_ih"]), "R": gates(data.params["weight_hh"]), "b": bias}
    states = ["h0", "c0"] if case.kind == "lstm" else ["h0"]
    outputs = ["y", "hn", "cn"] if case.kind == "lstm" else ["y", "hn"]
    T = 1 if case.mode == "step" else case.T
    attributes = {"linear_before_reset": int(case.cell == "gru")} if case.kind == "gru" else {}
    node = helper.make_node(case.kind.upper(), ["x", "W", "R", "b", "", *states], outputs, hidden_size=H, **attributes)

    def value(name: str, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        "layer",
        [value("x", [T, case.B, case.I]), *(value(name, [1, case.B, H]) for name in states)],
        [value("y", [T, 1, case.B, H]), *(value(name, [1, case.B, H]) for name in outputs[1:])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = get_num_threads(), 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": np.ascontiguousarray(data.x[:, :T].transpose(1, 0, 2))}
    zero = {name: np.zeros((1, case.B, H), np.float32) for name in states}
    feed |= zero

    def forward() -> None:
        after = session.run(None, feed)
        if case.mode == "step":
            feed.update(zip(states, after[1:], strict=True))

    return Contestant(forward, lambda: {"y": session.run(None, feed | zero)[0][:, 0].transpose(1, 0, 2)})


CONTESTANTS: dict[str, Callable[[Case, Data], Contestant | None]] = {
    "rnnfast": rnnfast,
    "numpy": numpy,
    "torch": torch,
    "onnxruntime": onnxruntime,
}
"""Each makes a contestant of a case, or None where it is not installed or has no such cell."""


def use_threads(count: int) -> None:
    """Give every contestant so many threads. NumPy's BLAS must be told before it is loaded: `rnnfast.cli.bench` does.

    Parameters
    ----------
    count : int
    """
    set_num_threads(count)
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(count)


def enter(name: str, case: Case, data: Data) -> Contestant | None:
    """Make a contestant and compare what it computes with the float64 reference.

    Parameters
    ----------
    name : str
        One of CONTESTANTS.
    case : Case
    data : Data
        Of this case.

    Returns
    -------
    Contestant or None
        None where it is not installed or has no such cell.

    Raises
    ------
    ArithmeticError
        When it computes something else: the largest error of an array is more than 1e-4 (float32) or 1e-9 (float64)
        of its largest element, or of 1.
    """
    made = CONTESTANTS[name](case, data)
    if made is None:
        return None
    exact = Data(
        {key: value.astype(np.float64) for key, value in data.params.items()},
        data.x.astype(np.float64),
        data.dy.astype(np.float64),
    )
    expected, found = _reference(case, exact), made.result()
    if found.keys() != expected.keys():
        raise ArithmeticError(f"{name} computes {', '.join(found)} of {case.name}, wanted {', '.join(expected)}")
    for array, wanted in expected.items():
        error = float(np.abs(found[array] - wanted).max() / max(1.0, np.abs(wanted).max()))
        if not error < (1e-4 if case.dtype == "float32" else 1e-9):  # NaN fails too
            raise ArithmeticError(f"{name} computes {array} of {case.name} with an error of {error:.1e}")
    return made


def _reference(case: Case, data: Data) -> dict[str, Array]:
    """What a contestant's result is compared with, in the data's dtype."""
    x = data.x[:, :1] if case.mode == "step" else data.x
    y, _, saved = reference.forward(case.kind, data.params, x, **case.options)
    if case.mode != "training":
        return {"y": y}
    dx, _, grads = reference.backward(saved, data.dy)
    return {"y": y, "dx": dx, **grads}
