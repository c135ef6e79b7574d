"""Which steps of a series are strange: those that cannot be foretold, or not be told again."""

from typing import Any, Self

import numpy as np

from rnnfast.data import Windows
from rnnfast.layers import Dropout, Last, Linear, Repeat, _check
from rnnfast.layers._base import Layer
from rnnfast.layers._key import generator
from rnnfast.models.estimators._series import SERIES_PARAMETERS, SeriesEstimator, check_series, like
from rnnfast.training.metrics import AUC

Array = np.ndarray

_METHODS = ("forecast", "autoencoder")


class AnomalyDetector(SeriesEstimator):
    __doc__ = f"""Mark the steps of a series that are unlike those it was trained on.

    Each step has a score: the root of the mean, over the features, of the network's squared error on the scaled series.
    Steps whose score is above a quantile of the training scores are strange.

    - "forecast": the network foretells each step from the window before it (Malhotra et al. 2015, "Long short term
      memory networks for anomaly detection in time series");
    - "autoencoder": an encoder makes one vector of a window, a decoder the window again; a step's error is the mean
      over all windows that hold it (Malhotra et al. 2016, "LSTM-based encoder-decoder for multi-sensor anomaly
      detection").

    Parameters
    ----------
    method : "forecast" or "autoencoder"
    window : int
        Steps that the network sees.
    quantile : float
        The threshold is this quantile of the training scores.
{SERIES_PARAMETERS}

    Attributes
    ----------
    threshold_ : float
        May be set.
    network : Sequential
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> series = np.sin(np.arange(400) / 4)
    >>> model = AnomalyDetector(window=16, hidden_size=16, seed=0).fit(series, epochs=10)
    >>> strange = series[:100].copy()
    >>> strange[60] += 2
    >>> int(model.score_samples(strange)[16:].argmax()) + 16
    60
    """

    threshold_: float

    def __init__(
        self,
        *,
        method: str = "forecast",
        window: int = 32,
        quantile: float = 0.99,
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
        self.method, self.window, self.quantile = method, window, quantile
        self.cell, self.hidden_size, self.num_layers = cell, hidden_size, num_layers
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.scaling, self.per_series, self.dtype, self.seed = scaling, per_series, dtype, seed

    @property
    def _forecasts(self) -> bool:
        return self.method == "forecast"

    def _check(self) -> None:
        _check.size(self.window, "window")
        if self.method not in _METHODS:
            raise ValueError(f"method must be 'forecast' or 'autoencoder', got {self.method!r}")
        if not 0 < self.quantile <= 1:
            raise ValueError(f"quantile must be more than 0 and at most 1, got {self.quantile!r}")

    def fit(self, series: Any, **how: Any) -> Self:
        """Train a new network on series that are as they should be, and set the threshold.

        Parameters
        ----------
        series : array_like (T,) or (T, F), or list of these
        **how
            Goes on to `Sequential.fit`: epochs (50 unless given), batch_size, optimizer (Adam with a rate of 0.003 and
            gradients clipped to a norm of 1), validation_split, callbacks, verbose ...

        Returns
        -------
        The detector itself.
        """
        self._check()
        found = check_series(series, "series")
        rng = generator(self.seed)
        with self._all_or_nothing():
            self._learn_scale(found)
            scaled = self._scaled(found, self._scalers)
            x, y = self._examples(scaled)
            self._train(self._layers(rng), rng, x, y, {"loss": "mse", **self._given(how)})
            scores = np.concatenate([self._scores(each) for each in scaled if len(each) >= self._least])
            self.threshold_ = float(np.nanquantile(scores, self.quantile))
        return self

    def _layers(self, rng: np.random.Generator) -> list[Layer]:
        encoder = self._recurrent(self._features, rng)
        layers: list[Layer] = [encoder, Last()]
        if not self._forecasts:
            layers += [Repeat(self.window), self._recurrent(encoder.output_size, rng)]
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return [*layers, Linear(encoder.output_size, self._features, dtype=self.dtype, seed=rng)]

    def _examples(self, scaled: list[Array]) -> tuple[Array, Array]:
        """Windows, and what the network is to make of them: the next step, or the window itself."""
        if self._forecasts:
            return Windows(scaled, self.window).arrays()
        x = Windows(scaled, self.window, gap=-1).arrays()[0]
        return x, x

    @property
    def _least(self) -> int:
        """Steps that a series must have."""
        return self.window + self._forecasts

    def _scores(self, array: Array) -> Array:
        """Of every step of a scaled series (T, F)."""
        x, y = self._examples([array])
        errors = ((self.network.predict(x, batch_size=256) - y) ** 2).mean(axis=-1)
        if self._forecasts:
            return np.sqrt(np.concatenate([np.full(self.window, np.nan), errors]))
        sums, counts = np.zeros(len(array)), np.zeros(len(array))
        for step in range(self.window):
            part = slice(step, step + len(errors))
            sums[part] += errors[:, step]
            counts[part] += 1
        return np.sqrt(sums / counts)

    def score_samples(self, series: Any) -> Any:
        """How strange each step is: the larger, the stranger.

        Parameters
        ----------
        series : array_like (T,) or (T, F), or list of these
            At least a window; to forecast, one step more.

        Returns
        -------
        numpy.ndarray (T,), or a list of these for several series
            nan at the first `window` steps, where there is nothing to foretell them from.
        """
        self._fitted()
        found = self._known(series, self._least)
        return like(series, [self._scores(each) for each in self._scaled(found, self._scalers)])

    def predict(self, series: Any) -> Any:
        """Which steps are strange: bool (T,), or a list of these; steps without a score are not."""
        scores = self.score_samples(series)
        return [each > self.threshold_ for each in scores] if isinstance(scores, list) else scores > self.threshold_

    def score(self, series: Any, labels: Any) -> float:
        """The area under the receiver operating characteristic of the scores.

        Parameters
        ----------
        series : as in `score_samples`
        labels : array_like of bool (T,), or list of these
            Which steps are strange. Steps without a score do not count.
        """
        scores = self.score_samples(series)
        several = isinstance(scores, list)
        given = [np.asarray(each) for each in (labels if several else [labels])]
        scores = scores if several else [scores]
        if [each.shape for each in given] != [each.shape for each in scores]:
            raise ValueError(f"labels must have shapes {[each.shape for each in scores]}, one for each step")
        joined, wanted = np.concatenate(scores), np.concatenate(given)
        told = ~np.isnan(joined)
        measure = AUC()
        measure.update(joined[told], wanted[told].astype(np.int64))
        return measure.result()

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "threshold": self.threshold_}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._check()
        self.threshold_ = float(state["threshold"])
        shape = ("B", self._features) if self._forecasts else ("B", self.window, self._features)
        if self.network.output_shape(("B", "T", self._features)) != shape:
            raise ValueError("its layers do not fit its window and features")
