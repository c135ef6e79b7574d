import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import StandardScaler, Windows, make_windows


def by_hand(series, window, horizon, stride, gap):
    """The lists that one writes first."""
    inputs, targets = [], []
    for start in range(0, len(series), stride):
        first = start + window + gap
        if first + horizon <= len(series) and start + window <= len(series):
            inputs.append(series[start : start + window])
            targets.append(series[first : first + horizon])
    return np.array(inputs), np.array(targets)


def random_series(steps, features, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, features))


@given(
    steps=st.integers(1, 30),
    features=st.integers(1, 3),
    window=st.integers(1, 8),
    horizon=st.integers(1, 5),
    stride=st.integers(1, 6),
    gap=st.integers(-8, 4),
)
def test_equals_the_loop(steps, features, window, horizon, stride, gap):
    gap = max(gap, -window)
    series = random_series(steps, features)
    x, y = by_hand(series, window, horizon, stride, gap)
    if not len(x):
        with pytest.raises(ValueError, match=rf"the longest series has {steps}$"):
            Windows(series, window, horizon, stride=stride, gap=gap)
        return
    windows = Windows(series, window, horizon, stride=stride, gap=gap)
    assert len(windows) == len(x)
    for found in (windows.arrays(), windows[:], make_windows(series, window, horizon, stride=stride, gap=gap)):
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[1], y)
    np.testing.assert_array_equal(windows.starts()[1], np.arange(len(x)) * stride)


def test_next_step_as_in_a_list_of_slices():
    scaled = random_series(1000, 1)
    x, y = make_windows(scaled, 50)
    assert (x.shape, y.shape) == ((950, 50, 1), (950, 1))
    np.testing.assert_array_equal(x, np.array([scaled[i : i + 50] for i in range(950)]))
    np.testing.assert_array_equal(y, np.array([scaled[i + 50] for i in range(950)]))
    assert x[: int(len(x) * 0.8)].shape == (760, 50, 1)
    flat_x, flat_y = make_windows(scaled[:, 0], 50)
    np.testing.assert_array_equal(flat_x, x)
    np.testing.assert_array_equal(flat_y, y)
    assert make_windows(scaled, 50, targets=0)[1].shape == (950,)


def test_targets_at_the_window_start_as_keras_pairs_them():
    # keras.utils.timeseries_dataset_from_array(data, targets, sequence_length) pairs data[i:i + length], targets[i].
    data, targets = random_series(20, 2), np.arange(20)
    x, y = make_windows(data, 5, targets=targets, gap=-5, stride=3)
    np.testing.assert_array_equal(y[:, 0], [0, 3, 6, 9, 12, 15])
    np.testing.assert_array_equal(x, [data[i : i + 5] for i in range(0, 16, 3)])
    # Its documented way to foretell the next step: targets = data[length:].
    x, y = make_windows(data, 5, targets=[1])
    np.testing.assert_array_equal(y, data[5:, 1:])


def test_every_step_foretells_the_next():
    series = random_series(9, 2)
    x, y = make_windows(series, 4, horizon=4, gap=-3)
    np.testing.assert_array_equal(x, [series[i : i + 4] for i in range(5)])
    np.testing.assert_array_equal(y, [series[i + 1 : i + 5] for i in range(5)])


