"""Keras's recurrent layers, and `Bidirectional`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.interop.keras._initializers import draw
from rnnfast.interop.keras._kinds import (
    KINDS,
    REQUIRED,
    Array,
    Built,
    Config,
    Kind,
    Shape,
    Weight,
    features,
    find_kind,
    shown,
)
from rnnfast.layers import GRU, LSTM, RNN, Last, Layer, Reverse

# Where each of our gates stands among Keras's: i f g o among i f c o, and r z n among z r h.
_ORDERS = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
_MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "average"}


def _options(config: Config) -> tuple[type, dict[str, Any]]:
    """Our class and its arguments for one direction."""
    bias: Any = config.flag("use_bias")
    options: dict[str, Any] = {
        "activation": config.activation(),
        "input_dropout": config.number("dropout"),
        "recurrent_dropout": config.number("recurrent_dropout"),
        "dtype": config.dtype,
    }
    if config.kind == "SimpleRNN":
        return RNN, {**options, "bias": bias}
    options["recurrent_activation"] = config.activation("recurrent_activation")
    if config.kind == "LSTM":
        return LSTM, {**options, "bias": bias}
    after = config["reset_after"]
    # Before version 2.1.3 there was the one kind alone, and files do not say which.
    after = not config.old if after is None else config.flag("reset_after")
    return GRU, {**options, "bias": "double" if after and bias else bias, "reset": "after" if after else "before"}


def _permuted(array: Array, order: tuple[int, ...]) -> Array:
    """Blocks along the first axis in another order."""
    return np.concatenate([np.split(array, len(order))[gate] for gate in order])


def direction_weights(config: Config, layer: Layer, path: str, suffix: str = "") -> list[Weight]:
    """The variables of one direction: kernel, recurrent kernel and bias."""
    order = _ORDERS[config.kind]
    back = tuple(int(place) for place in np.argsort(order))
    block = layer.slots()[f"weight_ih_l0{suffix}"][0]
    found = []
    for name, ours in (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh")):
        inner = f"{ours}_l0{suffix}"

        def put(value: Array, inner: str = inner) -> None:
            block.set(inner, _permuted(np.asarray(value).T, order))

        def get(inner: str = inner) -> Array:
            return np.ascontiguousarray(_permuted(block.array(inner), back).T)

        shape = block.shapes[inner][::-1]
        what = "recurrent" if ours == "weight_hh" else "kernel"

        def initial(rng: np.random.Generator, what: str = what, shape: tuple[int, ...] = shape) -> Array:
            return draw(config[f"{what}_initializer"], shape, rng)

        penalty = config.values.get(f"{what}_regularizer")
        found.append(Weight(path, name, shape, put, get, initial, True, ((layer, inner),), penalty))
    biases = [name for name in block.names if name.startswith("bias") and name.endswith(f"_l0{suffix}")]
    if not biases:
        return found
    size = block.shapes[biases[0]][0]
    bias_shape = (size,) if len(biases) == 1 else (len(biases), size)

    def put_bias(value: Array) -> None:
        for name, row in zip(biases, np.asarray(value).reshape(len(biases), size), strict=True):
            block.set(name, _permuted(row, order))

    def get_bias() -> Array:
        return np.stack([_permuted(block.array(name), back) for name in biases]).reshape(bias_shape)

    def initial_bias(rng: np.random.Generator) -> Array:
        first = draw(config["bias_initializer"], bias_shape, rng)
        if config.kind == "LSTM" and config.flag("unit_forget_bias"):
            first = first.copy()
            first[size // 4 : size // 2] = 1
        return first

    ours_bias = tuple((layer, name) for name in biases)
    penalty = config.values.get("bias_regularizer")
    return [*found, Weight(path, "bias", bias_shape, put_bias, get_bias, initial_bias, True, ours_bias, penalty)]


def _taken_state(config: Config) -> None:
    if config.flag("return_state"):
        raise config.error("return_state=True gives several outputs, which no chain of layers can take")
    if config.values.get("time_major"):
        raise config.error("time_major=True is not supported")


def _build(config: Config, shape: Shape) -> Built:
    _taken_state(config)
    if len(shape) != 2:
        raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
    make, options = _options(config)
    sequences, reverse = config.flag("return_sequences"), config.flag("go_backwards")
    padding = "zeros" if config.flag("zero_output_for_mask") and sequences else "hold"
    layer = make(features(config, shape), config.size("units"), reverse=reverse, padding=padding, **options)
    units = layer.output_size
    after: list[Layer] = [Reverse()] if sequences and reverse else [] if sequences else [Last()]
    return Built(
        [layer, *after], direction_weights(config, layer, "cell"), (shape[0], units) if sequences else (units,)
    )


def inner_config(config: Config, value: Any, what: str) -> Config:
    """The config of a layer inside another."""
    if not isinstance(value, Mapping) or not isinstance(value.get("config"), Mapping):
        raise config.error(f"its {what} is no layer")
    kind = find_kind(value.get("class_name"), f"the {what} of {config.place}")
    found = Config(kind, value["config"], config.old, f"the {what} of {config.place}", config.dtype)
    found.most, found.read = config.most, config.read
    return found


# What the two directions may differ in.
_OWN = {"name", "go_backwards", "seed", "zero_output_for_mask"}


def directions(config: Config) -> tuple[Config, Config]:
    """The configs of the forward and of the backward layer."""
    forward = inner_config(config, config["layer"], "layer")
    if forward.kind not in _ORDERS:
        raise config.error(f"a {forward.kind} has no second direction")
    other = config["backward_layer"]
    if other is None:
        return forward, forward
    backward = inner_config(config, other, "backward_layer")
    names = set(forward.given) - _OWN - {"kernel_initializer", "recurrent_initializer", "bias_initializer"}
    if backward.kind != forward.kind or any(
        forward[name] != backward[name] for name in names if not name.endswith(("_regularizer", "_constraint"))
    ):
        raise config.error("its backward_layer differs from its layer, which is not supported")
    return forward, backward


def _build_bidirectional(config: Config, shape: Shape) -> Built:
    merge = config["merge_mode"]
    if merge is None:
        raise config.error("merge_mode=None gives two outputs, which no chain of layers can take")
    if merge not in _MERGES:
        raise config.error(f"merge_mode must be one of {', '.join(map(repr, _MERGES))}, got {merge!r:.60}")
    forward, backward = directions(config)
    for each in (forward, backward):
        each.check()
        _taken_state(each)
    if forward.flag("go_backwards"):
        raise config.error("its layer has go_backwards=True, which is not supported")
    if len(shape) != 2:
        raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
    make, options = _options(forward)
    sequences = forward.flag("return_sequences")
    kind = _MERGES[merge]
    layer = make(
        features(config, shape),
        forward.size("units"),
        bidirectional=True,
        merge=kind if sequences else "concat",
        padding="zeros" if sequences else "hold",
        **options,
    )
    after: list[Layer] = [] if sequences else [Last(merge=kind) if kind != "concat" else Last()]
    weights = direction_weights(forward, layer, "forward_layer/cell")
    weights += direction_weights(backward, layer, "backward_layer/cell", "_reverse")
    width = forward.size("units") * (2 if kind == "concat" else 1)
    return Built([layer, *after], weights, (shape[0], width) if sequences else (width,))


def _arguments(gates: bool, gru: bool = False) -> dict[str, Any]:
    regularizers = ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer")
    constraints = ("kernel_constraint", "recurrent_constraint", "bias_constraint")
    return {
        "units": REQUIRED,
        "activation": "tanh",
        **({"recurrent_activation": "sigmoid"} if gates else {}),
        "use_bias": True,
        "kernel_initializer": "glorot_uniform",
        "recurrent_initializer": "orthogonal",
        "bias_initializer": "zeros",
        **({"unit_forget_bias": True} if gates and not gru else {}),
        **dict.fromkeys((*regularizers, *constraints)),
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        "seed": None,
        "return_sequences": False,
        "return_state": False,
        "go_backwards": False,
        "stateful": False,
        "unroll": False,
        **({"reset_after": None} if gru else {}),
        "zero_output_for_mask": False,
    }


_WITHOUT = ("activity_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint")
KINDS["LSTM"] = Kind(_arguments(True), _build, _WITHOUT)
KINDS["GRU"] = Kind(_arguments(True, gru=True), _build, _WITHOUT)
KINDS["SimpleRNN"] = Kind(_arguments(False), _build, _WITHOUT)
KINDS["Bidirectional"] = Kind({"layer": REQUIRED, "merge_mode": "concat", "backward_layer": None}, _build_bidirectional)
