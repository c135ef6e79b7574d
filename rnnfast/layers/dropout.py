"""Inverted dropout."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer, draw_key


class Dropout(Layer):
    """While training, sets each number to zero with probability p and divides the others by 1 - p.

    Calling the layer is inference and gives x back; only `forward` drops (Srivastava et al. 2014, section 4, with the
    scaling moved to training).

    Parameters
    ----------
    p : float
        At least 0, less than 1.
    """

    num_directions = None

    def __init__(self, p: float):
        self.p = _check.probability(p, "p")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"p": self.p}

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference: x itself."""
        return _check.real(x, None)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`.

        The mask is a function of the key drawn from `rng` and of a number's place: it is never stored.
        """
        x = _check.real(x, None)
        key = draw_key(rng) if self.p else 0
        y = self._drop(x, key)
        once, shape, dtype = BackwardOnce(self.slots()), x.shape, x.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return self._drop(dy, key)

        return y, backward

    def _stream_steps(self, rows: int) -> list[Any]:
        return []

    def _drop(self, x: np.ndarray, key: int) -> np.ndarray:
        if not self.p or not x.size:
            return x
        inner = x if x.ndim in (2, 3) else x.reshape(*((1,) if x.ndim < 2 else (x.shape[0], -1)), x.shape[-1])
        return ops.dropout(inner, self.p, int(key), 0).reshape(x.shape)
