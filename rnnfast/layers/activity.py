"""Penalties on what a layer gives: on its size, and on how fast it changes."""

from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer
from rnnfast.layers._penalties import add_penalty

Array = np.ndarray


class ActivityRegularizer(Layer):
    """y = x, and while training the loss grows by alpha mean(x_t²) + beta mean((x_t - x_{t-1})²).

    These are activation regularization (AR) and temporal activation regularization (TAR) of Merity et al. 2017,
    "Regularizing and optimizing LSTM language models" (arXiv:1708.02182), section 4.6, as means over all numbers, which
    is how their program has it. Theirs puts TAR right after the last recurrent layer and AR after the dropout that
    follows::

        Sequential(Embedding(...), LSTM(...), ActivityRegularizer(beta=1.0), SpatialDropout(0.4),
                   ActivityRegularizer(alpha=2.0), Linear(...))

    Parameters
    ----------
    alpha, beta : float
        At least 0.

    Notes
    -----
    Given `lengths`, only valid steps count, and a difference only where both its steps are valid. Between the chunks
    of a long text no difference is counted.

    `backward` adds the penalty's own gradient, so dy must be that of the mean loss. `train_step` and `fit` do so, and
    `Step.penalty` and the loss in a `History` hold the penalty; evaluation has none.

    Examples
    --------
    >>> layer = ActivityRegularizer(beta=1.5)
    >>> y, backward = layer.forward(np.array([[[1.0], [3.0]]]))
    >>> backward(np.zeros((1, 2, 1))).ravel().tolist()
    [-6.0, 6.0]
    """

    num_directions = None

    def __init__(self, alpha: float = 0.0, beta: float = 0.0):
        self.alpha, self.beta = _check.not_negative(alpha, "alpha"), _check.not_negative(beta, "beta")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"alpha": self.alpha, "beta": self.beta}

    def __call__(self, x: Any, *, lengths: Any = None) -> Array:
        """Inference: x itself."""
        return _check.real(x, None)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Array, Backward]:
        """Training: x itself and `backward(dy, grads=None, need_dx=True) -> dx`.

        Parameters
        ----------
        x : array_like (B, T, F), or (..., F) where beta is 0
        lengths : array_like of int (B,), optional

        Raises
        ------
        ValueError
            When beta is not 0 and x has no time axis.
        """
        x = _check.real(x, None)
        if self.beta and x.ndim != 3:
            raise ValueError(f"ActivityRegularizer: with beta, x must have shape (B, T, F), got {x.shape}")
        once, shape, dtype = BackwardOnce(self.slots()), x.shape, x.dtype
        penalty, slope = self._penalty(x, _check.padding(lengths, x.shape[:-1]))
        gathered = add_penalty(penalty)

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Array | None:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return dy + slope * np.asarray(gathered.share, dtype) if need_dx else None

        return x, backward

    def _stream_steps(self, rows: int) -> list[Any]:
        return []

    def _penalty(self, x: Array, beyond: Array | None) -> tuple[float, Array]:
        """The penalty, and its gradient, in memory of its own: x goes on to the caller as y."""
        penalty, slope = 0.0, np.zeros_like(x)
        if self.alpha:
            own, slope = _mean_square(x, beyond)
            penalty += self.alpha * own
            slope *= self.alpha
        if self.beta:
            # A step is valid only where the one before it is.
            own, change = _mean_square(x[:, 1:] - x[:, :-1], None if beyond is None else beyond[:, 1:])
            penalty += self.beta * own
            change *= self.beta
            slope[:, 1:] += change
            slope[:, :-1] -= change
        return penalty, slope


def _mean_square(x: Array, beyond: Array | None) -> tuple[float, Array]:
    """The mean of x² over the steps that count, 0 where none does, and its gradient."""
    if beyond is not None:
        x = np.where(beyond[..., None], 0, x)
    count = x.size if beyond is None else int((~beyond).sum()) * x.shape[-1]
    total = float(np.square(x, dtype=np.float64).sum())
    return total / max(1, count), x * np.asarray(2 / max(1, count), x.dtype)
