"""The activation functions of ONNX's recurrent operators, and which of ours they are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.equations.cells import activate

Array = np.ndarray

# By the lower-case name: ONNX's spelling, and the alpha and beta that hold where the node has none.
_KNOWN: dict[str, tuple[str, tuple[float, ...]]] = {
    "relu": ("Relu", ()),
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()),
    "leakyrelu": ("LeakyRelu", (0.01,)),
    "thresholdedrelu": ("ThresholdedRelu", (1.0,)),
    "elu": ("Elu", (1.0,)),
    "affine": ("Affine", (1.0, 0.0)),
    "scaledtanh": ("ScaledTanh", (1.0, 1.0)),
    "hardsigmoid": ("HardSigmoid", (0.2, 0.5)),
}
_OURS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softsign": "softsign",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "HardSigmoid": "hard_sigmoid",
}
# What our layers have no name for, with alpha and beta.
_FORMULAS: dict[str, Callable[..., Array]] = {
    "Softplus": lambda a: np.logaddexp(a, 0),
    "ThresholdedRelu": lambda a, alpha: np.where(a > alpha, a, 0),
    "Affine": lambda a, alpha, beta: alpha * a + beta,
    "ScaledTanh": lambda a, alpha, beta: alpha * np.tanh(beta * a),
}


class Function(NamedTuple):
    """An activation function as ONNX has it: its name and the numbers that shape it."""

    name: str
    numbers: tuple[float, ...] = ()

    def ours(self) -> str | tuple[Any, ...] | None:
        """What our layers call it; None where they have no such function."""
        if self in (Function("Affine", (1.0, 0.0)), Function("ThresholdedRelu", (0.0,))):
            return "identity" if self.name == "Affine" else "relu"
        if self == Function("ScaledTanh", (1.0, 1.0)):
            return "tanh"
        if self.name not in _OURS or (self.numbers and self.numbers[0] < 0):
            return None
        name = _OURS[self.name]
        if self == Function("HardSigmoid", (0.2, 0.5)):
            return "hard_sigmoid_onnx"
        usual = tuple(map(_written, ops.ACTIVATIONS[name][1 : 1 + len(self.numbers)]))
        return name if self.numbers == usual else (name, *self.numbers)

    def formula(self) -> Any:
        """What the equations take: our name, or a function of an array."""
        ours = self.ours()
        if ours is not None:
            return ours
        if self.name in _OURS:  # with a slope that the kernels do not take
            return lambda a: activate((_OURS[self.name], *self.numbers), a)
        return lambda a: _FORMULAS[self.name](a, *self.numbers)


def read(names: Sequence[Any], alphas: Sequence[float], betas: Sequence[float], where: str) -> list[Function]:
    """The functions of a node's attributes `activations`, `activation_alpha` and `activation_beta`.

    Alphas and betas are handed out in the order of the functions, to those that have any.

    Raises
    ------
    ValueError
        For a name that ONNX does not know.
    """
    left = iter(alphas), iter(betas)
    found = []
    for name in names:
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        if text.lower() not in _KNOWN:
            known = ", ".join(spelled for spelled, _ in _KNOWN.values())
            raise ValueError(f"{where}: activations must be of {known}, got {text!r:.60}")
        spelled, usual = _KNOWN[text.lower()]
        numbers = (_written(next(given, default)) for given, default in zip(left, usual, strict=False))
        found.append(Function(spelled, tuple(numbers)))
    return found


def of_ours(spec: Any) -> Function:
    """The function that an activation of our layers is."""
    name, *numbers = (spec,) if isinstance(spec, str) else spec
    if name == "identity":
        return Function("Affine", (1.0, 0.0))
    spelled = {"hard_sigmoid_onnx": "HardSigmoid"} | {ours: theirs for theirs, ours in _OURS.items()}
    count = len(_KNOWN[spelled[name].lower()][1])
    return Function(spelled[name], tuple([*map(float, numbers), *ops.ACTIVATIONS[name][1 + len(numbers) :]][:count]))


def attributes(functions: Sequence[Function]) -> dict[str, Any]:
    """The node's attributes for them."""
    found: dict[str, Any] = {"activations": [each.name for each in functions]}
    for name, place in (("activation_alpha", 0), ("activation_beta", 1)):
        if numbers := list(_at(functions, place)):
            found[name] = numbers
    return found


def _at(functions: Sequence[Function], place: int) -> Iterator[float]:
    return (each.numbers[place] for each in functions if len(each.numbers) > place)


def _written(number: float) -> float:
    """The number that someone wrote who meant this float32: attributes are of that width."""
    return float(str(np.float32(number)))
