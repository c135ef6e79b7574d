"""Recurrent layers: rnnfast, the NumPy reference, and torch and ONNX Runtime if installed. One group a case.

The short form: pytest bench -m "not full". One cell: -k lstm. One system against the reference: -k "rnnfast or numpy".
"""

import pytest

from rnnfast.cli._cases import Case, make_data
from rnnfast.cli._contestants import enter

SYSTEMS = ("rnnfast", "numpy", "torch", "onnxruntime")  # all of them: rnnfast bench --rivals, which keeps them apart
CELLS, LONG = ("rnn", "lstm", "gru", "gru_before"), ("forward", "training")
SHORT = [
    *(Case(cell, mode, 32, 100, 128, 128) for cell in CELLS for mode in LONG),
    *(Case(cell, "forward", 1, 100, 64, 64) for cell in ("lstm", "gru")),
    *(Case(cell, "step", 1, 1, 64, 64) for cell in CELLS),
]
SHAPES = [
    (1, 100, 32),
    (1, 100, 128),
    (1, 100, 256),
    (1, 100, 512),
    (8, 100, 64),
    (32, 100, 64),
    (32, 100, 256),
    (64, 50, 512),
]
STEPS = [(1, 32), (1, 128), (1, 256), (1, 512), (16, 128)]
FULL = [
    *(Case(cell, mode, B, T, H, H) for cell in CELLS for mode in LONG for B, T, H in [*SHAPES, (128, 28, 128)]),
    *(Case(cell, mode, 32, 100, 20, 50) for cell in CELLS for mode in LONG),
    *(Case(cell, "step", B, 1, H, H) for cell in CELLS for B, H in STEPS),
    *(Case(cell, mode, 32, 100, 128, 128, "float64") for cell in ("lstm", "gru") for mode in LONG),
]
CASES = [
    *(pytest.param(case, id=case.name) for case in SHORT),
    *(pytest.param(case, id=case.name, marks=pytest.mark.full) for case in FULL),
]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("case", CASES)
def test_layer(benchmark, case, system):
    contestant = enter(system, case, make_data(case))
    if contestant is None:
        pytest.skip(f"{system} is not installed or has no such case")
    benchmark.group = case.name
    benchmark.extra_info["operations"] = case.operations
    benchmark(contestant.call)
