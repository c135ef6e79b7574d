"""From a sequence of outputs to one."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Layer
from rnnfast.layers._merge import KINDS, check_merge, merge_into, split_gradient


class Last(Layer):
    """The last valid output of each sequence: of the forward direction at its end, of the reverse at its start.

    Parameters
    ----------
    directions : int, optional
        1, or 2 when the last axis holds a forward half and a reverse half, or -1 where all of it is of the reverse
        direction. In a `Sequential` it is learnt from the recurrent layer before.
    merge : "concat", "sum", "mul" or "average"
        What becomes of both directions: side by side as they are, or their sum, product or mean, as Keras's
        ``Bidirectional(layer, merge_mode="sum")`` gives of the last outputs.

    Notes
    -----
    Without `lengths` every sequence ends at the last step. A sequence of length 0 gives zeros.

    A recurrent layer with ``merge="sum"`` has added the two step by step, the forward direction's end to the reverse
    direction's first step: no `Last` can take them apart, so it must be the `Last` that merges.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(1, 3, 2)
    >>> Last()(x)[0].tolist(), Last()(x, lengths=[2])[0].tolist(), Last(directions=2)(x)[0].tolist()
    ([4.0, 5.0], [2.0, 3.0], [4.0, 1.0])
    >>> Last(merge="sum")(x)[0].tolist()
    [5.0]
    """

    works_on_steps = False

    def __init__(self, directions: int | None = None, *, merge: str = "concat"):
        if directions not in (None, 1, 2, -1):
            raise ValueError(f"directions must be None, 1, 2 or -1, got {directions!r}")
        self.merge: str = check_merge(merge, KINDS)
        if merge != "concat" and directions in (1, -1):
            raise ValueError(f"merge={merge!r} is for two directions, got directions={directions}")
        self.directions = directions if merge == "concat" else 2
        self._learnt = False

    def learn_directions(self, directions: int | None) -> None:
        """Take the number of directions from the layer before, unless it was given."""
        if directions is None:
            return
        if self.merge != "concat" and directions != 2:
            raise ValueError(f"Last(merge={self.merge!r}) needs two directions side by side in the layer before")
        if directions == 0 and self.directions is None:
            raise ValueError(
                "the layer before has merged its two directions, and Last() cannot take the forward direction's end "
                "and the reverse direction's start apart: give the layer merge='concat', and merge in the Last, as in "
                "Last(merge='sum'). Last(directions=1) takes what is merged at the last step"
            )
        if self.directions is None:
            self.directions, self._learnt = directions, True
        elif self._learnt and self.directions != directions:
            raise ValueError(
                f"this Last() follows a layer of {self.directions} direction(s) elsewhere and of {directions} here; "
                "use a Last() of its own"
            )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        if self.merge != "concat":
            return {"merge": self.merge}
        return {"directions": None if self._learnt else self.directions}

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        last = shape[-1]
        if self.merge != "concat":
            last = last // 2 if isinstance(last, int) else f"{last}/2"
        return (*shape[:-2], last)

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
        return rows, ends[rows] - 1, x.shape[-1] // directions if directions > 0 else 0

    def _pick(self, x: np.ndarray, rows: np.ndarray, ends: np.ndarray, half: int) -> np.ndarray:
        batch = x if x.ndim == 3 else x[None]
        y = np.zeros((batch.shape[0], batch.shape[2]), x.dtype)
        y[rows, :half] = batch[rows, ends, :half]
        y[rows, half:] = batch[rows, np.zeros_like(rows), half:]
        return y if x.ndim == 3 else y[0]

    def _merged(self, y: np.ndarray) -> np.ndarray:
        if self.merge == "concat":
            return y
        first, second = np.split(y, 2, axis=-1)
        return merge_into(self.merge, first, second, np.empty_like(first))

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
        return self._merged(self._pick(x, *self._places(x, lengths)))

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        x = _check.real(x, None)
        rows, ends, half = self._places(x, lengths)
        picked = self._pick(x, rows, ends, half)
        y = self._merged(picked)
        once, shape, y_shape, dtype = BackwardOnce(self.slots()), x.shape, y.shape, x.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, y_shape, dtype)
            once.start()
            if self.merge != "concat":
                dy = np.concatenate(split_gradient(self.merge, dy, *np.split(picked, 2, axis=-1)), axis=-1)
            dx = np.zeros(shape, dtype)
            batch, dy = (dx, dy) if dx.ndim == 3 else (dx[None], dy[None])
            batch[rows, ends, :half] = dy[rows, :half]
            batch[rows, np.zeros_like(rows), half:] = dy[rows, half:]
            return dx

        return y, backward
