"""The recurrent kernels under the layers: one direction, weights packed in the call, against plain NumPy."""

import numpy as np
import pytest

from rnnfast import ops, reference
from rnnfast.cli._cases import Case, make_data
from rnnfast.cli._sections import CELLS


@pytest.mark.parametrize("system", ["rnnfast", "numpy"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", CELLS)
def test_training_pass(race, cell, ragged, system):
    case = Case(cell, "training", 32, 100, 64, 64)
    data, lengths = make_data(case), np.random.default_rng(0).integers(50, 101, 32) if ragged else None

    def run(module, dtype, **save):
        params = {name: value.astype(dtype, copy=False) for name, value in data.direction("_l0").items()}
        y, _, saved = module.forward(case.kind, params, data.x, lengths=lengths, **case.options, **save)
        dx, _, grads = module.backward(saved, data.dy)
        return [y, dx, *(grads[name] for name in params)]

    race(
        f"kernel-{case.name}-{'ragged' if ragged else 'full'}",
        {"rnnfast": lambda: run(ops, np.float32, save=True), "numpy": lambda: run(reference, np.float32)}[system],
        run(reference, np.float64),
    )
