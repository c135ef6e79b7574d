"""Between a packed batch, step after step without gaps, and a padded one."""

import numpy as np

from rnnfast.kernels._memory import empty

Array = np.ndarray


class Padding:
    """Where the rows of a packed batch stand in a padded one.

    Parameters
    ----------
    batch_sizes : ndarray of int (T,)
        How many sequences run at each step: none more than at the step before.

    Attributes
    ----------
    lengths : ndarray of int (B,) or None
        Of the sequences, longest first; None where all are equally long.
    """

    def __init__(self, batch_sizes: Array):
        self.steps, self.batch_size = len(batch_sizes), int(batch_sizes[0])
        running = np.arange(self.batch_size) < batch_sizes[:, None]
        self.lengths = None if running[-1].all() else running.sum(axis=0)
        step, row = np.nonzero(running)
        self._at = row * self.steps + step

    def pad(self, packed: Array) -> Array:
        """(N, F) to (B, T, F), with anything in the padding."""
        if self.lengths is None:
            return packed.reshape(self.steps, self.batch_size, -1).swapaxes(0, 1)
        padded = empty((self.batch_size * self.steps, packed.shape[1]), packed.dtype)
        padded[self._at] = packed
        return padded.reshape(self.batch_size, self.steps, -1)

    def pack(self, padded: Array) -> Array:
        """(B, T, F) to (N, F)."""
        rows = padded.reshape(self.batch_size * self.steps, -1)
        packed = empty((len(self._at), rows.shape[1]), rows.dtype)
        return rows.take(self._at, axis=0, out=packed, mode="clip")  # "raise" would go through a copy
