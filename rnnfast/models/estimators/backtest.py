"""How good forecasts would have been: a rolling origin, with the seasonal-naive forecast beside."""

from typing import Any, NamedTuple

import numpy as np

from rnnfast.data._checks import is_several
from rnnfast.layers import _check
from rnnfast.models.estimators._series import check_series

Array = np.ndarray


class Backtest(NamedTuple):
    """Forecasts from every origin, and what came."""

    origins: Array
    """int64 (N,): the first step of each forecast."""
    forecasts: Array
    """(N, horizon), (N, horizon, F), or with quantiles (..., Q)."""
    actual: Array
    """(N, horizon) or (N, horizon, F)."""
    naive: Array
    """What was one season before, of the shape of `actual`."""
    middle: Array
    """The forecasts, or of quantiles that nearest to the median."""
    quantiles: tuple[float, ...] | None

    @property
    def mae(self) -> float:
        """Mean absolute error of the (middle) forecasts."""
        return float(np.abs(self.middle - self.actual).mean())

    @property
    def rmse(self) -> float:
        """Root of their mean squared error."""
        return float(np.sqrt(((self.middle - self.actual) ** 2).mean()))

    @property
    def naive_mae(self) -> float:
        """Mean absolute error of the seasonal-naive forecast."""
        return float(np.abs(self.naive - self.actual).mean())

    @property
    def naive_rmse(self) -> float:
        """Root of its mean squared error."""
        return float(np.sqrt(((self.naive - self.actual) ** 2).mean()))

    @property
    def skill(self) -> float:
        """1 - mae / naive_mae: 0 is as good as the seasonal-naive forecast, 1 without error."""
        return 1 - self.mae / self.naive_mae

    @property
    def coverage(self) -> float | None:
        """The share of values between the lowest and the highest quantile; None without quantiles."""
        if self.quantiles is None:
            return None
        inside = (self.forecasts[..., 0] <= self.actual) & (self.actual <= self.forecasts[..., -1])
        return float(inside.mean())

    def __str__(self) -> str:
        text = (
            f"{len(self.origins)} origins: MAE {self.mae:.4g}, RMSE {self.rmse:.4g}; "
            f"seasonal-naive MAE {self.naive_mae:.4g}, RMSE {self.naive_rmse:.4g}; skill {self.skill:.1%}"
        )
        if self.quantiles is not None:
            wanted = self.quantiles[-1] - self.quantiles[0]
            text += f"; {self.coverage:.1%} within the band of {wanted:.0%}"
        return text


def seasonal_naive(series: Any, starts: Any, horizon: int, season: int = 1) -> Array:
    """Forecasts that say what was one season before.

    Parameters
    ----------
    series : array_like (T,) or (T, F)
    starts : integers (N,)
        The first step of each forecast, at least `season`.
    horizon : int
    season : int
        Steps of a season; 1 repeats the last value.

    Returns
    -------
    numpy.ndarray (N, horizon) or (N, horizon, F)

    Examples
    --------
    >>> seasonal_naive([1.0, 2.0, 3.0, 4.0], [3, 4], 3, season=2).tolist()
    [[2.0, 3.0, 2.0], [3.0, 4.0, 3.0]]
    """
    series, starts = np.asarray(series), np.asarray(starts)
    season, horizon = _check.size(season, "season"), _check.size(horizon, "horizon")
    if starts.size and (starts.min() < season or starts.max() > len(series)):
        raise ValueError(f"starts must be from {season}, the season, to {len(series)}, got {starts!r:.60}")
    return series[starts[:, None] - season + np.arange(horizon) % season]


def roll(
    forecaster: Any,
    series: Any,
    start: float | int,
    stride: int,
    season: int,
    refit_every: int | None,
    past: Any,
    how: dict[str, Any],
) -> Backtest:
    """See `Forecaster.backtest`."""
    if is_several(series):
        raise ValueError("backtest takes one series, (T,) or (T, F): call it for each")
    array = check_series(series, "series")[0]
    array = array[:, 0] if np.ndim(series) == 1 else array
    horizon, stride = _check.size(forecaster.horizon, "horizon"), _check.size(stride, "stride")
    refit_every = None if refit_every is None else _check.size(refit_every, "refit_every")
    first = int(len(array) * start) if isinstance(start, float) else _check.size(start, "start")
    least = max(forecaster.window + horizon, season)
    if not least <= first <= len(array) - horizon:
        raise ValueError(
            f"start must leave {least} steps before it and {horizon} after, of {len(array)} steps, got step {first}"
        )
    origins = np.arange(first, len(array) - horizon + 1, stride)
    past = None if past is None else np.asarray(past)
    told = []
    for begin in range(0, len(origins), refit_every or len(origins)):
        part = origins[begin : begin + (refit_every or len(origins))]
        known = None if past is None else past[: part[0]]
        copy = type(forecaster)(**forecaster.get_params()).fit(array[: part[0]], past_covariates=known, **how)
        told.append(copy.forecasts(array, part, past_covariates=past))
    forecasts = np.concatenate(told)
    actual = array[origins[:, None] + np.arange(horizon)]
    levels = None if forecaster.quantiles is None else tuple(map(float, forecaster.quantiles))
    naive = seasonal_naive(array, origins, horizon, season)
    return Backtest(origins, forecasts, actual, naive, forecaster.middle(forecasts), levels)
