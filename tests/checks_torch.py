"""Parity with PyTorch: records of what torch.nn.RNN, LSTM and GRU compute, and the comparison with them.

A record is a flat dict of float64 arrays: cell, activation, layers, directions, x, dy, lengths (stacks only), the
states `state_h`, `state_c`, `final_h` ... (layers * directions, B, H), and PyTorch's parameters and their gradients
under PyTorch's names (`weight_ih_l0_reverse`, `dweight_ih_l0_reverse`).
"""

from collections.abc import Callable
from typing import Any

import checks
import numpy as np

RECORDS = {
    f"{name}_{kind}": (cell, activation, layers, directions)
    for name, cell, activation in (
        ("rnn_tanh", "rnn", "tanh"),
        ("rnn_relu", "rnn", "relu"),
        ("lstm", "lstm", ""),
        ("gru", "gru", ""),
    )
    for kind, layers, directions in (("single", 1, 1), ("stack", 2, 2))
}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def make_record(name: str, seed: int = 0) -> dict[str, Any]:
    """Run PyTorch on a random problem: one layer, or two bidirectional ones over a packed ragged batch."""
    import torch

    cell, activation, layers, directions = RECORDS[name]
    T, B, input_size, H = 7, 4, 3, 5
    rng = np.random.default_rng([seed, sorted(RECORDS).index(name)])
    options = {"nonlinearity": activation} if cell == "rnn" else {}
    module = getattr(torch.nn, cell.upper())(
        input_size, H, layers, batch_first=True, bidirectional=directions == 2, dtype=torch.float64, **options
    )
    record: dict[str, Any] = {"cell": cell, "activation": activation, "layers": layers, "directions": directions}
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            record[key] = rng.uniform(-0.6, 0.6, parameter.shape)
            parameter.copy_(torch.from_numpy(record[key]))

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    state_names = ("h", "c") if cell == "lstm" else ("h",)
    record |= {"x": draw(B, T, input_size), "dy": draw(B, T, directions * H)}
    for part in state_names:
        record[f"state_{part}"] = draw(layers * directions, B, H)
        record[f"dstate_{part}"] = draw(layers * directions, B, H)

    def leaf(key: str) -> Any:
        return torch.tensor(record[key], requires_grad=True)

    x, state = leaf("x"), [leaf(f"state_{part}") for part in state_names]
    inputs = x
    if directions == 2:
        record["lengths"] = np.array([4, 7, 1, 5])
        lengths = torch.from_numpy(record["lengths"])
        inputs = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, final = module(inputs, tuple(state) if cell == "lstm" else state[0])
    if directions == 2:
        y = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)[0]
    finals = final if cell == "lstm" else (final,)
    loss = (y * torch.from_numpy(record["dy"])).sum()
    for part, value in zip(state_names, finals, strict=True):
        record[f"final_{part}"] = value.detach().numpy()
        loss = loss + (value * torch.from_numpy(record[f"dstate_{part}"])).sum()
    loss.backward()

    record |= {"y": y.detach().numpy(), "dx": x.grad.numpy()}
    for part, value in zip(state_names, state, strict=True):
        record[f"initial_{part}"] = value.grad.numpy()
    for key, parameter in module.named_parameters():
        record[f"d{key}"] = parameter.grad.numpy()
    return record


def from_torch(cell: str, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> dict[str, np.ndarray]:
    """Parameters under our names: one bias a gate, but for the GRU's candidate, whose two stay apart."""
    params = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias_ih + bias_hh}
    if cell == "gru":
        H = weight_hh.shape[1]
        params["bias"][2 * H :] = bias_ih[2 * H :]
        params["bias_hn"] = bias_hh[2 * H :]
    return params


def check_record(record: dict[str, Any], forward: Callable, backward: Callable, tolerance: float = 1e-12) -> None:
    """Rebuild the record's network from one-layer, one-direction calls, and compare everything."""
    cell, directions = str(record["cell"]), int(record["directions"])
    options = {"activation": str(record["activation"])} if cell == "rnn" else {}
    suffixes = [f"l{depth}{tail}" for depth in range(int(record["layers"])) for tail in ("", "_reverse")[:directions]]
    state_names = ("h", "c") if cell == "lstm" else ("h",)

    def state_of(name: str, k: int) -> Any:
        arrays = tuple(record[f"{name}_{part}"][k] for part in state_names)
        return arrays if cell == "lstm" else arrays[0]

    def compare(got: Any, wanted: Any, what: str) -> None:
        error = checks.relative_error(got, wanted)
        assert error < tolerance, f"{what} is off by {error:.1e}"

    y, outputs, saved = record["x"], [], []
    for k, suffix in enumerate(suffixes):
        output, final, kept = forward(
            cell,
            from_torch(cell, *(record[f"{name}_{suffix}"] for name in NAMES)),
            y,
            state_of("state", k),
            lengths=record.get("lengths"),
            reverse=k % directions == 1,
            **options,
        )
        outputs.append(output)
        saved.append(kept)
        for got, wanted in zip(checks.parts(final), checks.parts(state_of("final", k)), strict=True):
            compare(got, wanted, f"state {suffix}")
        if len(outputs) == directions:
            y, outputs = np.concatenate(outputs, axis=2), []
    compare(y, record["y"], "y")

    dx = record["dy"]
    for k in reversed(range(len(suffixes))):
        if k % directions == directions - 1:
            dy, dx = np.split(dx, directions, axis=2), 0
        part, initial, grads = backward(saved[k], dy[k % directions], state_of("dstate", k))
        dx = dx + part
        for got, wanted in zip(checks.parts(initial), checks.parts(state_of("initial", k)), strict=True):
            compare(got, wanted, f"dstate {suffixes[k]}")
        theirs = {name: record[f"d{name}_{suffixes[k]}"] for name in NAMES}
        wanted_grads = {name: theirs[name] for name in ("weight_ih", "weight_hh")} | {"bias": theirs["bias_ih"]}
        if cell == "gru":
            wanted_grads["bias_hn"] = theirs["bias_hh"][-record["state_h"].shape[-1] :]
        assert set(grads) == set(wanted_grads)
        for name, wanted in wanted_grads.items():
            compare(grads[name], wanted, f"{name}_{suffixes[k]}")
    compare(dx, record["dx"], "dx")
