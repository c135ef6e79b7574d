"""The Keras layers that a model of ours is, and its parameters in their form."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.keras._chain import Chain, chain, configs_of
from rnnfast.interop.keras._kinds import ACTIVATIONS, Config, Shape
from rnnfast.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    BatchNorm,
    Conv1D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Last,
    Layer,
    LayerNorm,
    Linear,
    MaxPool,
    MaxPool1D,
    MeanPool,
    MeanPool1D,
    Pad,
    Repeat,
    Reverse,
    SpatialDropout,
)
from rnnfast.layers._activations import Choice, parse
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models import MaskedSequential, Sequential

Plan = tuple[str, dict[str, Any]]


def twin(model: Any, input_shape: Sequence[int | None] | None = None) -> Chain:
    """A model of Keras's layers that computes what `model` computes, with its parameters.

    Parameters
    ----------
    model : Sequential or MaskedSequential
    input_shape : sequence of int or None, optional
        What it takes, without the batch; by its first layer where it is not given.

    Raises
    ------
    TypeError
        For another kind of model.
    ValueError
        Where Keras has no such layer; the message names it.
    """
    if type(model) not in (Sequential, MaskedSequential):
        raise TypeError(f"only a Sequential can be one of Keras's files, got {type(model).__name__}")
    shape = input_of(model) if input_shape is None else tuple(input_shape)
    made = chain(_configs(model), shape)
    ours, theirs = model.layers, made.model.layers
    if [type(each) for each in ours] != [type(each) for each in theirs][: len(ours)]:
        raise ValueError(f"Keras has no such chain of layers: {model!r:.200}")
    for mine, own in zip(ours, theirs, strict=False):
        for name in mine.frozen_names:
            if name in own.slots():
                own.freeze(name)
    return made


def _configs(model: Any) -> list[Config]:
    """Those of the file that the model comes from, as long as it is the same; else such as the layers ask for.

    From the layers alone one cannot tell a `TimeDistributed(Dense)` from a `Dense`, whose weights go by another name.
    """
    known: Origin | None = getattr(model, "origin", None)
    # Files are written as Keras 3's, in which the hard sigmoid has another meaning.
    if (
        known is not None
        and known.plan == repr(model)
        and not any(config.old and "hard_sigmoid" in str(config.values) for config in known.configs)
    ):
        again = [Config(each.kind, each.values, False, each.place, each.dtype) for each in known.configs]
        for each, config in zip(known.configs, again, strict=True):
            config.read = each.read
        return again
    return configs_of(list(_plans(model)), False, str(model.dtype or "float32"))


class Origin(NamedTuple):
    """The Keras layers of a model that was read from a file, and what it looked like then."""

    configs: list[Config]
    shape: Shape | None
    plan: str


def remember(made: Chain, shape: Shape | None) -> Any:
    """The chain's model, which remembers its Keras layers."""
    made.model.origin = Origin(made.configs, shape, repr(made.model))  # type: ignore[attr-defined]
    return made.model


def copy_out(model: Any, made: Chain) -> None:
    """Give the twin the model's parameters."""
    _copy(model.layers, made.model.layers)


def copy_in(model: Any, made: Chain) -> None:
    """Give the model the twin's parameters."""
    _copy(made.model.layers, model.layers)


def _copy(sources: Sequence[Layer], targets: Sequence[Layer]) -> None:
    for source, target in zip(sources, targets, strict=False):
        found = dict(source.params)
        if isinstance(source, Recurrent) and isinstance(target, Recurrent) and source.bias != target.bias:
            found = dict(_other_biases(found, source, target))
        for name, value in found.items():
            target.params[name] = value
        for name, value in source.buffers.items():
            target.buffers[name] = value


