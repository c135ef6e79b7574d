import subprocess
import sys

import numpy as np
import pytest
from checks import SANITIZED, relative_error
from layer_checks import flatten, randomise

from rnnfast.layers import GRU, LSTM, RNN, ActivityRegularizer, Embedding, Last, Linear
from rnnfast.models import Graph, Sequential
from rnnfast.training import MSE, SGD, CrossEntropy
from rnnfast.training._examples import Batch
from rnnfast.training.evaluate import Means
from rnnfast.training.run import Rules, Run
from rnnfast.training.truncated import truncation, windows

LENGTHS = np.array([11, 0, 4])


@pytest.mark.parametrize("steps", [0, 1, 7, 12])
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (3, 3), (3, 5), (2, 100), (5, 3), (4, 2), (100, 100), (100, 3)])
def test_every_step_counts_once_and_gradients_flow_through_k2(steps, k1, k2):
    found = windows(steps, k1, k2)
    counted = [t for each in found for t in range(each.counted, each.stop)]
    assert counted == list(range(steps))
    assert all(each.stop - each.start <= max(k2, each.stop - each.counted) for each in found)
    assert [each.start for each in found] == sorted(each.start for each in found)
    updates = [each.stop for each in found if each.update]
    assert updates == [min(first + k1, steps) for first in range(0, steps, k1)]
    if k2 >= k1:
        assert all(each.stop - each.start == min(k2, each.stop) for each in found)


def test_truncation_is_one_number_or_two():
    assert truncation(None) is None
    assert truncation(5) == (5, 5)
    assert truncation((3, 7)) == (3, 7)
    with pytest.raises(ValueError, match="tbptt must be a number of steps"):
        truncation((1, 2, 3))
    with pytest.raises(ValueError, match="tbptt must be at least 1"):
        truncation(0)


def tagger(kind=LSTM):
    return randomise(
        Sequential(Embedding(7, 3, dtype="float64"), kind(3, 5, 2, dtype="float64"), Linear(5, 4, dtype="float64"))
    )


def data(B=3, T=11):
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, (B, T)), rng.integers(0, 4, (B, T))


def gradients(model, batch, **rules):
    """The sum of the gradients of the summed loss over all updates, which leave the parameters; and the run."""
    run = Run(model, SGD(0.0), Rules(CrossEntropy(), **rules), Means({}), np.random.default_rng(0))
    total, counts, seen = np.zeros(model.num_params), [0], run.means._gathered["loss"]

    def after():
        nonlocal total
        total = total + model.flat_grad * (seen.count - counts[-1])
        counts.append(seen.count)

    run.train(batch, after)
    return total, counts[1:], run


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("k", [(3, 11), (4, 50), (11, 11), (1, 11)])
def test_windows_that_reach_the_beginning_add_up_to_the_whole_gradient(kind, lengths, k):
    model, (x, y) = tagger(kind), data()
    batch = Batch(x, y, lengths, None, 3)
    whole, [count], _ = gradients(model, batch)
    parts, counts, run = gradients(model, batch, tbptt=k)
    assert counts[-1] == count == (33 if lengths is None else 15)
    assert relative_error(parts, whole) < 1e-12
    assert run.means.loss == pytest.approx(gradients(model, batch)[2].means.loss, rel=1e-12)


@pytest.mark.parametrize("k", [(3, 3), (3, 5), (2, 7), (5, 2), (4, 3)])
def test_gradients_flow_through_k2_steps_alone(k):
    """Against the definition: for each group of k1 steps, the state k2 steps before its end is a constant."""
    model, (x, y) = tagger(), data()
    parts, _, _ = gradients(model, Batch(x, y, LENGTHS, None, 3), tbptt=k)
    wanted = np.zeros(model.num_params)
    for window in windows(11, *k):
        _, state = model.run(x[:, : window.start], lengths=np.minimum(LENGTHS, window.start))
        left = np.clip(LENGTHS - window.start, 0, window.stop - window.start)
        (logits, _), backward = model.forward(x[:, window.start : window.stop], state, lengths=left)
        mask = np.arange(window.start, window.stop) < LENGTHS[:, None]
        mask[:, : window.counted - window.start] = False
        model.zero_grad()
        backward(CrossEntropy()(logits, y[:, window.start : window.stop], mask)[2])
        wanted += model.flat_grad
    assert relative_error(parts, wanted) < 1e-12
    whole, _, _ = gradients(model, Batch(x, y, LENGTHS, None, 3))
    assert relative_error(parts, whole) > 1e-3


@pytest.mark.parametrize("k", [None, (4, 4), (3, 6), (5, 2)])
def test_the_state_is_carried_on(k):
    model, (x, y) = tagger(), data()
    _, _, run = gradients(model, Batch(x, y, LENGTHS, None, 3), tbptt=k, stateful=True)
    _, wanted = model.run(x, lengths=LENGTHS)
    for a, b in zip(flatten(run.state), flatten(wanted), strict=True):
        assert np.array_equal(a, b)
    run.train(Batch(x[:, :2], y[:, :2], None, None, 3), lambda: None)
    _, wanted = model.run(x[:, :2], wanted)
    for a, b in zip(flatten(run.state), flatten(wanted), strict=True):
        assert np.array_equal(a, b)


