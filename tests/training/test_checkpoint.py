import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.training import SGD, Adam, Checkpoint

TRAIN = """
import hashlib, json, sys
import numpy as np
import rnnfast as rf

rf.set_num_threads(int(sys.argv[3]))
rng = np.random.default_rng(0)
lengths = rng.integers(0, 21, 60)
x = rng.integers(0, 9, (60, 20))
how = json.loads(sys.argv[2])
model = rf.Sequential(
    rf.Embedding(9, 6, seed=1), rf.LSTM(6, 12, 2, dropout=0.3, recurrent_dropout=0.2, zoneout=0.1, seed=2),
    rf.BatchNorm(12), rf.Dropout(0.2), rf.Linear(12, 9, seed=3),
)
print("begins", flush=True)
history = model.fit(
    x, np.roll(x, -1, axis=1), lengths=lengths, loss="cross_entropy", metrics=["accuracy"], epochs=6, batch_size=7,
    optimizer=rf.Adam(0.01, clip_norm=1.0), validation_split=0.2, seed=5, verbose=False,
    checkpoint=rf.training.Checkpoint(sys.argv[1], every_steps=2) if sys.argv[1] else None, **how,
)
whole = model.flat_data.tobytes() + b"".join(each.tobytes() for each in model.buffers.values())
print(hashlib.sha256(whole + json.dumps(history.history).encode()).hexdigest())
"""


def start(path, how, threads=1):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(path), json.dumps(how), str(threads)], stdout=subprocess.PIPE, text=True
    )


def result(path, how, threads=1):
    with start(path, how, threads) as process:
        return process.stdout.read().split()[-1]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("how", [{}, {"tbptt": 6, "accumulate": 2}])
def test_a_run_killed_at_random_moments_ends_as_one_that_never_was(tmp_path, how):
    begun = time.monotonic()
    wanted = result("", how)
    most = time.monotonic() - begun
    assert result("", how, threads=2) == wanted
    moments, path, kills = random.Random(3), tmp_path / "run", 0
    while kills < 10:
        with start(path, how, threads=1 + kills % 2) as process:
            process.stdout.readline()
            time.sleep(moments.uniform(0, most / 8))
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        kills += 1
        if rest:  # it had ended before
            assert rest.split()[-1] == wanted
            path.unlink()
    assert result(path, how) == wanted
    assert os.listdir(tmp_path) == ["run"]


def series():
    x = np.random.default_rng(0).standard_normal((9, 6, 2)).astype(np.float32)
    return x, x[:, :, :1].cumsum(axis=1)


def network():
    return rf.Sequential(rf.GRU(2, 5, dropout=0.0, seed=0), rf.Dropout(0.2), rf.Linear(5, 1, seed=0))


def train(path, epochs=4, optimizer=None, **how):
    model = how.pop("model", None) or network()
    x, y = how.pop("data", None) or series()
    optimizer = optimizer or Adam(0.01)
    how = {"loss": "mse", "batch_size": 4, "seed": 1, "verbose": False, **how}
    history = model.fit(x, y, optimizer=optimizer, epochs=epochs, checkpoint=path, **how)
    return model, history


def largest(predictions, targets, mask):
    return float(predictions.max()), 1


class StopAt:
    """Ends a run in the middle of an epoch, as a crash would, but without one."""

    def __init__(self, step):
        self.step = step

    def on_batch_end(self, run, logs):
        if run.step == self.step:
            raise RuntimeError("crash")


@pytest.mark.parametrize("every_steps", [1, 2, None])
@pytest.mark.parametrize("step", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("optimizer", [lambda: Adam(0.01), lambda: SGD(0.1, momentum=0.9)])
def test_a_run_goes_on_to_the_same_bits(tmp_path, every_steps, step, optimizer):
    whole, history = train(None, optimizer=optimizer(), metrics=[largest])
    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="crash"):
        train(
            Checkpoint(path, every_steps=every_steps),
            optimizer=optimizer(),
            metrics=[largest],
            callbacks=[StopAt(step)],
        )
    model, resumed = train(Checkpoint(path), optimizer=optimizer(), metrics=[largest], callbacks=[StopAt(-1)])
    assert np.array_equal(model.flat_data, whole.flat_data)
    assert resumed.history == history.history
    assert resumed.epoch == [0, 1, 2, 3]


