"""A model's layers in a row, and the same layers as they are at rest: without what is random in training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.layers import BatchNorm, Dropout, GaussianNoise, Linear, SpatialDropout
from rnnfast.layers._base import Layer
from rnnfast.layers.activity import ActivityRegularizer
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models import Sequential

_SAME_AT_REST = (Dropout, SpatialDropout, GaussianNoise, ActivityRegularizer)
_RANDOM = ("dropout", "input_dropout", "weight_drop", "recurrent_dropout", "word_dropout")


def layers_of(model: Any) -> list[Layer]:
    """The layers of a `Sequential` (or of what has one as its `network`) in order, those of a model inside among them.

    Raises
    ------
    TypeError
        For another kind of model.
    """
    model = getattr(model, "network", model)
    if isinstance(model, Sequential):
        return [inner for layer in model.layers for inner in layers_of(layer)]
    if isinstance(model, Layer) and not hasattr(model, "_children"):
        return [model]
    raise TypeError(f"the model must be a Sequential, or have one as its network, got {type(model).__name__}")


def levels_of(layers: Sequence[Layer]) -> list[tuple[int, str]]:
    """Each recurrent layer and direction, from below: the layer's place in the row, and its name in a trace."""
    return [
        (place, direction.suffix[1:])
        for place, layer in enumerate(layers)
        if isinstance(layer, Recurrent)
        for direction in layer._directions
    ]


def run(layers: Sequence[Layer], x: Any) -> Any:
    """Inference through layers in a row."""
    for layer in layers:
        x, _ = layer.run(x, None)
    return x


def at_rest(layer: Layer) -> Layer | None:
    """A layer whose `forward` gives what a call of this one gives; None for one that changes nothing at rest.

    Raises
    ------
    ValueError
        For zoneout, whose mean at rest no training step computes.
    """
    if isinstance(layer, _SAME_AT_REST):
        return None
    if isinstance(layer, BatchNorm):
        return _as_linear(layer)
    config = layer.config()
    if np.any(config.get("zoneout", 0.0)):
        raise ValueError("gradients at rest are not known for zoneout: make the picture of a model without it")
    random = {name: 0.0 for name in _RANDOM if config.get(name)}
    if not random:
        return layer
    quiet = type(layer).from_config({**layer.get_config(), **random})
    quiet.set_weights(layer.get_weights())
    return quiet


def _as_linear(layer: BatchNorm) -> Linear:
    """What batch normalization is at rest: each feature times a factor, and a bias."""
    mean, variance = layer.buffers["running_mean"], layer.buffers["running_var"]
    factor = layer.params["weight"] / np.sqrt(variance + layer.eps)
    linear = Linear(layer.num_features, layer.num_features, dtype=str(layer.dtype))
    linear.params["weight"] = np.diag(factor)
    linear.params["bias"] = layer.params["bias"] - mean * factor
    return linear
