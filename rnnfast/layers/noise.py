"""Noise while training: whole features dropped, and normal numbers added."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Key, Layer, draw_key


class _Noise(Layer):
    """What the noises share: inference gives x back, and a stream has nothing to do."""

    num_directions = None

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference: x itself."""
        return _check.real(x, None)

    def _stream_steps(self, rows: int) -> list[Any]:
        return []


class SpatialDropout(_Noise):
    """While training, sets whole features of a sequence to zero with probability p, and divides the others by 1 - p.

    One mask serves all steps of a sequence (Tompson et al. 2015, section 3.2, in one dimension; Keras's
    `SpatialDropout1D`). Neighbouring steps tell much of each other: dropping single numbers would hide little.

    Parameters
    ----------
    p : float
        At least 0, less than 1.

    Examples
    --------
    >>> SpatialDropout(0.5).forward(np.ones((1, 3, 4)), rng=4)[0]
    array([[[0., 0., 2., 0.],
            [0., 0., 2., 0.],
            [0., 0., 2., 0.]]])
    """

    def __init__(self, p: float):
        self.p = _check.probability(p, "p")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"p": self.p}

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`.

        Parameters
        ----------
        x : array_like (B, T, F) or (T, F)
        rng : None, int or numpy.random.Generator
            The mask is a function of the key drawn from it, and of the row's and the feature's number.
        """
        x = _check.real(x, None)
        if x.ndim not in (2, 3):
            raise ValueError(f"SpatialDropout: x must have shape (B, T, F) or (T, F), got {x.shape}")
        once, shape, dtype = BackwardOnce(self.slots()), x.shape, x.dtype
        rows = shape[0] if x.ndim == 3 else 1
        mask = ops.dropout(np.ones((rows, shape[-1]), dtype), self.p, int(draw_key(rng)), 0)
        mask = mask[:, None] if x.ndim == 3 else mask

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return dy * mask

        return x * mask, backward


class GaussianNoise(_Noise):
    """While training, adds normal numbers of mean 0 and a chosen standard deviation (Keras's `GaussianNoise`).

    Parameters
    ----------
    stddev : float
        At least 0, in the units of x.

    Notes
    -----
    Steps beyond a sequence's end, given `lengths`, get no noise.

    Examples
    --------
    >>> x = np.zeros((2, 3, 4))
    >>> layer = GaussianNoise(0.1)
    >>> layer(x).any(), layer.forward(x, rng=0)[0].all()
    (np.False_, np.True_)
    """

    def __init__(self, stddev: float):
        self.stddev = _check.not_negative(stddev, "stddev")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"stddev": self.stddev}

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`.

        Parameters
        ----------
        x : array_like (B, ..., F) or (F,)
        lengths : array_like of int (B,), optional
        rng : None, int or numpy.random.Generator
            The noise is a function of the key drawn from it, of the row's number and of the place in the row: neither
            of how many rows there are, nor of how many steps follow.
        """
        x = _check.real(x, None)
        beyond = _check.padding(lengths, x.shape[:-1])
        noise = _normal(draw_key(rng), x.shape if x.ndim > 1 else (1, *x.shape)).reshape(x.shape)
        noise *= self.stddev
        if beyond is not None:
            noise[beyond] = 0
        once, shape, dtype = BackwardOnce(self.slots()), x.shape, x.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return dy

        return x + noise.astype(dtype), backward


def _normal(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, float64, each row from a stream of its own (key, row)."""
    found = np.empty(shape)
    for row, numbers in enumerate(found):
        np.random.Generator(np.random.Philox(key=int(key) | row << 64)).standard_normal(out=numbers)
    return found