def test_accumulated_batches_give_the_gradient_of_their_common_mean():
    (x, y), (embedding, recurrent, output) = data(), tagger().layers
    penalty = ActivityRegularizer(alpha=0.1, beta=0.2)
    model = Sequential(embedding, recurrent, penalty, output)
    lengths = np.array([11, 3, 4])
    run = Run(model, SGD(0.0), Rules(CrossEntropy(), accumulate=3), Means({}), np.random.default_rng(0))
    updates = []
    for row in range(3):
        part = slice(row, row + 1)
        run.train(Batch(x[part], y[part], lengths[part], None, 1), lambda: updates.append(model.flat_grad.copy()))
    # A penalty is a mean over the numbers of its batch, and batches weigh what they count.
    wanted, loss = np.zeros(model.num_params), 0.0
    for row in range(3):
        part = slice(row, row + 1)
        one = Run(model, SGD(0.0), Rules(CrossEntropy()), Means({}), np.random.default_rng(0))
        one.train(Batch(x[part], y[part], lengths[part], None, 1), lambda: None)
        wanted += model.flat_grad * lengths[row] / 18
        loss += one.means.loss * lengths[row] / 18
    assert len(updates) == run.step == 1
    assert relative_error(updates[0], wanted) < 1e-12
    assert run.means.loss == pytest.approx(loss, rel=1e-12)
    whole = Run(model, SGD(0.0), Rules(CrossEntropy()), Means({}), np.random.default_rng(0))
    penalty.alpha = penalty.beta = 0.0
    whole.train(Batch(x, y, lengths, None, 3), lambda: None)
    assert relative_error(updates[0], model.flat_grad) > 1e-6


def test_fit_makes_the_step_of_batches_that_wait_at_the_epochs_end():
    x, y = data(B=5)
    optimizer = SGD(0.1)
    tagger().fit(x, y, loss="cross_entropy", optimizer=optimizer, batch_size=1, accumulate=3, seed=0, verbose=False)
    assert optimizer.steps == 2


def test_fit_truncates_and_carries():
    x, y = data(B=4, T=30)
    optimizer = SGD(0.1)
    model = tagger()
    history = model.fit(
        x, y, loss="cross_entropy", optimizer=optimizer, batch_size=2, tbptt=(10, 15), seed=0, verbose=False
    )
    assert optimizer.steps == 6
    assert np.isfinite(history.history["loss"][0])
    # Chunks of one array, batch by batch, are the same as chunks that come one by one.
    one, other = tagger(), tagger()
    one.fit(x, y, loss="cross_entropy", optimizer=SGD(0.1), batch_size=4, tbptt=10, shuffle=False, verbose=False)
    chunks = [(x[:, at : at + 10], y[:, at : at + 10]) for at in (0, 10, 20)]
    other.fit(iter(chunks), loss="cross_entropy", optimizer=SGD(0.1), stateful=True, verbose=False)
    assert np.array_equal(one.flat_data, other.flat_data)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (
            lambda: Sequential(Embedding(7, 3), LSTM(3, 4, bidirectional=True), Linear(8, 4)),
            {"tbptt": 3},
            "tbptt carries",
        ),
        (lambda: Sequential(Embedding(7, 3), LSTM(3, 4), Last(), Linear(4, 4)), {"tbptt": 3}, "output.* at every step"),
        (lambda: Sequential(Embedding(7, 3), LSTM(3, 4), Last(), Linear(4, 4)), {"stateful": True}, "stateful carries"),
        (lambda: Sequential(Embedding(7, 4)), {"tbptt": 3, "stateful": True}, "tbptt.*has none|stateful"),
        (tagger, {"stateful": True, "shuffle": True}, "stateful needs shuffle=False"),
        (tagger, {"tbptt": 0}, "tbptt must be at least 1"),
        (tagger, {"accumulate": 0}, "accumulate must be at least 1"),
    ],
)
def test_what_cannot_be_carried_is_refused(model, arguments, message):
    x, y = data()
    with pytest.raises(ValueError, match=message):
        model().fit(x, y, loss="cross_entropy", verbose=False, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stateful": True, "shuffle": False, "batch_size": 2}, r"batches must have one size, got \[1, 2\]"),
        ({"tbptt": 2, "y": np.zeros((3, 4), int)}, "equally many steps"),
        ({"tbptt": 2, "y": np.zeros(3, int)}, "equally many steps"),
    ],
)
def test_what_would_end_within_an_epoch_is_refused_before_it(arguments, message):
    x, y = np.zeros((3, 6), int), np.zeros((3, 6), int)
    model = tagger()
    before = model.flat_data.copy()
    with pytest.raises(ValueError, match=message):
        model.fit(x, **{"y": y, "loss": "cross_entropy", "verbose": False, **arguments})
    assert np.array_equal(model.flat_data, before)


def test_a_graph_carries_no_state():
    graph = Graph({"x": ("B", "T", 2)})
    graph.outputs(graph.add(LSTM(2, 3), "x"))
    with pytest.raises(ValueError, match="Graph has none"):
        graph.fit(np.zeros((2, 4, 2)), np.zeros((2, 4, 3)), loss=MSE(), tbptt=2, verbose=False)


MEMORY = """
import pathlib, re, sys
import numpy as np
import rnnfast as rf

def train(T):
    x = np.zeros((4, T, 1), np.float32)
    model = rf.Sequential(rf.LSTM(1, 64, seed=0), rf.Linear(64, 1, seed=0))
    model.fit(x, x, loss="mse", tbptt=int(sys.argv[1]) or None, verbose=False)
    # getrusage's peak may be that of the process which started this one.
    return 1024 * int(re.search("VmHWM:\\s*(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

print(-train(500) + train(20_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is asked for in another way")
@pytest.mark.skipif(SANITIZED, reason="the sanitizer holds back what has been freed")
def test_memory_is_that_of_a_window():
    def growth(k):
        return int(subprocess.run([sys.executable, "-c", MEMORY, k], capture_output=True, check=True).stdout)

    # The gates alone of 4 sequences of 20,000 steps are 82 MB.
    assert growth("0") > 80e6
    assert growth("50") < 10e6
