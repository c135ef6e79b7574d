"""Pieces of C: numbers, arrays, and the small functions that the layers call. `@` stands for the model's name."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from rnnfast.layers._activations import Choice

# Expressions of `a`; {alpha} and {beta} are numbers of the activation.
_EXPRESSIONS = {
    "sigmoid": "1.0f / (1.0f + expf(-a))",
    "relu": "a > 0.0f ? a : 0.0f",
    "leaky_relu": "a > 0.0f ? a : {alpha} * a",
    "elu": "a > 0.0f ? a : {alpha} * expm1f(a)",
    "softsign": "a / (1.0f + fabsf(a))",
    "softplus": "fmaxf(a, 0.0f) + log1pf(expf(-fabsf(a)))",
    "hard_sigmoid": "fminf(fmaxf({alpha} * a + {beta}, 0.0f), 1.0f)",
    "gelu": "0.5f * a * (1.0f + tanhf(0.797884561f * a * (1.0f + 0.044715f * a * a)))",
    "swish": "a / (1.0f + expf(-{alpha} * a))",
}

_FUNCTIONS = {
    "product": """/* y += w x, with w (rows, columns) */
static void @_product(float *y, const float *w, const float *x, int rows, int columns)
{
    for (int row = 0; row < rows; row++, w += columns) {
        float sum = y[row];
        for (int k = 0; k < columns; k++)
            sum += w[k] * x[k];
        y[row] = sum;
    }
}
""",
    "product_int8": """/* y += w x, with w (rows, columns) = scale * weight, a scale a row */
static void @_product_int8(float *y, const int8_t *weight, const float *scale, const float *x, int rows, int columns)
{
    for (int row = 0; row < rows; row++, weight += columns) {
        float sum = 0.0f;
        for (int k = 0; k < columns; k++)
            sum += (float)weight[k] * x[k];
        y[row] += scale[row] * sum;
    }
}
""",
    "normalise": """/* y: mean 0, variance 1 */
