"""Normalisation: of each step over its features, or of each feature over batch and time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype

Array = np.ndarray


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

    def _standardised(self, rows: Array) -> tuple[Array, Callable[[Array], Array]]:
        """z of the rows while training, and what makes their gradient of that of z."""
        raise NotImplementedError

    def _inference(self) -> Callable[[Array], Array]:
        """y of rows, by copies of the numbers as they are now."""
        raise NotImplementedError

    def _rows(self, x: Any, lengths: Any) -> tuple[Array, tuple[int, ...], Array | None]:
        """The valid steps (N, F), the shape of x, and which steps they are; None for all."""
        x = _check.real(x, self.block.dtype)
        _check.features(x, self.num_features, type(self).__name__)
        beyond = _check.padding(lengths, x.shape[:-1])
        if beyond is None:
            return x.reshape(-1, self.num_features), x.shape, None
        return x[~beyond], x.shape, ~beyond

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
        return _placed(self._inference()(rows), shape, valid)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Array, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`. x must not change in between."""
        once = BackwardOnce(self.slots())
        rows, shape, valid = self._rows(x, lengths)
        z, undo = self._standardised(rows)
        weight = self.block.array("weight")
        y = _placed(z * weight + self.block.array("bias"), shape, valid)

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Array | None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            dy = dy.reshape(-1, self.num_features) if valid is None else dy[valid]
            dx = _placed(undo(dy * weight), shape, valid) if need_dx else None
            once.add({"weight": _sum(dy * z, 0)[0], "bias": _sum(dy, 0)[0]}, grads)
            return dx

        return y, backward

    def _stream_steps(self, rows: int) -> list[Any]:
        function = self._inference()

        def step(x: Any) -> Array:
            x = np.atleast_2d(_check.real(x, self.block.dtype))
            _check.features(x, self.num_features, type(self).__name__)
            return function(x)

        return [step]


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

    def _standardised(self, rows: Array) -> tuple[Array, Callable[[Array], Array]]:
        z, _, _, undo = _standardise(rows, 1, self.eps)
        return z, undo

    def _inference(self) -> Callable[[Array], Array]:
        weight, bias, eps = self.block.array("weight").copy(), self.block.array("bias").copy(), self.eps
        return lambda rows: _standardise(rows, 1, eps)[0] * weight + bias


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
    dtype : str
        "float32" or "float64".

    Notes
    -----
    Parameters: `weight` (F,), ones at first, and `bias` (F,), zeros. Buffers, which no optimizer touches:
    `running_mean` (F,), zeros at first, and `running_var` (F,), ones.

    It is PyTorch's `BatchNorm1d` on the valid steps as rows (N, F): the batch is normalised by the mean of the squares,
    while the running variance takes their sum over N - 1. Keras counts the momentum from the other end (its 0.99 is
    0.01 here), takes the mean of the squares for both, and has an eps of 1e-3.

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

    def __init__(self, num_features: int, momentum: float = 0.1, eps: float = 1e-5, *, dtype: Any = "float32"):
        super().__init__(num_features, eps, dtype)
        self.momentum = _check.not_negative(momentum, "momentum", 1)
        shape = (self.num_features,)
        self.buffer_block = Block({"running_mean": shape, "running_var": shape}, self.block.dtype)
        self.buffer_block.set("running_var", np.ones(shape))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_features": self.num_features,
            "momentum": self.momentum,
            "eps": self.eps,
            "dtype": str(self.block.dtype),
        }

    def _running(self) -> tuple[Array, Array]:
        """The running mean, and one over the standard deviation."""
        kept = self.buffer_block
        with kept.lock:
            mean, variance = kept.data.copy().reshape(2, -1)
        return mean, 1 / np.sqrt(variance + self.eps)

    def _standardised(self, rows: Array) -> tuple[Array, Callable[[Array], Array]]:
        if self.frozen:
            mean, scale = self._running()
            return (rows - mean) * scale, lambda dz: dz * scale
        z, mean, variance, undo = _standardise(rows, 0, self.eps)
        count, kept = len(rows), self.buffer_block
        if count > 1:
            batch = np.concatenate([mean[0], variance[0] * (count / (count - 1))])
            with kept.lock:
                kept.data += self.momentum * (batch - kept.data)
                kept.version += 1
        return z, undo

    def _inference(self) -> Callable[[Array], Array]:
        mean, scale = self._running()
        scale, bias = scale * self.block.array("weight"), self.block.array("bias").copy()
        return lambda rows: (rows - mean) * scale + bias


def _sum(rows: Array, axis: int) -> Array:
    # Columns are added up in float64, as NumPy takes one row after the other; along a row it goes by pairs.
    wide = np.float64 if axis == 0 else rows.dtype
    return rows.sum(axis=axis, dtype=wide, keepdims=True).astype(rows.dtype, copy=False)


def _mean(rows: Array, axis: int) -> Array:
    return _sum(rows, axis) / max(1, rows.shape[axis])


def _standardise(rows: Array, axis: int, eps: float) -> tuple[Array, Array, Array, Callable[[Array], Array]]:
    """z = (rows - mean) / sqrt(variance + eps) along an axis; mean, variance, and the rows' gradient of that of z."""
    mean = _mean(rows, axis)
    z = rows - mean
    variance = _mean(z * z, axis)
    scale = 1 / np.sqrt(variance + eps)
    z *= scale

    def undo(dz: Array) -> Array:
        return scale * (dz - _mean(dz, axis) - z * _mean(dz * z, axis))

    return z, mean, variance, undo


def _placed(rows: Array, shape: tuple[int, ...], valid: Array | None) -> Array:
    """Rows back at their steps; zeros at the others."""
    if valid is None:
        return rows.reshape(shape)
    placed = np.zeros(shape, rows.dtype)
    placed[valid] = rows
    return placed
