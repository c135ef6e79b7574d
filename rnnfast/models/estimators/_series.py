"""What forecaster and anomaly detector share: series, each scaled, with what is known beside them."""

from typing import Any

import numpy as np

from rnnfast.data import MinMaxScaler, StandardScaler
from rnnfast.data._checks import is_several, series_list
from rnnfast.layers import _check
from rnnfast.models.estimators._base import Estimator
from rnnfast.training.optimizers import Adam

Array = np.ndarray

SCALERS: dict[str, type[StandardScaler] | type[MinMaxScaler]] = {"standard": StandardScaler, "min_max": MinMaxScaler}

SERIES_PARAMETERS = """    cell : "lstm", "gru" or "rnn"
    hidden_size : int or list of int
        Of each layer.
    num_layers : int, optional
        None: one, or as many as hidden_size has.
    dropout : float
        Between recurrent layers, and before the output.
    recurrent_dropout : float
        Of the state, one mask a window.
    scaling : "standard", "min_max" or None
        What is done to every feature; learnt from the training part alone, and undone in what is given back.
    per_series : bool
        Whether each series is scaled by itself; then only series that were fitted can be given again, in their order.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        Fixes first weights, order and dropout: equal seeds give equal models to the last bit."""


class SeriesEstimator(Estimator):
    """An estimator of series (T,) or (T, F), of one or several."""

    window: int
    scaling: str | None
    per_series: bool

    _features: int
    _scalers: list[Any]
    _count: int

    def _learn_scale(self, training: list[Array]) -> None:
        """Learn the scale of series from their training parts."""
        if self.scaling is not None and self.scaling not in SCALERS:
            raise ValueError(f"scaling must be 'standard', 'min_max' or None, got {self.scaling!r}")
        _check.flag(self.per_series, "per_series")
        self._features, self._count = training[0].shape[1], len(training)
        self._scalers = self._scalers_of(training)

    def _scalers_of(self, training: list[Array]) -> list[Any]:
        if self.scaling is None:
            return []
        parts = [[each] for each in training] if self.per_series else [training]
        return [SCALERS[self.scaling]().fit(np.concatenate(part)) for part in parts]

    def _scaled(self, series: list[Array], scalers: list[Any]) -> list[Array]:
        if not scalers:
            return series
        return [scalers[number % len(scalers)].transform(each) for number, each in enumerate(series)]

    def _unscaled(self, values: Array, number: int) -> Array:
        """Of series `number`, values (..., F) as they were before."""
        return self._scalers[number % len(self._scalers)].inverse_transform(values) if self._scalers else values

    def _known(self, series: Any, steps: int) -> list[Array]:
        """Series that fit those that were trained with, each of at least so many steps."""
        self._fitted()
        found = check_series(series, "series")
        if found[0].shape[1] != self._features:
            raise ValueError(f"series must have {self._features} features, as those fitted, got {found[0].shape[1]}")
        if self.per_series and len(found) != self._count:
            raise ValueError(
                f"with per_series the {self._count} series that were fitted must be given, got {len(found)}"
            )
        for number, each in enumerate(found):
            if len(each) < steps:
                raise ValueError(f"series {number} must have at least {steps} steps, got {len(each)}")
        return found

    def _given(self, how: dict[str, Any]) -> dict[str, Any]:
        """What goes on to `Sequential.fit`."""
        how = {"epochs": 50, "verbose": False, **how}
        how["optimizer"] = how.get("optimizer") or Adam(3e-3, clip_norm=1.0)
        return how

    def _state(self) -> dict[str, Any]:
        scalers = [each.to_dict() for each in self._scalers]
        return {"features": self._features, "count": self._count, "scalers": scalers}

    def _restore(self, state: dict[str, Any]) -> None:
        self._features, self._count = int(state["features"]), int(state["count"])
        kind = None if self.scaling is None else SCALERS[self.scaling]
        self._scalers = [kind.from_dict(each) for each in state["scalers"]] if kind else []
        if kind and len(self._scalers) != (self._count if self.per_series else 1):
            raise ValueError("its scalers are not as many as its series")


def check_series(series: Any, name: str) -> list[Array]:
    """One series or several as a list of float arrays (T, F), all numbers finite."""
    found = series_list(series, name)
    for number, each in enumerate(found):
        if not np.isfinite(each).all():
            called = f"{name}[{number}]" if is_several(series) else name
            raise ValueError(f"{called} must hold finite numbers, and has nan or infinity")
    return [each.astype(np.float64) if each.dtype.kind != "f" else each for each in found]


def like(series: Any, found: list[Any]) -> Any:
    """What belongs to each series: a list where several were given."""
    return found if is_several(series) else found[0]
