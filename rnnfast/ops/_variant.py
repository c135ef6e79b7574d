"""Which cell, with which options: checked, and in the form that the kernels take."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

ACTIVATIONS = {
    "identity": (0, 0.0, 0.0),
    "tanh": (1, 0.0, 0.0),
    "sigmoid": (2, 0.0, 0.0),
    "relu": (3, 0.0, 0.0),
    "leaky_relu": (4, 0.01, 0.0),
    "elu": (5, 1.0, 0.0),
    "softsign": (6, 0.0, 0.0),
    "hard_sigmoid": (7, 1 / 6, 0.5),
    "hard_sigmoid_onnx": (7, 0.2, 0.5),
}
"""The kernels' number of each activation, and alpha and beta where they are not given."""
_PARAMETERS = {"leaky_relu": 1, "elu": 1, "hard_sigmoid": 2, "hard_sigmoid_onnx": 2}

GATES = {"rnn": 1, "lstm": 4, "gru": 3, "indrnn": 1, "mgu": 2}
"""Gates of each cell: the rows of a weight matrix are that many blocks of H."""

Activation = tuple[int, float, float]
_TANH, _SIGMOID = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"]


class Variant(NamedTuple):
    """A cell and its options, as `Packed` takes them."""

    cell: str
    candidate: Activation
    output: Activation
    gate: Activation
    reset: str = ""
    new_update: bool = False
    peephole: bool = False
    coupled: bool = False
    clip: float = 0.0
    cell_clip: float = 0.0
    layer_norm: bool = False
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    recurrent_dropout: float = 0.0

    @property
    def gates(self) -> int:
        """Blocks of H rows in a weight matrix."""
        return 3 if self.coupled else GATES[self.cell]

    @property
    def has_c(self) -> bool:
        return self.cell == "lstm"

    @property
    def plain(self) -> bool:
        """Whether a cell without options does it: its arithmetic runs in the products' epilogue."""
        if self.cell not in ("rnn", "lstm", "gru"):
            return False
        activations = (_TANH, _TANH, _SIGMOID)
        if self.cell == "rnn" and self.candidate in (ACTIVATIONS["relu"], ACTIVATIONS["identity"]):
            activations = (self.candidate, self.output, self.gate)
        # Reset before the product, r h is made in the epilogue, which does not know the mask of h.
        dropped = 0.0 if self.reset == "before" else self.recurrent_dropout
        return self == Variant(self.cell, *activations, self.reset, self.new_update, recurrent_dropout=dropped)

    def shapes(self, input_size: int, hidden_size: int, proj_size: int = 0) -> dict[str, tuple[int, ...]]:
        """Every parameter that this variant may have, and its shape."""
        H, width = hidden_size, proj_size or hidden_size
        rows = self.gates * H
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (H,) if self.cell == "indrnn" else (rows, width),
            "bias": (rows,),
        }
        if self.reset == "after":
            shapes["bias_hn"] = (H,)
        if proj_size:
            shapes["weight_hr"] = (proj_size, H)
        if self.peephole:
            shapes["weight_ch"] = ((2 if self.coupled else 3) * H,)
        if self.layer_norm:
            shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
            if self.has_c:
                shapes |= {"norm_c": (H,), "bias_c": (H,)}
        return shapes


def activation(given: Any, name: str = "activation") -> Activation:
    """An activation as the kernels take it.

    Parameters
    ----------
    given : str or (str, alpha) or (str, alpha, beta)
        "leaky_relu" and "elu" have an alpha, "hard_sigmoid" has alpha and beta: min(1, max(0, alpha x + beta)).
    name : str
        Of the argument, for errors.

    Raises
    ------
    ValueError
        For an unknown name or too many parameters.
    """
    chosen, *numbers = tuple(given) if isinstance(given, (tuple, list)) and given else (given,)
    if not isinstance(chosen, str) or chosen not in ACTIVATIONS:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, ACTIVATIONS))}, got {chosen!r}")
    if len(numbers) > _PARAMETERS.get(chosen, 0):
        raise ValueError(f"{name}: {chosen!r} has {_PARAMETERS.get(chosen, 0)} parameters, got {len(numbers)}")
    number, *defaults = ACTIVATIONS[chosen]
    alpha, beta = [_number(n, name) for n in numbers] + defaults[len(numbers) :]
    if alpha < 0:
        raise ValueError(f"{name}: the slope alpha of {chosen!r} must not be negative, got {alpha}")
    return number, alpha, beta


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _clip(value: Any, name: str) -> float:
    if value is None:
        return 0.0
    if _number(value, name) <= 0:
        raise ValueError(f"{name} must be positive, or None for no clip, got {value!r}")
    return float(value)


