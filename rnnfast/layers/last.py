"""From a sequence of outputs to one."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Layer


class Last(Layer):
    """The last valid output of each sequence: of the forward direction at its end, of the reverse at its start.

    Parameters
    ----------
    directions : int, optional
        1, or 2 when the last axis holds a forward half and a reverse half. In a `Sequential` it is learnt from the
        recurrent layer before.

    Notes
    -----
    Without `lengths` every sequence ends at the last step. A sequence of length 0 gives zeros.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(1, 3, 2)
    >>> Last()(x)[0].tolist(), Last()(x, lengths=[2])[0].tolist(), Last(directions=2)(x)[0].tolist()
    ([4.0, 5.0], [2.0, 3.0], [4.0, 1.0])
    """

    works_on_steps = False

    def __init__(self, directions: int | None = None):
        if directions not in (None, 1, 2):
            raise ValueError(f"directions must be None, 1 or 2, got {directions!r}")
        self.directions = directions
        self._learnt = False

    def learn_directions(self, directions: int | None) -> None:
        """Take the number of directions from the layer before, unless it was given."""
        if directions is None:
            return
        if self.directions is None:
            self.directions, self._learnt = directions, True
        elif self._learnt and self.directions != directions:
            raise ValueError(
                f"this Last() follows a layer of {self.directions} direction(s) elsewhere and of {directions} here; "
                "use a Last() of its own"
            )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"directions": None if self._learnt else self.directions}

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape[:-2], shape[-1])

    def output_lengths(self, lengths: Any) -> None:
        """None: there is no time any more."""
        return None

    def _places(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """Rows that have a last step, those steps, and how many features the forward direction has."""
        if x.ndim not in (2, 3):
            raise ValueError(f"Last: x must have shape (B, T, F) or (T, F), got {x.shape}")
        directions = self.directions or 1
        if x.shape[-1] % directions:
            raise ValueError(f"Last: two directions need an even last axis, got shape {x.shape}")
        if lengths is None:
            ends = np.full(x.shape[0] if x.ndim == 3 else 1, x.shape[-2])
        else:
            ends = ops.sequence_lengths(lengths, x.shape[:-1])
        rows = np.flatnonzero(ends)
        return rows, ends[rows] - 1, x.shape[-1] // directions

    def _pick(self, x: np.ndarray, rows: np.ndarray, ends: np.ndarray, half: int) -> np.ndarray:
        batch = x if x.ndim == 3 else x[None]
        y = np.zeros((batch.shape[0], batch.shape[2]), x.dtype)
        y[rows, :half] = batch[rows, ends, :half]
        y[rows, half:] = batch[rows, np.zeros_like(rows), half:]
        return y if x.ndim == 3 else y[0]

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, F) or (T, F)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (B, F) or (F,).
        """
        x = _check.real(x, None)
        return self._pick(x, *self._places(x, lengths))

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        x = _check.real(x, None)
        rows, ends, half = self._places(x, lengths)
        y = self._pick(x, rows, ends, half)
        once, shape, y_shape, dtype = BackwardOnce(self.slots()), x.shape, y.shape, x.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, y_shape, dtype)
            once.start()
            dx = np.zeros(shape, dtype)
            batch, dy = (dx, dy) if dx.ndim == 3 else (dx[None], dy[None])
            batch[rows, ends, :half] = dy[rows, :half]
            batch[rows, np.zeros_like(rows), half:] = dy[rows, half:]
            return dx

        return y, backward
