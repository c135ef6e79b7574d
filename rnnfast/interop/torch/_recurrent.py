"""A recurrent layer from the names and shapes of PyTorch's tensors."""

import re
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.torch._read import Arrays, common_dtype
from rnnfast.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from rnnfast.layers._base import Layer
from rnnfast.layers._block import lay_end_to_end, planned

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_NAME = re.compile(rf"(?:^|(?<=\.))({'|'.join(_PARTS)})(?:_l(\d{{1,4}})(_reverse)?)?$")
_ODD = re.compile(r"(?:^|(?<=\.))(?:parametrizations\.)?(?:weight|bias)_(?:ih|hh|hr)[^.]*(?:\..*)?$")
_CELLS: dict[int, tuple[str, type[Layer], type[Layer]]] = {
    1: ("rnn", RNN, RNNCell),
    3: ("gru", GRU, GRUCell),
    4: ("lstm", LSTM, LSTMCell),
}


def recurrent_prefixes(names: Any) -> list[str]:
    """What stands before the names of each recurrent layer, such as "encoder.rnn."."""
    found = (match and name[: match.start()] for name in names for match in [_NAME.search(name) or _ODD.search(name)])
    return list(dict.fromkeys(prefix for prefix in found if prefix is not None))


class Sizes(NamedTuple):
    """What the shapes tell."""

    cell: str
    input_size: int
    hidden_size: int
    suffixes: list[str]
    bidirectional: bool
    bias: bool
    proj_size: int


def read_recurrent(arrays: Arrays, where: str, *, bias: Any, activation: Any, dtype: Any, options: Any) -> Layer:
    """The layer of these tensors, whose names begin after the prefix `where`."""
    sizes = _sizes(arrays, where)
    kept = bias if sizes.bias else False
    _, layer_class, cell_class = next(each for each in _CELLS.values() if each[0] == sizes.cell)
    options = dict(options, bias=kept, dtype=common_dtype(((where + n, a) for n, a in arrays.items()), dtype))
    if sizes.cell == "rnn":
        options["activation"] = "tanh" if activation is None else activation
    elif activation is not None:
        raise ValueError(f"activation is for an RNN; {where or 'these tensors'} are of a {sizes.cell.upper()}")
    if sizes.proj_size:
        options["proj_size"] = sizes.proj_size
    with planned():
        if sizes.suffixes == [""]:
            layer = cell_class(sizes.input_size, sizes.hidden_size, **options)  # type: ignore[call-arg]
        else:
            layers = len(sizes.suffixes) // (1 + sizes.bidirectional)
            layer = layer_class(  # type: ignore[call-arg]
                sizes.input_size, sizes.hidden_size, layers, bidirectional=sizes.bidirectional, **options
            )
    lay_end_to_end(layer.blocks())
    layer.set_weights(to_own(arrays, sizes.suffixes, kept, sizes.cell))
    return layer


def to_own(arrays: Arrays, suffixes: list[str], bias: Any, cell: str) -> Arrays:
    """Parameters by rnnfast's names; with bias=True the sum of each pair."""
    if bias is not True:
        return dict(arrays)
    found = {name: array for name, array in arrays.items() if name.startswith("weight")}
    for suffix in suffixes:
        first, second = arrays[f"bias_ih{suffix}"], arrays[f"bias_hh{suffix}"]
        total = first + second
        if cell == "gru":
            inner = len(total) // 3 * 2
            total[inner:] = first[inner:]
            found[f"bias_hn{suffix}"] = second[inner:]
        found[f"bias{suffix}"] = total
    return found


