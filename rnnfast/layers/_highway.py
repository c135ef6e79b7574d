"""What leads around a layer of a stack: its input, added to its output or mixed with it."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast._backend import in_numpy
from rnnfast.kernels._memory import empty
from rnnfast.layers._block import Block
from rnnfast.layers.initializers import constant, glorot_uniform

Array = np.ndarray


class Highway:
    """y = t·f + (1 - t)·x with t = σ(W x + b), f the layer's output (Srivastava et al. 2015, section 2).

    b starts at -1: at first most of x passes by.

    Parameters
    ----------
    size : int
        The width of x and f.
    suffix : str
        Of the parameters' names.
    """

    def __init__(self, size: int, suffix: str):
        self.size = size
        self.weight, self.bias = f"weight_highway{suffix}", f"bias_highway{suffix}"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters."""
        return {self.weight: (self.size, self.size), self.bias: (self.size,)}

    def initialise(self, block: Block, rng: np.random.Generator) -> None:
        """A Glorot uniform matrix, and a bias of -1."""
        block.set(self.weight, glorot_uniform(rng, (self.size, self.size)))
        block.set(self.bias, constant(-1.0, self.size))

    def packed(self, block: Block, cache: dict[str, Any]) -> Any:
        """Weight and bias in the kernels' layout: those of the cache while the parameters have not changed."""
        version, kept = (block.version, in_numpy()), cache.get(self.weight)
        if kept is None or kept[0] != version:
            matrix = ops.pack_linear(block.array(self.weight), block.array(self.bias), "sigmoid")
            kept = cache[self.weight] = (version, matrix)
        return kept[1]

    def forward(self, x: Array, f: Array, block: Block, cache: dict[str, Any], out: Array) -> tuple[Array, Array]:
        """Write y to `out`, which may be f. Returns t and f - x, of which the gradients are made."""
        t = ops.linear(x, block.array(self.weight), packed=self.packed(block, cache))
        difference = np.subtract(f, x, out=empty(x.shape, x.dtype))
        mix(x, t, difference, out)
        return t, difference

    def backward(
        self, x: Array, t: Array, difference: Array, dy: Array, block: Block
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Gradients of f, of x, and of the parameters by name."""
        df = dy * t
        da = dy * difference
        da *= t
        da *= 1 - t
        dx, dweight, dbias = ops.linear_backward(x, block.array(self.weight), da)
        assert dx is not None
        dx += dy
        dx -= df
        return df, dx, {self.weight: dweight, self.bias: dbias}


def mix(x: Array, t: Array, difference: Array, out: Array) -> Array:
    """x + t·(f - x)."""
    np.multiply(t, difference, out=out)
    return np.add(x, out, out=out)


class AroundStep:
    """The way around one step of a stream: `enter` before the layer's step, `leave` after it.

    Parameters
    ----------
    size, rows : int
        The width of x, and how many sequences there are at most.
    dtype : numpy.dtype
    weight : ndarray (size, size), optional
    packed : optional
        Of a highway; without, x is added.
    """

    def __init__(self, size: int, rows: int, dtype: np.dtype, weight: Array | None = None, packed: Any = None):
        self._weight, self._packed = weight, packed
        self._y, self._t, self._difference = (np.empty((rows, size), dtype) for _ in range(3))

    def enter(self, x: Array) -> Array:
        """Remember x (n, size), and give it on."""
        self._x = x
        return x

    def leave(self, f: Array) -> Array:
        """y, in a buffer that the next step overwrites."""
        n = len(f)
        if self._weight is None:
            return np.add(f, self._x, out=self._y[:n])
        t = ops.linear(self._x, self._weight, out=self._t[:n], packed=self._packed)
        return mix(self._x, t, np.subtract(f, self._x, out=self._difference[:n]), self._y[:n])