def test_a_carried_state_goes_on(tmp_path):
    x, y = series()

    def source():
        return ((x[:, at : at + 2], y[:, at : at + 2]) for at in (0, 2, 4))

    def run(path, **how):
        model = network()
        model.fit(
            source, loss="mse", stateful=True, epochs=2, checkpoint=path, optimizer="adam", seed=0, verbose=False, **how
        )
        return model.flat_data

    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="crash"):
        run(Checkpoint(path, every_steps=1), callbacks=[StopAt(5)])
    assert np.array_equal(run(Checkpoint(path), callbacks=[StopAt(-1)]), run(None))


def test_a_finished_run_is_not_gone_on_with(tmp_path):
    path = tmp_path / "run"
    first, history = train(path, callbacks=[lambda epoch, logs: epoch == 1])
    again, same = train(path, callbacks=[lambda epoch, logs: pytest.fail("it was finished")])
    assert np.array_equal(first.flat_data, again.flat_data)
    assert same.history == history.history
    assert len(same.epoch) == 2


def test_more_epochs_go_on_and_resume_can_be_refused(tmp_path):
    path = tmp_path / "run"
    train(path, epochs=2)
    model, history = train(path, epochs=5)
    assert history.epoch == [0, 1, 2, 3, 4]
    assert np.array_equal(model.flat_data, train(None, epochs=5)[0].flat_data)
    anew, history = train(Checkpoint(path, resume=False), epochs=1)
    assert history.epoch == [0]
    assert np.array_equal(anew.flat_data, train(None, epochs=1)[0].flat_data)


