"""Series cut into windows: what a network sees, and what follows that it is to foretell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnfast.data._checks import is_several, real_numbers, series_list, whole


class Windows:
    """Examples (x, y) cut from one or several series, made when they are asked for.

    Window number n of a series begins at step s = n * stride. Its input is steps s to s + window - 1; its target is
    step s + window + gap, or `horizon` steps from there on. Windows never reach from one series into another. Nothing
    is copied before examples are taken, so that series may be memory maps larger than memory.

    Parameters
    ----------
    series : array_like (T,) or (T, F), or list of these, or array (S, T, F)
        What the inputs are cut from. Series may be of unequal length T; those too short for a window give none.
    window : int
        Steps a network sees.
    horizon : int, optional
        Steps to foretell. None: one, and y has no axis for it.
    stride : int
        Steps from the beginning of one window to that of the next.
    gap : int
        Steps left out between a window and its first target. Negative: the target begins within the window (-1 is
        its last step, for labels), at most `window` steps before its end.
    targets : int, list of int, or array_like as `series`, optional
        What is foretold: a column of the series (y then has no axis for features), several columns, or series of
        their own with as many steps each. None: all columns.
    past_covariates : as `series`, optional
        Further inputs, known up to the window's end.
    future_covariates : as `series`, optional
        Further inputs that are known in advance (calendar, prices set), also for the steps of the target. Their part
        within the window joins x, that of the target's steps becomes an input of its own. They may be longer than the
        series.

    Raises
    ------
    TypeError, ValueError
        When shapes do not fit each other, a number is out of range, or no series is long enough for one window.

    Examples
    --------
    >>> windows = Windows(np.arange(7.0), window=3, horizon=2)
    >>> len(windows)
    3
    >>> x, y = windows[:2]
    >>> x[..., 0].tolist(), y[..., 0].tolist()
    ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [[3.0, 4.0], [4.0, 5.0]])
    """

    def __init__(
        self,
        series: Any,
        window: int,
        horizon: int | None = None,
        *,
        stride: int = 1,
        gap: int = 0,
        targets: Any = None,
        past_covariates: Any = None,
        future_covariates: Any = None,
    ) -> None:
        self.window, self.stride = whole(window, "window"), whole(stride, "stride")
        self.horizon = None if horizon is None else whole(horizon, "horizon")
        self.gap = whole(gap, "gap", -self.window)
        self._steps = self.horizon or 1
        found = series_list(series, "series")
        self._single_target = isinstance(targets, (int, np.integer))
        self._targets = _targets(found, targets)
        self._inputs = [[array] for array in found]
        self._future = None
        if past_covariates is not None:
            self._join(_aligned(past_covariates, "past_covariates", found))
        if future_covariates is not None:
            self._future = _aligned(future_covariates, "future_covariates", found, longer=True)
            self._join(self._future)
        span = max(self.window, self.window + self.gap + self._steps)
        counts = [max(0, (len(array) - span) // self.stride + 1) for array in found]
        self._ends = np.cumsum(counts)
        if not self._ends[-1]:
            longest = max(len(array) for array in found)
            raise ValueError(f"window, gap and horizon take {span} steps, the longest series has {longest}")

    def _join(self, covariates: list[np.ndarray]) -> None:
        for parts, more in zip(self._inputs, covariates, strict=True):
            parts.append(more)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, rows: Any) -> tuple[Any, np.ndarray]:
        """Some examples, copied.

        Parameters
        ----------
        rows : int, slice, or array_like of int or bool
            A single number gives an example without the axis N.

        Returns
        -------
        x : array (N, window, F), or mapping
            F counts the series's columns and those of all covariates. With future covariates a mapping: "past" is
            that array, "future" holds them at the target's steps (N, horizon or 1, K).
        y : array (N, horizon, O)
            Without the axis `horizon` where that is None, without O where `targets` is one column.
        """
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            x, y = self[[rows]]
            return {name: each[0] for name, each in x.items()} if isinstance(x, dict) else x[0], y[0]
        numbers, starts = self.starts(rows)
        x = _gather(self._inputs, self.window, numbers, starts)
        ahead = starts + self.window + self.gap
        y = _gather([[array] for array in self._targets], self._steps, numbers, ahead)
        if self._future is None:
            return x, self._shaped(y)
        future = _gather([[array] for array in self._future], self._steps, numbers, ahead)
        return {"past": x, "future": future}, self._shaped(y)

    def starts(self, rows: Any = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Where windows begin.

        Parameters
        ----------
        rows : slice, or array_like of int or bool

        Returns
        -------
        numbers : int64 array (N,)
            Which series each is cut from.
        starts : int64 array (N,)
            Their first step in it.
        """
        rows = _rows(rows, len(self))
        numbers = np.searchsorted(self._ends, rows, side="right")
        return numbers, (rows - np.concatenate(([0], self._ends))[numbers]) * self.stride

    def arrays(self) -> tuple[Any, np.ndarray]:
        """All examples, as `windows[:]` gives them.

        Of one series without covariates they are read-only views, which take no memory; else they are copies.
        """
        if len(self._inputs) > 1 or len(self._inputs[0]) > 1:
            return self[:]
        last = (len(self) - 1) * self.stride + 1
        x = _sliding(self._inputs[0][0], self.window)[: last : self.stride]
        ahead = self.window + self.gap
        y = _sliding(self._targets[0], self._steps)[ahead : ahead + last : self.stride]
        return x, self._shaped(y)

    def latest(self) -> Any:
        """The window at the end of each series: x to foretell what nobody knows yet.

        Returns
        -------
        x : array (S, window, F), or mapping
            As in `windows[...]`, one for each series in order.

        Raises
        ------
        ValueError
            When a series is shorter than the window, or the future covariates end before the target does.
        """
        numbers = np.arange(len(self._inputs))
        ends = np.array([len(parts[0]) for parts in self._inputs])
        if ends.min() < self.window:
            raise ValueError(f"series {ends.argmin()} has {ends.min()} steps, the window takes {self.window}")
        x = _gather(self._inputs, self.window, numbers, ends - self.window)
        if self._future is None:
            return x
        missing = ends + self.gap + self._steps - [len(array) for array in self._future]
        if missing.max() > 0:
            raise ValueError(
                f"future_covariates of series {missing.argmax()} end {missing.max()} steps before the target"
            )
        future = _gather([[array] for array in self._future], self._steps, numbers, ends + self.gap)
        return {"past": x, "future": future}

    def _shaped(self, y: np.ndarray) -> np.ndarray:
        y = y if self.horizon else y[:, 0]
        return y[..., 0] if self._single_target else y


