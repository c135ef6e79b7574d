import numpy as np
import pytest

from rnnfast.plotting import plot_confusion


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_matrix(plt):
    ax = plot_confusion([[3, 1], [0, 0]], ["no", "yes"])
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0.75, 0.25], [0, 0]])
    assert texts(ax) == ["3", "1", "0", "0"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["no", "yes"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["no", "yes"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_targets_and_predictions(plt):
    targets = np.array([[0, 0, 1], [2, 2, -1]])
    ax = plot_confusion((targets, np.array([[0, 1, 1], [2, 0, 7]])))
    assert texts(ax) == ["1", "1", "0", "0", "1", "0", "1", "0", "1"]
    scores = np.eye(4)[[[0, 1, 1], [2, 0, 3]]]
    ax = plot_confusion((targets, scores), normalize=True)
    assert ax.images[0].get_array().shape == (4, 4)
    assert texts(ax)[:4] == ["0.50", "0.50", "0.00", "0.00"]


def test_many_classes_have_no_numbers(plt):
    ax = plot_confusion(np.eye(25))
    assert texts(ax) == []


def test_what_does_not_fit_is_refused(plt):
    with pytest.raises(ValueError, match=r"shape \(C, C\)"):
        plot_confusion([[1, 2]])
    with pytest.raises(ValueError, match="one label for each class, 2, got 1"):
        plot_confusion(np.eye(2), ["a"])
    with pytest.raises(ValueError, match="one shape"):
        plot_confusion(([0, 1], [0]))
    with pytest.raises(TypeError, match="predictions must be classes"):
        plot_confusion(([0, 1], [0.0, 1.0]))
    with pytest.raises(ValueError, match="from 0"):
        plot_confusion(([0, 1], [0, -1]))