def test_views_of_one_series_take_no_memory(tmp_path):
    series = np.lib.format.open_memmap(tmp_path / "series.npy", "w+", np.float32, (100_000, 3))
    series[:] = np.arange(300_000).reshape(-1, 3)
    windows = Windows(series, 500, horizon=10, stride=2, targets=2)
    x, y = windows.arrays()
    assert x.shape == ((100_000 - 510) // 2 + 1, 500, 3)
    assert np.shares_memory(x, series)
    assert np.shares_memory(y, series)
    assert not x.flags.writeable
    some_x, some_y = windows[[7, -1, 0]]
    np.testing.assert_array_equal(some_x, x[[7, -1, 0]])
    np.testing.assert_array_equal(some_y, y[[7, -1, 0]])
    assert some_x.flags.writeable
    assert some_x.dtype == np.float32
    assert some_y[2].tolist() == [1502.0 + 3 * step for step in range(10)]


def test_several_series_of_unequal_length():
    series = [random_series(steps, 2, seed=steps) for steps in (9, 3, 6, 12)]
    windows = Windows(series, 4, horizon=2, stride=2)
    parts = [by_hand(each, 4, 2, 2, 0) for each in (series[0], series[2], series[3])]
    x, y = windows.arrays()
    np.testing.assert_array_equal(x, np.concatenate([part[0] for part in parts]))
    np.testing.assert_array_equal(y, np.concatenate([part[1] for part in parts]))
    numbers, starts = windows.starts()
    assert numbers.tolist() == [0, 0, 2, 3, 3, 3, 3]
    assert starts.tolist() == [0, 2, 0, 0, 2, 4, 6]
    order = np.random.default_rng(1).permutation(len(windows))
    np.testing.assert_array_equal(windows[order][0], x[order])
    np.testing.assert_array_equal(windows[order > 3][1], y[order > 3])
    one_x, one_y = windows[-1]
    np.testing.assert_array_equal(one_x, x[-1])
    np.testing.assert_array_equal(one_y, y[-1])
    assert [example[1].shape for example in windows] == [(2, 2)] * 7
    block = np.stack([series[0][:6], series[2]])
    np.testing.assert_array_equal(make_windows(block, 4, 2)[0], make_windows(list(block), 4, 2)[0])
    assert windows[[]][0].shape == (0, 4, 2)


def test_covariates():
    steps = np.arange(12.0)
    windows = Windows(steps, 4, horizon=3, gap=1, past_covariates=np.c_[steps + 100, steps + 200], targets=0)
    x, y = windows[2]
    assert x.tolist() == [[step, step + 100, step + 200] for step in (2, 3, 4, 5)]
    assert y.tolist() == [7, 8, 9]
    known = np.arange(20) + 1000
    windows = Windows(steps, 4, horizon=3, gap=1, past_covariates=steps + 100, future_covariates=known)
    x, y = windows.arrays()
    assert len(windows) == 5
    assert set(x) == {"past", "future"}
    assert x["past"][2].tolist() == [[step, step + 100, step + 1000] for step in (2, 3, 4, 5)]
    assert x["future"][2].tolist() == [[1007], [1008], [1009]]
    assert y[2].tolist() == [[7], [8], [9]]
    one, _ = windows[2]
    assert one["future"].tolist() == [[1007], [1008], [1009]]


def test_latest():
    series = [np.arange(6.0), np.arange(10.0) + 50]
    x = Windows(series, 4).latest()
    assert x[..., 0].tolist() == [[2, 3, 4, 5], [56, 57, 58, 59]]
    known = [np.arange(9), np.arange(13)]
    x = Windows(series, 3, horizon=2, gap=1, future_covariates=known).latest()
    assert x["past"][0].tolist() == [[3, 3], [4, 4], [5, 5]]
    assert x["future"][..., 0].tolist() == [[7, 8], [11, 12]]
    with pytest.raises(ValueError, match="of series 0 end 1 steps before"):
        Windows(series, 3, horizon=3, gap=1, future_covariates=known).latest()
    with pytest.raises(ValueError, match="series 1 has 2 steps, the window takes 3"):
        Windows([np.arange(6.0), np.arange(2.0)], 3).latest()


def test_dtypes_are_kept():
    assert make_windows(np.arange(9, dtype=np.int16), 3)[0].dtype == np.int16
    windows = Windows(np.zeros(9, dtype=np.float32), 3, past_covariates=np.zeros(9, dtype=np.float32))
    assert windows[:][0].dtype == np.float32
    assert make_windows([1, 2, 3, 4], 3)[0].tolist() == [[[1], [2], [3]]]


class Frame:
    """What a data frame is to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def test_data_frames():
    series = random_series(9, 2)
    x, y = make_windows(Frame(series), 4, past_covariates=Frame(series[:, 0]))
    np.testing.assert_array_equal(x[..., :2], make_windows(series, 4)[0])
    np.testing.assert_array_equal(y, series[4:])
    several = make_windows([Frame(series), Frame(series[:5])], 4)[0]
    assert several.shape == (6, 4, 2)
    np.testing.assert_array_equal(StandardScaler().fit_transform(Frame(series)), StandardScaler().fit_transform(series))


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: Windows(np.zeros(5), 0), "window must be at least 1, got 0"),
        (TypeError, lambda: Windows(np.zeros(5), 2.5), "window must be a whole number"),
        (ValueError, lambda: Windows(np.zeros(5), 2, 0), "horizon must be at least 1, got 0"),
        (ValueError, lambda: Windows(np.zeros(5), 2, stride=0), "stride must be at least 1"),
        (ValueError, lambda: Windows(np.zeros(5), 2, gap=-3), "gap must be at least -2, got -3"),
        (ValueError, lambda: Windows(np.zeros(5), 4, 2), "take 6 steps, the longest series has 5"),
        (ValueError, lambda: Windows(np.zeros(()), 4), r"series must have shape \(T,\) or \(T, F\), got \(\)"),
        (TypeError, lambda: Windows(np.array(["a"]), 1), "series must hold real numbers"),
        (ValueError, lambda: Windows([np.zeros((5, 2)), np.zeros(5)], 2), "equally many features, got 2, 1"),
        (ValueError, lambda: Windows(np.zeros((5, 2)), 2, targets=2), r"columns of the series, 0\.\.1, got 2"),
        (ValueError, lambda: Windows(np.zeros((5, 2)), 2, targets=[]), r"got \[\]"),
        (ValueError, lambda: Windows(np.zeros(5), 2, targets=np.zeros(4)), "targets must have 5 steps .* got 4"),
        (ValueError, lambda: Windows(np.zeros(5), 2, past_covariates=np.zeros(6)), "past_covariates must have 5 steps"),
        (ValueError, lambda: Windows(np.zeros(5), 2, future_covariates=np.zeros(4)), "future_covariates must have 5"),
        (ValueError, lambda: Windows(np.zeros(5), 2, targets=[np.zeros(5)] * 2), "as many as series, 1, got 2"),
        (IndexError, lambda: Windows(np.zeros(5), 2)[3], r"there are 3 windows, got 3\.\.3"),
        (IndexError, lambda: Windows(np.zeros(5), 2)[[-4]], r"there are 3 windows, got -4\.\.-4"),
        (IndexError, lambda: Windows(np.zeros(5), 2)[[True]], r"shape \(3,\), got \(1,\)"),
        (IndexError, lambda: Windows(np.zeros(5), 2)[[0.5]], "dtype float64"),
    ],
)
def test_kind_errors(error, call, message):
    with pytest.raises(error, match=message):
        call()
