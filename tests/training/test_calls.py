import numpy as np
import pytest

from rnnfast.layers import Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD
from rnnfast.training._calls import Calls


class Recorder:
    def __init__(self, stop_at=None):
        self.heard, self.stop_at = [], stop_at

    def on_train_begin(self, run):
        self.heard.append("begin")
        self.run = run

    def on_epoch_begin(self, run):
        self.heard.append(f"epoch {run.epoch}")

    def on_batch_end(self, run, logs):
        assert set(logs) == {"loss", "norm"}
        self.heard.append(f"step {run.step}")
        run.stop = run.step == self.stop_at

    def on_epoch_end(self, epoch, logs):
        self.heard.append(f"end of {epoch}")

    def on_train_end(self, run):
        assert run is self.run
        self.heard.append("end")


def fit(**how):
    model = Sequential(Linear(2, 1, seed=0))
    x = np.ones((5, 2), np.float32)
    return model.fit(x, x[:, 0], loss="mse", batch_size=3, verbose=False, **{"optimizer": SGD(0.1), **how})


def test_hooks_are_called_in_order():
    recorder = Recorder()
    fit(epochs=2, callbacks=[recorder])
    one, two = ["epoch 0", "step 1", "step 2", "end of 0"], ["epoch 1", "step 3", "step 4", "end of 1"]
    assert recorder.heard == ["begin", *one, *two, "end"]


def test_a_run_is_stopped_within_an_epoch():
    recorder = Recorder(stop_at=3)
    history = fit(epochs=5, callbacks=[recorder])
    assert history.epoch == [0]
    assert recorder.heard[-2:] == ["step 3", "end"]


def test_the_first_epoch_has_a_number():
    recorder = Recorder()
    history = fit(epochs=4, initial_epoch=2, callbacks=[recorder])
    assert history.epoch == [2, 3]
    assert recorder.heard[1] == "epoch 2"


def test_interrupts_end_a_run_as_it_should_end():
    def interrupt(epoch, logs):
        raise KeyboardInterrupt

    recorder = Recorder()
    assert fit(callbacks=[interrupt, recorder]).interrupted
    assert recorder.heard[-1] == "end"


def test_one_function_is_a_callback_too():
    heard = []
    fit(epochs=2, callbacks=lambda epoch, logs: heard.append(epoch))
    assert heard == [0, 1]


def test_one_object_or_none_is_enough():
    alone = Recorder()
    fit(callbacks=alone)
    assert alone.heard[-1] == "end"
    fit(callbacks=None)


def test_the_last_step_of_an_epoch_is_heard_though_it_has_fewer_batches():
    recorder = Recorder()
    fit(epochs=2, callbacks=[recorder], accumulate=3)
    assert recorder.heard == ["begin", "epoch 0", "step 1", "end of 0", "epoch 1", "step 2", "end of 1", "end"]
    assert fit(epochs=2, callbacks=[Recorder(stop_at=1)], accumulate=3).epoch == []


def test_states():
    class Counts:
        def __init__(self):
            self.count = 0

        def on_epoch_end(self, epoch, logs):
            self.count += 1

        def state(self):
            return {"count": self.count}

        def load_state(self, state):
            self.count = state["count"]

    calls = Calls([print, Counts()])
    calls.epoch_ends(0, {})
    assert calls.state() == [None, {"count": 1}]
    other = Calls([print, Counts()])
    other.load_state(calls.state())
    assert other.state() == calls.state()
    with pytest.raises(ValueError, match="2 callbacks, now there are 1"):
        Calls([print]).load_state(calls.state())
    with pytest.raises(TypeError, match="on_epoch_end"):
        Calls([3])
    with pytest.raises(TypeError, match="got the class Recorder"):
        Calls([Recorder])
