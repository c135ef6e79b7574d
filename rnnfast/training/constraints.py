"""What parameters must be: brought back to it after each step of an optimizer."""

from collections.abc import Callable, Mapping

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Layer
from rnnfast.training._rules import chosen

Array = np.ndarray
Constraints = Mapping[str, Callable[[Array], Array]]
Axis = int | tuple[int, ...]


class MaxNorm:
    """Vectors longer than `value` are scaled down to it; the others stay as they are (Srivastava et al. 2014, 5.1).

    Called with a parameter, a constraint gives what is to stand in its place, and so may any function that takes its
    place in `fit(constraints={"*weight_ih*": MaxNorm(3.0)})`.

    Parameters
    ----------
    value : float
        The largest norm, above 0.
    axis : int or tuple of int
        Along which a vector lies. The last one of weights (out, in) holds what a unit takes in, and of an embedding a
        symbol's vector. Keras's weights are (in, out), so its axis=0 is this one; of a `Conv1D` it is (1, 2).

    Examples
    --------
    >>> MaxNorm(2.5)(np.array([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [[1.5, 2.0], [0.0, 2.0]]
    """

    def __init__(self, value: float = 2.0, axis: Axis = -1):
        self.value = _check.not_negative(value, "value")
        if not self.value:
            raise ValueError("value must be larger than 0")
        self.axis = axis

    def __call__(self, weight: Array) -> Array:
        """The parameter as it must be."""
        norms = _norms(weight, self.axis)
        return weight * np.divide(self.value, norms, out=np.ones_like(norms), where=norms > self.value)

    def __repr__(self) -> str:
        return f"MaxNorm(value={self.value}, axis={self.axis})"


class UnitNorm:
    """Vectors are scaled to the norm 1; zeros stay.

    Parameters
    ----------
    axis : int or tuple of int
        As of `MaxNorm`.

    Examples
    --------
    >>> UnitNorm()(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def __init__(self, axis: Axis = -1):
        self.axis = axis

    def __call__(self, weight: Array) -> Array:
        """The parameter as it must be."""
        norms = _norms(weight, self.axis)
        return np.divide(weight, norms, out=np.zeros(weight.shape), where=norms != 0)

    def __repr__(self) -> str:
        return f"UnitNorm(axis={self.axis})"


class NonNegative:
    """Numbers below 0 become 0.

    Examples
    --------
    >>> NonNegative()(np.array([2.0, -1.0, 0.0])).tolist()
    [2.0, 0.0, 0.0]
    """

    def __call__(self, weight: Array) -> Array:
        """The parameter as it must be."""
        return np.maximum(weight, 0)

    def __repr__(self) -> str:
        return "NonNegative()"


def constrain(model: Layer, constraints: Constraints | None) -> None:
    """Bring the model's parameters back to what they must be."""
    for block, inner, constraint in chosen(model, constraints, "constraints"):
        block.set(inner, constraint(block.array(inner)))


def _norms(weight: Array, axis: Axis) -> Array:
    return np.sqrt(np.square(weight, dtype=np.float64).sum(axis=axis, keepdims=True))
