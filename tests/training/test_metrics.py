import pickle

import numpy as np
import pytest

from rnnfast.training import accuracy
from rnnfast.training.metrics import find_metrics


def test_accuracy_counts_largest_scores():
    scores = np.array([[1.0, 3, 2], [0, -1, -2], [5, 5.5, 6]])
    assert accuracy(scores, [1, 0, 0]) == (2, 3)
    assert accuracy(scores, [1, 0, 0], np.array([False, True, True])) == (1, 2)
    assert accuracy(scores, [1, 0, 0], np.zeros(3, bool)) == (0, 0)
    assert accuracy(np.zeros((2, 0, 3)), np.zeros((2, 0), int)) == (0, 0)


@pytest.mark.parametrize("targets", [[1.0, 0.0, 2.0], [1, 0], [[1], [0], [2]]])
def test_accuracy_refuses(targets):
    with pytest.raises(ValueError, match=r"targets must be integers of shape \(3,\)"):
        accuracy(np.zeros((3, 4)), targets)


def test_metrics_by_name():
    def largest(predictions, targets, mask):
        return 0.0, 1

    assert find_metrics(["accuracy", largest]) == {"accuracy": accuracy, "largest": largest}
    assert find_metrics("accuracy") == {"accuracy": accuracy}
    assert find_metrics(()) == {}
    with pytest.raises(ValueError, match="'accuracy', got 'f1'"):
        find_metrics(["f1"])


def test_metrics_of_several_outputs():
    def largest(predictions, targets, mask):
        return float(predictions.max()), 1

    found = find_metrics({"a": "accuracy", "b": ["accuracy", largest], "c": largest})
    assert list(found) == ["a_accuracy", "b_accuracy", "b_largest", "c_largest"]
    predictions = {"a": np.eye(3), "b": np.eye(3)[:2], "c": np.ones(4)}
    targets = {"a": np.array([0, 1, 1]), "b": np.array([1, 1]), "c": None}
    assert found["a_accuracy"](predictions, targets) == (2.0, 3)
    mask = {"a": np.array([True, False, True]), "b": None, "c": None}
    assert found["a_accuracy"](predictions, targets, mask) == (1.0, 2)
    assert found["b_accuracy"](predictions, targets, mask) == (1.0, 2)
    assert found["c_largest"](predictions, targets, mask) == (1.0, 1)
    assert find_metrics(found.values()) == found
    assert pickle.loads(pickle.dumps(found["a_accuracy"]))(predictions, targets) == (2.0, 3)
