"""One direction of one recurrent layer: its parameters' names and first values, and its packed weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast._backend import in_numpy
from rnnfast.layers._block import Block
from rnnfast.layers._grid import Masks
from rnnfast.layers.initializers import constant, gates_glorot, gates_orthogonal, glorot_uniform, lstm_bias, uniform


def check_bias(bias: Any) -> bool | str:
    """True, False or "double"."""
    if isinstance(bias, str) and bias == "double":
        return bias
    if not isinstance(bias, (bool, np.bool_)):
        raise ValueError(f"bias must be True, False or 'double', got {bias!r}")
    return bool(bias)


def check_forget_bias(value: Any) -> float:
    """A finite number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"forget_bias must be a number, got {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"forget_bias must be finite, got {value!r}")
    return float(value)


class Direction:
    """Where the weights of one direction live in a block, in the form that the kernels take.

    With ``bias=True`` there is one bias a gate, and `bias_hn` beside it in a GRU with the reset after the product. With
    ``bias="double"`` there is a pair, `bias_ih` and `bias_hh`, as in PyTorch; the kernels see their sum.

    Parameters
    ----------
    cell : "rnn", "lstm", "gru", "indrnn" or "mgu"
    input_size, hidden_size : int
    bias : True, False or "double"
    suffix : str
        What follows the names, such as "_l0_reverse".
    options : mapping
        The cell's, as `ops.kind` takes them.
    reverse : bool
        From each sequence's end to its start.
    forget_bias : float
        The first bias of an LSTM's forget gate.
    proj_size : int
        The width of h where an LSTM projects it; 0: it does not.
    learned_state : bool
        Whether the initial state is a parameter.

    Attributes
    ----------
    output_size : int
        The width of h, and of y.
    state_sizes : tuple of int
        The width of h, and of c of an LSTM.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        bias: bool | str,
        suffix: str,
        options: Mapping[str, Any],
        *,
        reverse: bool = False,
        forget_bias: float = 1.0,
        proj_size: int = 0,
        learned_state: bool = False,
    ):
        self.cell, self.input_size, self.hidden_size = cell, input_size, hidden_size
        self.bias, self.suffix, self.reverse = bias, suffix, reverse
        self.options: dict[str, Any] = dict(options)
        self.forget_bias, self.learned_state = forget_bias, learned_state
        self.variant, self.proj_size = ops.kind(cell, **self.options), proj_size
        self.output_size = proj_size or hidden_size
        self.state_sizes = (self.output_size, hidden_size) if cell == "lstm" else (self.output_size,)
        self._inner_bias = self.variant.reset == "after"
        self._shapes = self.variant.shapes(input_size, hidden_size, proj_size)
        # The parameters beside the biases, as `ops` names them.
        self._own = [name for name in self._shapes if name not in ("bias", "bias_hn")]
        self._state_names = [f"{name}0{suffix}" for name, _ in zip("hc", self.state_sizes, strict=False)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters, in order."""
        suffix, known = self.suffix, self._shapes.copy()
        bias, inner = known.pop("bias"), known.pop("bias_hn", None)
        shapes = {f"{name}{suffix}": known.pop(name) for name in ("weight_ih", "weight_hh")}
        if self.bias == "double":
            shapes |= {f"bias_ih{suffix}": bias, f"bias_hh{suffix}": bias}
        elif self.bias:
            shapes[f"bias{suffix}"] = bias
            if inner:
                shapes[f"bias_hn{suffix}"] = inner
        shapes |= {f"{name}{suffix}": shape for name, shape in known.items()}
        if self.learned_state:
            shapes |= {name: (size,) for name, size in zip(self._state_names, self.state_sizes, strict=True)}
        return shapes

    def initialise(self, block: Block, rng: np.random.Generator) -> None:
        """Glorot input weights, orthogonal recurrent weights, each per gate; biases zero, but the forget gate's."""
        gates, H, P = self.variant.gates, self.hidden_size, self.output_size
        first: dict[str, np.ndarray] = {"weight_ih": gates_glorot(rng, gates, H, self.input_size)}
        first["weight_hh"] = uniform(rng, 0, 1, (H,)) if self.cell == "indrnn" else gates_orthogonal(rng, gates, H, P)
        if self.proj_size:
            first["weight_hr"] = glorot_uniform(rng, (P, H))
        if self.variant.layer_norm:
            first |= {name: constant(1, *block.shapes[name + self.suffix]) for name in ("norm_ih", "norm_hh")}
            if self.variant.has_c:
                first["norm_c"] = constant(1, H)
        if self.cell == "lstm" and self.bias:
            first["bias_ih" if self.bias == "double" else "bias"] = lstm_bias(H, self.forget_bias, self.variant.coupled)
        for name, value in first.items():
            block.set(name + self.suffix, value)

    def weights(self, block: Block) -> dict[str, np.ndarray]:
        """The parameters by the names and in the form that `ops.forward` takes."""
        suffix, H = self.suffix, self.hidden_size
        found = {name: block.array(name + suffix) for name in self._own}
        if self.bias == "double":
            ih, hh = block.array(f"bias_ih{suffix}"), block.array(f"bias_hh{suffix}")
            found["bias"] = ih + hh
            if self._inner_bias:
                found["bias"][2 * H :] = ih[2 * H :]
                found["bias_hn"] = hh[2 * H :]
        elif self.bias:
            found["bias"] = block.array(f"bias{suffix}")
            if self._inner_bias:
                found["bias_hn"] = block.array(f"bias_hn{suffix}")
        return found

    def gradients(self, grads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `ops.backward` returned, by the names of the parameters."""
        if self.bias != "double":
            return {name + self.suffix: value for name, value in grads.items()}
        found = {f"{name}{self.suffix}": grads[name] for name in self._own}
        found[f"bias_ih{self.suffix}"] = grads["bias"]
        second = grads["bias"].copy()
        if self._inner_bias:
            second[2 * self.hidden_size :] = grads["bias_hn"]
        found[f"bias_hh{self.suffix}"] = second
        return found

    def packed(self, block: Block, cache: dict[str, Any], training: bool) -> Any:
        """The packed weights: those of the cache while the parameters have not changed."""
        version = block.version, in_numpy()
        kept = cache.get(self.suffix)
        if kept is not None and kept[0] == version and (kept[1].training or not training):
            return kept[1]
        packed = ops.pack(self.cell, self.weights(block), **self.options, training=training)
        # One assignment: another thread sees the old pair or the new one, each of which is whole.
        cache[self.suffix] = (version, packed)
        return packed

    def packed_dropped(self, block: Block, p: float, key: int, stream: int) -> Any:
        """Weights packed for one training call, with numbers of the recurrent matrix dropped."""
        weights = self.weights(block)
        weights["weight_hh"] = dropped(weights["weight_hh"], p, key, stream)
        return ops.pack(self.cell, weights, **self.options, training=True)

    def noise(self, key: Any, place: int) -> tuple[int, int]:
        """Key and stream of the masks of zoneout and recurrent dropout; nothing is drawn where there are none."""
        variant = self.variant
        if key is None or not (variant.zoneout_h or variant.zoneout_c or variant.recurrent_dropout):
            return 0, 0
        return int(key), Masks.CELL.stream(4 * place)

    def initial_state(self, block: Block, B: int) -> Any:
        """The learned state for B sequences, as `ops.forward` takes it."""
        arrays = [block.array(name) for name in self._state_names]
        rows = tuple(np.broadcast_to(array, (B, array.size)) for array in arrays)
        return rows if self.cell == "lstm" else rows[0]

    def state_gradients(self, initial: Sequence[np.ndarray], used: bool) -> dict[str, np.ndarray]:
        """Gradients of the learned state, of those of each sequence's initial state; zero where it was not used."""
        return {
            name: array.sum(axis=0) if used else np.zeros(array.shape[1], array.dtype)
            for name, array in zip(self._state_names, initial, strict=True)
        }


def dropped(weight: np.ndarray, p: float, key: int, stream: int) -> np.ndarray:
    """Inverted dropout of a recurrent matrix, or of its gradient."""
    return ops.dropout(np.atleast_2d(weight), p, key, stream).reshape(weight.shape)
