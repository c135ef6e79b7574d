"""From a sequence to one vector: the mean or the greatest of each feature."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Axis
from rnnfast.layers._without_parameters import WithoutParameters

Array = np.ndarray


class _Pooling(WithoutParameters):
    """What both share: y is (B, F) or (F,), and a sequence without steps gives zeros.

    A subclass says what becomes of (B, T, F), and where the gradient goes.
    """

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: none."""
        return {}

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape[:-2], shape[-1])

    def output_lengths(self, lengths: Any) -> None:
        """None: there is no time any more."""
        return None

    def _pool(self, x: Array, beyond: Array | None) -> tuple[Array, Callable[[Array], Array]]:
        """y (B, F) of x (B, T, F), with T at least 1, where `beyond` (B, T) marks padding; and dx of dy."""
        raise NotImplementedError

    def _apply(self, x: Array, lengths: Any) -> tuple[Array, Callable[[Array], Array]]:
        beyond = _check.padding(lengths, x.shape[:-1])
        batch, shape = (x, x.shape) if x.ndim == 3 else (x[None], x.shape)
        if beyond is not None:
            beyond = beyond.reshape(batch.shape[:2])
        if batch.shape[1]:
            y, back = self._pool(batch, beyond)
        else:
            y, back = np.zeros((batch.shape[0], batch.shape[2]), x.dtype), lambda dy: np.zeros(batch.shape, x.dtype)
        return y.reshape(*shape[:-2], shape[-1]), lambda dy: back(dy.reshape(y.shape)).reshape(shape)


class MeanPool(_Pooling):
    """The mean of each feature over the valid steps of a sequence.

    Notes
    -----
    Given `lengths`, steps beyond a sequence's end take no part. A sequence of length 0 gives zeros.

    Examples
    --------
    >>> x = [[[1.0, 5.0], [3.0, 1.0], [8.0, 0.0]]]
    >>> MeanPool()(x).tolist(), MeanPool()(x, lengths=[2]).tolist()
    ([[4.0, 2.0]], [[2.0, 3.0]])
    """

    def _pool(self, x: Array, beyond: Array | None) -> tuple[Array, Callable[[Array], Array]]:
        if beyond is None:
            share = np.full((x.shape[0], x.shape[1], 1), 1 / x.shape[1], x.dtype)
        else:
            counts = np.maximum(1, (~beyond).sum(axis=1))
            share = np.where(beyond, 0, 1 / counts[:, None])[..., None].astype(x.dtype)
            x = np.where(beyond[..., None], 0, x)
        # Added up in float64: NumPy sums along the middle axis one step after the other.
        y = (x.sum(axis=1, dtype=np.float64) * share.max(axis=1)).astype(x.dtype)
        return y, lambda dy: share * dy[:, None]


class MaxPool(_Pooling):
    """The greatest of each feature over the valid steps of a sequence.

    Notes
    -----
    Given `lengths`, steps beyond a sequence's end take no part. A sequence of length 0 gives zeros. The gradient goes
    to the step that was greatest, to the first of them where there are several.

    Examples
    --------
    >>> x = [[[1.0, 5.0], [3.0, 1.0], [8.0, 0.0]]]
    >>> MaxPool()(x).tolist(), MaxPool()(x, lengths=[2]).tolist()
    ([[8.0, 5.0]], [[3.0, 5.0]])
    """

    def _pool(self, x: Array, beyond: Array | None) -> tuple[Array, Callable[[Array], Array]]:
        if beyond is not None:
            x = np.where(beyond[..., None], -np.inf, x)
        steps = x.argmax(axis=1)[:, None]
        y = np.take_along_axis(x, steps, axis=1)[:, 0]
        empty = None if beyond is None else beyond.all(axis=1)
        if empty is not None:
            y[empty] = 0
        shape = x.shape

        def back(dy: Array) -> Array:
            dx = np.zeros(shape, dy.dtype)
            np.put_along_axis(dx, steps, dy[:, None], axis=1)
            if empty is not None:
                dx[empty] = 0
            return dx

        return y, back
