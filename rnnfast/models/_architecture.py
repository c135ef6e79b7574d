"""A network's plan as JSON can hold it, and back. Rebuilding calls the constructors of a fixed set of classes."""

from typing import Any

import rnnfast.layers
import rnnfast.models
from rnnfast.layers._base import Layer
from rnnfast.models._network import Network

_LAYERS = (
    *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "IndRNN", "MGU"),
    *("Linear", "Embedding", "Dropout", "Last", "Attention"),
    *("Add", "Average", "Concatenate", "Multiply"),
    *("Activation", "SpatialDropout", "GaussianNoise", "LayerNorm", "BatchNorm", "ActivityRegularizer"),
    *("MeanPool", "MaxPool", "MeanPool1D", "MaxPool1D", "Pad", "Flatten", "Repeat", "Reverse"),
    *("Conv1D", "CRF", "CustomRNN"),
)

_MODELS = ("Sequential", "MaskedSequential", "Graph", "Encoder", "Bridge", "Decoder", "Seq2Seq")


def describe(layer: Layer, seen: dict[int, int] | None = None) -> dict[str, Any]:
    """The plan of a layer or model.

    Returns
    -------
    dict
        `class` and `config`; a model's config holds the plans of its layers, and a layer among a layer's arguments
        stands there as its plan. A layer that came before, counted depth first from 0, is `{"same_as": number}`.
        `frozen` in a config holds the names of parameters that do not learn, or True for all.
    """
    seen = {} if seen is None else seen
    if id(layer) in seen:
        return {"same_as": seen[id(layer)]}
    seen[id(layer)] = len(seen)
    name = type(layer).__name__
    if isinstance(layer, Network):
        return {"class": name, "config": layer.plan(lambda inner: describe(inner, seen))}
    if getattr(rnnfast.layers, name, None) is not type(layer):
        raise TypeError(f"{name} is not one of rnnfast's layers and cannot be described")
    config = {
        key: describe(value, seen) if isinstance(value, Layer) else value for key, value in layer.config().items()
    }
    if layer.frozen_names and "frozen" not in config:
        config["frozen"] = layer.frozen_names
    return {"class": name, "config": config}


def rebuild(plan: Any, seen: list[Layer] | None = None) -> Layer:
    """The layer or model of a plan, freshly initialised.

    Raises
    ------
    ValueError
        When the plan is malformed, or names an unknown layer or argument.
    """
    seen = [] if seen is None else seen
    if not isinstance(plan, dict):
        raise ValueError(f"a layer's plan must be an object, got {plan!r:.60}")
    if "same_as" in plan:
        number = plan["same_as"]
        if type(number) is not int or not 0 <= number < len(seen) or seen[number] is None:
            raise ValueError(f"no layer {number!r:.60} comes before the one that repeats it")
        return seen[number]
    name, config = plan.get("class"), plan.get("config")
    if not isinstance(config, dict):
        raise ValueError(f"layer {name!r:.60} has no config")
    place = len(seen)
    seen.append(None)  # type: ignore[arg-type]
    if name in _MODELS:
        layer: Layer = getattr(rnnfast.models, name).from_plan(config, lambda inner: rebuild(inner, seen))
    elif name in _LAYERS:
        config = {key: rebuild(value, seen) if _is_plan(value) else value for key, value in config.items()}
        frozen = config.pop("frozen", [])
        try:
            layer = getattr(rnnfast.layers, name)(**config)
        except TypeError as error:
            raise ValueError(f"{name} cannot be made: {error}") from None
        _freeze(layer, frozen)
    else:
        raise ValueError(f"unknown layer {name!r:.60}")
    seen[place] = layer
    return layer


def _freeze(layer: Layer, frozen: Any) -> None:
    """Freeze what a config names: `frozen` is a list of names, or whether it is all."""
    names = list(layer.slots())
    chosen = (names if frozen else []) if isinstance(frozen, bool) else frozen
    if not isinstance(chosen, list) or any(name not in names for name in chosen):
        raise ValueError(f"frozen must be true, false or a list of the layer's parameters, got {frozen!r:.60}")
    if chosen:
        layer.freeze(*chosen)


def _is_plan(value: Any) -> bool:
    return isinstance(value, dict) and ("class" in value or "same_as" in value)
