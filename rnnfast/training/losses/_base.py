"""What losses share: the base class, functions as losses, several losses at once, losses by name."""

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast.layers import _check


class Loss:
    """A loss. Calling it gives `(sum, count, gradient of the sum with respect to the predictions)`."""

    name = "loss"
    aligned = True
    """Whether targets have the time axis of the predictions, where these have one: `fit` cuts both alike."""

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, Any, np.ndarray]:
        """Add the loss of every place up. The mean is `sum / count`.

        Parameters
        ----------
        predictions : numpy.ndarray of float32 or float64
            What the model gives.
        targets : array_like
            What it should give.
        mask : numpy.ndarray of bool (B,) or (B, T), optional
            True where a place counts; None counts all. What does not count is not read: it may hold NaN.
        weights : array_like of float (B,) or (B, T), optional
            Each place's loss and gradient are multiplied by its weight; the count is that without weights. Where a
            weight is 0, predictions may hold NaN.

        Returns
        -------
        (float, int or float, numpy.ndarray)
            The sum, the count, and the gradient of the sum: of the predictions' shape and dtype, zero where nothing
            counts.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        given = {name: repr(vars(self)[name]) for name in parameters if name in vars(self)}
        changed = [f"{name}={value}" for name, value in given.items() if value != repr(parameters[name].default)]
        return f"{type(self).__name__}({', '.join(changed)})"


class FunctionLoss(Loss):
    """A function with a gradient of its own, as a loss. `fit` and `evaluate` make it of a function given as the loss.

    Parameters
    ----------
    function : callable
        `function(predictions, targets, mask)` gives the sum over the places that count, their count, and the gradient
        of the sum with respect to the predictions. One with a parameter `weights` is given the weights, too.

    Raises
    ------
    TypeError
        It is no function; or, when called, what it gives are not these three, or weights are given to one that does
        not take them.
    ValueError
        When called: the gradient is not of the predictions' shape, or the count is not a finite number of at least 0.

    Examples
    --------
    >>> def cubed(predictions, targets, mask):
    ...     difference = predictions - targets
    ...     return (abs(difference) ** 3).sum(), difference.size, 3 * difference * abs(difference)
    >>> FunctionLoss(cubed)(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    (9.0, 2, array([ 3., 12.]))
    """

    def __init__(self, function: Callable[..., tuple[Any, Any, Any]]):
        if not callable(function):
            raise TypeError(f"a loss must be a function of (predictions, targets, mask), got {function!r}")
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self._takes_weights = _takes(function, "weights")

    def __repr__(self) -> str:
        return f"FunctionLoss({self.name})"

    def __call__(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> tuple[float, Any, Any]:
        """See `Loss`."""
        options = {}
        if weights is not None:
            if not self._takes_weights:
                raise TypeError(f"the loss {self.name} takes no weights: give it a parameter `weights` to use them")
            options["weights"] = weights
        found = self.function(predictions, targets, mask, **options)
        if not isinstance(found, tuple) or len(found) != 3:
            raise TypeError(f"the loss {self.name} must return a tuple (sum, count, gradient), got {found!r:.80}")
        total, count, gradient = found
        for what, number in (("sum", total), ("count", count)):
            if np.ndim(number) or not np.isreal(number):
                raise TypeError(f"the loss {self.name} must return a number as the {what}, got {number!r:.80}")
        if not (math.isfinite(count) and count >= 0):
            raise ValueError(f"the loss {self.name} must return a finite count of at least 0, got {count!r}")
        count = operator.index(count) if isinstance(count, (int, np.integer)) else float(count)
        return float(total), count, self._checked(gradient, predictions, "gradient")

    def _checked(self, gradient: Any, predictions: Any, what: str) -> Any:
        """The gradient as arrays like the predictions, our own: who calls a loss may write to it."""
        if isinstance(predictions, Mapping):
            if not isinstance(gradient, Mapping) or not gradient.keys() <= predictions.keys():
                got = ", ".join(map(str, gradient)) if isinstance(gradient, Mapping) else type(gradient).__name__
                raise ValueError(
                    f"the loss {self.name} must return a mapping of gradients by output ({', '.join(predictions)}), "
                    f"got {got}"
                )
            return {
                name: None
                if gradient.get(name) is None
                else self._checked(gradient[name], predictions[name], f"gradient[{name!r}]")
                for name in predictions
            }
        predictions = np.asarray(predictions)
        gradient = _check.real(gradient, None, f"the {what} of the loss {self.name}")
        if gradient.shape != predictions.shape:
            raise ValueError(
                f"the loss {self.name} must return a {what} of the shape of the predictions, {predictions.shape}, "
                f"got {gradient.shape}"
            )
        return np.array(gradient, predictions.dtype)


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


class JointLoss(Loss):
    """The sum of the mean losses of several outputs, each with a loss and a weight of its own.

    `fit` and `evaluate` make it of a mapping given as the loss.

    Parameters
    ----------
    losses : mapping of str to Loss, str or function
        By the output's name; a loss that compares several outputs, as `Triplet`, by the tuple of their names.
    weights : mapping of str to float, optional
        By the same names; 1 where none is given.

    Notes
    -----
    What it gives is that sum times the number of sequences, and this number as the count. Each output's mean is over
    the places that count in the batch, so a mean over batches weighs ragged outputs by sequences, not by steps.

    Examples
    --------
    >>> loss = JointLoss({"topic": "cross_entropy", "price": "mse"}, weights={"price": 0.5})
    >>> predictions = {"topic": np.zeros((2, 4)), "price": np.array([[1.0], [3.0]])}
    >>> total, count, gradient = loss(predictions, {"topic": [0, 3], "price": [0.0, 0.0]})
    >>> round(total / count, 4), round(float(np.log(4) + 0.5 * 5), 4)
    (3.8863, 3.8863)
    """

    name = "joint"

    def __init__(self, losses: Mapping[str, Any], weights: Mapping[str, float] | None = None):
        if not losses:
            raise ValueError("losses must name at least one output")
        for names in losses:
            if not all(isinstance(name, str) for name in (names if isinstance(names, tuple) else (names,))):
                raise TypeError(f"losses: outputs go by a name or a tuple of names, got {names!r}")
        self.losses = {name: find_loss(loss) for name, loss in losses.items()}
        self.weights = dict.fromkeys(self.losses, 1.0)
        for name, weight in (weights or {}).items():
            if name not in self.losses:
                raise ValueError(f"weights: there is no output {name!r}; there are {', '.join(map(str, self.losses))}")
            self.weights[name] = _check.not_negative(weight, f"weights[{name!r}]")

    def __repr__(self) -> str:
        return f"JointLoss({self.losses!r}, weights={self.weights!r})"

    def __call__(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> tuple[float, int, Any]:  # type: ignore[override]
        """See `Loss`; predictions and targets by the output's name, and the gradient likewise.

        Masks and weights are by the output's name, where None or no entry is none, or one array for every output. An
        output without a loss has the gradient None.
        """
        single = {name for name in self.losses if isinstance(name, str)}
        compared = single.union(*(set(names) for names in self.losses if not isinstance(names, str)))
        for what, found, wanted in (("predictions", predictions, compared), ("targets", targets, single)):
            if wanted and not (isinstance(found, Mapping) and wanted <= found.keys()):
                got = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
                raise ValueError(f"{what} must be a mapping with {', '.join(sorted(wanted))}, got {got}")
        mask, weights = (
            each if isinstance(each, Mapping) else dict.fromkeys(compared, each) for each in (mask, weights)
        )
        for name in weights:
            if name not in compared:
                there = ", ".join(sorted(compared))
                raise ValueError(f"weights: there is no output {name!r} with a loss; there are {there}")
        total, gradients = 0.0, dict.fromkeys(predictions)
        sequences = len(next(iter(predictions.values())))
        for names, loss in self.losses.items():
            x, y, counts, weight = (_of(names, each) for each in (predictions, targets, mask, weights))
            part, count, gradient = loss(x, y, counts) if weight is None else loss(x, y, counts, weight)
            share = self.weights[names] * sequences / count if count else 1.0
            total += share * part
            for name, each in ({names: gradient} if isinstance(names, str) else gradient).items():
                if each is not None:
                    each *= share
                    gradients[name] = each if gradients[name] is None else gradients[name] + each
        return total, sequences, gradients


def _of(names: str | tuple[str, ...], found: Any) -> Any:
    """What there is of one output, or of several by name; None where there is nothing."""
    if not isinstance(found, Mapping):
        return None
    if isinstance(names, str):
        return found.get(names)
    return {name: found[name] for name in names if found.get(name) is not None} or None


_BY_NAME: dict[str, Callable[[], Loss]] = {}


# Keras's names of losses that want something else of the last layer than ours do.
_OF_PROBABILITIES = {
    "sparse_categorical_crossentropy": "it takes probabilities: drop the softmax and use 'cross_entropy', of logits",
    "categorical_crossentropy": "it takes probabilities and one-hot targets: drop the softmax and use 'cross_entropy', "
    "of logits and integer targets",
    "binary_crossentropy": "it takes probabilities: use BinaryCrossEntropy(from_logits=False), or drop the sigmoid and "
    "use 'binary_cross_entropy', of logits",
    "poisson": "it takes expected counts: use Poisson(log_input=False), or 'poisson_nll', of their logarithms",
    "kl_divergence": "it takes probabilities: use 'kl_div', of log-probabilities",
}


def register(make: Callable[[], Loss], *names: str) -> None:
    """Let `find_loss` know a loss by these names."""
    _BY_NAME.update(dict.fromkeys(names, make))


def find_loss(loss: Any) -> Loss:
    """A loss by its name, or the loss itself; of a function, a `FunctionLoss`; of a mapping, the `JointLoss`."""
    if isinstance(loss, Mapping):
        return JointLoss(loss)
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _BY_NAME:
        return _BY_NAME[loss]()
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(loss)
    names = ", ".join(map(repr, _BY_NAME))
    hint = f"; {_OF_PROBABILITIES[loss]}" if isinstance(loss, str) and loss in _OF_PROBABILITIES else ""
    raise ValueError(f"loss must be a Loss, a function or one of {names}, got {loss!r}{hint}")
