import numpy as np
import pytest

from rnnfast.training import accuracy


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
