"""Equal bits for any number of threads."""

import threading

import numpy as np
import pytest
from checks import digest, make_case, recurrent_digest
from equations_checks import OPTIONS, option_digest

import rnnfast as rf
from rnnfast import ops
from rnnfast.kernels import _threads

CELLS = [("rnn", {}), ("lstm", {}), ("gru", {}), ("gru", {"reset": "before"})]
cells = pytest.mark.parametrize(("cell", "options"), CELLS, ids=["rnn", "lstm", "gru", "gru_before"])


@cells
@pytest.mark.parametrize("lengths", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "size",
    [(9, 11, 6, 21), (5, 1, 3, 70), (2, 67, 40, 9), (4, 17, 5, 131)],
    ids=["rows", "units", "many rows", "rows and units"],
)
def test_recurrent_layers_on_any_number_of_threads(always_divided, cell, options, dtype, lengths, size):
    found = set()
    for threads in (1, 2, 3, 7):
        rf.set_num_threads(threads)
        found.add(recurrent_digest(ops, cell, options, dtype, lengths, size))
    assert len(found) == 1


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("in_reverse", [False, True], ids=["full", "ragged"])
def test_options_on_any_number_of_threads(always_divided, name, in_reverse):
    found = set()
    for threads in (1, 2, 7):
        rf.set_num_threads(threads)
        found.add(option_digest(ops, name, np.float32, in_reverse))
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


@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
def test_directions_side_by_side(always_divided, cls):
    """One row and few units: nothing to divide but the directions."""
    rng = np.random.default_rng(0)
    x, dy, found = rng.normal(size=(1, 9, 3)), rng.normal(size=(1, 9, 10)), set()
    layer = cls(3, 5, 2, bidirectional=True, seed=1)
    for threads in (1, 2, 3):
        rf.set_num_threads(threads)
        before = _threads._divided_calls()
        layer.zero_grad()
        (y, state), backward = layer.forward(x)
        dx, dstate = backward(dy, state)
        divided = _threads._divided_calls() - before
        assert divided >= 4 if threads > 1 else divided == 0  # forward and backward of two layers
        found.add(digest([y, dx, *state, *dstate, *layer.grads.values()]))
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
        norm = ops.sum_of_squares(model.flat_grad)
        assert norm > 0
        assert history.history["loss"][-1] < history.history["loss"][0]
        found.add((digest([model.flat_data, model.flat_grad]), tuple(history.history["loss"]), norm))
    assert len(found) == 1


@cells
def test_units_are_divided_unless_another_thread_has_the_pool(always_divided, cell, options):
    """Slices of the units wait for each other, so each needs a thread of its own; who finds none runs alone."""
    rf.set_num_threads(2)
    case = make_case(cell, 40, 1, 5, 70, np.float32, **options)
    before = _threads._divided_calls()
    wanted = digest([ops.forward(cell, case.params, case.x, **options)[0]])
    assert _threads._divided_calls() == before + 1  # one row: so by units

    def work(index):
        for _ in range(30):
            y, _, saved = ops.forward(cell, case.params, case.x, save=True, **options)
            found.append(digest([y]))
            gradients.append(digest([ops.backward(saved, case.dy)[0]]))

    found, gradients = [], []
    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(found) == {wanted}
    assert len(found) == 120
    assert len(set(gradients)) == 1


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