def test_a_checkpoint_is_written_when_its_time_has_come(tmp_path):
    class Watch:
        def __init__(self):
            self.seen = []

        def on_batch_end(self, run, logs):
            self.seen.append((tmp_path / "run").exists())

    watch = Watch()
    train(Checkpoint(tmp_path / "run", every_seconds=0), epochs=1, callbacks=[watch])
    assert watch.seen == [False, True, True]
    watch = Watch()
    (tmp_path / "run").unlink()
    train(Checkpoint(tmp_path / "run", every_seconds=1000), epochs=1, callbacks=[watch])
    assert watch.seen == [False] * 3
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"batch_size": 3}, "written with batch_size='4', now it is '3'"),
        ({"tbptt": 2}, "tbptt=None, now it is"),
        ({"loss": "mae"}, "loss="),
        ({"optimizer": SGD(0.1)}, "optimizer='Adam', now it is 'SGD'"),
        ({"shuffle": False}, "shuffle=True"),
        ({"data": [each[:8] for each in series()]}, "sequences=9, now it is 8"),
        ({"model": rf.Sequential(rf.GRU(2, 6), rf.Linear(6, 1))}, "written by another model"),
        ({"callbacks": [print]}, "0 callbacks, now there are 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, how, message):
    path = tmp_path / "run"
    train(path, epochs=1)
    digest = hashlib.sha256(path.read_bytes()).digest()
    model = how.setdefault("model", network())
    before = model.flat_data.copy()
    with pytest.raises(ValueError, match=message):
        train(path, **how)
    assert np.array_equal(model.flat_data, before)
    assert hashlib.sha256(path.read_bytes()).digest() == digest


def test_other_files_are_refused_and_kept(tmp_path):
    path = tmp_path / "model.safetensors"
    network().save(path)
    with pytest.raises(ValueError, match=r"model.safetensors: it is not a training checkpoint"):
        train(path)
    rf.load(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="not a safetensors file"):
        train(path)
    assert path.read_bytes() == b"text"
    train(tmp_path / "run", epochs=1)
    with pytest.raises(ValueError, match="another format, 'rnnfast training checkpoint'"):
        rf.load(tmp_path / "run")
    whole = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(whole[:-7])
    with pytest.raises(ValueError, match="truncated"):
        train(tmp_path / "run")


def test_an_iterator_is_gone_through_to_where_the_run_stood(tmp_path):
    x, y = series()

    def go(path, step=None):
        model, given = network(), iter([(x[i % 9 : i % 9 + 1], y[i % 9 : i % 9 + 1]) for i in range(40)])
        how = {"steps_per_epoch": 3, "epochs": 4, "optimizer": SGD(0.1), "loss": "mse", "seed": 0, "verbose": False}
        with contextlib.suppress(RuntimeError):
            model.fit(given, checkpoint=Checkpoint(path, every_steps=1), callbacks=[StopAt(step)], **how)
        return model.flat_data.copy()

    wanted = go(tmp_path / "whole")
    assert not np.array_equal(go(tmp_path / "run", 5), wanted)
    assert not np.array_equal(go(tmp_path / "run", 9), wanted)
    assert np.array_equal(go(tmp_path / "run"), wanted)


@pytest.mark.parametrize("how", [{}, {"tbptt": (2, 4)}, {"accumulate": 2}])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_from_there(tmp_path, how):
    seen = []

    class Stop:
        def __init__(self, step):
            self.step = step

        def on_batch_end(self, run, logs):
            seen.append(run.step)
            run.stop = run.step == self.step

    wanted, _ = train(tmp_path / "whole", callbacks=[Stop(None)], **how)
    whole = seen.copy()
    seen.clear()
    for step in (1, 3, 5, None):
        found, _ = train(tmp_path / "run", callbacks=[Stop(step)], **how)
    assert seen == whole
    assert np.array_equal(found.flat_data, wanted.flat_data)


def test_much_that_a_metric_keeps_goes_on(tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 700, 1))
    sizes = []

    def go(path, step=None):
        model = rf.Sequential(rf.Linear(1, 1, seed=0))
        how = {"loss": "binary_cross_entropy", "metrics": ["auc"], "batch_size": 1, "epochs": 2, "verbose": False}
        written = Checkpoint(path, every_steps=1)
        with contextlib.suppress(RuntimeError):
            return model.fit(x, x[..., 0] > 0.5, checkpoint=written, callbacks=[StopAt(step)], seed=0, **how).history
        sizes.append(int.from_bytes(path.read_bytes()[:8], "little"))  # of the header

    wanted = go(tmp_path / "whole")
    go(tmp_path / "run", 2)
    go(tmp_path / "run", 4)
    assert go(tmp_path / "run") == wanted
    assert sizes[1] - sizes[0] < 500


def test_functions_and_objects_of_another_process_are_the_same(tmp_path):
    class Pairs:
        def __call__(self, lengths, rng):
            return np.split(np.arange(8), 4)

    x, y = (each[:8] for each in series())
    how = {"loss": "mse", "optimizer": SGD(0.1), "checkpoint": tmp_path / "run", "verbose": False}
    for epochs in (1, 3):
        history = network().fit(x, y, batch_size=Pairs(), epochs=epochs, **how)
    assert history.epoch == [0, 1, 2]
    with pytest.raises(ValueError, match="batch_size="):
        network().fit(x, y, batch_size=2, epochs=4, **how)


def test_folders_are_made_before_anything_is_trained(tmp_path):
    class Watch:
        def on_batch_end(self, run, logs):
            assert (tmp_path / "a" / "b").is_dir()

    train(tmp_path / "a" / "b" / "run", epochs=1, callbacks=[Watch()])
    assert (tmp_path / "a" / "b" / "run").is_file()


def test_arguments():
    with pytest.raises(ValueError, match="every_steps must be at least 1"):
        Checkpoint("run", every_steps=0)
    with pytest.raises(ValueError, match="every_seconds must be at least 0"):
        Checkpoint("run", every_seconds=-1)
    with pytest.raises(TypeError):
        Checkpoint(3.5)
