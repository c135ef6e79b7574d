"""What follows a series: one step or several, with bands."""

from typing import Any, Self

import numpy as np

from rnnfast.data import Windows
from rnnfast.data._checks import is_several
from rnnfast.layers import Dropout, Last, Linear, _check
from rnnfast.layers._base import Layer
from rnnfast.layers._key import generator
from rnnfast.models.estimators._series import SERIES_PARAMETERS, SeriesEstimator, check_series, like
from rnnfast.models.estimators.backtest import Backtest, roll
from rnnfast.training.losses import Loss, Quantile
from rnnfast.training.metrics import R2

Array = np.ndarray

_STRATEGIES = ("direct", "recursive")


class Forecaster(SeriesEstimator):
    __doc__ = f"""Foretell a series from its last steps: recurrent layers over a window, and a linear output.

    Parameters
    ----------
    window : int
        Steps that the network sees.
    horizon : int
        Steps to foretell.
    strategy : "direct" or "recursive"
        The network gives all steps at once; or one, which is then taken for true to get the next.
    quantiles : sequence of float, optional
        Forecast these quantiles of each step, such as (0.1, 0.5, 0.9), in place of the mean: the pinball loss is made
        small (Wen et al. 2017, "A multi-horizon quantile recurrent forecaster").
    difference : bool
        Whether the network tells how far each step is from the window's last one.
{SERIES_PARAMETERS}

    Attributes
    ----------
    network : Sequential
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> series = np.sin(np.arange(300) / 5)
    >>> model = Forecaster(window=20, horizon=5, hidden_size=16, seed=0).fit(series[:200], epochs=30)
    >>> bool(abs(model.predict(series[:250]) - series[250:255]).max() < 0.1)
    True
    """

    _past: int
    _past_scalers: list[Any]

    def __init__(
        self,
        window: int = 32,
        horizon: int = 1,
        *,
        strategy: str = "direct",
        quantiles: Any = None,
        difference: bool = False,
        cell: str = "lstm",
        hidden_size: Any = 32,
        num_layers: int | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        scaling: str | None = "standard",
        per_series: bool = False,
        dtype: str = "float32",
        seed: Any = None,
    ):
        self.window, self.horizon, self.strategy, self.quantiles = window, horizon, strategy, quantiles
        self.difference, self.cell, self.hidden_size, self.num_layers = difference, cell, hidden_size, num_layers
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.scaling, self.per_series, self.dtype, self.seed = scaling, per_series, dtype, seed

    @property
    def _steps(self) -> int:
        """How many steps the network gives."""
        return 1 if self.strategy == "recursive" else self.horizon

    def _check(self) -> None:
        _check.size(self.window, "window")
        _check.size(self.horizon, "horizon")
        _check.flag(self.difference, "difference")
        if self.strategy not in _STRATEGIES:
            raise ValueError(f"strategy must be 'direct' or 'recursive', got {self.strategy!r}")
        if self.quantiles is not None:
            levels = Quantile(self.quantiles).quantiles
            if not isinstance(levels, list) or sorted(set(levels)) != levels:
                raise ValueError(f"quantiles must be several and rise, got {self.quantiles!r}")
            if self.strategy == "recursive" and self.horizon > 1:
                raise ValueError("quantiles of several steps need strategy='direct': a forecast fed back has no spread")

    def fit(self, series: Any, *, past_covariates: Any = None, validation_split: float = 0.0, **how: Any) -> Self:
        """Train a new network on all windows of the series.

        Parameters
        ----------
        series : array_like (T,) or (T, F), or list of these
            All F features are foretold.
        past_covariates : as `series`, optional
            Further inputs of as many steps (T, K), which are not foretold.
        validation_split : float
            This last part of every series is held out, for scaling and training, and evaluated after each epoch.
        **how
            Goes on to `Sequential.fit`: epochs (50 unless given), batch_size, optimizer (Adam with a rate of 0.003 and
            gradients clipped to a norm of 1), callbacks, verbose ...

        Returns
        -------
        The forecaster itself.

        Raises
        ------
        TypeError, ValueError
            When series are too short for a window and its target, or an argument does not fit.
        """
        self._check()
        found = check_series(series, "series")
        share = _check.probability(validation_split, "validation_split")
        ends = [len(each) - int(np.ceil(len(each) * share)) for each in found]
        past = self._checked_past(past_covariates, found)
        rng = generator(self.seed)
        how = self._given(how)
        how.setdefault("loss", "mse" if self.quantiles is None else Bands(self.quantiles))
        with self._all_or_nothing():
            self._learn_scale(_cut(found, ends))
            self._past = 0 if past is None else past[0].shape[1]
            self._past_scalers = [] if past is None else self._scalers_of(_cut(past, ends))
            inputs = self._inputs(found, past)
            x, y = self._examples(_cut(inputs, ends))
            if share:
                tails = [each[max(0, end - self.window) :] for each, end in zip(inputs, ends, strict=True)]
                how["validation_data"] = self._examples(tails)
            return self._train(self._layers(x.shape[2], rng), rng, x, y, how)

    def _layers(self, features: int, rng: np.random.Generator) -> list[Layer]:
        recurrent = self._recurrent(features, rng)
        output = Linear(recurrent.output_size, self._width, dtype=self.dtype, seed=rng)
        return [recurrent, Last(), *([Dropout(self.dropout)] if self.dropout else []), output]

    @property
    def _width(self) -> int:
        """How many numbers the network gives for a window."""
        return self._steps * self._features * (1 if self.quantiles is None else len(self.quantiles))

    def _checked_past(self, past: Any, series: list[Array]) -> list[Array] | None:
        if past is None:
            return None
        found = check_series(past, "past_covariates")
        wanted = [len(each) for each in series]
        if [len(each) for each in found] != wanted:
            got = [len(each) for each in found]
            raise ValueError(f"past_covariates must have as many steps as the series, {wanted}, got {got}")
        return found

    def _inputs(self, series: list[Array], past: list[Array] | None) -> list[Array]:
        """What the network sees of each series, scaled: its features, then the covariates."""
        scaled = self._scaled(series, self._scalers)
        if past is None:
            return scaled
        more = self._scaled(past, self._past_scalers)
        return [np.concatenate(pair, axis=1) for pair in zip(scaled, more, strict=True)]

    def _examples(self, inputs: list[Array]) -> tuple[Array, Array]:
        """Windows (N, window, F + K), and their targets side by side (N, steps·F)."""
        x, y = Windows(inputs, self.window, self._steps).arrays()
        y = y[..., : self._features]
        if self.difference:
            y = y - x[:, -1:, : self._features]
        return x, np.reshape(y, (len(y), -1))

    def _outputs(self, x: Array) -> Array:
        """Scaled forecasts (N, steps, F), or (N, steps, F, Q), of scaled windows."""
        levels = () if self.quantiles is None else (len(self.quantiles),)
        y = self.network.predict(x, batch_size=256).reshape(len(x), self._steps, self._features, *levels)
        if levels:  # where the network has quantiles cross, their order is theirs
            y = np.sort(y, axis=-1)
        if not self.difference:
            return y
        last = x[:, -1:, : self._features]
        return y + (last[..., None] if levels else last)

    def _forecast(self, x: Array, horizon: int) -> Array:
        """Scaled forecasts of so many steps."""
        if self.strategy == "direct":
            return self._outputs(x)[:, :horizon]
        steps: list[Array] = []
        for _ in range(horizon):
            steps.append(self._outputs(x))
            if len(steps) < horizon:
                x = np.concatenate([x[:, 1:], steps[-1].astype(x.dtype)], axis=1)
        return np.concatenate(steps, axis=1)

    def _horizon(self, horizon: int | None) -> int:
        """How many steps are asked for, where they can be told."""
        self._fitted()
        horizon = self.horizon if horizon is None else _check.size(horizon, "horizon")
        if self.strategy == "direct" and horizon > self.horizon:
            raise ValueError(f"horizon must be at most {self.horizon}, that of the direct strategy, got {horizon}")
        if self.strategy == "recursive" and horizon > 1:
            if self._past:
                raise ValueError("past covariates of later steps are not known: take strategy='direct', or horizon=1")
            if self.quantiles is not None:
                raise ValueError("quantiles of several steps need strategy='direct'")
        return horizon

    def forecasts(self, series: Any, starts: Any, horizon: int | None = None, *, past_covariates: Any = None) -> Any:
        """Forecasts that begin at several steps of a series, each from the window before it.

        Parameters
        ----------
        series : array_like (T,) or (T, F), or list of these
        starts : integers (N,), or for several series a list of these
            The first step of each forecast, from `window` to T.
        horizon : int, optional
            None: that of the constructor; longer than it only with the recursive strategy.
        past_covariates : as `series`, where they were fitted

        Returns
        -------
        numpy.ndarray (N, horizon), (N, horizon, F), or with quantiles (..., Q); for several series a list
            Without F where the series is (T,).
        """
        horizon = self._horizon(horizon)
        inputs = self._seen(series, past_covariates, self.window)
        several = is_several(series)
        each_starts = starts if several else [starts]
        if len(each_starts) != len(inputs):
            raise ValueError(f"starts must be as many lists as series, {len(inputs)}, got {len(each_starts)}")
        results = []
        for number, (array, given) in enumerate(zip(inputs, each_starts, strict=True)):
            places = np.asarray(given)
            fits = places.ndim == 1 and places.size and places.dtype.kind in "iu"
            if not fits or places.min() < self.window or places.max() > len(array):
                raise ValueError(f"starts must be whole numbers from {self.window} to {len(array)}, got {given!r:.60}")
            y = self._forecast(np.stack([array[place - self.window : place] for place in places]), horizon)
            if self.quantiles is None:
                y = self._unscaled(y, number)
            else:
                y = np.moveaxis(self._unscaled(np.moveaxis(y, -1, 0), number), 0, -1)
            results.append(y[:, :, 0] if np.ndim(series[number] if several else series) == 1 else y)
        return like(series, results)

    def _seen(self, series: Any, past: Any, steps: int) -> list[Array]:
        """What the network sees of series that were given to an estimator that is fitted."""
        found = self._known(series, steps)
        more = self._checked_past(past, found)
        if (more[0].shape[1] if more else 0) != self._past:
            got = "none" if more is None else more[0].shape[1]
            raise ValueError(f"past_covariates must have {self._past or 'no'} features, as those fitted, got {got}")
        return self._inputs(found, more)

    def predict(self, series: Any, horizon: int | None = None, *, past_covariates: Any = None) -> Any:
        """What follows the end of a series.

        Parameters
        ----------
        series : array_like (T,) or (T, F), or list of these
            At least `window` steps.
        horizon : int, optional
            None: that of the constructor; longer than it only with the recursive strategy.
        past_covariates : as `series`, where they were fitted

        Returns
        -------
        numpy.ndarray (horizon,), (horizon, F), or with quantiles (..., Q); for several series a list
        """
        ends = [[len(each)] for each in self._known(series, self.window)]
        told = self.forecasts(series, like(series, ends), horizon, past_covariates=past_covariates)
        return [each[0] for each in told] if isinstance(told, list) else told[0]

    def score(self, series: Any, *, past_covariates: Any = None) -> float:
        """R² of the network's forecasts (the middle quantile) from every window of the series."""
        inputs = self._seen(series, past_covariates, self.window + self._steps)
        measure = R2()
        for number, each in enumerate(inputs):
            x, y = Windows([each], self.window, self._steps).arrays()
            told = self._unscaled(self.middle(self._outputs(x)), number)
            measure.update(told, self._unscaled(y[..., : self._features], number))
        return measure.result()

    def middle(self, forecast: Array) -> Array:
        """One forecast out of quantiles (..., Q): that which is nearest to the median. Others stay as they are."""
        if self.quantiles is None:
            return forecast
        return forecast[..., int(np.abs(np.asarray(self.quantiles) - 0.5).argmin())]

    def backtest(
        self,
        series: Any,
        *,
        start: float | int = 0.8,
        stride: int = 1,
        season: int = 1,
        refit_every: int | None = None,
        past_covariates: Any = None,
        **how: Any,
    ) -> Backtest:
        """How good forecasts would have been: a rolling origin, and the seasonal-naive forecast beside it.

        Copies of the forecaster, with its arguments, are fitted on what lies before the origins; it itself stays as it
        is. From each origin `horizon` steps are foretold.

        Parameters
        ----------
        series : array_like (T,) or (T, F)
        start : float or int
            The first origin: a share of the series, or a step.
        stride : int
            Steps from one origin to the next.
        season : int
            Steps of a season: the naive forecast says what was one season before. 1 repeats the last value.
        refit_every : int, optional
            After so many origins a copy is fitted anew, on all that lies before the next; None fits once.
        past_covariates : as `series`, optional
        **how
            Goes on to `fit`.

        Returns
        -------
        Backtest
        """
        return roll(self, series, start, stride, season, refit_every, past_covariates, how)

    def _state(self) -> dict[str, Any]:
        more = {"past": self._past, "past_scalers": [each.to_dict() for each in self._past_scalers]}
        return {**super()._state(), **more}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._check()
        self._past = int(state["past"])
        kinds = [type(each) for each in self._scalers[:1]] * len(state["past_scalers"])
        self._past_scalers = [kind.from_dict(each) for kind, each in zip(kinds, state["past_scalers"], strict=True)]
        size = self._features + self._past
        if self.network.output_shape(("B", "T", size)) != ("B", self._width) or self.network.input_shape[-1] != size:
            raise ValueError("its layers do not fit its window, horizon and features")


def _cut(series: list[Array], ends: list[int]) -> list[Array]:
    """The beginning of each series."""
    return [each[:end] for each, end in zip(series, ends, strict=True)]


class Bands(Loss):
    """The pinball loss of outputs (B, n·Q) that are Q quantiles of each of n targets (B, n)."""

    name = "quantile"

    def __init__(self, quantiles: Any):
        self._each = Quantile(quantiles)
        self.quantiles = self._each.quantiles

    def __call__(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> tuple[float, Any, Any]:
        """See `Loss`."""
        shape = predictions.shape
        found = self._each(predictions.reshape(shape[0], -1, len(self.quantiles)), targets, mask, weights)
        return found[0], found[1], found[2].reshape(shape)