def make_windows(series: Any, window: int, horizon: int | None = None, **options: Any) -> tuple[Any, np.ndarray]:
    """All windows of one or several series as arrays: `Windows(...).arrays()`.

    Parameters
    ----------
    series, window, horizon, **options
        As in `Windows`.

    Returns
    -------
    x : array (N, window, F), or mapping
    y : array (N, horizon, O)
        Without the axis `horizon` where that is None, without O where `targets` is one column.

    Examples
    --------
    >>> series = np.arange(20.0).reshape(10, 2)
    >>> x, y = make_windows(series, 4)
    >>> x.shape, y.shape, y[0].tolist()
    ((6, 4, 2), (6, 2), [8.0, 9.0])
    >>> x, y = make_windows(series, 4, horizon=3, targets=1, stride=2)
    >>> x.shape, y.tolist()
    ((2, 4, 2), [[9.0, 11.0, 13.0], [13.0, 15.0, 17.0]])
    """
    return Windows(series, window, horizon, **options).arrays()


def _targets(series: list[np.ndarray], targets: Any) -> list[np.ndarray]:
    if targets is None:
        return series
    columns = [targets] if isinstance(targets, (int, np.integer)) else targets
    if not isinstance(columns, (list, tuple)) or not all(isinstance(each, (int, np.integer)) for each in columns):
        return _aligned(targets, "targets", series)
    width = series[0].shape[1]
    if not columns or not all(-width <= column < width for column in columns):
        raise ValueError(f"targets must be columns of the series, 0..{width - 1}, got {targets!r}")
    # A slice keeps a single column a view.
    if len(columns) == 1:
        place = columns[0] % width
        return [array[:, place : place + 1] for array in series]
    return [array[:, list(columns)] for array in series]


def _aligned(value: Any, name: str, series: list[np.ndarray], *, longer: bool = False) -> list[np.ndarray]:
    found = series_list(value, name)
    if len(found) != len(series):
        raise ValueError(f"{name} must be as many as series, {len(series)}, got {len(found)}")
    for number, (array, main) in enumerate(zip(found, series, strict=True)):
        if len(array) < len(main) or (len(array) > len(main) and not longer):
            called = f"{name}[{number}]" if is_several(value) else name
            raise ValueError(f"{called} must have {len(main)} steps as the series has, got {len(array)}")
    return found


def _rows(rows: Any, count: int) -> np.ndarray:
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count))
    found = real_numbers(rows, "rows")
    if found.dtype == bool:
        if found.shape != (count,):
            raise IndexError(f"a bool index must have shape ({count},), got {found.shape}")
        return np.flatnonzero(found)
    if found.size == 0:
        return np.zeros(0, dtype=np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise IndexError(f"rows must be whole numbers (N,), got shape {found.shape}, dtype {found.dtype}")
    if found.min() < -count or found.max() >= count:
        raise IndexError(f"there are {count} windows, got {found.min()}..{found.max()}")
    return np.where(found < 0, found + count, found).astype(np.int64)


def _sliding(array: np.ndarray, steps: int) -> np.ndarray:
    """Every run of so many steps, a view (T - steps + 1, steps, F)."""
    return sliding_window_view(array, steps, axis=0).swapaxes(1, 2)


def _gather(parts: list[list[np.ndarray]], steps: int, numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Runs of steps, by number of the series and start; the parts of a series side by side, (N, steps, F)."""
    widths = [array.shape[1] for array in parts[0]]
    dtype = np.result_type(*(array.dtype for each in parts for array in each))
    gathered = np.empty((len(starts), steps, sum(widths)), dtype=dtype)
    for number in np.unique(numbers):
        mine, column = numbers == number, 0
        for array, width in zip(parts[number], widths, strict=True):
            gathered[mine, :, column : column + width] = _sliding(array, steps)[starts[mine]]
            column += width
    return gathered