def to_theirs(params: Any, suffixes: list[str], bias: Any) -> Arrays:
    """The inverse: a bias goes to `bias_ih`, what a GRU has within r to `bias_hh`; the rest of that is zero."""
    found: Arrays = {}
    for suffix in suffixes:
        for part in ("weight_ih", "weight_hh"):
            found[part + suffix] = params[part + suffix]
        if bias == "double":
            found |= {part + suffix: params[part + suffix] for part in ("bias_ih", "bias_hh")}
        elif bias:
            found[f"bias_ih{suffix}"] = first = params[f"bias{suffix}"]
            found[f"bias_hh{suffix}"] = second = np.zeros_like(first)
            if f"bias_hn{suffix}" in params:
                second[len(first) // 3 * 2 :] = params[f"bias_hn{suffix}"]
        if f"weight_hr{suffix}" in params:
            found[f"weight_hr{suffix}"] = params[f"weight_hr{suffix}"]
    return {name: np.array(array) for name, array in found.items()}


def _sizes(arrays: Arrays, where: str) -> Sizes:
    if odd := [where + name for name in arrays if not (match := _NAME.search(name)) or match.start()]:
        raise ValueError(
            f"{_some(odd)}: no such names in a recurrent module of PyTorch. What weight_norm, WeightDrop or a "
            "parametrization keeps has to be folded into the weights first (torch.nn.utils.parametrize"
            ".remove_parametrizations)"
        )
    suffixes = list(dict.fromkeys(name[len(match[1]) :] for name in arrays if (match := _NAME.search(name))))
    if "" in suffixes:
        wanted_suffixes, bidirectional = [""], False
    else:
        depth = 1 + max(int(match[2]) for name in arrays if (match := _NAME.search(name)))
        if depth > len(arrays):
            raise ValueError(f"there is a layer {depth - 1} in {where or 'the state dict'}, and not one for each below")
        bidirectional = any(suffix.endswith("_reverse") for suffix in suffixes)
        ends = ("", "_reverse") if bidirectional else ("",)
        wanted_suffixes = [f"_l{layer}{end}" for layer in range(depth) for end in ends]
    kinds = {match[1] for name in arrays if (match := _NAME.search(name))}
    parts = ["weight_ih", "weight_hh"]
    parts += ["bias_ih", "bias_hh"] if kinds & {"bias_ih", "bias_hh"} else []
    parts += ["weight_hr"] if "weight_hr" in kinds else []
    wanted = [part + suffix for suffix in wanted_suffixes for part in parts]
    if missing := [where + name for name in wanted if name not in arrays]:
        raise ValueError(f"the state dict lacks {_some(missing)}")
    if odd := [where + name for name in arrays if name not in wanted]:
        raise ValueError(f"{_some(odd)}: not beside {where + wanted[0]!r} in a recurrent module of PyTorch")
    first = wanted_suffixes[0]
    for name in (f"weight_ih{first}", f"weight_hh{first}", *([f"weight_hr{first}"] if "weight_hr" in kinds else [])):
        if arrays[name].ndim != 2 or not arrays[name].size:
            raise ValueError(f"{where + name!r} must be a matrix, got shape {arrays[name].shape}")
    rows, input_size = arrays[f"weight_ih{first}"].shape
    width = arrays[f"weight_hh{first}"].shape[1]
    hidden = arrays[f"weight_hr{first}"].shape[1] if "weight_hr" in kinds else width
    gates = rows // hidden if rows % hidden == 0 else 0
    if gates not in _CELLS:
        raise ValueError(
            f"{where + 'weight_ih' + first!r} has {rows} rows, which are not 1, 3 or 4 (RNN, GRU, LSTM) times the "
            f"{hidden} units that {where + ('weight_hr' if 'weight_hr' in kinds else 'weight_hh') + first!r} has"
        )
    if "weight_hr" in kinds and (gates != 4 or first == ""):
        raise ValueError(f"{where + 'weight_hr' + first!r}, a projection, is there in an LSTM alone")
    for place, suffix in enumerate(wanted_suffixes):
        below = input_size if place < 1 + bidirectional else width * (1 + bidirectional)
        shapes = {"weight_ih": (rows, below), "weight_hh": (rows, width), "weight_hr": (width, hidden)}
        for part in parts:
            shape = shapes.get(part, (rows,))
            if arrays[part + suffix].shape != shape:
                raise ValueError(f"{where + part + suffix!r} has shape {arrays[part + suffix].shape}, wanted {shape}")
    proj = width if "weight_hr" in kinds else 0
    return Sizes(_CELLS[gates][0], input_size, hidden, wanted_suffixes, bidirectional, "bias_ih" in kinds, proj)


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:4]))
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")
