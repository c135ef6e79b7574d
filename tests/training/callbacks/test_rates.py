import math

import numpy as np
import pytest
from callback_checks import data, drive, small

from rnnfast.training import SGD, Checkpoint, LearningRateScheduler, ReduceOnPlateau


def rates(callback, values, through=False, rate=1.0):
    return drive(callback, [{"val_loss": value} for value in values], rate=rate, through=through)[1]


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize(
    ("how", "values", "wanted"),
    [
        ({"patience": 2}, [5, 5, 5, 5, 5, 5], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 1}, [5, 5, 4, 4, 4], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 0}, [5, 5, 4, 4, 4], [1, 1, 0.5, 0.5, 0.25]),
        # The cooldown's last epoch counts.
        ({"patience": 2, "cooldown": 1}, [5, 5, 5, 5, 5, 5], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 2, "cooldown": 3}, [5, 5, 5, 5, 5, 5, 5, 5], [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 2, "cooldown": 3}, [5, 5, 5, 5, 4, 5, 5, 5], [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "min_rate": 0.3}, [5] * 5, [1, 1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "min_delta": 1.0}, [5, 4.5, 3.5, 3.5], [1, 1, 0.5, 0.5]),
        ({"patience": 1, "mode": "max"}, [5, 6, 7, 6, 8], [1, 1, 1, 1, 0.5]),
        ({"patience": 1}, [math.nan, math.nan, 3, 2, math.nan, 1], [1, 0.5, 0.25, 0.25, 0.25, 0.125]),
    ],
)
def test_plateaus(how, values, wanted, through):
    assert rates(ReduceOnPlateau(factor=0.5, **how), values, through) == wanted


def test_rules_are_those_of_keras():
    """Against the rules written down another way: what an epoch does to (best, wait, cooldown)."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        patience, cooldown = (int(rng.integers(*bounds)) for bounds in ((1, 4), (0, 4)))
        values = rng.integers(0, 9, 25).tolist()
        best, wait, left, rate, wanted = math.inf, 0, 0, 1.0, []
        for value in values:
            wanted.append(rate)
            was_cooling, left = left > 0, max(left - 1, 0)
            wait = 0 if was_cooling or value < best - 1e-4 else wait
            if value < best - 1e-4:
                best = value
            elif left == 0:
                wait += 1
                if wait >= patience:
                    rate, left, wait = rate * 0.1, cooldown, 0
        assert rates(ReduceOnPlateau(patience=patience, cooldown=cooldown), values) == wanted


def fit(model, callback, optimizer, **how):
    x, y = data()
    return model.fit(
        x, y, loss="mse", optimizer=optimizer, batch_size=6, validation_split=0.4, callbacks=[callback],
        verbose=False, seed=0, **how,
    )  # fmt: skip


def test_fit_is_slowed_down_and_goes_on_from_a_checkpoint(tmp_path):
    def new():
        return small(), ReduceOnPlateau(patience=1, factor=0.5), SGD(0.1)

    whole, callback, optimizer = new()
    fit(whole, callback, optimizer, epochs=8)
    assert 0 < optimizer.learning_rate < 0.1
    for epochs in (3, 5, 8):
        model, callback, again = new()
        fit(model, callback, again, epochs=epochs, checkpoint=Checkpoint(tmp_path / "run"))
    assert again.learning_rate == optimizer.learning_rate
    np.testing.assert_array_equal(model.flat_data, whole.flat_data)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"factor": 1.0}, "factor must be above 0 and below 1, got 1.0"),
        ({"factor": 0}, "factor must be above 0"),
        ({"min_rate": -1}, "min_rate"),
        ({"cooldown": -1}, "cooldown must be at least 0"),
        ({"patience": -1}, "patience must be at least 0"),
    ],
)
def test_bad_arguments(how, message):
    with pytest.raises(ValueError, match=message):
        ReduceOnPlateau(**how)


def test_a_rate_that_is_a_schedule():
    optimizer = SGD(0.1)
    optimizer.learning_rate = lambda steps: 0.1
    with pytest.raises(TypeError, match="ReduceOnPlateau needs a learning rate that is a number"):
        fit(small(), ReduceOnPlateau(), optimizer)
    with pytest.raises(TypeError, match=r"a schedule of \(epoch, rate\) needs a rate that is a number"):
        fit(small(), LearningRateScheduler(lambda epoch, rate: rate), optimizer)


@pytest.mark.parametrize("through", [False, True])
def test_schedules(through):
    assert rates(LearningRateScheduler(lambda epoch: 1 / (epoch + 1)), [0] * 3) == [1, 1 / 2, 1 / 3]
    halved = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    assert rates(halved, [0] * 4, through, rate=8.0) == [8, 4, 2, 1]
    assert rates(LearningRateScheduler([3.0, 2.0].__getitem__), [0] * 2) == [3.0, 2.0]


def test_a_schedule_sets_what_fit_uses_also_within_an_epoch(tmp_path):
    def new():
        return small(), LearningRateScheduler(lambda epoch: [0.5, 0.0][epoch]), SGD(9.0)

    class Stop:
        def on_batch_end(self, run, logs):
            run.stop = run.step == 3

    x, y = data()
    how = {"loss": "mse", "epochs": 2, "batch_size": 6, "verbose": False, "seed": 0}
    model, callback, optimizer = new()
    model.fit(x, y, optimizer=optimizer, callbacks=[callback], **how)
    assert optimizer.learning_rate == 0.0
    one, first, rate = new()
    one.fit(
        x, y, optimizer=rate, callbacks=[first, Stop()], checkpoint=Checkpoint(tmp_path / "run", every_steps=1), **how
    )
    two, second, rate = new()
    two.fit(x, y, optimizer=rate, callbacks=[second, print_nothing], checkpoint=tmp_path / "run", **how)
    np.testing.assert_array_equal(two.flat_data, model.flat_data)
    assert not np.array_equal(one.flat_data, model.flat_data)


def print_nothing(epoch, logs):
    pass


@pytest.mark.parametrize("rate", [-1.0, math.nan, None, "fast"])
def test_schedules_that_give_no_rate(rate):
    with pytest.raises(ValueError, match=r"the schedule must give a finite rate of at least 0, got .* in epoch 0"):
        rates(LearningRateScheduler(lambda epoch: rate), [1])
    with pytest.raises(TypeError, match="schedule must be a function"):
        LearningRateScheduler(0.1)
