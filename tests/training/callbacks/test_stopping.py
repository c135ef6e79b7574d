import math

import numpy as np
import pytest
from callback_checks import data, drive, small

from rnnfast.training import (
    SGD,
    Adam,
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    ReduceOnPlateau,
    StopOnNaN,
    TimeLimit,
)
from rnnfast.training.callbacks import stopping


def losses(*values, name="val_loss"):
    return [{"loss": 1.0, name: value} for value in values]


@pytest.mark.parametrize(
    ("how", "values", "ended", "best"),
    [
        ({"patience": 2}, [5, 4, 4, 3, 3, 3, 1], 5, (3, 3)),
        ({"patience": 2}, [5, 4, 4, 3, 3, 2, 1], None, (1, 6)),
        ({"patience": 1}, [5, 4, 4, 3], 2, (4, 1)),
        ({"patience": 0}, [5, 4, 4, 3], 2, (4, 1)),
        ({"patience": 2, "min_delta": 1.0}, [5, 4, 4.5, 1], 2, (5, 0)),
        ({"patience": 2, "min_delta": 0.5}, [5, 4, 3.5, 3.0, 2.0, 1.9, 1.8], 6, (2.0, 4)),
        ({"patience": 2, "mode": "max"}, [5, 6, 5, 4, 7], 3, (6, 1)),
        ({"patience": 2, "start_from": 3}, [1, 2, 3, 9, 8, 8, 8, 7], 6, (8, 4)),
        ({"patience": 2, "baseline": 3.0}, [5, 4], 1, (4, 1)),
        ({"patience": 3, "baseline": 3.0}, [5, 4, 2, 2, 2, 2], 5, (2, 2)),
        ({"patience": 2}, [math.nan, math.nan, 1], 1, (None, None)),
        ({"patience": 2}, [math.nan, 3, math.nan, math.nan], 3, (3, 1)),
        ({"patience": 2}, [math.inf, 3, -math.inf, 1, 1], 4, (-math.inf, 2)),
    ],
)
@pytest.mark.parametrize("through", [False, True])
def test_when_it_stops(how, values, ended, best, through):
    callback = EarlyStopping(restore_best=False, **how)
    assert drive(callback, losses(*values), through=through)[0] == ended
    assert (callback.best, callback.best_epoch) == best
    assert callback.stopped_epoch == ended


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        *[(name, "min") for name in ("loss", "val_loss", "topic_loss", "val_rmse", "wer", "val_perplexity", "mase")],
        *[(name, "max") for name in ("accuracy", "val_topic_accuracy", "top_5_accuracy", "val_auc", "f1", "entity_f1")],
    ],
)
def test_mode_by_name(monitor, mode):
    assert EarlyStopping(monitor).mode == mode


def test_best_weights_come_back():
    model, kept = small(), []
    callback = EarlyStopping(patience=2)

    def logs():
        for value in (3, 2, 4, 5):
            model.set_weights([np.full(each.shape, value + i) for i, each in enumerate(model.get_weights())])
            kept.append(model.get_weights())
            yield {"val_loss": value}

    assert drive(callback, logs(), model, through=False)[0] == 3
    for found, wanted in zip(model.get_weights(), kept[1], strict=True):
        np.testing.assert_array_equal(found, wanted)
    drive(callback, losses(1.0), model, through=False)
    assert callback.best_epoch == 0  # it begins anew


def fit(model, *callbacks, **how):
    x, y = data()
    how = {"loss": "mse", "optimizer": Adam(0.3), "validation_split": 0.4, "seed": 0, "verbose": False, **how}
    return model.fit(x, y, batch_size=6, callbacks=callbacks, **how)


def test_fit_ends_with_the_best_epochs_model():
    x, y = data()
    model, callback, seen = small(), EarlyStopping(patience=3), []
    history = fit(model, lambda *_: seen.append(model.get_weights()), callback, epochs=60).history["val_loss"]
    assert callback.best == min(history)
    assert callback.best_epoch == int(np.argmin(history)) > 0
    assert len(history) == callback.stopped_epoch + 1 == callback.best_epoch + 4 < 60
    for found, wanted in zip(model.get_weights(), seen[callback.best_epoch], strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert model.evaluate(x[12:], y[12:], metrics=[])["loss"] == pytest.approx(min(history), rel=1e-6)


def test_the_best_comes_back_also_when_no_epochs_are_left():
    x, y = data()
    model, callback, seen = small(), EarlyStopping(patience=9), []
    fit(model, lambda *_: seen.append(model.flat_data.copy()), callback, epochs=4, validation_data=(x, -y))
    assert (callback.best_epoch, callback.stopped_epoch, len(seen)) == (0, None, 4)
    np.testing.assert_array_equal(model.flat_data, seen[0])
    assert not np.array_equal(seen[0], seen[3])


def test_a_fit_that_goes_on_ends_with_the_same_model(tmp_path):
    whole, seen = small(), EarlyStopping(patience=4)
    history = fit(whole, seen, epochs=60).history
    assert seen.stopped_epoch > 4
    resumed, callback = small(), EarlyStopping(patience=4)
    for epochs in (2, seen.best_epoch + 2, 60, 60):
        resumed, callback = small(), EarlyStopping(patience=4)
        again = fit(resumed, callback, epochs=epochs, checkpoint=Checkpoint(tmp_path / "run", every_steps=1)).history
    assert again == history
    assert (callback.best, callback.best_epoch, callback.stopped_epoch) == (
        seen.best,
        seen.best_epoch,
        seen.stopped_epoch,
    )
    np.testing.assert_array_equal(resumed.flat_data, whole.flat_data)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"monitor": "shine"}, ValueError, "mode='auto' does not know whether more of 'shine' is better"),
        ({"mode": "up"}, ValueError, "mode must be 'auto', 'min' or 'max', got 'up'"),
        ({"patience": -1}, ValueError, "patience must be at least 0"),
        ({"patience": 1.5}, TypeError, "patience must be a whole number"),
        ({"min_delta": -1}, ValueError, "min_delta"),
        ({"monitor": 3}, TypeError, "monitor must be the name"),
        ({"start_from": -1}, ValueError, "start_from must be at least 0"),
    ],
)
def test_bad_arguments(how, error, message):
    with pytest.raises(error, match=message):
        EarlyStopping(**how)


