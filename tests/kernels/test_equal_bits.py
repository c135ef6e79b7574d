"""Equal bits: for any number of threads, and on every instruction set that has a fused multiply-add."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from checks import make_case, parts, ragged, run

import rnnfast as rf
from rnnfast import ops
from rnnfast.kernels import _runtime, _threads

CELLS = [("rnn", {}), ("lstm", {}), ("gru", {}), ("gru", {"reset": "before"})]
cells = pytest.mark.parametrize(("cell", "options"), CELLS, ids=["rnn", "lstm", "gru", "gru_before"])


@pytest.fixture
def always_divided():
    """Every call is divided among the threads, however small it is."""
    before = _threads._set_worth_a_thread(0.0)
    yield
    _threads._set_worth_a_thread(before)


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def recurrent_digest(cell, options, dtype, ragged_batch):
    case = make_case(cell, 9, 11, 6, 21, dtype, **options)
    lengths = ragged(11, 9) if ragged_batch else None
    found = run(ops.forward, ops.backward, case, lengths=lengths, save=True)
    y, state, _ = ops.forward(cell, case.params, case.x, case.state, lengths=lengths, **options)
    return digest([*(found[name] for name in sorted(found)), y, *parts(state)])


@cells
@pytest.mark.parametrize("lengths", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recurrent_layers_on_any_number_of_threads(always_divided, cell, options, dtype, lengths):
    found = set()
    for threads in (1, 2, 3, 7):
        rf.set_num_threads(threads)
        found.add(recurrent_digest(cell, options, dtype, lengths))
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_on_any_number_of_threads(always_divided, dtype):
    rng = np.random.default_rng(0)
    x, weight, bias, dy = (rng.normal(size=shape).astype(dtype) for shape in ((301, 19), (37, 19), 37, (301, 37)))
    found = set()
    for threads in (1, 2, 3, 7):
        rf.set_num_threads(threads)
        found.add(digest([ops.linear(x, weight, bias), *ops.linear_backward(x, weight, dy)]))
    assert len(found) == 1


def test_training_on_any_number_of_threads(always_divided):
    rng = np.random.default_rng(0)
    x, y, lengths = rng.normal(size=(40, 7, 3)), rng.integers(0, 4, 40), rng.integers(1, 8, 40)
    found = set()
    for threads in (1, 2, 3, 7):
        rf.set_num_threads(threads)
        model = rf.Sequential(
            rf.GRU(3, 10, 2, bidirectional=True, dropout=0.3, seed=1), rf.Last(), rf.Linear(20, 4, seed=2)
        )
        how = {"optimizer": rf.Adam(1e-2, clip_norm=0.5), "epochs": 3, "batch_size": 16, "seed": 3, "verbose": False}
        history = model.fit(x, y, lengths=lengths, loss="cross_entropy", **how)
        found.add((digest([model.flat_data]), tuple(history.history["loss"])))
    assert len(found) == 1


@cells
def test_the_workers_are_given_work(always_divided, cell, options):
    rf.set_num_threads(3)
    case = make_case(cell, 4, 6, 5, 33, np.float32, **options)
    before = _threads._divided_calls()
    saved = ops.forward(cell, case.params, case.x, save=True, **options)[2]
    between = _threads._divided_calls()
    ops.backward(saved, case.dy)
    assert between == before + 1  # the time loop
    assert _threads._divided_calls() == between + 3  # the loop, the weights' gradients, the input's
    _threads._set_worth_a_thread(1e12)
    ops.forward(cell, case.params, case.x, **options)
    assert _threads._divided_calls() == between + 3


def all_digests():
    return [
        recurrent_digest(cell, options, dtype, lengths)
        for cell, options in CELLS
        for dtype in (np.float32, np.float64)
        for lengths in (False, True)
    ]


def test_instruction_sets_with_fma_agree():
    wanted = set()
    for name in (name for name in _runtime.available_isas() if name in ("avx512", "avx2", "neon")):
        code = f"import runpy; print(*runpy.run_path({__file__!r}, run_name='digests')['all_digests']())"
        wanted.add(_python(code, name).stdout)
    assert len(wanted) <= 1
    assert all(len(set(digests.split())) == len(CELLS) * 4 for digests in wanted)


@pytest.mark.parametrize("name", _runtime.available_isas())
def test_a_cap_is_kept(name):
    assert _python("from rnnfast.kernels import _runtime; print(_runtime.isa())", name).stdout.strip() == name


def test_an_unknown_cap_is_refused():
    result = _python("import rnnfast; rnnfast.LSTM", "avx3")
    assert result.returncode != 0
    assert "ImportError: RNNFAST_ISA='avx3'" in result.stderr


def _python(code, isa):
    environment = os.environ | {"RNNFAST_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
