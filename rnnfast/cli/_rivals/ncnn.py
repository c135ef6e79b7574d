"""ncnn, float32 inference of one sequence: it has no batches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, regate
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A network of one layer, written as ncnn's two files and loaded."""
    if case.mode == "training" or case.dtype != "float32" or case.B != 1 or not case.plain or case.cell == "gru_before":
        return None
    import ncnn

    has_c, step = case.kind == "lstm", case.mode == "step"
    kept = ["h", "c"][: 1 + has_c] if step else []
    inputs, outputs = ["x", *(name + "0" for name in kept)], ["y", *(name + "1" for name in kept)]
    size = ops.GATES[case.kind] * case.H * case.I
    lines = [f"Input {name} 0 1 {name}" for name in inputs]
    lines.append(
        f"{case.kind.upper()} layer {len(inputs)} {len(outputs)} {' '.join(inputs + outputs)} 0={case.H} 1={size} 2=0"
    )
    text = f"7767517\n{len(lines)} {len(inputs + outputs)}\n" + "\n".join(lines) + "\n"
    net = ncnn.Net()
    net.opt.num_threads = get_num_threads()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    with tempfile.TemporaryDirectory() as folder:
        structure, weights = Path(folder, "layer.param"), Path(folder, "layer.bin")
        structure.write_text(text)
        # Each array after a tag of four bytes: 0, float32.
        weights.write_bytes(b"".join(bytes(4) + a.astype(np.float32).tobytes() for a in _arrays(case, data)))
        if net.load_param(str(structure)) or net.load_model(str(weights)):
            raise RuntimeError("ncnn cannot load the layer")
    values = np.ascontiguousarray(data.x[0, :1] if step else data.x[0])
    zero = np.zeros((1, case.H), np.float32)  # a Mat does not keep the array that it looks at
    x = ncnn.Mat(values)
    state = [ncnn.Mat(zero).clone() for _ in kept]

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("x", x)
        for name, value in zip(kept, state, strict=True):
            extractor.input(name + "0", value)
        for index, name in reversed(list(enumerate(kept))):
            state[index] = extractor.extract(name + "1")[1]
        return values, state[0] if step else extractor.extract("y")[1]

    def result() -> dict[str, Array]:
        y = [run() for _ in range(CHECKED_STEPS if step else 1)][-1][1]
        return {"y": np.array(y).reshape(1, -1, case.H)}

    return Contestant(run, result)


def _arrays(case: Case, data: Data) -> list[Array]:
    direction = data.direction("_l0")
    # ncnn stacks i f o g; its GRU has a bias each for r and z, and two for n.
    order = {"rnn": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}[case.kind]
    weight_ih, bias, weight_hh = (regate(direction[name], order) for name in ("weight_ih", "bias", "weight_hh"))
    return [weight_ih, np.concatenate([bias, direction["bias_hn"]]) if case.kind == "gru" else bias, weight_hh]
