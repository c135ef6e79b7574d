"""Valid steps with holes between them: moved to the front of each row, and back."""

from typing import Any

import numpy as np

Array = np.ndarray


def check_mask(mask: Any, shape: tuple[int, ...]) -> Array:
    """A mask as bool of this shape."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must be boolean, True where a step is valid, got dtype {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"mask must have shape {shape}, one for each step of x, got {mask.shape}")
    return mask


class ValidSteps:
    """Which steps of a batch are valid, and what stands at the others.

    A recurrent layer passes over the other steps with its state unchanged, which is what it does when the valid ones
    come first and the row ends with them.

    Parameters
    ----------
    mask : ndarray of bool (B, T)
    hold : bool
        Whether a step that is not valid repeats the output before it, in the order in which the direction reads, as
        Keras does; zero where there is none. Otherwise it is zero.

    Attributes
    ----------
    lengths : ndarray of int64 (B,)
    plain : bool
        Whether lengths say all that there is to say.
    """

    def __init__(self, mask: Array, hold: bool):
        B, T = mask.shape
        count = np.cumsum(mask, axis=1, dtype=np.int64)
        self.lengths = count[:, -1] if T else np.zeros(B, np.int64)
        self._mask_shape = B, T
        rows, steps = np.nonzero(mask)
        self._valid: tuple[Array, Array, Array] = rows, steps, count[mask] - 1
        self._in_front = bool((self._valid[2] == steps).all())
        self._size = T if self._in_front else int(self.lengths.max(initial=0))
        self._hold = hold
        self.plain = self._in_front and not (hold and len(rows) < mask.size)
        self._shown: list[tuple[Array, Array, Array]] = [self._valid, self._valid]
        if hold:
            ahead = count - mask
            sources = count - 1, np.where(ahead < self.lengths[:, None], ahead, -1)
            self._shown = [(*(source >= 0).nonzero(), source[source >= 0]) for source in sources]  # type: ignore[misc]

    def gather(self, x: Array) -> Array:
        """x (B, T, F) with the valid steps in front; x itself where they are."""
        return x if self._in_front else self._moved(x, self._valid)

    def return_gradient(self, dx: Array) -> Array:
        """The gradient of x, of that of what `gather` gave."""
        if self._in_front:
            return dx
        rows, steps, places = self._valid
        full = np.zeros((*self._mask_shape, dx.shape[2]), dx.dtype)
        full[rows, steps] = dx[rows, places]
        return full

    def spread(self, y: Array, direction: int, out: Array) -> Array:
        """Write the output of a direction, whose valid steps are in front, where they were: to `out` (B, T, F)."""
        rows, steps, places = self._shown[direction]
        out[...] = 0
        out[rows, steps] = y[rows, places]
        return out

    def collect(self, dy: Array, direction: int) -> Array:
        """The gradient of what `spread` was given, of that of what it gave."""
        rows, steps, places = shown = self._shown[direction]
        if not self._hold or not len(rows):
            return self._moved(dy, shown)
        first = np.ones(len(rows), bool)
        first[1:] = (np.diff(rows) != 0) | (np.diff(places) != 0)
        starts = np.flatnonzero(first)
        found = np.zeros((self._mask_shape[0], self._size, dy.shape[2]), dy.dtype)
        found[rows[starts], places[starts]] = np.add.reduceat(dy[rows, steps], starts, axis=0)
        return found

    def _moved(self, array: Array, moves: tuple[Array, Array, Array]) -> Array:
        rows, steps, places = moves
        found = np.zeros((self._mask_shape[0], self._size, array.shape[2]), array.dtype)
        found[rows, places] = array[rows, steps]
        return found
