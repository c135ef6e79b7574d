"""Layers that are a function of the whole sequence, with its gradient, and have no parameters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer

Array = np.ndarray


class WithoutParameters(Layer):
    """A layer whose subclass gives y and the function from dy to dx."""

    works_on_steps = False

    def _apply(self, x: Array, lengths: Any) -> tuple[Array, Callable[[Array], Array]]:
        """y of x (B, T, F) or (T, F); and dx of dy."""
        raise NotImplementedError

    def _entered(self, x: Any) -> Array:
        x = _check.real(x, None)
        if x.ndim not in (2, 3):
            raise ValueError(f"{type(self).__name__}: x must have shape (B, T, F) or (T, F), got {x.shape}")
        return x

    def __call__(self, x: Any, *, lengths: Any = None) -> Array:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, F) or (T, F)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            Of `output_shape(x.shape)`. What lies beyond a sequence's end takes no part.
        """
        return self._apply(self._entered(x), lengths)[0]

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Array, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        once = BackwardOnce(self.slots())
        y, back = self._apply(self._entered(x), lengths)
        shape, dtype = y.shape, y.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Array:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return back(dy)

        return y, backward
