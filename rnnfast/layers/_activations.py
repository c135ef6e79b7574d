"""Activation functions by name: values, slopes, and the numbers that shape them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels import _passes

Array = np.ndarray
Function = Callable[[Array, float, float], Array]
Slope = Callable[[Array, Array, float, float], Array]

_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Entry(NamedTuple):
    """One activation: y = function(x, alpha, beta), dy/dx = slope(x, y, alpha, beta), and how alpha and beta start.

    `slope` is None where a y depends on more than its own x. `defaults` is as long as there are numbers to choose.
    """

    function: Function
    slope: Slope | None
    defaults: tuple[float, ...] = ()


def _tanh(x: Array, alpha: float = 0, beta: float = 0) -> Array:
    return _passes.apply("tanh", x)


def _sigmoid(x: Array, alpha: float = 0, beta: float = 0) -> Array:
    return _passes.apply("sigmoid", x)


def _softplus(x: Array, alpha: float, beta: float) -> Array:
    return np.maximum(x, 0) + np.log1p(_passes.apply("exp", -np.abs(x)))


def _softmax(x: Array, alpha: float, beta: float) -> Array:
    y = _passes.apply("exp", x - x.max(axis=-1, keepdims=True, initial=-np.inf)) if x.size else x.copy()
    y /= y.sum(axis=-1, keepdims=True)
    return y


def _gelu_gate(x: Array) -> Array:
    # Beyond 10 the tanh is 1 to the last bit, while x³ may overflow.
    near = np.clip(x, -10, 10)
    return _tanh(_GELU_SCALE * near * (1 + _GELU_CUBE * near * near))


def _gelu_slope(x: Array, y: Array, alpha: float, beta: float) -> Array:
    near, gate = np.clip(x, -10, 10), _gelu_gate(x)
    return 0.5 * (1 + gate) + 0.5 * near * (1 - gate * gate) * _GELU_SCALE * (1 + 3 * _GELU_CUBE * near * near)


def _swish_slope(x: Array, y: Array, alpha: float, beta: float) -> Array:
    gate = _sigmoid(alpha * x)
    return gate + alpha * x * gate * (1 - gate)


_hard_sigmoid: tuple[Function, Slope] = (
    lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    lambda x, y, alpha, beta: np.where((y > 0) & (y < 1), y.dtype.type(alpha), 0),
)

TABLE: dict[str, Entry] = {
    "identity": Entry(lambda x, alpha, beta: x, lambda x, y, alpha, beta: np.ones_like(y)),
    "tanh": Entry(_tanh, lambda x, y, alpha, beta: 1 - y * y),
    "sigmoid": Entry(_sigmoid, lambda x, y, alpha, beta: y * (1 - y)),
    "relu": Entry(lambda x, alpha, beta: np.maximum(x, 0), lambda x, y, alpha, beta: (y > 0).astype(y.dtype)),
    "leaky_relu": Entry(
        lambda x, alpha, beta: np.where(x > 0, x, alpha * x),
        lambda x, y, alpha, beta: np.where(x > 0, 1, y.dtype.type(alpha)),
        (0.01,),
    ),
    "elu": Entry(
        lambda x, alpha, beta: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x, y, alpha, beta: np.where(x > 0, 1, y + y.dtype.type(alpha)),
        (1.0,),
    ),
    "selu": Entry(
        lambda x, alpha, beta: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x, y, alpha, beta: np.where(
            x > 0, y.dtype.type(_SELU_SCALE), y + y.dtype.type(_SELU_SCALE * _SELU_ALPHA)
        ),
    ),
    "softsign": Entry(
        lambda x, alpha, beta: x / (1 + np.abs(x)), lambda x, y, alpha, beta: np.square(1 / (1 + np.abs(x)))
    ),
    "softplus": Entry(_softplus, lambda x, y, alpha, beta: _sigmoid(x)),
    "hard_sigmoid": Entry(*_hard_sigmoid, (1 / 6, 0.5)),
    "hard_sigmoid_onnx": Entry(*_hard_sigmoid, (0.2, 0.5)),
    "gelu": Entry(lambda x, alpha, beta: 0.5 * x * (1 + _gelu_gate(x)), _gelu_slope),
    "swish": Entry(lambda x, alpha, beta: x * _sigmoid(alpha * x), _swish_slope, (1.0,)),
    "softmax": Entry(_softmax, None),
}


class Choice(NamedTuple):
    """A checked activation: its name in `TABLE`, and its numbers (0 where it has none)."""

    name: str
    alpha: float
    beta: float

    def spec(self) -> str | list[Any]:
        """What `parse` makes this of, as JSON can hold it: the name alone where the numbers are the usual ones."""
        defaults = TABLE[self.name].defaults
        numbers = self[1 : 1 + len(defaults)]
        return self.name if numbers == defaults else [self.name, *numbers]

    def value(self, x: Array) -> Array:
        """y of x; x itself for the identity."""
        return TABLE[self.name].function(x, self.alpha, self.beta)

    def derivative(self, x: Array, y: Array) -> Callable[[Array], Array]:
        """dx of dy, at an x and its y; what it needs is held in memory of its own."""
        if self.name == "identity":
            return lambda dy: dy
        make = TABLE[self.name].slope
        if make is None:
            kept = y.copy()
            return lambda dy: kept * (dy - (dy * kept).sum(axis=-1, keepdims=True))
        slope = make(x, y, self.alpha, self.beta)
        return lambda dy: dy * slope


def parse(spec: Any) -> Choice:
    """The (name, alpha, beta) of an activation's name, or of a tuple or list (name, alpha) or (name, alpha, beta).

    Raises
    ------
    ValueError
        For an unknown name, more numbers than it takes, or numbers that are not finite.
    TypeError
        For anything else.

    Examples
    --------
    >>> tuple(parse("hard_sigmoid_onnx")), parse(["elu", 0.5]).spec(), parse(("elu", 1)).spec()
    (('hard_sigmoid_onnx', 0.2, 0.5), ['elu', 0.5], 'elu')
    """
    name, *numbers = (spec,) if isinstance(spec, str) or not isinstance(spec, Sequence) else spec or (None,)
    if not isinstance(name, str):
        raise TypeError(f"activation must be a name, (name, alpha) or (name, alpha, beta), got {spec!r}")
    if name not in TABLE:
        raise ValueError(f"activation must be one of {', '.join(map(repr, TABLE))}, got {name!r}")
    defaults = TABLE[name].defaults
    if len(numbers) > len(defaults):
        takes = " and ".join(("alpha", "beta")[: len(defaults)]) or "no numbers"
        raise ValueError(f"activation {name!r} takes {takes}, got {numbers}")
    for number in numbers:
        if not isinstance(number, (int, float, np.integer, np.floating)):
            raise TypeError(f"activation {name!r}: alpha and beta must be numbers, got {number!r}")
        if not math.isfinite(number):
            raise ValueError(f"activation {name!r}: alpha and beta must be finite, got {number!r}")
    found = [float(number) for number in (*numbers, *defaults[len(numbers) :])]
    return Choice(name, *found, *[0.0] * (2 - len(found)))