def test_what_is_not_in_the_logs():
    with pytest.raises(
        ValueError, match=r"EarlyStopping: there is no 'val_mae' in the logs, but 'loss', 'rmse' \(data to validate on"
    ):
        fit(small(), EarlyStopping("val_mae"), validation_split=0, metrics=["rmse"])
    with pytest.raises(ValueError, match=r"there is no 'accuracy' in the logs, but 'loss'$"):
        fit(small(), EarlyStopping("accuracy"), validation_split=0)


@pytest.mark.parametrize(
    "make", [EarlyStopping, ReduceOnPlateau, lambda name: ModelCheckpoint("best", name, save_best_only=True)]
)
@pytest.mark.parametrize("name", ["val_loss", "val_rmse"])
def test_without_data_to_validate_on_nothing_is_trained(make, name):
    model = small()
    before = model.flat_data.copy()
    with pytest.raises(ValueError, match=rf"there will be no '{name}': fit needs validation_split or validation_data"):
        fit(model, make(name), validation_split=0, metrics=["rmse"])
    assert np.array_equal(model.flat_data, before)

    def adds_a_figure(epoch, logs):
        logs["val_own_error"] = 1.0

    stopping = EarlyStopping("val_own_error", patience=2)
    history = small().fit(*data(), loss="mse", epochs=9, callbacks=[adds_a_figure, stopping], verbose=False)
    assert history.epoch == [0, 1, 2]


def test_stop_on_nan_says_at_which_step():
    x, y = data()
    callback = StopOnNaN()

    def overflows(predictions, targets, mask):
        return math.inf, len(predictions), np.zeros_like(predictions)

    with pytest.warns(RuntimeWarning, match="the loss is inf at step 1, in epoch 1: the fit ends here"):
        history = small().fit(x, y, loss=overflows, epochs=5, batch_size=6, callbacks=[callback], verbose=False)
    assert callback.step == 1
    assert history.epoch == []


def test_stop_on_nan_at_the_end_of_an_epoch():
    x, y = data()
    wrong = np.where(np.arange(20) == 19, np.nan, y)
    callback = StopOnNaN()
    with pytest.warns(RuntimeWarning, match="val_loss is nan at the end of epoch 1, step 4: the fit ends here"):
        history = small().fit(
            x, y, validation_data=(x, wrong), loss="mse", epochs=5, batch_size=6, callbacks=[callback], verbose=False
        )
    assert (callback.step, history.epoch) == (4, [0])


def test_nothing_that_counts_is_no_nan():
    callback = StopOnNaN()
    history = fit(small(), callback, epochs=2, validation_split=0)
    assert (callback.step, history.epoch) == (None, [0, 1])
    assert drive(callback, [{"loss": 1.0}] * 3)[0] is None
    callback.on_train_begin(type("Run", (), {"step": 4})())
    run = type("Run", (), {"step": 4, "stop": False})()
    callback.on_batch_end(run, {"loss": math.nan})
    assert not run.stop


def test_time_limit(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    callback = TimeLimit(10)

    def spend(seconds):
        def on_batch_end(run, logs):
            now[0] += seconds

        return type("Spend", (), {"on_batch_end": staticmethod(on_batch_end)})()

    history = fit(small(), spend(2.0), callback, epochs=9, validation_split=0, optimizer=SGD(0.1))
    assert callback.run.step == 5
    assert history.epoch == [0]
    assert callback.used == 10.0
    fit(small(), spend(2.5), callback, epochs=9, validation_split=0, optimizer=SGD(0.1))
    assert (callback.run.step, callback.run.history.epoch) == (4, [])
    state = callback.state()
    now[0] += 1000.0
    callback.on_train_begin(callback.run)
    callback.load_state(state)
    now[0] += 3.0
    assert callback.used == 13.0
    with pytest.raises(ValueError, match="seconds must be"):
        TimeLimit(-1)
