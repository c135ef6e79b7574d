"""The affine layer, with an activation if wanted."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast._backend import in_numpy
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype
from rnnfast.layers._key import generator
from rnnfast.layers.embedding import Embedding
from rnnfast.layers.initializers import glorot_uniform

_ACTIVATIONS = (None, "relu", "tanh", "sigmoid")


class Linear(Layer):
    """y = activation(x Wᵀ + b) on the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of x and y.
    bias : bool
        Whether there is a b.
    activation : None, "relu", "tanh" or "sigmoid"
    tied : Embedding, optional
        Its vectors are the W, one parameter trained by both: in_features is its embedding_dim, out_features its
        num_embeddings (Press and Wolf 2017; Inan et al. 2017).
    dtype : str
        "float32" or "float64"; that of `tied`.
    seed : None, int or numpy.random.Generator
        For the first weights: Glorot uniform; b starts at zero.

    Notes
    -----
    Parameters: `weight` (out_features, in_features), `bias` (out_features,). Given `lengths`, steps beyond a
    sequence's end are zero in y and take no part in the gradients. The padding symbol of a tied embedding takes no
    gradient here either: its vector stays zero.

    Examples
    --------
    >>> layer = Linear(3, 2)
    >>> layer(np.ones((5, 3))).shape, layer.num_params
    ((5, 2), 8)
    >>> from rnnfast.layers import Embedding
    >>> words = Embedding(1000, 8)
    >>> np.shares_memory(Linear(8, 1000, tied=words).params["weight"], words.params["weight"])
    True
    """

    block: Block
    _cache_packed: tuple[int, int, bool, Any] | None = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str | None = None,
        *,
        tied: Embedding | None = None,
        dtype: Any = "float32",
        seed: Any = None,
    ):
        self.in_features = _check.size(in_features, "in_features")
        self.out_features = _check.size(out_features, "out_features")
        self.bias = _check.flag(bias, "bias")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(map(repr, _ACTIVATIONS))}, got {activation!r}")
        self.activation = activation
        self.tied = tied
        weight, bias_shape = (self.out_features, self.in_features), {"bias": (self.out_features,)} if self.bias else {}
        if tied is None:
            self.block = Block({"weight": weight, **bias_shape}, float_dtype(dtype))
            self.block.set("weight", glorot_uniform(generator(seed), weight))
        else:
            self._check_tied(tied, weight, float_dtype(dtype))
            self.block = Block(bias_shape, float_dtype(dtype))

    @staticmethod
    def _check_tied(tied: Any, weight: tuple[int, int], dtype: np.dtype) -> None:
        if not isinstance(tied, Embedding):
            raise TypeError(f"tied must be an Embedding, got {type(tied).__name__}")
        if tied.block.shapes["weight"] != weight or tied.block.dtype != dtype:
            raise ValueError(
                f"tied must be an Embedding({weight[0]}, {weight[1]}, dtype='{dtype}') for this Linear({weight[1]}, "
                f"{weight[0]}, dtype='{dtype}'), got an Embedding({tied.num_embeddings}, {tied.embedding_dim}, "
                f"dtype='{tied.block.dtype}')"
            )

    @property
    def _weight_block(self) -> Block:
        return self.block if self.tied is None else self.tied.block

    def blocks(self) -> list[Block]:
        """The parameter blocks in order, each once: a tied embedding's, and this layer's own."""
        return [self.block] if self.tied is None else [self.tied.block, self.block]

    def slots(self) -> dict[str, tuple[Block, str]]:
        """Where each parameter lives: (block, name in the block) by name."""
        found = {"weight": (self._weight_block, "weight")}
        return {**found, "bias": (self.block, "bias")} if self.bias else found

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the layer takes, for the summary."""
        return ("B", self.in_features)

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape[:-1], self.out_features)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments; `tied`, where there is one, is the layer itself."""
        tied = {} if self.tied is None else {"tied": self.tied}
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias,
            "activation": self.activation,
            **tied,
            "dtype": str(self.block.dtype),
        }

    def _packed(self) -> Any:
        """Weight, bias and activation in the kernels' layout, made anew when they have changed."""
        block, cached = self._weight_block, self._cache_packed
        versions = block.version, self.block.version, in_numpy()
        if cached is None or cached[:3] != versions:
            bias = self.block.array("bias") if self.bias else None
            packed = ops.pack_linear(block.array("weight"), bias, self.activation)
            cached = self._cache_packed = (*versions, packed)
        return cached[3]

    def _stream_steps(self, rows: int) -> list[Any]:
        from rnnfast.kernels._step import LinearStep

        return [LinearStep(self._packed(), rows)]

    def _apply(self, x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x = _check.real(x, self.block.dtype)
        _check.features(x, self.in_features, "Linear")
        beyond = _check.padding(lengths, x.shape[:-1])
        y = ops.linear(x, self._weight_block.array("weight"), packed=self._packed())
        if beyond is not None:
            y[beyond] = 0
        return x, y, beyond

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (..., in_features)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (..., out_features).
        """
        return self._apply(x, lengths)[1]

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`. x must not change in between."""
        once = BackwardOnce(self.slots())
        x, y, beyond = self._apply(x, lengths)
        weight = self._weight_block.array("weight")
        slope, shape = self._slope(y), y.shape

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray | None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            if slope is not None:
                dy = dy * slope
            counted = x
            if beyond is not None:
                dy = np.where(beyond[..., None], 0, dy)
                if not np.isfinite(x[beyond]).all():  # 0 times nan is nan
                    counted = np.where(beyond[..., None], 0, x)
            dx, dweight, dbias = ops.linear_backward(counted, weight, dy, need_dx=need_dx)
            if self.tied is not None and self.tied.padding_idx is not None:
                dweight[self.tied.padding_idx] = 0
            once.add({"weight": dweight, "bias": dbias} if self.bias else {"weight": dweight}, grads)
            return dx

        return y, backward

    def _slope(self, y: np.ndarray) -> np.ndarray | None:
        """dy/da at the output y, in memory of its own: y belongs to the caller."""
        if self.activation == "relu":
            return (y > 0).astype(y.dtype)
        if self.activation == "tanh":
            return 1 - y * y
        if self.activation == "sigmoid":
            return y * (1 - y)
        return None
