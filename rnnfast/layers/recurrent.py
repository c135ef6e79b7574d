"""RNN, LSTM and GRU layers: stacked, in one direction or both."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty
from rnnfast.kernels._recurrent import worth_side_by_side
from rnnfast.layers import _check
from rnnfast.layers._base import BackwardOnce, Block, StatefulLayer, draw_key, float_dtype
from rnnfast.layers._direction import Direction, check_bias
from rnnfast.layers._grid import Orientation, Saved, one_state, run_all

if TYPE_CHECKING:
    from rnnfast.layers.explain import Plan

Array = np.ndarray


class LSTMState(NamedTuple):
    """State of an LSTM: h and c, each (L·D, B, H), or (L·D, H) for one unbatched sequence."""

    h: Array
    c: Array


class Recurrent(StatefulLayer):
    """What the three layers share: the grid of layers and directions over `ops.forward`."""

    cell: str
    block: Block
    num_directions: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool | str = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = "float32",
        seed: Any = None,
        **options: str,
    ):
        self.input_size = _check.size(input_size, "input_size")
        self.hidden_size = _check.size(hidden_size, "hidden_size")
        self.num_layers = _check.size(num_layers, "num_layers")
        self.bias, self.bidirectional = check_bias(bias), bool(bidirectional)
        self.dropout = _check.probability(dropout, "dropout")
        self.num_directions = 2 if bidirectional else 1
        self.output_size = self.num_directions * self.hidden_size
        self.options = options
        ops.kind(self.cell, **options)
        self._directions = [
            Direction(
                self.cell,
                self.output_size if layer else self.input_size,
                self.hidden_size,
                self.bias,
                f"_l{layer}" + ("_reverse" if reverse else ""),
                options,
            )
            for layer in range(self.num_layers)
            for reverse in range(self.num_directions)
        ]
        shapes: dict[str, tuple[int, ...]] = {}
        for direction in self._directions:
            shapes |= direction.shapes()
        self.block = Block(shapes, float_dtype(dtype))
        rng = np.random.default_rng(seed)
        for direction in self._directions:
            direction.initialise(self.block, rng)
        self._cache_packed: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache_packed = {}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bias": self.bias,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "dtype": str(self.block.dtype),
            **self.options,
        }

    def __call__(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, time_major: bool = False, out: Array | None = None
    ) -> tuple[Array, Any]:
        """Inference: nothing is saved, and packed weights are kept while the parameters do not change.

        Parameters
        ----------
        x : array_like (B, T, I), (T, B, I) with `time_major`, or (T, I) for one sequence
            Any strides; real numbers of another dtype are cast to the layer's.
        state : array (L·D, B, H), for the LSTM a pair (h, c), or None for zeros
            Layer-major: layer 0 forward, layer 0 reverse, layer 1 forward ... Unbatched: (L·D, H).
        lengths : array_like of int (B,), optional
            Valid steps of each sequence, 0 to T, in any order. The reverse direction starts at the last of them.
        time_major : bool
        out : ndarray like y, optional
            Where y is written; any strides. It may overlap x and the state.

        Returns
        -------
        y : ndarray (B, T, D·H), (T, B, D·H) or (T, D·H)
            Zero beyond each sequence's end.
        state : as the state given
            After each sequence's last valid step (in reverse, its first).

        Raises
        ------
        ValueError, TypeError
            For wrong shapes, dtypes and lengths, before anything is computed.
        """
        y, new, _, _ = self._run(x, state, lengths, time_major, out, None)
        return y, new

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, time_major: bool = False, rng: Any = None
    ) -> tuple[tuple[Array, Any], Callable[..., Any]]:
        """Training: `((y, state), backward)`. x must not change before `backward` has run.

        Parameters
        ----------
        x, state, lengths, time_major
            As for a call.
        rng : None, int or numpy.random.Generator
            For dropout between layers.

        Returns
        -------
        output : (y, state)
        backward : callable
            ``backward(dy, dstate=None, grads=None, need_dx=True) -> (dx, dstate)``, in the shapes of y, the state and
            x; dy or dstate None is zero. It adds to `self.grads`, or to the mapping given. It works once, and raises
            RuntimeError when it has run before or the parameters have changed.
        """
        once = BackwardOnce(self.slots())
        y, new, saved, restore = self._run(x, state, lengths, time_major, None, draw_key(rng))
        y_shape, D, H, dtype = y.shape, self.num_directions, self.hidden_size, self.block.dtype
        key = saved.key

        def backward(dy: Any, dstate: Any = None, grads: Any = None, need_dx: bool = True) -> tuple[Array | None, Any]:
            if dy is not None:
                dy = restore.enter(_check.output_gradient(dy, y_shape, dtype))
            dh, dc = self._split_state(dstate, restore, "dstate")
            once.start()
            found: dict[str, Array] = {}
            dx: Array | None = None
            initial = self._new_state(restore)
            for layer in range(self.num_layers - 1, -1, -1):
                dx = None
                ats = range(layer * D, layer * D + D)
                halves = [None if dy is None else dy[..., d * H : (d + 1) * H] for d in range(D)]
                calls = [
                    partial(
                        ops.backward,
                        saved.calls[at],
                        half,
                        one_state(dh, dc, at),
                        need_dx=need_dx or layer > 0,
                        initial=tuple(part[at] for part in initial),
                    )
                    for at, half in zip(ats, halves, strict=True)
                ]
                for at, (part, _, named) in zip(ats, run_all(calls, saved.beside[layer]), strict=True):
                    found |= self._directions[at].gradients(named)
                    if dx is None:
                        dx = part
                    elif part is not None:
                        dx += part
                dy = dx
                if dx is not None and layer and self.dropout:
                    dy = ops.dropout(dx, self.dropout, int(key), layer)
            once.add(found, grads)
            return None if dy is None else restore.leave(dy), self._leave_state(initial, restore)

        return (y, new), backward

    def explain(self, batch_size: int, seq_len: int, lengths: Any = None) -> "Plan":
        """What a call will do and take: kernel, instruction set, arithmetic, threads, bytes. Print it for a table.

        Parameters
        ----------
        batch_size, seq_len : int
        lengths : array_like of int (B,), optional

        Returns
        -------
        rnnfast.layers.explain.Plan
        """
        from rnnfast.layers.explain import plan

        return plan(self, batch_size, seq_len, lengths)

    def _stream_steps(self, rows: int) -> list[Any]:
        from rnnfast.kernels._step import RecurrentStep

        if self.bidirectional:
            raise ValueError(
                f"a bidirectional {type(self).__name__} cannot run step by step: its reverse direction starts at the "
                "sequence's end"
            )
        return [
            RecurrentStep(direction.packed(self.block, self._cache_packed, False), rows)
            for direction in self._directions
        ]

    def _join_steps(self, held: Iterator[tuple[Array, ...]]) -> Any:
        states = islice(held, self.num_layers)
        return self._leave_state([np.stack(part) for part in zip(*states, strict=True)], Orientation(False, False))

    def _split_steps(self, state: Any, rows: int) -> list[tuple[Array, ...]]:
        first = ops.state_pair(state, "state")[0] if self.cell == "lstm" and state is not None else state
        restore = Orientation(rows == 1 and np.ndim(first) == 2, False)
        restore.state_shape = (self.num_layers, rows, self.hidden_size)
        h, c = self._split_state(state, restore, "state")
        if h is None:
            raise TypeError(f"state must be that of a {type(self).__name__}, got None")
        h, c = np.require(h, requirements=["C", "A"]), None if c is None else np.require(c, requirements=["C", "A"])
        return [(h[i],) if c is None else (h[i], c[i]) for i in range(self.num_layers)]

    def _run(
        self, x: Any, state: Any, lengths: Any, time_major: bool, out: Array | None, key: Any
    ) -> tuple[Array, Any, Saved, Orientation]:
        """One pass over the grid; with a key, for training."""
        x = np.asarray(x)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            wanted = "(T, B, {0}) or (T, {0})" if time_major else "(B, T, {0}) or (T, {0})"
            raise ValueError(f"x must have shape {wanted.format(self.input_size)}, got {x.shape}")
        restore = Orientation(x.ndim == 2, time_major)
        if out is not None and (not isinstance(out, np.ndarray) or out.shape != (*x.shape[:-1], self.output_size)):
            got = getattr(out, "shape", type(out).__name__)
            raise ValueError(f"out must be an array of shape {(*x.shape[:-1], self.output_size)}, got {got}")
        y_last = empty((*x.shape[:-1], self.output_size), self.block.dtype) if out is None else out
        x = restore.enter(x)
        if restore.unbatched and lengths is not None:
            lengths = ops.sequence_lengths(lengths, (x.shape[1],))
        restore.state_shape = (len(self._directions), x.shape[0], self.hidden_size)
        h, c = self._split_state(state, restore, "state")
        D, H, new = self.num_directions, self.hidden_size, self._new_state(restore)
        saved, training = Saved(key, [], []), key is not None
        for layer in range(self.num_layers):
            if layer == self.num_layers - 1:
                y = restore.enter(y_last)
                if out is not None:  # which may be a part of what is still to be read
                    x, h, c = (a.copy() if a is not None and np.may_share_memory(a, out) else a for a in (x, h, c))
            else:
                y = empty((*x.shape[:-1], self.output_size), self.block.dtype)
            ats = range(layer * D, layer * D + D)
            packed = [self._directions[at].packed(self.block, self._cache_packed, training) for at in ats]
            calls = [
                partial(
                    ops.forward,
                    self.cell,
                    None,
                    x,
                    one_state(h, c, at),
                    lengths=lengths,
                    reverse=d == 1,
                    out=y[..., d * H : (d + 1) * H],
                    save=training,
                    packed=packed[d],
                    final=tuple(part[at] for part in new),
                    **self.options,
                )
                for d, at in enumerate(ats)
            ]
            saved.beside.append(D == 2 and worth_side_by_side(packed[0], x.shape[0], x.shape[1]))
            saved.calls.extend(call for _, _, call in run_all(calls, saved.beside[layer]))
            x = y
            if training and self.dropout and layer < self.num_layers - 1:
                x = ops.dropout(x, self.dropout, int(key), layer + 1)
        return y_last, self._leave_state(new, restore), saved, restore

    def _split_state(self, state: Any, restore: Orientation, name: str) -> tuple[Array | None, Array | None]:
        """(h, c) of a state, each (L·D, B, H)."""
        if state is None:
            return None, None
        if self.cell != "lstm":
            return restore.enter_state(state, name, self.block.dtype), None
        h, c = ops.state_pair(state, name)
        dtype = self.block.dtype
        return restore.enter_state(h, f"h of {name}", dtype), restore.enter_state(c, f"c of {name}", dtype)

    def _new_state(self, restore: Orientation) -> list[Array]:
        """Room for h, and c of an LSTM, of every direction."""
        return [np.empty(restore.state_shape, self.block.dtype) for _ in range(2 if self.cell == "lstm" else 1)]

    def _leave_state(self, state: list[Array], restore: Orientation) -> Any:
        if restore.unbatched:
            state = [part[:, 0] for part in state]
        return LSTMState(*state) if self.cell == "lstm" else state[0]


_ARGUMENTS = """
    Parameters
    ----------
    input_size, hidden_size : int
        I, the features of x_t; H, the units.
    num_layers : int
        Layers on top of each other.
    bias : True, False or "double"
        One bias a gate, none, or PyTorch's pair `bias_ih` and `bias_hh`.
    bidirectional : bool
        Two directions, their outputs side by side on the last axis.
    dropout : float
        Of the output of each layer but the last, while training.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first weights: Glorot uniform input weights, orthogonal recurrent weights, gate by gate; biases zero,
        but one for the forget gate of the LSTM.