def _other_biases(found: dict[str, Any], source: Recurrent, target: Recurrent) -> Iterator[tuple[str, Any]]:
    """Parameters with one bias a gate in place of two, or two in place of one."""
    yield from ((name, value) for name, value in found.items() if not name.startswith("bias"))
    H = source.hidden_sizes[0]
    for end in ("_l0", "_l0_reverse")[: 1 + source.bidirectional]:
        if source.bias == "double":
            first, second = found[f"bias_ih{end}"], found[f"bias_hh{end}"]
            total = first + second
            if f"bias_hn{end}" in target.params:
                total[2 * H :] = first[2 * H :]
                yield f"bias_hn{end}", second[2 * H :]
            yield f"bias{end}", total
        else:
            second = np.zeros_like(found[f"bias{end}"])
            if f"bias_hn{end}" in found:
                second[2 * H :] = found[f"bias_hn{end}"]
            yield f"bias_ih{end}", found[f"bias{end}"]
            yield f"bias_hh{end}", second


def input_of(model: Any) -> Shape:
    """What a model takes, without the batch."""
    known: Origin | None = getattr(model, "origin", None)
    if known is not None and known.shape is not None:
        return known.shape
    shape = tuple(axis if isinstance(axis, int) else None for axis in model.input_shape[1:])
    if isinstance(model.layers[0], Linear) and any(
        isinstance(each, (Recurrent, MeanPool, MaxPool)) for each in model.layers
    ):
        return (None, *shape)
    return shape


def _plans(model: Any) -> Iterator[Plan]:
    layers, masks = list(model.layers), dict(getattr(model, "masks", {}))
    counts: dict[str, int] = {}
    at = 0
    while at < len(layers):
        layer, after = layers[at], layers[at + 1] if at + 1 < len(layers) else None
        where = f"layer {at} ({type(layer).__name__})"
        if at in masks and not isinstance(layer, Embedding):
            yield "Masking", {"mask_value": masks[at], "name": _name("Masking", counts)}
        if isinstance(layer, Recurrent):
            kind, config, taken = _recurrent(layer, after, where)
        elif type(layer) in _PLAIN:
            kind, config = _PLAIN[type(layer)](layer, where)
            taken = 1
        else:
            raise ValueError(f"{where}: Keras has no such layer, or not by itself")
        if isinstance(layer, Embedding) and at in masks:
            if masks[at]:
                raise ValueError(f"{where}: Keras's mask_zero knows no padding but 0, got {masks[at]}")
            config["mask_zero"] = True
        yield kind, {**config, "name": _name(kind, counts), **({"trainable": False} if layer.frozen else {})}
        at += taken


def _name(kind: str, counts: dict[str, int]) -> str:
    counts[kind] = counts.get(kind, -1) + 1
    return f"{kind.lower()}_{counts[kind]}" if counts[kind] else kind.lower()


def activation_name(spec: Any, where: str) -> str:
    """Keras's name of an activation."""
    choice = spec if isinstance(spec, Choice) else parse(spec)
    for name, ours in ACTIVATIONS.items():
        if parse(ours) == choice:
            return name
    raise ValueError(f"{where}: Keras has no activation {choice.spec()!r}")


_REFUSED = ("residual", "learned_state", "weight_drop", "proj_size")
_OPTIONS = ("activation", "recurrent_activation", "recurrent_dropout", "reset")


