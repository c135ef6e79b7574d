"""ONNX Runtime, float32 inference; inputs and outputs are bound once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Case, Contestant, Data
from rnnfast.cli._rivals import _onnx
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A session of the ONNX model; a step goes from one set of states to the other and back."""
    if case.mode == "training" or case.dtype != "float32":
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = get_num_threads(), 1
    session = onnxruntime.InferenceSession(_onnx.model(case, data), options, providers=["CPUExecutionProvider"])
    fed = {k: onnxruntime.OrtValue.ortvalue_from_numpy(v) for k, v in _onnx.inputs(case, data).items()}

    def buffer(*shape: int) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))

    def bind(given: dict[str, Any], made: dict[str, Any]) -> Any:
        binding = session.io_binding()
        for name, value in given.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in made.items():
            binding.bind_ortvalue_output(name, value)
        return binding

    if case.mode == "forward":
        y = buffer(case.T, case.B, case.outputs)
        binding = bind(fed, {"y": y})

        def forward() -> Any:
            session.run_with_iobinding(binding)
            return y

        return Contestant(forward, lambda: {"y": forward().numpy().swapaxes(0, 1)})
    kept = _onnx.states(case)
    pair = [{name: buffer(1, case.B, case.H) for name in kept} for _ in range(2)]
    ways = [
        (bind(fed | {n + "0": a[n] for n in kept}, {n + "1": b[n] for n in kept}), b["h"])
        for a, b in (pair, reversed(pair))
    ]
    turns = itertools.cycle(ways)

    def step() -> Any:
        binding, h = next(turns)
        session.run_with_iobinding(binding)
        return h

    return Contestant(step, lambda: {"y": [step() for _ in range(CHECKED_STEPS)][-1].numpy().swapaxes(0, 1)})
