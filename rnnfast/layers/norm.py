"""Normalisation: of each step over its features, or of each feature over batch and time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.kernels import _norms
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype

Array = np.ndarray
Gradient = Callable[[Array, bool], tuple[Array | None, Array, Array]]


class _Norm(Layer):
    """y = weight * z + bias, with z the x of each valid step, standardised: by rows (N, F) of them."""

    block: Block
    num_directions = None

    def __init__(self, num_features: int, eps: float, dtype: Any):
        self.num_features = _check.size(num_features, "num_features")
        self.eps = _check.not_negative(eps, "eps")
        self.block = Block({"weight": (self.num_features,), "bias": (self.num_features,)}, float_dtype(dtype))
        self.block.set("weight", np.ones(self.num_features))

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the layer takes, for the summary."""
        return ("B", "T", self.num_features)

    def _infer(self, rows: Array, valid: Array | None) -> Array:
        """y of rows, zero where they are not valid."""
        raise NotImplementedError

    def _train(self, rows: Array, valid: Array | None) -> tuple[Array, Gradient]:
        """The same while training, and the gradients of rows, weight and bias: `gradient(dy, need_dx)`."""
        raise NotImplementedError

    def _rows(self, x: Any, lengths: Any) -> tuple[Array, tuple[int, ...], Array | None]:
        """The steps (N, F), the shape of x, and which steps are valid; None for all."""
        x = _check.real(x, self.block.dtype)
        _check.features(x, self.num_features, type(self).__name__)
        beyond = _check.padding(lengths, x.shape[:-1])
        return self._matrix(x), x.shape, None if beyond is None else ~beyond.reshape(-1)

    def _matrix(self, x: Array) -> Array:
        return np.require(x.reshape(-1, self.num_features), requirements=["C", "A"])

    def __call__(self, x: Any, *, lengths: Any = None) -> Array:
        """Inference.

        Parameters
        ----------
        x : array_like (..., F)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (..., F); zero beyond each sequence's end.
        """
        rows, shape, valid = self._rows(x, lengths)
        return self._infer(rows, valid).reshape(shape)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Array, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`. x must not change in between."""
        once = BackwardOnce(self.slots())
        rows, shape, valid = self._rows(x, lengths)
        y, gradient = self._train(rows, valid)

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Array | None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            dx, d_weight, d_bias = gradient(self._matrix(dy), need_dx)
            once.add({"weight": d_weight, "bias": d_bias}, grads)
            return None if dx is None else dx.reshape(shape)

        return y.reshape(shape), backward


class LayerNorm(_Norm):
    """y = weight * (x - mean) / sqrt(variance + eps) + bias, of each step over its features (Ba et al. 2016).

    Parameters
    ----------
    num_features : int
        F, the size of the last axis.
    eps : float
    dtype : str
        "float32" or "float64".

    Notes
    -----
    Parameters: `weight` (F,), ones at first, and `bias` (F,), zeros. The variance is the mean of the squares. It is
    PyTorch's `LayerNorm`; Keras's has an eps of 1e-3.

    Examples
    --------
    >>> LayerNorm(2, eps=0.0, dtype="float64")([[1.0, 3.0], [10.0, 8.0]]).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, dtype: Any = "float32"):
        super().__init__(num_features, eps, dtype)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"num_features": self.num_features, "eps": self.eps, "dtype": str(self.block.dtype)}

    def _infer(self, rows: Array, valid: Array | None) -> Array:
        return _norms.layer_norm(rows, self.block.array("weight"), self.block.array("bias"), self.eps, valid)[0]

    def _train(self, rows: Array, valid: Array | None) -> tuple[Array, Gradient]:
        weight = self.block.array("weight")
        y, statistics = _norms.layer_norm(rows, weight, self.block.array("bias"), self.eps, valid, True)
        return y, lambda dy, need_dx: _norms.layer_norm_backward(dy, rows, statistics, weight, valid, need_dx)

    def _stream_steps(self, rows: int) -> list[Any]:
        weight, bias = self.block.array("weight").copy(), self.block.array("bias").copy()
        return [_norms.NormStep(weight, bias, None, self.eps, rows)]


class BatchNorm(_Norm):
    """y = weight * (x - mean) / sqrt(variance + eps) + bias, of each feature over batch and time.

    While training, mean and variance are those of the batch, and steps beyond a sequence's end, given `lengths`, are
    left out of them (Ioffe and Szegedy 2015, algorithms 1 and 2). Each `forward` moves the running mean and variance
    towards them, and a call of the layer, a stream and a pool use those.

    Parameters
    ----------
    num_features : int
        F, the size of the last axis.
    momentum : float
        How far a batch moves the running statistics: running = (1 - momentum) running + momentum batch.
    eps : float
    unbiased : bool
        Whether the running variance takes the sum of the squares over N - 1; False: over N.
    dtype : str
        "float32" or "float64".

    Notes
    -----
    Parameters: `weight` (F,), ones at first, and `bias` (F,), zeros. Buffers, which no optimizer touches:
    `running_mean` (F,), zeros at first, and `running_var` (F,), ones.

    It is PyTorch's `BatchNorm1d` on the valid steps as rows (N, F): the batch is normalised by the mean of the squares,
    while the running variance takes their sum over N - 1. Keras counts the momentum from the other end (its 0.99 is
    0.01 here), takes the mean of the squares for both (``unbiased=False``), and has an eps of 1e-3.

    A frozen layer normalises by its running statistics while training too, and leaves them as they are, as Keras does.
    A batch of a single step has no variance: it moves nothing.

    Examples
    --------
    >>> layer = BatchNorm(1, momentum=0.5)
    >>> y, backward = layer.forward(np.array([[[1.0], [3.0], [99.0]]]), lengths=[2])
    >>> y.round(2).ravel().tolist(), layer.buffers["running_mean"].tolist(), layer.buffers["running_var"].tolist()
    ([-1.0, 1.0, 0.0], [1.0], [1.5])
    """

    buffer_block: Block

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        unbiased: bool = True,
        dtype: Any = "float32",
    ):
        super().__init__(num_features, eps, dtype)
        self.momentum, self.unbiased = _check.not_negative(momentum, "momentum", 1), _check.flag(unbiased, "unbiased")
        shape = (self.num_features,)
        self.buffer_block = Block({"running_mean": shape, "running_var": shape}, self.block.dtype)
        self.buffer_block.set("running_var", np.ones(shape))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_features": self.num_features,
            "momentum": self.momentum,
            "eps": self.eps,
            **({} if self.unbiased else {"unbiased": False}),
            "dtype": str(self.block.dtype),
        }

    def _running(self) -> tuple[Array, Array]:
        """The running mean, and one over the standard deviation."""
        kept = self.buffer_block
        with kept.lock:
            mean, variance = kept.data.copy().reshape(2, -1)
        return mean, 1 / np.sqrt(variance + self.eps)

    def _moved(self, rows: Array, valid: Array | None) -> tuple[int, Array, Array]:
        """How many rows count, their mean, one over their standard deviation; moves the running statistics."""
        count, mean, variance = _norms.moments(rows, valid)
        factor = count / max(count - 1, 1) if self.unbiased else 1.0
        kept, batch = self.buffer_block, np.concatenate([mean, variance * factor])
        # One batch with nan in it would be remembered for ever.
        if count > 1 and np.isfinite(batch).all():
            with kept.lock:
                kept.data += (self.momentum * (batch - kept.data)).astype(kept.dtype)
                kept.version += 1
        dtype = self.block.dtype
        return count, mean.astype(dtype), (1 / np.sqrt(variance + self.eps)).astype(dtype)

    def _infer(self, rows: Array, valid: Array | None) -> Array:
        mean, scale = self._running()
        return _norms.shifted(rows, mean, scale * self.block.array("weight"), self.block.array("bias"), valid)

    def _train(self, rows: Array, valid: Array | None) -> tuple[Array, Gradient]:
        weight = self.block.array("weight")
        count, mean, scale = (0, *self._running()) if self.frozen else self._moved(rows, valid)
        y = _norms.shifted(rows, mean, scale * weight, self.block.array("bias"), valid)
        return y, lambda dy, need_dx: _norms.batch_norm_backward(dy, rows, mean, scale, weight, valid, count, need_dx)

    def _stream_steps(self, rows: int) -> list[Any]:
        mean, scale = self._running()
        factor, bias = scale * self.block.array("weight"), self.block.array("bias").copy()
        return [_norms.NormStep(factor, bias, mean, 0.0, rows)]