"""
_NAMES = """
    Notes
    -----
    Parameters: `weight_ih_l0` (G·H, I), `weight_hh_l0` (G·H, H), `bias_l0` (G·H,), `..._reverse` for the other
    direction and `_l1` and so on for the layers above.
"""


class RNN(Recurrent):
    __doc__ = f"""h' = f(W x + R h + b) at every step (Elman 1990), with f the activation.
{_ARGUMENTS}    activation : "tanh", "relu" or "identity"
{_NAMES}
    Examples
    --------
    >>> layer = RNN(3, 4, seed=0)
    >>> y, h = layer(np.ones((2, 5, 3)))
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """
    cell = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool | str = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        activation: str = "tanh",
        dtype: Any = "float32",
        seed: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias=bias, bidirectional=bidirectional, dropout=dropout, dtype=dtype,
            seed=seed, activation=activation,
        )  # fmt: skip


class LSTM(Recurrent):
    __doc__ = f"""i, f, o = σ(W x + R h + b), g = tanh(W x + R h + b), c' = f·c + i·g, h' = o·tanh(c') at every step
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000). Gates are stacked in the order i f g o.
{_ARGUMENTS}{_NAMES}
    Examples
    --------
    >>> layer = LSTM(3, 4, bidirectional=True, seed=0)
    >>> y, (h, c) = layer(np.ones((2, 5, 3)), lengths=[5, 2])
    >>> y.shape, h.shape, float(y[1, 2:].sum())
    ((2, 5, 8), (2, 2, 4), 0.0)
    """
    cell = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool | str = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = "float32",
        seed: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias=bias, bidirectional=bidirectional, dropout=dropout, dtype=dtype,
            seed=seed,
        )  # fmt: skip


class GRU(Recurrent):
    __doc__ = f"""r, z = σ(W x + R h + b); with reset="after" n = tanh(W x + b + r·(R h + b_hn)), as in cuDNN, with
    reset="before" n = tanh(W x + R (r·h) + b) (Cho et al. 2014). With update="keep" h' = (1 - z)·n + z·h, with
    update="new" h' = (1 - z)·h + z·n (Chung et al. 2014). Gates are stacked in the order r z n.
{_ARGUMENTS}    reset : "after" or "before"
    update : "keep" or "new"
{_NAMES}    With reset="after" and bias=True there is `bias_hn_l0` (H,) too.

    Examples
    --------
    >>> layer = GRU(3, 4, num_layers=2, seed=0)
    >>> y, h = layer(np.ones((2, 5, 3)))
    >>> y.shape, h.shape, layer.num_params
    ((2, 5, 4), (2, 2, 4), 212)
    """
    cell = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool | str = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        reset: str = "after",
        update: str = "keep",
        dtype: Any = "float32",
        seed: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias=bias, bidirectional=bidirectional, dropout=dropout, dtype=dtype,
            seed=seed, reset=reset, update=update,
        )  # fmt: skip