def _recurrent(layer: Any, after: Any, where: str) -> tuple[str, dict[str, Any], int]:
    """The Keras layer of one of ours and of what follows it, and how many of our layers that is."""
    kind = {LSTM: "LSTM", GRU: "GRU", RNN: "SimpleRNN"}.get(type(layer))
    values = {**vars(layer), **layer.first}
    wrong = [name for name in _REFUSED if values.get(name)]
    wrong += [f"{name}={value!r}" for name, value in layer.options.items() if name not in _OPTIONS]
    wrong = [each for each in wrong if each != "update='keep'"]
    if kind is None or wrong or layer.num_layers > 1:
        what = "several layers in one" if layer.num_layers > 1 else ", ".join(wrong) or type(layer).__name__
        raise ValueError(f"{where}: Keras has no {what}")
    options, last = layer.options, isinstance(after, Last)
    config: dict[str, Any] = {
        "units": layer.hidden_size,
        "activation": activation_name(options.get("activation", "tanh"), where),
        "use_bias": bool(layer.bias),
        "dropout": layer.input_dropout,
        "recurrent_dropout": options.get("recurrent_dropout", 0.0),
        "return_sequences": not last,
    }
    if kind != "SimpleRNN":
        config["recurrent_activation"] = activation_name(options.get("recurrent_activation", "sigmoid"), where)
    if kind == "GRU":
        config["reset_after"] = options["reset"] == "after"
    if layer.bidirectional:
        if last and layer.merge != "concat":
            raise ValueError(f"{where}: Keras has no Last of directions that are merged at each step")
        merge = after.merge if last else layer.merge
        inner = {"class_name": kind, "module": "keras.layers", "registered_name": None, "config": config}
        merge_mode = {"average": "ave"}.get(merge, merge)
        return "Bidirectional", {"layer": inner, "merge_mode": merge_mode}, 1 + last
    config["go_backwards"] = layer.reverse
    if not last and layer.padding == "zeros":
        config["zero_output_for_mask"] = True
    if layer.reverse and not last and not isinstance(after, Reverse):
        raise ValueError(f"{where}: Keras gives the steps of go_backwards in the order read: put a Reverse after it")
    return kind, config, 1 + (last or layer.reverse)


def _activation(layer: Any, where: str) -> Plan:
    name, alpha, _ = layer.activation
    if name in ("leaky_relu", "elu"):
        return ("LeakyReLU", {"negative_slope": alpha}) if name == "leaky_relu" else ("ELU", {"alpha": alpha})
    return "Activation", {"activation": activation_name(layer.activation, where)}


def _linear(layer: Any, where: str) -> Plan:
    if layer.tied is not None:
        raise ValueError(f"{where}: Keras has no weights that are tied to an Embedding's")
    return "Dense", {"units": layer.out_features, "use_bias": layer.bias, "activation": layer.activation or "linear"}


def _embedding(layer: Any, where: str) -> Plan:
    if layer.word_dropout:
        raise ValueError(f"{where}: Keras has no word_dropout")
    return "Embedding", {"input_dim": layer.num_embeddings, "output_dim": layer.embedding_dim}


def _conv(layer: Any, where: str) -> Plan:
    return "Conv1D", {
        "filters": layer.out_channels,
        "kernel_size": layer.kernel_size,
        "strides": layer.stride,
        "dilation_rate": layer.dilation,
        "padding": "causal" if layer.causal else "valid",
        "use_bias": layer.bias,
        "activation": activation_name(layer.activation, where),
    }


def _pad(layer: Any, where: str) -> Plan:
    if layer.value:
        raise ValueError(f"{where}: Keras pads with zeros, not with {layer.value!r}")
    return "ZeroPadding1D", {"padding": [layer.before, layer.after]}


def _windows(kind: str) -> Callable[[Any, str], Plan]:
    return lambda layer, where: (kind, {"pool_size": layer.size, "strides": layer.stride})


_PLAIN: dict[type, Callable[[Any, str], Plan]] = {
    Linear: _linear,
    Embedding: _embedding,
    Conv1D: _conv,
    Activation: _activation,
    Dropout: lambda layer, where: ("Dropout", {"rate": layer.p}),
    SpatialDropout: lambda layer, where: ("SpatialDropout1D", {"rate": layer.p}),
    GaussianNoise: lambda layer, where: ("GaussianNoise", {"stddev": layer.stddev}),
    BatchNorm: lambda layer, where: ("BatchNormalization", {"momentum": 1 - layer.momentum, "epsilon": layer.eps}),
    LayerNorm: lambda layer, where: ("LayerNormalization", {"epsilon": layer.eps}),
    Flatten: lambda layer, where: ("Flatten", {}),
    Repeat: lambda layer, where: ("RepeatVector", {"n": layer.n}),
    MeanPool: lambda layer, where: ("GlobalAveragePooling1D", {}),
    MaxPool: lambda layer, where: ("GlobalMaxPooling1D", {}),
    MaxPool1D: _windows("MaxPooling1D"),
    MeanPool1D: _windows("AveragePooling1D"),
    Pad: _pad,
}
