import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_forecast, plot_history


def history():
    found = rf.History()
    for epoch in range(3):
        found.add(epoch, {"loss": 3.0 - epoch, "accuracy": 0.1 * epoch, "val_loss": 4.0 - epoch})
    return found


def data(line):
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def test_history_draws_each_metric_and_its_validation(plt):
    loss, accuracy = plot_history(history())
    assert [data(line) for line in loss.lines] == [([1, 2, 3], [3.0, 2.0, 1.0]), ([1, 2, 3], [4.0, 3.0, 2.0])]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]
    assert (loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()) == ("epoch", "loss", "accuracy")
    assert [data(line) for line in accuracy.lines] == [([1, 2, 3], [0.0, 0.1, 0.2])]


def test_history_of_chosen_metrics_on_axes_given(plt):
    _, ax = plt.subplots()
    assert plot_history({"loss": [2.0, 1.0], "other": [1.0, 1.0]}, "loss", ax=[ax]) == [ax]
    assert data(ax.lines[0]) == ([1, 2], [2.0, 1.0])
    with pytest.raises(ValueError, match="no metric 'accuracy'; it has loss"):
        plot_history({"loss": [2.0]}, "accuracy")
    with pytest.raises(ValueError, match="history is empty"):
        plot_history(rf.History())
    with pytest.raises(ValueError, match="ax must be 2 Axes, one for each panel, got 1"):
        plot_history(history(), ax=ax)


def test_forecast_ends_where_the_series_ends(plt):
    real, predicted = np.arange(10.0), np.array([[7.5], [8.5], [9.5]])
    bands = {0.9: predicted + 2, 0.1: predicted - 1, 0.5: predicted + 0.25, 0.25: predicted - 0.5, 0.75: predicted + 1}
    ax = plot_forecast(real, predicted, bands)
    assert data(ax.lines[0]) == (list(range(10)), real.tolist())
    assert data(ax.lines[1]) == ([7, 8, 9], [7.75, 8.75, 9.75])
    assert data(ax.lines[2]) == ([7, 8, 9], [7.5, 8.5, 9.5])
    wide, narrow = (band.get_paths()[0].vertices for band in ax.collections)
    assert (wide[:, 1].min(), wide[:, 1].max()) == (6.5, 11.5)
    assert (narrow[:, 1].min(), narrow[:, 1].max()) == (7.0, 10.5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("real", "80 % band", "50 % band", "median", "predicted")
    ]


def test_forecast_of_quantiles(plt):
    told = np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0]])
    ax = plot_forecast([1.0, 2.0], told, (0.1, 0.5, 0.9), start=2)
    assert [line.get_label() for line in ax.lines] == ["real", "predicted"]
    assert data(ax.lines[1]) == ([2, 3], [2.0, 3.0])
    (band,) = (band.get_paths()[0].vertices for band in ax.collections)
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 5.0)
    with pytest.raises(ValueError, match=r"predicted must have shape \(M, 2\), got \(2, 3\)"):
        plot_forecast([1.0, 2.0], told, (0.1, 0.9))


def test_forecast_may_go_on_after_the_series(plt):
    ax = plot_forecast([1.0, 2.0], [3.0, 4.0, 5.0], start=2)
    assert data(ax.lines[1]) == ([2, 3, 4], [3.0, 4.0, 5.0])
    dates = np.arange("2020-01", "2020-06", dtype="datetime64[M]")
    ax = plot_forecast([1.0, 2.0], [3.0, 4.0, 5.0], start=2, steps=dates)
    assert ax.lines[1].get_xdata().tolist() == dates[2:].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0]), "more than real with 1"),
        (([[1.0, 2.0]], [1.0]), r"real must be one series, of shape \(N,\) or \(N, 1\), got \(1, 2\)"),
        (([1.0, 2.0], [1.0], {0.1: [1.0]}), "a quantile of p and one of 1 - p"),
        (([1.0, 2.0], [1.0], {0.5: [1.0, 2.0]}), "band of 0.5 has 2 steps, predicted has 1"),
    ],
)
def test_forecast_refuses_what_does_not_fit(plt, arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_forecast(*arguments)
    with pytest.raises(ValueError, match="at least 2 places"):
        plot_forecast([1.0, 2.0], [1.0], steps=[1])