def _share(value: Any, name: str) -> float:
    if not 0 <= _number(value, name) < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value!r}")
    return float(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


@lru_cache(typed=True)  # 1 is not True
def _kind(
    cell: str,
    activation: Any = "tanh",
    reset: str = "after",
    update: str = "keep",
    *,
    output_activation: Any = None,
    recurrent_activation: Any = "sigmoid",
    peephole: bool = False,
    coupled: bool = False,
    clip: float | None = None,
    cell_clip: float | None = None,
    layer_norm: bool = False,
    zoneout: Any = 0.0,
    recurrent_dropout: float = 0.0,
) -> Variant:
    if cell not in GATES:
        raise ValueError(f"cell must be one of {', '.join(map(repr, GATES))}, got {cell!r}")
    for name, value, choices in (("reset", reset, ("after", "before")), ("update", update, ("keep", "new"))):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    candidate = _activation(activation, "activation")
    output = candidate if output_activation is None else _activation(output_activation, "output_activation")
    gate = _activation(recurrent_activation, "recurrent_activation")
    lstm, gru = cell == "lstm", cell == "gru"
    shares = zoneout if isinstance(zoneout, tuple) else (zoneout,) * (1 + lstm)
    if len(shares) != 1 + lstm:
        raise ValueError(
            f"zoneout must be a number{', or a pair of them for h and c' if lstm else ''}, got {zoneout!r}"
        )
    zone_h, zone_c = _share(shares[0], "zoneout"), _share(shares[-1], "zoneout") if lstm else 0.0
    only_lstm = {
        "peephole": peephole,
        "coupled": coupled,
        "cell_clip": cell_clip,
        "output_activation": output_activation,
    }
    for name, value in only_lstm.items():
        if value and not lstm:
            raise ValueError(f"{name} is an option of the LSTM alone, got {name}={value!r} with cell {cell!r}")
    if not lstm and not gru and cell != "mgu" and gate != _SIGMOID:
        raise ValueError(f"recurrent_activation has no meaning for cell {cell!r}, which has no gates")
    if layer_norm and not lstm and not (gru and reset == "after"):
        raise ValueError(
            "layer_norm is an option of the LSTM and of the GRU with reset='after': elsewhere the product with R is "
            f"not one vector that could be normalised; got cell {cell!r}" + (f", reset={reset!r}" if gru else "")
        )
    if gru and update == "new" and gate != _SIGMOID and not (gate[0] == 7 and gate[2] == 0.5):
        raise ValueError(
            "update='new' needs a recurrent_activation with f(-a) = 1 - f(a), sigmoid or a hard sigmoid with beta 1/2, "
            f"got {recurrent_activation!r}"
        )
    return Variant(
        cell,
        candidate,
        output if lstm else candidate,
        gate,
        reset if gru else "",
        gru and update == "new",
        _flag(peephole, "peephole"),
        _flag(coupled, "coupled"),
        _clip(clip, "clip"),
        _clip(cell_clip, "cell_clip"),
        _flag(layer_norm, "layer_norm"),
        zone_h,
        zone_c,
        _share(recurrent_dropout, "recurrent_dropout"),
    )


def kind(cell: str, **options: Any) -> Variant:
    """The variant of a cell. What an option means: :func:`rnnfast.ops.pack`.

    Raises
    ------
    ValueError
        For an unknown cell or option, and for options that have no meaning together.
    """
    try:
        return _kind(cell, **options)
    except TypeError:
        # A list cannot be looked up in a cache.
        found = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        if found == options:
            raise
        return _kind(cell, **found)


_activation = activation
