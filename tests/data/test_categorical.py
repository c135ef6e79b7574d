import numpy as np
import pytest

from rnnfast.data import one_hot, to_categorical


def test_one_hot():
    hot = one_hot([[2, 0, 1], [1, 1, 3]], 4)
    assert hot.dtype == np.float32
    assert hot.tolist() == [[[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]]
    assert one_hot(1, 3, dtype=bool).tolist() == [False, True, False]
    assert one_hot([], 3).shape == (0, 3)
    assert one_hot(np.zeros((2, 0), dtype=np.uint8), 3).shape == (2, 0, 3)
    assert one_hot([True, False], 2).tolist() == [[0, 1], [1, 0]]


# Computed with keras.utils.to_categorical of Keras 3.15.1.
@pytest.mark.parametrize(
    ("x", "num_classes", "expected"),
    [
        ([0, 2, 1], None, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ([[1], [0]], 3, [[0, 1, 0], [1, 0, 0]]),
        ([[[1], [2]]], None, [[[0, 1, 0], [0, 0, 1]]]),
        ([[0, 1], [2, 3]], None, [[[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 1, 0], [0, 0, 0, 1]]]),
        (1, 3, [0, 1, 0]),
        ([1.9, 0.2], None, [[0, 1], [1, 0]]),
        ([0], None, [[1]]),
    ],
)
def test_keras_numbers(x, num_classes, expected):
    hot = to_categorical(x, num_classes)
    assert hot.dtype == np.float64
    assert hot.tolist() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_hot([0, 3], 3), r"ids must lie in 0\.\.2, got 0\.\.3"),
        (lambda: one_hot([-1], 3), "got -1"),
        (lambda: one_hot([0.5], 3), "integers, got dtype float64"),
        (lambda: one_hot([0], 0), "num_classes must be at least 1, got 0"),
        (lambda: to_categorical([]), "num_classes must be given"),
        (lambda: to_categorical([-1, 2]), "got -1"),
        (lambda: to_categorical([3], 2), r"0\.\.1, got 3\.\.3"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
