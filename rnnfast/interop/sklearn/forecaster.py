"""What follows a series, in scikit-learn's manner."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from rnnfast.data._checks import is_several
from rnnfast.interop.sklearn._estimator import make_optimizer, threads
from rnnfast.layers import _check
from rnnfast.models.estimators.forecaster import Forecaster
from rnnfast.training.callbacks import EarlyStopping
from rnnfast.training.history import History

# The arguments that are `rnnfast.Forecaster`'s own.
_OWN = (
    *("window", "horizon", "strategy", "quantiles", "difference", "cell", "hidden_size", "num_layers", "dropout"),
    *("recurrent_dropout", "scaling", "per_series", "dtype"),
)


class RNNForecaster(BaseEstimator):
    """Foretell a series from its last steps: `rnnfast.Forecaster`, with all that it needs in its constructor.

    So that scikit-learn clones it and searches over it, with `TimeSeriesSplit` for a series, whose steps are the
    samples. Its score is R² of the forecasts from all windows. For windows that are already cut, with their targets,
    take `RNNRegressor`; for covariates and a backtest `rnnfast.Forecaster`.

    Parameters
    ----------
    window, horizon, strategy, quantiles, difference, scaling, per_series
        As of `rnnfast.Forecaster`.
    cell, hidden_size, num_layers, dropout, recurrent_dropout
        As of `RNNRegressor`.
    optimizer, learning_rate, weight_decay, clip_norm, epochs, batch_size, n_threads, dtype, random_state, verbose
        As of `RNNRegressor`.
    early_stopping : bool
        Whether to hold out the last `validation_fraction` of the series, to end when the loss there has not become
        better for `n_iter_no_change` epochs, and to keep the best epoch's weights.
    validation_fraction : float
    n_iter_no_change : int

    Attributes
    ----------
    forecaster_ : rnnfast.Forecaster
        What does the work; `forecaster_.save` writes it to a file.
    history_ : History
    n_iter_ : int
        Epochs of the fit.
    n_features_in_ : int
        Features of a step.

    Examples
    --------
    >>> series = np.sin(np.arange(300) / 5)
    >>> model = RNNForecaster(window=20, horizon=5, hidden_size=16, epochs=30, random_state=0).fit(series[:250])
    >>> bool(abs(model.predict() - series[250:255]).max() < 0.1)
    True
    """

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
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        epochs: int = 50,
        batch_size: Any = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        n_threads: int | None = None,
        dtype: str = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.window, self.horizon, self.strategy, self.quantiles = window, horizon, strategy, quantiles
        self.difference, self.cell, self.hidden_size, self.num_layers = difference, cell, hidden_size, num_layers
        self.dropout, self.recurrent_dropout, self.scaling = dropout, recurrent_dropout, scaling
        self.per_series, self.optimizer, self.learning_rate = per_series, optimizer, learning_rate
        self.weight_decay, self.clip_norm, self.epochs, self.batch_size = weight_decay, clip_norm, epochs, batch_size
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.n_threads, self.dtype = n_iter_no_change, n_threads, dtype
        self.random_state, self.verbose = random_state, verbose

    history_: History
    n_iter_: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train a new network on all windows of a series.

        Parameters
        ----------
        X : array_like (T,) or (T, F), frame, or list of these
            A series, or several. All F features are foretold.
        y
            Not used; scikit-learn gives it.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        TypeError, ValueError
            When series are too short for a window and its target, or an argument does not fit.
        """
        steps = self.horizon if self.strategy == "direct" else 1
        X = self._series(X, _check.size(self.window, "window") + _check.size(steps, "horizon"), reset=True)
        seed = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1, size=4))
        model = Forecaster(**{name: getattr(self, name) for name in _OWN}, seed=seed)
        how: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size, "verbose": self.verbose}
        if self.early_stopping:
            how["validation_split"] = self.validation_fraction
            how["callbacks"] = [EarlyStopping("val_loss", patience=self.n_iter_no_change)]
        with threads(self.n_threads):
            self.forecaster_ = model.fit(X, optimizer=make_optimizer(self), **how)
        self.history_, self.n_iter_ = model.history_, len(model.history_.epoch)
        self._end = [each[-self.window :] for each in X] if is_several(X) else X[-self.window :]
        return self

    def predict(self, X: Any = None, horizon: int | None = None) -> Any:
        """What follows the end of a series.

        Parameters
        ----------
        X : as of `fit`, optional
            At least `window` steps. None: what was fitted. A whole number in its place is the horizon: `predict(12)`.
        horizon : int, optional
            Steps to foretell. None: that of the constructor; longer than it only with the recursive strategy.

        Returns
        -------
        numpy.ndarray (horizon,), (horizon, F), or with quantiles (..., Q); for several series a list
        """
        check_is_fitted(self, "forecaster_")
        if isinstance(X, (int, np.integer)) and horizon is None:
            X, horizon = None, int(X)
        X = self._end if X is None else self._series(X, self.window, reset=False)
        with threads(self.n_threads):
            return self.forecaster_.predict(X, horizon)

    def score(self, X: Any, y: Any = None) -> float:
        """R² of the forecasts from every window of a series; y is not used."""
        check_is_fitted(self, "forecaster_")
        X = self._series(X, self.window + 1, reset=False)
        with threads(self.n_threads):
            return self.forecaster_.score(X)

    def _series(self, x: Any, least: int, *, reset: bool) -> Any:
        """One series as an array, or a list of several."""
        how: dict[str, Any] = {"dtype": np.float64, "ensure_2d": False, "ensure_min_samples": least}
        if is_several(x):
            found = [
                check_array(each, input_name=f"X[{number}]", estimator=self, **how) for number, each in enumerate(x)
            ]
        else:
            found = [validate_data(self, x, reset=reset, **how)]
        widths = [1 if each.ndim == 1 else each.shape[1] for each in found]
        if reset:
            self.n_features_in_ = widths[0]
        for each, width in zip(found, widths, strict=True):
            if width != self.n_features_in_:
                wanted = f"{type(self).__name__} is expecting {self.n_features_in_} features as input"
                hint = f". Reshape your data: (T, {self.n_features_in_})" if each.ndim == 1 else ""
                raise ValueError(f"X has {width} features, but {wanted}{hint}")
        return found if is_several(x) else found[0]
