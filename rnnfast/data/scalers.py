"""Scalers: bring every feature to one range, fitted on the training part, and back again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rnnfast.data._checks import is_several, real_numbers
from rnnfast.data._saved import Saved


class _Scaler(Saved):
    """What scalers share: scaled = (x - offset) / scale for each feature, or for each feature of each series."""

    _kind: str
    _statistics: tuple[str, ...]

    def __init__(self, *, per_series: bool = False) -> None:
        self.per_series = bool(per_series)
        self._reset()

    def _reset(self) -> None:
        """Forget what was fitted."""
        for name in self._statistics:
            setattr(self, name, None)

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """What is subtracted, (F,), or (S, F) with per_series."""
        raise NotImplementedError

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """What is divided by, (F,), or (S, F) with per_series."""
        raise NotImplementedError

    def _update(self, found: list[npt.NDArray[np.float64]]) -> None:
        """Take up arrays (n, F), one for each row of the statistics."""
        raise NotImplementedError

    def fit(self, x: Any) -> Self:
        """Learn the statistics from the training part, forgetting those learnt before.

        Parameters
        ----------
        x : array_like (..., F), or list of series (T_i, F)
            An array of one axis is one feature. NaN is left out. With per_series a list of series (T_i,) or (T_i, F),
            or an array (S, T, F).

        Returns
        -------
        The scaler itself.

        Raises
        ------
        TypeError, ValueError
            When x holds no real numbers, infinity, or no number at all.
        """
        self._reset()
        return self.partial_fit(x)

    def partial_fit(self, x: Any) -> Self:
        """Learn from more data what `fit` of all of it at once would have learnt; see `fit`."""
        columns = [_columns(each) for each in self._series(x)]
        if len({each.shape[1] for each in columns}) > 1:
            raise ValueError(f"all series must have equally many features, got {[each.shape[1] for each in columns]}")
        found = columns if self.per_series else [np.concatenate(columns)]
        if any(np.isinf(each).any() for each in found):
            raise ValueError("x must not hold infinity")
        known = getattr(self, self._statistics[0])
        if known is not None and known.shape != (shape := (len(found), found[0].shape[1])):
            raise ValueError(f"the scaler knows {known.shape} series and features, x has {shape}")
        if not sum(each.shape[0] for each in found):
            raise ValueError("x must hold at least one number")
        self._update(found)
        return self

    def transform(self, x: Any) -> Any:
        """Scale.

        Parameters
        ----------
        x : array_like (..., F), or list of series (T_i, F)
            With per_series as many series as were fitted, in their order.

        Returns
        -------
        array, or list of arrays, of x's shape
            float32 where x is, else float64. NaN stays.

        Raises
        ------
        TypeError, ValueError
            When nothing was fitted, or x does not fit what was.
        """
        return self._apply(x, lambda array, offset, scale: (array - offset) / scale)

    def fit_transform(self, x: Any) -> Any:
        """Fit and scale the same data: right for the training part alone."""
        return self.fit(x).transform(x)

    def inverse_transform(self, x: Any, *, feature: int | None = None) -> Any:
        """Undo `transform`.

        Parameters
        ----------
        x : as in `transform`
        feature : int, optional
            x holds this feature alone (a forecast of one of several), in any shape.

        Returns
        -------
        array, or list of arrays, of x's shape
        """
        return self._apply(x, lambda array, offset, scale: array * scale + offset, feature)

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` rebuilds this from, ready for JSON; numbers survive exactly."""
        return {"kind": self._kind, **self._options(), **{name: self._saved(name) for name in self._statistics}}

    def _saved(self, name: str) -> list[list[float | None]] | None:
        value = getattr(self, name)
        if value is None:
            return None
        # JSON has no NaN, which stands for what no number told yet.
        return [[None if np.isnan(number) else number for number in row] for row in value.tolist()]

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Rebuild a scaler from the mapping that `to_dict` returned.

        Raises
        ------
        ValueError
            When the mapping is not such a one.
        """
        if not isinstance(saved, Mapping) or saved.get("kind") != cls._kind:
            raise ValueError(f"this is not a saved {cls.__name__}")
        try:
            options = {key: value for key, value in saved.items() if key not in ("kind", *cls._statistics)}
            scaler = cls(**options)
            values = [saved[name] for name in cls._statistics]
            arrays = [None if value is None else np.array(value, dtype=np.float64) for value in values]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the saved {cls.__name__} is damaged: {error}") from None
        shapes = {None if array is None else array.shape for array in arrays}
        if len(shapes) != 1 or not all(shape is None or len(shape) == 2 for shape in shapes):
            raise ValueError(f"the saved {cls.__name__} is damaged: its statistics have shapes {shapes}")
        for name, array in zip(cls._statistics, arrays, strict=True):
            setattr(scaler, name, array)
        return scaler

    def _options(self) -> dict[str, Any]:
        return {"per_series": self.per_series}

    def _series(self, x: Any) -> list[Any]:
        if self.per_series and not is_several(x):
            raise ValueError("a scaler with per_series=True takes a list of series, or an array (S, T, F)")
        return list(x) if self.per_series or _is_list_of_series(x) else [x]

    def _rows(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return values if self.per_series else values[0]

    def _fitted(self) -> None:
        if getattr(self, self._statistics[0]) is None:
            raise ValueError("nothing was fitted yet: call fit with the training part first")

    def _apply(self, x: Any, change: Any, feature: int | None = None) -> Any:
        offset, scale = np.atleast_2d(self.offset), np.atleast_2d(self.scale)
        if feature is not None:
            if not -offset.shape[1] <= feature < offset.shape[1]:
                raise ValueError(f"feature must lie in 0..{offset.shape[1] - 1}, got {feature}")
            offset, scale = offset[:, feature], scale[:, feature]
        series = self._series(x)
        if self.per_series and len(series) != len(offset):
            raise ValueError(f"the scaler knows {len(offset)} series, got {len(series)}")
        done = []
        for number, each in enumerate(series):
            array = real_numbers(each, "x")
            dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
            row = number if self.per_series else 0
            if feature is None:
                wanted = offset.shape[1]
                if array.ndim == 0 or (array.shape[-1] if array.ndim > 1 else 1) != wanted:
                    raise ValueError(f"x must have shape (..., {wanted}), got {array.shape}")
            done.append(change(array.astype(np.float64), offset[row], scale[row]).astype(dtype))
        if self.per_series:
            return done if isinstance(x, (list, tuple)) else np.stack(done)
        return done if _is_list_of_series(x) else done[0]


class StandardScaler(_Scaler):
    """Scale each feature to mean 0 and standard deviation 1: (x - mean) / std.

    The deviation is that of the data itself (divided by n). A constant feature becomes 0. Statistics are float64 and
    are merged as in Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", so that fitting in
    parts loses nothing.

    Parameters
    ----------
    per_series : bool
        Statistics of its own for each series.

    Examples
    --------
    >>> scaler = StandardScaler().fit([[1.0, 10.0], [3.0, 30.0]])
    >>> scaler.transform([[2.0, 40.0]]).tolist()
    [[0.0, 2.0]]
    >>> scaler.inverse_transform([[0.0, 2.0]]).tolist()
    [[2.0, 40.0]]
    """

    _kind = "standard"
    _statistics = ("count", "mean", "spread")

    count: Any
    mean: Any
    spread: Any

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        self._fitted()
        return self._rows(self.mean)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        self._fitted()
        count = np.maximum(self.count, 1)
        variance = self.spread / count
        # What rounding alone makes of a constant feature: see the error bounds in Chan, Golub & LeVeque 1983.
        rounding = np.finfo(np.float64).eps * count
        constant = variance <= rounding * variance + (rounding * self.mean) ** 2
        return self._rows(np.where(constant, 1.0, np.sqrt(variance)))

    def _update(self, found: list[npt.NDArray[np.float64]]) -> None:
        count = np.array([(~np.isnan(each)).sum(0) for each in found], dtype=np.float64)
        total = np.array([np.nansum(each, axis=0) for each in found])
        mean = total / np.maximum(count, 1)
        spread = np.array([np.nansum((each - middle) ** 2, axis=0) for each, middle in zip(found, mean, strict=True)])
        if self.count is None:
            self.count, self.mean, self.spread = count, mean, spread
            return
        both = np.maximum(self.count + count, 1)
        shift = mean - self.mean
        self.spread = self.spread + spread + shift**2 * self.count * count / both
        self.mean = self.mean + shift * count / both
        self.count = self.count + count


class MinMaxScaler(_Scaler):
    """Scale each feature to a range: its minimum to the range's lower end, its maximum to the upper.

    What was not in the training part may lie outside. A constant feature becomes the lower end.

    Parameters
    ----------
    feature_range : pair of float
    per_series : bool
        Statistics of its own for each series.

    Raises
    ------
    ValueError
        When the range does not rise.

    Examples
    --------
    >>> scaler = MinMaxScaler(feature_range=(-1, 1)).fit([2.0, 4.0, 6.0])
    >>> scaler.transform([2.0, 5.0, 10.0]).tolist()
    [-1.0, 0.5, 3.0]
    """

    _kind = "min_max"
    _statistics = ("lowest", "highest")

    lowest: Any
    highest: Any

    def __init__(self, feature_range: tuple[float, float] = (0.0, 1.0), *, per_series: bool = False) -> None:
        low, high = feature_range
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"feature_range must rise, got {feature_range!r}")
        self.feature_range = (float(low), float(high))
        super().__init__(per_series=per_series)

    def _options(self) -> dict[str, Any]:
        return {"feature_range": list(self.feature_range), **super()._options()}

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        self._fitted()
        return np.nan_to_num(self._rows(self.lowest)) - self.feature_range[0] * self.scale

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        self._fitted()
        width = self.highest - self.lowest
        # Of a feature that was NaN throughout nothing is known; that of a constant one may be rounding alone.
        rounding = 10 * np.finfo(np.float64).eps * np.maximum(np.abs(self.highest), np.abs(self.lowest))
        low, high = self.feature_range
        return self._rows(np.where(width > rounding, width, 1.0) / (high - low))

    def _update(self, found: list[npt.NDArray[np.float64]]) -> None:
        # NaN loses against any number, and stays where there is none.
        lowest = np.array([np.fmin.reduce(each, axis=0, initial=np.nan) for each in found])
        highest = np.array([np.fmax.reduce(each, axis=0, initial=np.nan) for each in found])
        self.lowest = lowest if self.lowest is None else np.fmin(self.lowest, lowest)
        self.highest = highest if self.highest is None else np.fmax(self.highest, highest)


def _is_list_of_series(x: Any) -> bool:
    """Whether x is a list of series (T, F). A list of rows is an array to NumPy, and here."""
    return isinstance(x, (list, tuple)) and len(x) > 0 and np.ndim(x[0]) > 1


def _columns(x: Any) -> npt.NDArray[np.float64]:
    """All places side by side: float64 (n, F)."""
    array = real_numbers(x, "x").astype(np.float64)
    if array.ndim == 0:
        raise ValueError("x must have at least one axis, got a single number")
    return array.reshape(-1, 1) if array.ndim == 1 else array.reshape(-1, array.shape[-1])
