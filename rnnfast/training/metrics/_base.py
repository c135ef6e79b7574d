"""What every metric is: running sums that batches are added to."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class Metric:
    """A figure that training reports beside the loss, gathered batch by batch.

    A metric of your own defines `start`, `update` and `result`. Results must not depend on how the data is cut into
    batches.

    Examples
    --------
    >>> class Largest(Metric):
    ...     name = "largest"
    ...     def start(self):
    ...         return {"most": float("-inf")}
    ...     def update(self, predictions, targets, mask=None, weights=None):
    ...         self.most = max(self.most, float(predictions.max()))
    ...     def result(self):
    ...         return self.most
    >>> metric = Largest()
    >>> metric.update(np.array([1.0, 5.0]), None)
    >>> metric.update(np.array([2.0, 3.0]), None)
    >>> metric.result(), metric.state()
    (5.0, {'most': 5.0})
    """

    name = "metric"

    def __init__(self) -> None:
        self.reset()

    def start(self) -> dict[str, Any]:
        """What is gathered, as it is before the first batch: numbers, arrays, lists of arrays, by attribute."""
        return {}

    def reset(self) -> None:
        """Forget all batches."""
        for name, value in self.start().items():
            setattr(self, name, value)

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch.

        Parameters
        ----------
        predictions : numpy.ndarray (B, ..., F)
            What the model gives.
        targets : array_like
            What it should give.
        mask : numpy.ndarray of bool (B,) or (B, T), optional
            True where a place counts; None counts all. What does not count is not read, and may hold NaN.
        weights : numpy.ndarray of float (B,) or (B, T), optional
            How much each place counts. A mean is sum(weight * value) / sum(weight).
        """
        raise NotImplementedError

    def result(self) -> float:
        """The figure over all batches since `reset`; nan where nothing counted."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What has been gathered, as JSON can hold it, to the last bit."""
        return {name: _plain(getattr(self, name)) for name in self.start()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        start = self.start()
        if not isinstance(state, Mapping) or state.keys() != start.keys():
            got = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{self.name}: the state must hold {', '.join(start)}, got {got}")
        for name, value in start.items():
            found = state[name]
            if isinstance(value, np.ndarray):
                found = np.asarray(found) if len(found) else value
            setattr(self, name, copy.copy(found))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.result():.6g}>"


class Mean(Metric):
    """The mean of what a function gives of each batch as (sum, count).

    Parameters
    ----------
    function : callable
        Of (predictions, targets, mask), giving (sum, count). One with a parameter `weights` is handed them, and gives
        (weighted sum, sum of weights); to any other all places count alike.
    name : str, optional
        The function's own name, where none is given.

    Examples
    --------
    >>> def highest(predictions, targets, mask=None):
    ...     return float(predictions.max(axis=-1).sum()), len(predictions)
    >>> metric = Mean(highest)
    >>> metric.update(np.array([[1.0, 3.0], [4.0, 2.0]]), None)
    >>> metric.update(np.array([[8.0, 3.0]]), None)
    >>> metric.name, metric.result()
    ('highest', 5.0)
    """

    total: float
    count: float

    def __init__(self, function: Callable[..., tuple[float, float]] | None = None, name: str | None = None):
        super().__init__()
        self._function = function
        if function is not None:
            self.name = getattr(function, "__name__", type(function).__name__)
        self.name = name or self.name
        self._weighted = function is None or _takes_weights(function)

    def start(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0}

    def measure(self, predictions: Any, targets: Any, mask: Any, weights: Any) -> tuple[float, float]:
        """(sum, count) of a batch; the function's, unless a class defines another."""
        if self._function is None:
            raise NotImplementedError
        return self._function(predictions, targets, mask, **({"weights": weights} if self._weighted else {}))

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        self.add(*self.measure(predictions, targets, mask, weights))

    def add(self, total: float, count: float) -> None:
        """Add a batch's sum and count."""
        self.total += _plain(total)
        self.count += _plain(count)

    def result(self) -> float:
        return self.total / self.count if self.count else float("nan")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Mean":
        # The function is the caller's, who may want to see what it has noted.
        twin = copy.copy(self)
        memo[id(self)] = twin
        for name, value in vars(self).items():
            setattr(twin, name, value if name == "_function" else copy.deepcopy(value, memo))
        return twin


class OfOutput(Metric):
    """A metric of one output of several, for predictions, targets, masks and weights by the output's name."""

    def __init__(self, output: str, metric: Metric, name: str):
        self.name = f"{output}_{name}"
        self._output, self._metric = output, metric

    def reset(self) -> None:
        self._metric.reset()

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch; a mask or weights that are not by name are those of every output, and no entry is none.

        Raises
        ------
        ValueError
            When there is no such output, or no target for it.
        """
        for what, found in (("output", predictions), ("target", targets)):
            if not isinstance(found, Mapping) or self._output not in found:
                names = ", ".join(found) if isinstance(found, Mapping) else "one without a name"
                raise ValueError(f"metrics: there is no {what} {self._output!r}; there is {names}")
        own = [each.get(self._output) if isinstance(each, Mapping) else each for each in (mask, weights)]
        self._metric.update(predictions[self._output], targets[self._output], *own)

    def result(self) -> float:
        return self._metric.result()

    def state(self) -> dict[str, Any]:
        return self._metric.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._metric.load_state(state)


def _takes_weights(function: Callable[..., Any]) -> bool:
    try:
        return "weights" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> Any:
    """Numbers, strings and nested lists in place of NumPy's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
