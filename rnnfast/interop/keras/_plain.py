"""Keras's layers that are not recurrent."""

from typing import Any

import numpy as np

from rnnfast.interop.keras._kinds import KINDS, REQUIRED, Built, Config, Kind, Shape, Weight, direct, features, shown
from rnnfast.interop.keras._kinds import build as build_layer
from rnnfast.interop.keras._recurrent import inner_config
from rnnfast.layers import (
    Activation,
    BatchNorm,
    Conv1D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNorm,
    Linear,
    MaxPool,
    MaxPool1D,
    MeanPool,
    MeanPool1D,
    Pad,
    Repeat,
    SpatialDropout,
)

# What a Linear computes itself; others follow it as a layer.
_FUSED = {"identity": None, "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}


def _dense(config: Config, shape: Shape) -> Built:
    activation, units = config.activation(), config.size("units")
    fused = isinstance(activation, str) and activation in _FUSED
    layer = Linear(
        features(config, shape),
        units,
        bias=config.flag("use_bias"),
        activation=_FUSED[activation] if fused else None,
        dtype=config.dtype,
    )
    weights = [direct(config, "", "kernel", layer, "weight", turn=True)]
    if layer.bias:
        weights.append(direct(config, "", "bias", layer, "bias"))
    return Built([layer, *([] if fused else [Activation(activation)])], weights, (*shape[:-1], units))


def _embedding(config: Config, shape: Shape) -> Built:
    layer = Embedding(config.size("input_dim"), config.size("output_dim"), dtype=config.dtype)
    weights = [direct(config, "", "embeddings", layer, "weight")]
    return Built([layer], weights, (*shape, layer.embedding_dim), 0.0 if config.flag("mask_zero") else None)


def _conv(config: Config, shape: Shape) -> Built:
    padding = config["padding"]
    if padding not in ("valid", "causal", "same"):
        raise config.error(f"padding={padding!r:.60} is not supported; those that are: 'valid', 'causal', 'same'")
    if config["groups"] != 1 or config["data_format"] not in (None, "channels_last"):
        raise config.error("only groups=1 and data_format='channels_last' are supported")
    if len(shape) != 2:
        raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
    layer = Conv1D(
        features(config, shape),
        config.size("filters"),
        config.size("kernel_size"),
        stride=config.size("strides"),
        dilation=config.size("dilation_rate"),
        causal=padding == "causal",
        bias=config.flag("use_bias"),
        activation=config.activation(),
        dtype=config.dtype,
    )
    weights = [direct(config, "", "kernel", layer, "weight", turn=True)]
    if layer.bias:
        weights.append(direct(config, "", "bias", layer, "bias"))
    around = _same(config, shape, layer.span + 1, layer.stride) if padding == "same" else []
    return _windowed([*around, layer], weights, shape, layer.out_channels)


def _windowed(layers: list[Any], weights: list[Weight], shape: Shape, width: int | None) -> Built:
    """Layers that change how many steps there are."""
    steps = shape[0]
    for layer in layers if steps is not None else ():
        steps = int(layer.output_lengths(np.array([steps]))[0])
    return Built(layers, weights, (steps, width))


def _same(config: Config, shape: Shape, reach: int, stride: int, value: float | str = 0.0) -> list[Layer]:
    """What Keras's "same" puts around, so that windows of so many steps give ceil(T / stride) of them."""
    steps = shape[0]
    if stride == 1:
        total = reach - 1
    elif steps is not None:
        total = max(0, (-(-steps // stride) - 1) * stride + reach - steps)
    else:
        raise config.error("padding='same' with strides above 1 is supported only where the number of steps is known")
    return [Pad(total // 2, total - total // 2, value)] if total else []


def _window_pooling(make: Any) -> Any:
    def build(config: Config, shape: Shape) -> Built:
        padding = config["padding"]
        if padding not in ("valid", "same") or config["data_format"] not in (None, "channels_last"):
            raise config.error("only padding='valid' or 'same' and data_format='channels_last' are supported")
        if len(shape) != 2:
            raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
        size = config.size("pool_size")
        layer = make(size, size if config["strides"] is None else config.size("strides"))
        around: list[Layer] = []
        if padding == "same":
            around = _same(config, shape, size, layer.stride, "least")
            if around and make is MeanPool1D:
                raise config.error("padding='same' is not supported where the windows do not divide the steps")
        return _windowed([*around, layer], [], shape, shape[1])

    return build


def _zero_padding(config: Config, shape: Shape) -> Built:
    if config["data_format"] not in (None, "channels_last"):
        raise config.error("only data_format='channels_last' is supported")
    if len(shape) != 2:
        raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
    padding = config["padding"]
    pair = padding if isinstance(padding, (list, tuple)) else (padding, padding)
    if len(pair) != 2 or not all(type(each) is int and 0 <= each <= config.most for each in pair):
        raise config.error(f"padding must be one or two whole numbers, got {padding!r:.60}")
    return _windowed([Pad(*pair)], [], shape, shape[1])


def _activity(config: Config, shape: Shape) -> Built:
    if config.number("l1") or config.number("l2"):
        config.refuse_in_training("its penalty")
    return Built([], [], shape)


def _last_axis(config: Config, shape: Shape) -> int:
    axis = config["axis"]
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if axis not in (-1, len(shape)):
        raise config.error(f"axis={axis!r:.60} of {shown(shape)} is not supported, but the last alone")
    return features(config, shape)


def _norm_weights(config: Config, layer: Layer) -> list[Weight]:
    found = []
    for argument, name, ours in (("scale", "gamma", "weight"), ("center", "beta", "bias")):
        if config.flag(argument):
            found.append(direct(config, "", name, layer, ours))
        else:
            layer.freeze(ours)
    return found


def _batch_norm(config: Config, shape: Shape) -> Built:
    momentum = 1 - config.number("momentum")
    width = _last_axis(config, shape)
    layer = BatchNorm(width, momentum, config.number("epsilon"), unbiased=False, dtype=config.dtype)
    weights = _norm_weights(config, layer)
    for name, ours in (("moving_mean", "running_mean"), ("moving_variance", "running_var")):
        weights.append(direct(config, "", name, layer, ours, trained=False))
    return Built([layer], weights, shape)


def _layer_norm(config: Config, shape: Shape) -> Built:
    layer = LayerNorm(_last_axis(config, shape), config.number("epsilon"), dtype=config.dtype)
    return Built([layer], _norm_weights(config, layer), shape)


def _time_distributed(config: Config, shape: Shape) -> Built:
    inner = inner_config(config, config["layer"], "layer")
    if inner.kind not in (
        "Dense",
        "Activation",
        "Dropout",
        "LayerNormalization",
        "Softmax",
        "ReLU",
        "LeakyReLU",
        "ELU",
    ):
        raise config.error(f"a {inner.kind} at every step is not supported")
    if len(shape) < 2:
        raise config.error(f"it takes arrays with a time axis, got {shown(shape)}")
    built = build_layer(inner, shape)
    return built._replace(weights=[weight._replace(path="layer") for weight in built.weights])


def _without_weights(make: Any) -> Any:
    """What builds layers that have no parameters and leave the shape as it is."""

    def build(config: Config, shape: Shape) -> Built:
        return Built(list(make(config)), [], shape)

    return build


def _rate(config: Config) -> float:
    if config.values.get("noise_shape") is not None:
        raise config.error("noise_shape is not supported")
    return config.number("rate")


def _flatten(config: Config, shape: Shape) -> Built:
    if config["data_format"] not in (None, "channels_last"):
        raise config.error("only data_format='channels_last' is supported")
    if len(shape) == 1:
        return Built([], [], shape)
    if len(shape) != 2:
        raise config.error(f"it takes arrays of 2 or 3 axes, got {shown(shape)}")
    known = shape[0] is not None and shape[1] is not None
    return Built([Flatten()], [], (shape[0] * shape[1] if known else None,))  # type: ignore[operator]


def _repeat(config: Config, shape: Shape) -> Built:
    if len(shape) != 1:
        raise config.error(f"it takes arrays (batch, features), got {shown(shape)}")
    return Built([Repeat(config.size("n"))], [], (config.size("n"), shape[0]))


def _pooling(make: Any) -> Any:
    def build(config: Config, shape: Shape) -> Built:
        if config["keepdims"] or config["data_format"] not in (None, "channels_last"):
            raise config.error("only keepdims=False and data_format='channels_last' are supported")
        if len(shape) != 2:
            raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
        return Built([make()], [], shape[1:])

    return build


def _masking(config: Config, shape: Shape) -> Built:
    if len(shape) < 2:
        raise config.error(f"it takes arrays (batch, steps, features), got {shown(shape)}")
    return Built([], [], shape, config.number("mask_value"))


def _relu(config: Config) -> Any:
    if config["max_value"] is not None or config["threshold"] not in (None, 0, 0.0):
        raise config.error("max_value and threshold are not supported")
    slope = 0.0 if config["negative_slope"] is None else config.number("negative_slope")
    return ("leaky_relu", slope) if slope else "relu"


def _leaky(config: Config) -> Any:
    return ("leaky_relu", config.number("alpha" if "alpha" in config.values else "negative_slope"))


def _softmax(config: Config) -> Any:
    if config["axis"] not in (-1, [-1]):
        raise config.error(f"axis={config['axis']!r:.60} is not supported, but the last alone")
    return "softmax"


def _activation_kind(arguments: dict[str, Any], activation: Any) -> Kind:
    return Kind(arguments, _without_weights(lambda config: [Activation(activation(config))]), activation=activation)


_KERNEL = {
    "kernel_initializer": "glorot_uniform",
    "bias_initializer": "zeros",
    **dict.fromkeys(("kernel_regularizer", "bias_regularizer", "activity_regularizer")),
    **dict.fromkeys(("kernel_constraint", "bias_constraint")),
}
_WITHOUT = ("activity_regularizer", "kernel_constraint", "bias_constraint", "lora_rank")
_NORM = {
    **{"center": True, "scale": True, "beta_initializer": "zeros", "gamma_initializer": "ones"},
    **dict.fromkeys(("beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint")),
}
_POOLING = {"pool_size": 2, "strides": None, "padding": "valid", "data_format": None}
_MOVING = {"moving_mean_initializer": "zeros", "moving_variance_initializer": "ones"}

KINDS["Dense"] = Kind({"units": REQUIRED, "activation": None, "use_bias": True, **_KERNEL}, _dense, _WITHOUT)
KINDS["Embedding"] = Kind(
    {
        **{"input_dim": REQUIRED, "output_dim": REQUIRED, "embeddings_initializer": "uniform"},
        **dict.fromkeys(("embeddings_regularizer", "embeddings_constraint", "activity_regularizer")),
        "mask_zero": False,
    },
    _embedding,
    ("embeddings_constraint", "activity_regularizer", "lora_rank"),
)
KINDS["Conv1D"] = Kind(
    {
        **{"filters": REQUIRED, "kernel_size": REQUIRED, "strides": 1, "padding": "valid", "data_format": None},
        **{"dilation_rate": 1, "groups": 1, "activation": None, "use_bias": True, **_KERNEL},
    },
    _conv,
    _WITHOUT,
)
KINDS["BatchNormalization"] = Kind(
    {"axis": -1, "momentum": 0.99, "epsilon": 1e-3, **_NORM, **_MOVING},
    _batch_norm,
    ("renorm", "beta_constraint", "gamma_constraint"),
)
KINDS["LayerNormalization"] = Kind(
    {"axis": -1, "epsilon": 1e-3, **_NORM, "rms_scaling": False},
    _layer_norm,
    ("rms_scaling", "beta_constraint", "gamma_constraint"),
)
KINDS["TimeDistributed"] = Kind({"layer": REQUIRED}, _time_distributed)
KINDS["Dropout"] = Kind(
    {"rate": REQUIRED, "noise_shape": None, "seed": None}, _without_weights(lambda config: [Dropout(_rate(config))])
)
KINDS["SpatialDropout1D"] = Kind(
    {"rate": REQUIRED, "seed": None}, _without_weights(lambda config: [SpatialDropout(_rate(config))])
)
KINDS["GaussianNoise"] = Kind(
    {"stddev": REQUIRED, "seed": None}, _without_weights(lambda config: [GaussianNoise(config.number("stddev"))])
)
KINDS["Activation"] = _activation_kind({"activation": REQUIRED}, lambda config: config.activation())
KINDS["ReLU"] = _activation_kind({"max_value": None, "negative_slope": 0.0, "threshold": 0.0}, _relu)
KINDS["LeakyReLU"] = _activation_kind({"negative_slope": 0.3, "alpha": 0.3}, _leaky)
KINDS["ELU"] = _activation_kind({"alpha": 1.0}, lambda config: ("elu", config.number("alpha")))
KINDS["Softmax"] = _activation_kind({"axis": -1}, _softmax)
KINDS["Flatten"] = Kind({"data_format": None}, _flatten)
KINDS["RepeatVector"] = Kind({"n": REQUIRED}, _repeat)
KINDS["GlobalAveragePooling1D"] = Kind({"data_format": None, "keepdims": False}, _pooling(MeanPool))
KINDS["GlobalMaxPooling1D"] = Kind({"data_format": None, "keepdims": False}, _pooling(MaxPool))
KINDS["MaxPooling1D"] = Kind(_POOLING, _window_pooling(MaxPool1D))
KINDS["AveragePooling1D"] = Kind(_POOLING, _window_pooling(MeanPool1D))
KINDS["ZeroPadding1D"] = Kind({"padding": 1, "data_format": None}, _zero_padding)
KINDS["ActivityRegularization"] = Kind({"l1": 0.0, "l2": 0.0}, _activity)
KINDS["Masking"] = Kind({"mask_value": 0.0}, _masking)
KINDS["Identity"] = Kind({}, lambda config, shape: Built([], [], shape))
