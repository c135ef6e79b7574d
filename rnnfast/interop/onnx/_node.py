"""RNN, LSTM and GRU nodes: what their attributes say, and their weights in our order and back."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.onnx import _activations
from rnnfast.interop.onnx._activations import Function

Array = np.ndarray

CELLS = {"RNN": "rnn", "GRU": "gru", "LSTM": "lstm", "DynamicQuantizeLSTM": "lstm"}
# By domain and type; the last is what ONNX Runtime's `quantize_dynamic` makes of an LSTM.
OPERATORS = {("", "RNN"), ("", "GRU"), ("", "LSTM"), ("com.microsoft", "DynamicQuantizeLSTM")}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_USUAL = {"rnn": ["Tanh"], "gru": ["Sigmoid", "Tanh"], "lstm": ["Sigmoid", "Tanh", "Tanh"]}
# Our gates' places among theirs: z r h, and i o f c.
_PLACES = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 2, 3, 1]}
_COUPLED = [0, 3, 1]
_ATTRIBUTES = (
    *("activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size", "layout"),
    *("linear_before_reset", "input_forget"),
)
_ROLES = {
    "rnn": ("activation",),
    "gru": ("recurrent_activation", "activation"),
    "lstm": ("recurrent_activation", "activation", "output_activation"),
}


class RecurrentNode(NamedTuple):
    """A recurrent operator with its attributes, but for its weights.

    `directions` has one entry a direction, whether it is the reverse one, and `functions` their activations.
    """

    where: str
    cell: str
    directions: tuple[bool, ...]
    functions: tuple[tuple[Function, ...], ...]
    clip: float | None = None
    reset_after: bool = False
    coupled: bool = False
    layout: int = 0
    hidden_size: int | None = None

    def options(self, direction: int, peephole: bool) -> dict[str, Any] | None:
        """The options of `ops` for a direction; None where our kernels have no such activation."""
        found = self._options(peephole)
        for role, function in zip(_ROLES[self.cell], self.functions[direction], strict=True):
            found[role] = function.ours()
        if any(found[role] is None for role in _ROLES[self.cell]):
            return None
        if self.cell == "lstm" and found["output_activation"] == found["activation"]:
            del found["output_activation"]
        return found

    def formulas(self, direction: int, peephole: bool) -> dict[str, Any]:
        """The options of :mod:`rnnfast.equations` for a direction, any activation among them."""
        roles = zip(_ROLES[self.cell], self.functions[direction], strict=True)
        return self._options(peephole) | {role: function.formula() for role, function in roles}

    def _options(self, peephole: bool) -> dict[str, Any]:
        found: dict[str, Any] = {} if self.clip is None else {"clip": self.clip}
        if self.cell == "gru":
            found["reset"] = "after" if self.reset_after else "before"
        if self.coupled:
            found["coupled"] = True
        if peephole:
            found["peephole"] = True
        return found

    @property
    def order(self) -> list[int]:
        """Where our gates are among theirs."""
        return _COUPLED if self.coupled else _PLACES[self.cell]

    def check(self, W: Array, R: Array, B: Array | None, P: Array | None) -> tuple[int, int]:
        """The sizes (I, H) of these weights.

        Raises
        ------
        ValueError, TypeError
            When they do not fit one another or the attributes, or are no real numbers.
        """
        D, G = len(self.directions), GATES[self.cell]
        for name, array in (("W", W), ("R", R), ("B", B), ("P", P)):
            if array is not None and not _is_real(array):
                raise TypeError(f"{self.where}: {name} must hold real numbers, got dtype {array.dtype}")
        H = R.shape[2] if R.ndim == 3 else 0
        if R.shape != (D, G * H, H) or not H:
            raise ValueError(f"{self.where}: R must have shape ({D}, {G}·H, H), got {R.shape}")
        if W.ndim != 3 or W.shape[:2] != (D, G * H) or not W.shape[2]:
            raise ValueError(f"{self.where}: W must have shape ({D}, {G * H}, I), as R has {R.shape}; got {W.shape}")
        if self.hidden_size not in (None, H):
            raise ValueError(f"{self.where}: hidden_size is {self.hidden_size}, but R has shape {R.shape}")
        for name, array, shape in (("B", B, (D, 2 * G * H)), ("P", P, (D, 3 * H))):
            if array is not None and array.shape != shape:
                raise ValueError(f"{self.where}: {name} must have shape {shape}, as R has {R.shape}; got {array.shape}")
        return W.shape[2], H

    def ours(self, W: Array, R: Array, B: Array | None, P: Array | None, *, direction: int) -> dict[str, Array]:
        """The weights of a direction by our names, with the pair bias_ih and bias_hh; arguments as of `check`."""
        W, R = W[direction], R[direction]
        H = R.shape[1]
        found = {"weight_ih": _taken(W, self.order, H), "weight_hh": _taken(R, self.order, H)}
        if B is not None:
            for name, half in zip(("bias_ih", "bias_hh"), np.split(B[direction], 2), strict=True):
                found[name] = _taken(half, self.order, H)
        if P is not None:
            found["weight_ch"] = _taken(P[direction], [0, 1] if self.coupled else [0, 2, 1], H)
        return found

    def one_bias(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """The same with one bias a gate, and `bias_hn` where the reset comes after the product."""
        found = dict(params)
        if "bias_ih" in found:
            ih, hh = found.pop("bias_ih"), found.pop("bias_hh")
            found["bias"] = ih + hh
            if self.reset_after:
                kept = ih.size // 3 * 2
                found["bias"][kept:] = ih[kept:]
                found["bias_hn"] = hh[kept:]
        return found

    def theirs(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """The other way: W, R, B and P without their first axis, of one direction's parameters by our names."""
        H = params["weight_hh"].shape[1]
        found = {"W": self._put(params["weight_ih"], H), "R": self._put(params["weight_hh"], H)}
        if "bias_ih" in params:
            found["B"] = np.concatenate([self._put(params[name], H) for name in ("bias_ih", "bias_hh")])
        elif "bias" in params:
            second = np.zeros_like(params["bias"])
            if "bias_hn" in params:
                second[-H:] = params["bias_hn"]
            found["B"] = np.concatenate([self._put(params["bias"], H), self._put(second, H)])
        if "weight_ch" in params:
            p = params["weight_ch"].reshape(-1, H)
            found["P"] = np.concatenate([p[0], p[-1], np.zeros_like(p[0]) if self.coupled else p[1]])
        return found

    def _put(self, stacked: Array, H: int) -> Array:
        blocks = np.zeros((GATES[self.cell], H, *stacked.shape[1:]), stacked.dtype)  # theirs has an unused forget gate
        blocks[self.order] = stacked.reshape(-1, *blocks.shape[1:])
        return blocks.reshape(-1, *stacked.shape[1:])

    def attributes(self) -> dict[str, Any]:
        """What a node of this kind is made with; what is usual is left out."""
        found: dict[str, Any] = {"hidden_size": self.hidden_size}
        if self.directions != (False,):
            found["direction"] = next(name for name, value in _DIRECTIONS.items() if value == self.directions)
        functions = [function for direction in self.functions for function in direction]
        if [each.name for each in functions] != _USUAL[self.cell] * len(self.directions):
            found |= _activations.attributes(functions)
        if self.clip is not None:
            found["clip"] = self.clip
        if self.reset_after:
            found["linear_before_reset"] = 1
        if self.coupled:
            found["input_forget"] = 1
        return found


