import json
import pickle

import numpy as np
import pytest

from rnnfast.training.metrics import Accuracy, TopK, find_metrics, fresh
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
