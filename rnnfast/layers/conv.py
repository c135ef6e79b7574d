"""Convolution over time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast._backend import in_numpy
from rnnfast.kernels._memory import zeros
from rnnfast.layers import _activations, _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype
from rnnfast.layers._key import generator

Array = np.ndarray


class Conv1D(Layer):
    """y_t = activation(b + sum over k of W_k x_(s t - d (K - 1 - k))): a window of steps at a time, the same for all.

    Parameters
    ----------
    in_channels, out_channels : int
        C and O, the sizes of the last axis of x and y.
    kernel_size : int
        K, how many steps a window holds.
    stride : int
        s, how far the window moves from one output to the next.
    dilation : int
        d, how far apart the steps in a window are.
    causal : bool
        Whether the window ends at the step it stands for, and zeros stand before the first (Keras's padding="causal").
        Otherwise there are only windows that lie in x (padding="valid").
    bias : bool
        Whether there is a b.
    activation : None, str, or (str, alpha), or (str, alpha, beta)
        As of `Activation`.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first weights: Glorot uniform, with C K and O K for the fans; b starts at zero.

    Notes
    -----
    Parameters: `weight` (O, C, K) as PyTorch's, `bias` (O,). Of T steps come ceil(T / s), and without `causal`
    ceil((T - d (K - 1)) / s), at least 0; lengths change likewise. Given `lengths`, steps beyond a sequence's end take
    no part, and are zero in y and dx.

    As a model does, it gives y when called, and carries a state through `run` and `forward`: of a causal layer with a
    stride of 1, the last d (K - 1) inputs, (B, d (K - 1), C). So a sequence in pieces, or step by step in a stream, has
    the bits of the whole. Other layers have the state () and do not stream.

    Examples
    --------
    >>> layer = Conv1D(1, 1, 2, seed=0)
    >>> layer.params["weight"] = [[[1.0, 10.0]]]
    >>> layer(np.array([[[1.0], [2.0], [3.0]]])).ravel().tolist()
    [10.0, 21.0, 32.0]
    >>> stream = layer.stream()
    >>> [float(stream([[v]])[0, 0]) for v in (1.0, 2.0, 3.0)], stream.snapshot().tolist()
    ([10.0, 21.0, 32.0], [[[3.0]]])
    """

    block: Block
    has_state = True
    _cache_packed: tuple[tuple[int, bool], "_Kernel"] | None = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = True,
        bias: bool = True,
        activation: Any = None,
        dtype: Any = "float32",
        seed: Any = None,
    ):
        self.in_channels = _check.size(in_channels, "in_channels")
        self.out_channels = _check.size(out_channels, "out_channels")
        self.kernel_size = _check.size(kernel_size, "kernel_size")
        self.stride, self.dilation = _check.size(stride, "stride"), _check.size(dilation, "dilation")
        self.causal, self.bias = _check.flag(causal, "causal"), _check.flag(bias, "bias")
        self.activation = _activations.parse("identity" if activation is None else activation)
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_channels, self.in_channels, self.kernel_size)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        self.block = Block(shapes, float_dtype(dtype))
        if not self.block.planned:
            limit = np.sqrt(6 / (self.kernel_size * (self.in_channels + self.out_channels)))
            self.block.set("weight", generator(seed).uniform(-limit, limit, shapes["weight"]))

    @property
    def span(self) -> int:
        """How many steps before its last a window reaches: d (K - 1)."""
        return self.dilation * (self.kernel_size - 1)

    @property
    def _carries(self) -> bool:
        return self.causal and self.stride == 1

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the layer takes, for the summary."""
        return ("B", "T", self.in_channels)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        activation = self.activation.spec()
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "dilation": self.dilation,
            "causal": self.causal,
            "bias": self.bias,
            "activation": None if activation == "identity" else activation,
            "dtype": str(self.block.dtype),
        }

    def _steps_of(self, steps: Any) -> Any:
        """How many outputs come of so many steps, a number or an array."""
        inside = steps if self.causal else steps - self.span
        return np.maximum(0, -(-inside // self.stride))

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        steps = shape[-2]
        if isinstance(steps, int):
            steps = int(self._steps_of(steps))
        elif not self._carries:
            steps = f"{steps}'"
        return (*shape[:-2], steps, self.out_channels)

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths that hold after this layer."""
        return None if lengths is None else self._steps_of(np.asarray(lengths))

    def _kernel(self) -> "_Kernel":
        """The weights in the kernels' layout, made anew when they have changed."""
        version, cached = (self.block.version, in_numpy()), self._cache_packed
        if cached is None or cached[0] != version:
            matrix = self.block.array("weight").transpose(0, 2, 1).reshape(self.out_channels, -1)
            bias = self.block.array("bias") if self.bias else None
            kernel = _Kernel(matrix, ops.pack_linear(matrix, bias), self.kernel_size, self.stride, self.dilation)
            cached = self._cache_packed = (version, kernel)
        return cached[1]

    def __call__(self, x: Any, state: Any = None, *, lengths: Any = None) -> Array:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, C) or (T, C)
        state : as `run` or `forward` return it, optional
            None: zeros came before.
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (B, T', O) or (T', O).
        """
        return self.run(x, state, lengths=lengths)[0]

    def run(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Array, Any]:
        """Inference that carries state: `(y, state)`; arguments as those of a call."""
        call = _Call(self, x, state, lengths)
        y = call.finish(self.activation.value(self._kernel().product(call.padded, call.outputs)))
        return y, call.leave(call.last())

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, rng: Any = None
    ) -> tuple[tuple[Array, Any], Backward]:
        """Training: `((y, state), backward)` with `backward(dy, dstate=None, grads=None, need_dx=True)`.

        `backward` works once and returns `(dx, dstate)`; dx is None with `need_dx=False`.
        """
        once = BackwardOnce(self.slots())
        call, kernel = _Call(self, x, state, lengths), self._kernel()
        sums = kernel.product(call.padded, call.outputs)
        y = self.activation.value(sums)
        derivative = self.activation.derivative(sums, y)
        y = call.finish(y)
        shape, dtype = y.shape, self.block.dtype

        def backward(dy: Any, dstate: Any = None, grads: Any = None, need_dx: bool = True) -> tuple[Array | None, Any]:
            dy = _check.output_gradient(dy, shape, dtype)
            dlast = call.enter_state(dstate, "dstate")
            once.start()
            dsums = derivative(dy.reshape(sums.shape))
            if call.beyond_outputs is not None:
                dsums = np.where(call.beyond_outputs[..., None], 0, dsums)
            # Where dx is not wanted, those outputs are enough that see what came before x.
            first = call.outputs if need_dx else min(call.outputs, call.context)
            dmatrix, dbias, dpadded = kernel.gradients(call.padded, dsums, first)
            dweight = dmatrix.reshape(self.out_channels, self.kernel_size, -1).transpose(0, 2, 1)
            once.add({"weight": dweight, "bias": dbias} if self.bias else {"weight": dweight}, grads)
            dpadded[call.last_places()] += dlast
            dx = dpadded[:, call.before :].reshape(call.shape) if need_dx else None
            return dx, call.leave(dpadded[:, : call.context])

        return (y, call.leave(call.last())), backward

    def _stream_steps(self, rows: int) -> list[Any]:
        if not self._carries:
            raise ValueError(
                f"a Conv1D with causal={self.causal} and stride={self.stride} cannot run step by step: it must be "
                "causal, with a stride of 1, so that each step has its output"
            )
        return [_ConvStep(self, rows)]

    def _join_steps(self, held: Iterator[tuple[Array, ...]]) -> Any:
        return next(held)[0] if self._carries else ()

    def _split_steps(self, state: Any, rows: int) -> list[tuple[Array, ...]]:
        if state is None:
            raise TypeError("state must be that of a Conv1D, got None")
        return [(_Call(self, np.zeros((rows, 0, self.in_channels)), state, None).start,)]


class _Kernel(NamedTuple):
    """The weights of a version: as a matrix (O, K C), packed, and how windows lie."""

    matrix: Array
    packed: Any
    size: int
    stride: int
    dilation: int

    def windows(self, padded: Array, outputs: int) -> Array:
        """The steps that each of so many outputs sees, (B, T', K C); a view where they lie side by side."""
        rows, channels = padded.shape[0], padded.shape[2]
        row, step, channel = padded.strides
        view = np.lib.stride_tricks.as_strided(
            padded,
            (rows, outputs, self.size, channels),
            (row, step * self.stride, step * self.dilation, channel),
            writeable=False,
        )
        return view.reshape(rows, outputs, self.size * channels)

    def product(self, padded: Array, outputs: int) -> Array:
        """W times each window, plus b: (B, T', O)."""
        return ops.linear(self.windows(padded, outputs), self.matrix, packed=self.packed)

    def gradients(self, padded: Array, dsums: Array, first: int) -> tuple[Array, Array, Array]:
        """What the matrix, the bias, and through the first so many outputs the padded input, get of dsums."""
        _, dmatrix, dbias = ops.linear_backward(self.windows(padded, dsums.shape[1]), self.matrix, dsums, need_dx=False)
        dpadded = np.zeros_like(padded)
        if first:
            dwindows = ops.linear(dsums[:, :first], np.ascontiguousarray(self.matrix.T))
            dwindows = dwindows.reshape(padded.shape[0], first, self.size, padded.shape[2])
            for k in range(self.size):
                start = k * self.dilation
                dpadded[:, start : start + (first - 1) * self.stride + 1 : self.stride] += dwindows[:, :, k]
        return dmatrix, dbias, dpadded


class _Call:
    """The arguments of one call, checked: x behind what came before it, `padded` (B, before + T, C)."""

    def __init__(self, layer: Conv1D, x: Any, state: Any, lengths: Any):
        self.layer, dtype = layer, layer.block.dtype
        x = _check.real(x, dtype)
        if x.ndim not in (2, 3) or x.shape[-1] != layer.in_channels:
            C = layer.in_channels
            raise ValueError(f"Conv1D: x must have shape (B, T, {C}) or (T, {C}), got {x.shape}")
        self.shape = x.shape
        self.before = layer.span if layer.causal else 0
        self.context = layer.span if layer._carries else 0
        batch = x if x.ndim == 3 else x[None]
        rows, steps, channels = batch.shape
        self.rows, self.outputs = rows, int(layer._steps_of(steps))
        self.ends = np.full(rows, steps) if lengths is None else ops.sequence_lengths(lengths, x.shape[:-1])
        self.start = self.enter_state(state, "state")
        self.padded = zeros((rows, self.before + steps, channels), dtype)
        self.padded[:, : self.start.shape[1]] = self.start
        self.padded[:, self.before :] = batch
        self.beyond_outputs = None
        if lengths is not None:
            self.padded[:, self.before :][np.arange(steps) >= self.ends[:, None]] = 0
            self.beyond_outputs = np.arange(self.outputs) >= layer._steps_of(self.ends)[:, None]

    def enter_state(self, state: Any, name: str) -> Array:
        """A state, or its gradient, as (B, context, C)."""
        layer = self.layer
        wanted = (self.rows, self.context, layer.in_channels)
        if state is None or (not layer._carries and isinstance(state, tuple) and state == ()):
            return np.zeros(wanted, layer.block.dtype)
        if not layer._carries:
            raise ValueError(f"{name} must be (), as this Conv1D has none, got {type(state).__name__}")
        state = _check.real(state, layer.block.dtype, name)
        if state.shape != wanted and not (self.rows == 1 and state.shape == wanted[1:]):
            shown = wanted if len(self.shape) == 3 else wanted[1:]
            raise ValueError(f"{name} must have shape {shown}, the last steps before x, got {state.shape}")
        return state.reshape(wanted)

    def leave(self, state: Array) -> Any:
        """A state, or its gradient, as the caller has it."""
        if not self.layer._carries:
            return ()
        return state if len(self.shape) == 3 else state[0]

    def last_places(self) -> tuple[Array, Array]:
        """Where in `padded` the last steps of each sequence are."""
        return np.arange(self.rows)[:, None], self.ends[:, None] + np.arange(self.context)

    def last(self) -> Array:
        """The state after this call: a copy."""
        return self.padded[self.last_places()]

    def finish(self, y: Array) -> Array:
        """y with zeros beyond each sequence's end, as the caller has it."""
        if self.beyond_outputs is not None:
            y = np.where(self.beyond_outputs[..., None], 0, y)
        return y if len(self.shape) == 3 else y[0]


class _ConvStep:
    """A causal layer, one step at a time: it keeps what the next windows see."""

    has_state = True

    def __init__(self, layer: Conv1D, rows: int):
        self.kernel, self.activation = layer._kernel(), layer.activation
        self.window = np.zeros((rows, layer.span + 1, layer.in_channels), layer.block.dtype)

    def __call__(self, x: Any, numbers: Array | None = None) -> Array:
        window = self.window if numbers is None else self.window[numbers]
        rows, _, channels = window.shape
        x = _check.real(x, self.window.dtype)
        if x.shape != (rows, channels) and not (rows == 1 and x.shape == (channels,)):
            raise ValueError(f"x must have shape {(rows, channels)}, one step of each sequence, got {x.shape}")
        window[:, -1] = x
        y = self.activation.value(self.kernel.product(window, 1)[:, 0])
        self.window[slice(None) if numbers is None else numbers, :-1] = window[:, 1:]
        return y

    def clear(self, numbers: Array) -> None:
        """Zeros came before, in these rows."""
        self.window[numbers] = 0

    def get(self, numbers: Array) -> tuple[Array, ...]:
        """A copy of what these rows hold."""
        return (self.window[numbers, :-1],)

    def set(self, numbers: Array, context: Array) -> None:
        """Make these rows hold this."""
        self.window[numbers, :-1] = context
