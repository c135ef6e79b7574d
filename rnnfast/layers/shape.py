"""The same numbers in another shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Layer
from rnnfast.layers._without_parameters import WithoutParameters


class Flatten(WithoutParameters):
    """All steps of a sequence side by side: (B, T, F) becomes (B, T·F).

    Notes
    -----
    Given `lengths`, steps beyond a sequence's end are zero in y and in dx; without, y is a view of x where NumPy can. A
    layer above that has parameters wants one and the same T in every batch.

    Examples
    --------
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: none."""
        return {}

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        steps, features = shape[-2:]
        if isinstance(steps, int) and isinstance(features, int):
            return (*shape[:-2], steps * features)
        return (*shape[:-2], f"{steps}·{features}")

    def output_lengths(self, lengths: Any) -> None:
        """None: there is no time any more."""
        return None

    def _apply(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        beyond = _check.padding(lengths, x.shape[:-1])

        def without(array: np.ndarray) -> np.ndarray:
            return array if beyond is None else np.where(beyond[..., None], 0, array)

        shape = x.shape
        return without(x).reshape(*shape[:-2], shape[-2] * shape[-1]), lambda dy: without(dy.reshape(shape))


class Repeat(Layer):
    """A vector as a sequence of n equal steps: (B, F) becomes (B, n, F). Keras calls it `RepeatVector`.

    Parameters
    ----------
    n : int
        At least 1.

    Examples
    --------
    >>> Repeat(3)([[1.0, 2.0]]).tolist()
    [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    """

    works_on_steps = False
    input_shape = ("B", "F")

    def __init__(self, n: int):
        self.n = _check.size(n, "n")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"n": self.n}

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape[:-1], self.n, shape[-1])

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (B, F) or (F,)
        lengths : None
            There is no time yet that could have any.

        Returns
        -------
        numpy.ndarray
            (B, n, F) or (n, F).
        """
        x = _check.real(x, None)
        if x.ndim not in (1, 2):
            raise ValueError(f"Repeat: x must have shape (B, F) or (F,), got {x.shape}")
        if lengths is not None:
            raise ValueError("Repeat: lengths must be None, as x has no steps")
        return np.repeat(x[..., None, :], self.n, axis=-2)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        once = BackwardOnce(self.slots())
        y = self(x, lengths=lengths)
        shape, dtype = y.shape, y.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return dy.sum(axis=-2, dtype=np.float64).astype(dtype)

        return y, backward


class Reverse(Layer):
    """The steps in the opposite order: (B, T, F), the last first.

    Notes
    -----
    Given `lengths`, the valid steps of each sequence change places, and those beyond its end are zero.

    Examples
    --------
    >>> Reverse()([[[1.0], [2.0], [3.0]]], lengths=[2]).ravel().tolist()
    [2.0, 1.0, 0.0]
    """

    works_on_steps = False
    num_directions = None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: none."""
        return {}

    @staticmethod
    def _reversed(x: np.ndarray, lengths: Any) -> np.ndarray:
        if lengths is None:
            return x[..., ::-1, :].copy()
        batch = x if x.ndim == 3 else x[None]
        steps = np.arange(batch.shape[1])
        places = ops.sequence_lengths(lengths, batch.shape[:2])[:, None] - 1 - steps
        found = np.take_along_axis(batch, np.maximum(places, 0)[..., None], axis=1)
        return np.where((places >= 0)[..., None], found, np.zeros((), x.dtype)).reshape(x.shape)

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, F) or (T, F)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            Of the shape of x.
        """
        x = _check.real(x, None)
        if x.ndim not in (2, 3):
            raise ValueError(f"Reverse: x must have shape (B, T, F) or (T, F), got {x.shape}")
        return self._reversed(x, lengths)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        once = BackwardOnce(self.slots())
        y = self(x, lengths=lengths)
        shape, dtype = y.shape, y.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return self._reversed(dy, lengths)

        return y, backward
