import json
import pickle

import numpy as np
import pytest

from rnnfast.layers import GRU, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, Checkpoint
from rnnfast.training.metrics import AUC, F1, Accuracy, EntityF1, TopK, find_metrics, fresh
from rnnfast.training.metrics._find import _METRICS


def largest(predictions, targets, mask):
    return float(predictions.max()), 1


def test_metrics_by_name():
    mine = Accuracy(name="mine")
    found = find_metrics(["accuracy", largest, mine, TopK])
    assert list(found) == ["accuracy", "largest", "mine", "top_5_accuracy"]
    assert isinstance(found["accuracy"], Accuracy)
    assert found["mine"] is mine
    assert find_metrics(found.values()) == found
    assert list(find_metrics("accuracy")) == ["accuracy"]
    assert list(find_metrics(largest)) == ["largest"]
    assert list(find_metrics(mine)) == ["mine"]
    assert find_metrics(()) == {}


@pytest.mark.parametrize("name", _METRICS)
def test_every_name_makes_a_metric_of_that_name(name):
    found = find_metrics([name])
    assert list(found) == [name]
    assert np.isnan(found[name].result())
    assert find_metrics([name])[name] is not found[name]
    assert json.loads(json.dumps(found[name].state(), allow_nan=False)) == found[name].state()


@pytest.mark.parametrize("metrics", [["f2"], "f2", [3], [None]])
def test_what_is_no_metric(metrics):
    with pytest.raises(ValueError, match=r"'accuracy', .*, got (3|None|'f2')"):
        find_metrics(metrics)


def test_two_of_one_name():
    with pytest.raises(ValueError, match="two metrics go by the name 'accuracy'"):
        find_metrics(["accuracy", Accuracy(threshold=0.5)])
    assert list(find_metrics(["accuracy", Accuracy(threshold=0.5, name="other")])) == ["accuracy", "other"]


def test_none_goes_by_the_name_of_the_loss():
    with pytest.raises(ValueError, match="must not go by the name 'loss'"):
        find_metrics([Accuracy(name="loss")])


def test_an_output_without_weights_or_without_a_target():
    found = find_metrics({"a": ["mae"], "b": ["mae"]})
    predictions, targets = {"a": np.ones((2, 1)), "b": np.ones((2, 1))}, {"a": np.zeros((2, 1)), "b": [[0.0], [3.0]]}
    for metric in found.values():
        metric.update(predictions, targets, None, {"a": np.array([1.0, 0.0])})
    assert [metric.result() for metric in found.values()] == [1, 1.5]
    with pytest.raises(ValueError, match="no target 'b'; there is a"):
        found["b_mae"].update(predictions, {"a": [[0.0], [0.0]]})
    with pytest.raises(ValueError, match="no output 'a'; there is one without a name"):
        found["a_mae"].update(np.ones((2, 1)), np.ones((2, 1)))


def test_metrics_of_several_outputs():
    found = find_metrics({"a": "accuracy", "b": ["accuracy", largest], "c": largest})
    assert list(found) == ["a_accuracy", "b_accuracy", "b_largest", "c_largest"]
    predictions = {"a": np.eye(3), "b": np.eye(3)[:2], "c": np.ones(4)}
    targets = {"a": np.array([0, 1, 1]), "b": np.array([1, 1]), "c": None}
    mask = {"a": np.array([True, False, True]), "b": None, "c": None}
    for metric in found.values():
        metric.update(predictions, targets)
    assert [metric.result() for metric in found.values()] == [2 / 3, 0.5, 1.0, 1.0]
    assert found["a_accuracy"].state() == {"total": 2.0, "count": 3}
    again = pickle.loads(pickle.dumps(found["a_accuracy"]))
    for metric in (again, *found.values()):
        metric.update(predictions, targets, mask)
    assert again.result() == found["a_accuracy"].result() == 3 / 5
    found["a_accuracy"].reset()
    found["a_accuracy"].update(predictions, targets, weights={"a": np.array([1.0, 2.0, 5.0])})
    assert found["a_accuracy"].result() == 3 / 8
    found["a_accuracy"].load_state(again.state())
    assert found["a_accuracy"].result() == 3 / 5
    assert find_metrics(found.values()) == found