static void @_normalise(float *y, int size, float epsilon)
{
    float mean = 0.0f, variance = 0.0f;
    for (int k = 0; k < size; k++)
        mean += y[k];
    mean /= (float)size;
    for (int k = 0; k < size; k++)
        variance += (y[k] - mean) * (y[k] - mean);
    variance = sqrtf(variance / (float)size + epsilon);
    for (int k = 0; k < size; k++)
        y[k] = (y[k] - mean) / variance;
}
""",
    "softmax": """static void @_softmax(float *y, int size)
{
    float most = y[0], sum = 0.0f;
    for (int k = 1; k < size; k++)
        most = fmaxf(most, y[k]);
    for (int k = 0; k < size; k++)
        sum += y[k] = expf(y[k] - most);
    for (int k = 0; k < size; k++)
        y[k] /= sum;
}
""",
    "clip": """static float @_clip(float a, float limit)
{
    return fminf(fmaxf(a, -limit), limit);
}
""",
}


class Stage(NamedTuple):
    """What a layer does to the numbers of one step: the body of a C function of x (inputs) and y (outputs).

    The body finds in `s` what the model remembers, and the array `scratch`.
    """

    title: str
    inputs: int
    outputs: int
    body: str
    state: tuple[tuple[str, int], ...] = ()
    """Names and sizes of what is kept from step to step."""
    scratch: int = 0
    num_ids: int = 0
    """Where not 0: x is an id, from 0 to one less."""


class Text:
    """The arrays and functions of one file, each written once.

    Parameters
    ----------
    int8 : bool
        Whether matrices are written as bytes, with a factor for each row.

    Attributes
    ----------
    num_bytes : int
        Of the arrays.
    """

    def __init__(self, int8: bool = False) -> None:
        self._arrays: dict[bytes, str] = {}
        self._lines: list[str] = []
        self._functions: dict[str, str] = {}
        self.int8, self.num_bytes = int8, 0

    def array(self, name: str, values: np.ndarray) -> str:
        """The name under which the file has these numbers; equal arrays are one."""
        values = np.ascontiguousarray(values, np.int8 if values.dtype == np.int8 else np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds numbers that are not finite, which C source cannot have")
        key = f"{values.shape}{values.dtype}".encode() + values.tobytes()
        if key not in self._arrays:
            found = self._arrays[key] = "@_" + re.sub(r"\W", "_", name)
            kind = "int8_t" if values.dtype == np.int8 else "float"
            self._lines.append(declared(found, values.ravel(), "x".join(map(str, values.shape)), kind))
            self.num_bytes += values.nbytes
        return self._arrays[key]

    def bytes_and_scale(self, name: str, values: np.ndarray) -> tuple[str, str]:
        """The names of a matrix as bytes, and of the factor of each row."""
        whole, scale = quantised(values)
        return self.array(f"{name}_int8", whole), self.array(f"{name}_scale", scale)

    def product(
        self, target: str, name: str, values: np.ndarray, x: str, first: int = 0, rows: int | None = None
    ) -> str:
        """A line that adds to `target` the product of x with rows of a matrix (all from `first` on, or so many)."""
        count, columns = values.shape
        sizes = f"{x}, {count - first if rows is None else rows}, {columns}"
        if not self.int8:
            weight = _from(self.array(name, values), first * columns)
            return f"{self.function('product')}({target}, {weight}, {sizes});"
        weight, scale = self.bytes_and_scale(name, values)
        matrix = f"{_from(weight, first * columns)}, {_from(scale, first)}"
        return f"{self.function('product_int8')}({target}, {matrix}, {sizes});"

    def function(self, name: str) -> str:
        """The name of one of the small functions."""
        self._functions[name] = _FUNCTIONS[name]
        return f"@_{name}"

    def activation(self, choice: Choice) -> str:
        """A C function of one number; "" for the identity."""
        kind, alpha, beta = choice
        kind = "hard_sigmoid" if kind == "hard_sigmoid_onnx" else kind
        if kind in ("identity", "tanh"):
            return "tanhf" if kind == "tanh" else ""
        expression = _EXPRESSIONS[kind]
        numbers = [value for value, name in ((alpha, "alpha"), (beta, "beta")) if name in expression]
        name = re.sub(r"\W", "_", "_".join([kind, *(f"{value:g}" for value in numbers)]))
        value = expression.format(alpha=number(alpha), beta=number(beta))
        self._functions[name] = f"static float @_{name}(float a)\n{{\n    return {value};\n}}\n"
        return f"@_{name}"

    def arrays(self) -> str:
        """All arrays, declared."""
        return "\n".join(self._lines)

    def functions(self) -> str:
        """All small functions."""
        return "\n".join(self._functions.values())


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as int8, and the float32 factor of each row: the largest of a row becomes 127."""
    values = np.asarray(values, np.float64)
    scale = (np.abs(values).max(axis=1, keepdims=True) / 127).astype(np.float32)
    scale[scale == 0] = 1
    return np.rint(values / scale).astype(np.int8), scale[:, 0]


def _from(name: str, offset: int) -> str:
    return f"{name} + {offset}" if offset else name


def number(value: float) -> str:
    """A float of C, to the last bit.

    Examples
    --------
    >>> number(1.0), number(0.1), number(1e-20)
    ('1.0f', '0.1f', '1e-20f')
    """
    text = str(np.float32(value))
    return f"{text}f"


def declared(name: str, values: Iterable[float], size: str, kind: str = "float") -> str:
    """An array with its numbers, eight a line."""
    texts = [number(value) if kind == "float" else str(int(value)) for value in values]
    lines = [", ".join(texts[at : at + 8]) for at in range(0, len(texts), 8)]
    inner = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(texts)}] = {{ /* {size} */\n    {inner}\n}};\n"
