"""OpenVINO's CPU plugin, float32 inference (its default on some machines is bfloat16), from the ONNX model."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Case, Contestant, Data
from rnnfast.cli._rivals import _onnx
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A request on arrays shared with it; a step goes from one set of states to the other and back."""
    if case.mode == "training" or case.dtype != "float32":
        return None
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": get_num_threads()}
    settings |= {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(_onnx.model(case, data)), "CPU", settings)
    fed = _onnx.inputs(case, data)
    held = [fed]  # a shared tensor does not keep its array

    def request(tensors: dict[str, Any]) -> Any:
        made = compiled.create_infer_request()
        held.append(tensors)
        for name, array in tensors.items():
            made.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return made

    if case.mode == "forward":
        y = np.zeros((case.T, case.B, case.outputs), np.float32)
        whole = request(fed | {"y": y})

        def forward() -> Any:
            whole.infer(share_outputs=True)
            return held, y

        return Contestant(forward, lambda: {"y": forward()[1].swapaxes(0, 1)})
    kept = _onnx.states(case)
    pair = [{name: np.zeros((1, case.B, case.H), np.float32) for name in kept} for _ in range(2)]
    ways = [
        (request(fed | {n + "0": a[n] for n in kept} | {n + "1": b[n] for n in kept}), b["h"])
        for a, b in (pair, reversed(pair))
    ]
    turns = itertools.cycle(ways)

    def step() -> Any:
        one, h = next(turns)
        one.infer(share_outputs=True)
        return held, h

    return Contestant(step, lambda: {"y": [step() for _ in range(CHECKED_STEPS)][-1][1].swapaxes(0, 1)})
