"""An activation function as a layer."""

from typing import Any

import numpy as np

from rnnfast.layers import _activations, _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer


class Activation(Layer):
    """y = f(x), number by number; softmax along the last axis.

    Parameters
    ----------
    activation : str, or (str, alpha), or (str, alpha, beta)
        Which f:

        ======================  =================================================================
        "identity"              x
        "tanh", "sigmoid"       tanh x; 1 / (1 + e^-x)
        "relu"                  max(x, 0)
        "leaky_relu"            x where x > 0, else alpha x; alpha 0.01 (PyTorch's and ONNX's)
        "elu"                   x where x > 0, else alpha (e^x - 1); alpha 1
        "selu"                  1.0507 x where x > 0, else 1.0507 · 1.6733 (e^x - 1) (Klambauer et al. 2017)
        "softsign"              x / (1 + |x|)
        "softplus"              log(1 + e^x)
        "hard_sigmoid"          clip(alpha x + beta, 0, 1); alpha 1/6, beta 1/2 (PyTorch, Keras 3)
        "hard_sigmoid_onnx"     the same; alpha 0.2, beta 1/2 (ONNX, Keras 1 and 2)
        "gelu"                  x (1 + tanh(sqrt(2/π) (x + 0.044715 x³))) / 2
        "swish"                 x sigmoid(alpha x); alpha 1, which is also called SiLU
        "softmax"               e^x over its sum along the last axis
        ======================  =================================================================

    Notes
    -----
    "gelu" is the tanh form of Hendrycks and Gimpel (2016, section 2), not the one of the error function, which
    differs by up to 5e-4. Given `lengths`, steps beyond a sequence's end are zero in y and dx.

    Examples
    --------
    >>> Activation("relu")([-1.0, 2.0]).tolist(), Activation(("leaky_relu", 0.5))([-1.0, 2.0]).tolist()
    ([0.0, 2.0], [-0.5, 2.0])
    """

    num_directions = None

    def __init__(self, activation: Any):
        self.activation = _activations.parse(activation)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"activation": self.activation.spec()}

    def _apply(self, x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x = _check.real(x, None)
        if x.ndim == 0:
            raise ValueError("Activation: x must have at least one axis, got a single number")
        beyond = _check.padding(lengths, x.shape[:-1])
        y = self.activation.value(x)
        return x, y if beyond is None else np.where(beyond[..., None], 0, y), beyond

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (..., F)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (..., F).
        """
        return self._apply(x, lengths)[1]

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        x, y, beyond = self._apply(x, lengths)
        derivative = self.activation.derivative(x, y)
        once, shape, dtype = BackwardOnce(self.slots()), y.shape, y.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            dx = derivative(dy)
            return dx if beyond is None else np.where(beyond[..., None], 0, dx)

        return y, backward