def test_fresh_copies_share_the_function_alone():
    class Spy:
        seen = 0

        def __call__(self, predictions, targets, mask):
            self.seen += 1
            return 1.0, 2

    spy = Spy()
    given = find_metrics([Accuracy(), spy])
    assert list(given) == ["accuracy", "Spy"]
    for metric in given.values():
        metric.update(np.eye(2), np.array([0, 0]))
    copies = fresh(given)
    assert list(copies) == list(given)
    assert all(np.isnan(metric.result()) for metric in copies.values())
    for metric in copies.values():
        metric.update(np.eye(2), np.array([0, 1]))
    assert [metric.result() for metric in copies.values()] == [1.0, 0.5]
    assert [metric.result() for metric in given.values()] == [0.5, 0.5]
    assert given["Spy"].state() == {"total": 1.0, "count": 2}
    assert spy.seen == 2


def test_an_object_of_no_class_of_ours():
    class Steps:
        def reset(self):
            self.steps = 0

        def update(self, predictions, targets, mask=None, weights=None):
            self.steps += 1

        def result(self):
            return float(self.steps)

    found = fresh(find_metrics(Steps()))
    found["Steps"].update(None, None)
    assert found["Steps"].result() == 1.0


def test_evaluate_does_not_depend_on_batches():
    rng = np.random.default_rng(0)
    model = Sequential(GRU(3, 4, dtype="float64", seed=0), Linear(4, 5, dtype="float64", seed=1))
    x, y, lengths = rng.standard_normal((11, 6, 3)), rng.integers(0, 5, (11, 6)), rng.integers(0, 7, 11)
    names = ["accuracy", "top_5_accuracy", "f1", "balanced_accuracy", "perplexity", "edit_distance"]
    metrics = [*names, EntityF1(["O", "B-X", "I-X", "B-Y", "I-Y"])]
    found = [
        model.evaluate(x, y, lengths=lengths, loss="cross_entropy", metrics=metrics, batch_size=size)
        for size in (1, 4, 100)
    ]
    assert found[0].keys() == {"loss", *names, "entity_f1"}
    assert found[0] == pytest.approx(found[2], rel=1e-12)
    assert found[1] == pytest.approx(found[2], rel=1e-12)
    assert found[2]["perplexity"] == pytest.approx(np.exp(found[2]["loss"]), rel=1e-12)
    assert found[2]["top_5_accuracy"] == 1.0
    mask = np.arange(6) < lengths[:, None]
    assert found[2]["f1"] == gathered(F1(), model.predict(x), y, mask)


def gathered(metric, *batch):
    metric.update(*batch)
    return metric.result()


def test_training_and_validation_are_apart():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 4, 3)), rng.integers(0, 2, 12)
    model = Sequential(GRU(3, 4, seed=0), Last(), Linear(4, 2, seed=1))
    given = AUC()
    how = {"loss": "cross_entropy", "metrics": [given], "seed": 0, "verbose": False, "optimizer": SGD(0.0)}
    history = model.fit(x, y, validation_data=(x[:7], y[:7]), epochs=2, batch_size=5, **how).history
    whole, part = gathered(AUC(), model.predict(x), y), gathered(AUC(), model.predict(x[:7]), y[:7])
    assert whole != part
    assert history["auc"] == pytest.approx([whole, whole], rel=1e-6)
    assert history["val_auc"] == pytest.approx([part, part], rel=1e-6)
    assert np.isnan(given.result())


def test_a_fit_that_goes_on_within_an_epoch_has_the_same_figures(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 4, 3)), rng.integers(0, 2, 20)

    class Stop:
        def __init__(self, step):
            self.step = step

        def on_batch_end(self, run, logs):
            run.stop = run.step == self.step

    def history(step=None, checkpoint=None):
        model = Sequential(GRU(3, 4, seed=0), Last(), Linear(4, 2, seed=1))
        metrics = ["accuracy", "auc", "f1", "perplexity", "confusion_matrix"]
        how = {"loss": "cross_entropy", "metrics": metrics, "epochs": 2, "batch_size": 6, "seed": 0, "verbose": False}
        return model.fit(x, y, validation_split=0.3, callbacks=[Stop(step)], checkpoint=checkpoint, **how).history

    whole = history()
    assert history(2, Checkpoint(tmp_path / "run", every_steps=1)) == {}
    assert history(5, Checkpoint(tmp_path / "run", every_steps=1))["auc"] == whole["auc"][:1]
    assert history(None, tmp_path / "run") == whole