def read(op_type: str, attributes: Mapping[str, Any], where: str) -> RecurrentNode:
    """The node of an operator "RNN", "GRU" or "LSTM" with these attributes.

    Parameters
    ----------
    where : str
        How errors call it.

    Raises
    ------
    ValueError
        For attributes that ONNX does not allow.
    """
    given = [(name, attributes.get(name)) for name in _ATTRIBUTES]
    return _read(op_type, tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in given), where)


@lru_cache
def _read(op_type: str, attributes: tuple[tuple[str, Any], ...], where: str) -> RecurrentNode:
    given, cell = {name: value for name, value in attributes if value is not None}, CELLS[op_type]
    direction = given.get("direction", "forward")
    direction = direction.decode("utf-8", "replace") if isinstance(direction, bytes) else direction
    if direction not in _DIRECTIONS:
        raise ValueError(f"{where}: direction must be one of {', '.join(_DIRECTIONS)}, got {direction!r:.60}")
    directions = _DIRECTIONS[direction]
    usual = _USUAL[cell]
    names = given.get("activations") or usual * len(directions)
    alphas, betas = given.get("activation_alpha", ()), given.get("activation_beta", ())
    functions = _activations.read(names, alphas, betas, where)
    if cell == "rnn" and len(functions) == 2:  # the operator's own default, whatever its direction
        functions = functions[: len(directions)]
    if len(functions) != len(usual) * len(directions):
        wanted = f"{len(usual)} for each of {len(directions)} direction(s)"
        raise ValueError(f"{where}: activations must be {wanted}, got {len(functions)}")
    clip, layout = given.get("clip"), given.get("layout", 0)
    if clip is not None and not 0 < clip < np.inf:
        raise ValueError(f"{where}: clip must be positive, got {clip}")
    if layout not in (0, 1):
        raise ValueError(f"{where}: layout must be 0 or 1, got {layout}")
    return RecurrentNode(
        where,
        cell,
        directions,
        tuple(tuple(functions[i : i + len(usual)]) for i in range(0, len(functions), len(usual))),
        clip=None if clip is None else float(str(np.float32(clip))),
        reset_after=cell == "gru" and bool(given.get("linear_before_reset", 0)),
        coupled=cell == "lstm" and bool(given.get("input_forget", 0)),
        layout=layout,
        hidden_size=given.get("hidden_size"),
    )


def whole(given: tuple[Any, ...], where: str) -> tuple[Any, Any, Any, Any]:
    """W, R, B and P; of a quantized LSTM, whose scales and zero points follow them, as real numbers."""
    W, R, B, P = given[:4]
    if len(given) > 4:
        W = _dequantized(W, given[4], given[5], f"{where}: W")
        R = _dequantized(R, given[6], given[7], f"{where}: R")
    return W, R, B, P


def _dequantized(array: Array, scale: Any, zero: Any, what: str) -> Array:
    """(D, 4·H, I) of whole numbers (D, I, 4·H), with a scale and a zero point for each direction, or for each row."""
    if array.ndim != 3 or array.dtype.kind not in "iu" or scale is None:
        raise ValueError(f"{what} must be whole numbers (D, I, 4·H) with a scale, got {array.dtype} {array.shape}")
    D, _, rows = array.shape
    factors = []
    for each in (scale, np.zeros((), array.dtype) if zero is None else zero):
        if each.size not in (1, D, D * rows):
            raise ValueError(f"{what}: scale and zero point must have shape ({D},) or ({D}, {rows}), got {each.shape}")
        factors.append(each.astype(np.float32).reshape(D if each.size > 1 else 1, 1, -1))
    return ((array - factors[1]) * factors[0]).swapaxes(1, 2)


def _taken(stacked: Array, order: list[int], H: int) -> Array:
    """Blocks of H rows in another order."""
    return np.concatenate([stacked[k * H : (k + 1) * H] for k in order])


def _is_real(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"
