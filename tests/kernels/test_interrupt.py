"""A signal ends a long call; nothing half done is kept."""

import signal
import threading

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.kernels import _threads

if not hasattr(signal, "setitimer"):
    pytest.skip("needs POSIX timers", allow_module_level=True)

STEPS = 400_000


class Stop(Exception):
    """What the handler raises."""


@pytest.fixture
def alarm():
    """Call it: Stop is raised in the main thread a moment later."""

    def handler(number, frame):
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["one thread", "rows", "units"])
def division(request):
    """How the loop is divided among threads: by rows, or by units, whose threads wait for each other."""
    rf.set_num_threads(1 if request.param == "one thread" else 2)
    before = _threads._set_worth_a_thread(0.0) if request.param == "units" else None
    yield
    if before is not None:
        _threads._set_worth_a_thread(before)


def test_inference_ends(alarm, division):
    layer, x = rf.GRU(1, 64, seed=0), np.ones((2, STEPS, 1), "f")
    out = np.full((2, STEPS, 64), 7, "f")
    layer(x[:, :1])  # packs the weights, so that the steps begin at once
    alarm()
    with pytest.raises(Stop):
        layer(x, out=out)
    assert (out[:, 0] != 7).any()
    assert (out[:, -1] == 7).all()  # its end was never reached


def test_training_leaves_the_gradients(alarm, division):
    layer, x = rf.GRU(1, 64, seed=0), np.ones((2, STEPS // 4, 1), "f")
    (y, _), backward = layer.forward(x)
    for grad in layer.grads.values():
        grad.fill(3)
    alarm()
    with pytest.raises(Stop):
        backward(y)
    assert all((grad == 3).all() for grad in layer.grads.values())
    with pytest.raises(RuntimeError, match="once"):
        backward(y)


@pytest.mark.parametrize("threads", [1, 2])
def test_linear_ends(alarm, threads):
    rf.set_num_threads(threads)
    layer, x = rf.Linear(256, 256, seed=0), np.ones((200_000, 256), "f")
    y, backward = layer.forward(x)

    def call_for_ever():
        while True:
            layer(x)

    alarm()
    with pytest.raises(Stop):
        call_for_ever()
    alarm()
    with pytest.raises(Stop):
        backward(y)
    assert not any(grad.any() for grad in layer.grads.values())


def test_calls_from_other_threads_are_not_disturbed(alarm):
    layer, x = rf.GRU(1, 64, seed=0), np.ones((1, STEPS // 20, 1), "f")
    wanted, found = layer(x)[0], []
    worker = threading.Thread(target=lambda: found.append(layer(x)[0]))

    def call_for_ever():
        while True:
            layer(x)

    worker.start()
    alarm()
    with pytest.raises(Stop):
        call_for_ever()
    worker.join()
    assert np.array_equal(found[0], wanted)


def test_a_handler_finds_the_callers_arithmetic(alarm):
    """The kernels take subnormal numbers for zeros; the caller's code, run meanwhile, does not."""
    layer, x, found, small = rf.GRU(1, 64, seed=0), np.ones((1, STEPS // 4, 1), "f"), [], [1e-155]
    wanted = small[0] * small[0]
    signal.signal(signal.SIGALRM, lambda number, frame: found.append(small[0] * small[0]))
    alarm()
    while not found:
        y, _ = layer(x)
    assert found == [wanted]
    assert 0 < wanted < 1e-308
    assert np.array_equal(y, layer(x)[0])
