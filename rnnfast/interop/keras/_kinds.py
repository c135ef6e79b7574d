"""What a Keras layer becomes: layers of ours, and Keras's variables in Keras's order and layout."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.keras._initializers import draw
from rnnfast.layers._base import Layer

Array = np.ndarray
Shape = tuple[int | None, ...]


class Required:
    """Stands for the default of an argument that has none."""

    def __repr__(self) -> str:
        return "required"

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()

# Arguments that change no number: how Keras computes, or how a layer began.
IGNORED = frozenset(
    {
        *("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "autocast", "batch_size"),
        *("implementation", "unroll", "use_cudnn", "seed", "input_length", "sparse", "ragged", "optional"),
        *(
            "quantization_config",
            "lora_rank",
            "lora_alpha",
            "activity_regularizer_config",
            "input_tensor",
            "input_dtype",
        ),
        *(
            "build_config",
            "variable_dtype",
            "compute_dtype",
            "input_dim_hint",
            "inbound_nodes",
            "renorm_momentum",
            "renorm_clipping",
        ),
    }
)


class Weight(NamedTuple):
    """One of Keras's variables.

    `path` is that of its group below the layer's in a `.weights.h5`, `put` sets our parameters of it and `get` makes it
    of them; `ours` are these parameters. `initial` draws its first values.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    put: Callable[[Array], None]
    get: Callable[[], Array]
    initial: Callable[[np.random.Generator], Array]
    trained: bool = True
    ours: tuple[tuple[Layer, str], ...] = ()
    regularizer: Any = None


class Built(NamedTuple):
    """A Keras layer made of ours: `mask` is the value of padding in what it takes."""

    layers: list[Layer]
    weights: list[Weight]
    shape: Shape
    mask: float | None = None


class Config:
    """A Keras layer's arguments, with its defaults where the file or the caller has none.

    Parameters
    ----------
    kind : str
        Keras's class.
    values : mapping
        Its config.
    old : bool
        Whether the meaning is Keras 1's and 2's, where it has changed.
    place : str
        What errors call the layer.
    dtype : str

    Attributes
    ----------
    most : int
        The largest size that is believed.
    read : bool
        Whether it comes from a file, whose predictions are wanted even where training would differ.
    """

    most = 2**31
    read = False

    def __init__(self, kind: str, values: Mapping[str, Any], old: bool, place: str = "", dtype: str = "float32"):
        self.kind, self.old, self.dtype = kind, old, dtype
        self.values = dict(values)
        name = values.get("name")
        self.place = place or f"layer {name!r:.60} ({kind})" if name else place or f"a {kind} layer"

    @property
    def given(self) -> dict[str, Any]:
        """Keras's arguments and their defaults."""
        return KINDS[self.kind].arguments if self.kind in KINDS else {}

    def __getitem__(self, name: str) -> Any:
        value = self.values.get(name, self.given[name])
        if value is REQUIRED:
            raise self.error(f"it has no {name!r}")
        return value

    def error(self, what: str) -> ValueError:
        """An error that names the layer."""
        return ValueError(f"{self.place}: {what}")

    def check(self) -> None:
        """Refuse arguments that are not known and say something."""
        for name, value in self.values.items():
            if name in self.given or name in IGNORED or value in (None, False, [], {}, 0):
                continue
            raise self.error(f"its argument {name}={value!r:.60} is not known here")
        for name in KINDS[self.kind].without:
            if self.values.get(name) not in (None, False):
                if name.endswith(("_constraint", "activity_regularizer")):
                    self.refuse_in_training(f"{name}={self.values[name]!r:.60}")
                else:
                    raise self.error(f"{name}={self.values[name]!r:.60} is not supported")

    def refuse_in_training(self, what: str) -> None:
        """Raise for what acts in training alone; of a file, whose predictions are right without, only say so."""
        if not self.read:
            raise self.error(f"{what} is not supported")
        warnings.warn(f"{self.place}: {what} is left out: it would act in training alone", stacklevel=2)

    def size(self, name: str) -> int:
        """A whole number from 1 to the largest that is believed."""
        value = self[name]
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if (
            isinstance(value, (bool, np.bool_))
            or not isinstance(value, (int, np.integer))
            or not 0 < value <= self.most
        ):
            raise self.error(f"{name} must be a whole number from 1 to {self.most}, got {value!r:.60}")
        return int(value)

    def number(self, name: str) -> float:
        """A finite number."""
        value = self[name]
        if isinstance(value, Mapping):  # a number that Keras wrote as an object of NumPy's
            value = value.get("config", {}).get("value")
        if (
            isinstance(value, (bool, np.bool_))
            or not isinstance(value, (int, float, np.number))
            or not np.isfinite(value)
        ):
            raise self.error(f"{name} must be a number, got {value!r:.60}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or False."""
        value = self[name]
        if not isinstance(value, (bool, np.bool_)):
            raise self.error(f"{name} must be true or false, got {value!r:.60}")
        return bool(value)

    def activation(self, name: str = "activation") -> Any:
        """An activation as our layers take it."""
        return translate_activation(self[name], self.old, self)


ACTIVATIONS: dict[str, Any] = {
    **{name: name for name in ("tanh", "sigmoid", "relu", "softmax", "softplus", "softsign", "elu", "selu")},
    **{"linear": "identity", "swish": "swish", "silu": "swish"},
    **{"leaky_relu": ("leaky_relu", 0.2), "hard_sigmoid": "hard_sigmoid"},
}
"""Keras 3's activations by its names, as ours."""


def translate_activation(value: Any, old: bool, config: Config) -> Any:
    """Keras's activation (a name, or what its files make of a function) by our name."""
    if isinstance(value, Mapping):
        if value.get("class_name") not in ("function", None) or not isinstance(value.get("config"), str):
            return _activation_layer(value, config)
        value = value["config"]
    if value is None:
        return "identity"
    if value == "hard_sigmoid" and old:
        return "hard_sigmoid_onnx"
    if not isinstance(value, str) or value not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise config.error(f"the activation {value!r:.60} is not supported; those that are: {known}")
    return ACTIVATIONS[value]


def _activation_layer(value: Mapping[str, Any], config: Config) -> Any:
    """The activation of a layer that stands in the place of a function."""
    kind, inner = value.get("class_name"), value.get("config")
    found = KINDS.get(kind) if isinstance(kind, str) else None
    if found is None or found.activation is None or not isinstance(inner, Mapping):
        raise config.error(f"the activation {kind!r:.60} is not supported")
    return found.activation(Config(str(kind), inner, config.old, f"the activation of {config.place}"))


class Kind(NamedTuple):
    """One of Keras's layers: its arguments with their defaults in order, and what makes ours of it."""

    arguments: dict[str, Any]
    build: Callable[[Config, Shape], Built]
    without: tuple[str, ...] = ()
    activation: Callable[[Config], Any] | None = None


KINDS: dict[str, Kind] = {}
"""The one table of translation, by Keras's class; `_recurrent` and `_plain` fill it."""

ALIASES = {
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "Convolution1D": "Conv1D",
    "MaxPool1D": "MaxPooling1D",
    "AvgPool1D": "AveragePooling1D",
}

_REASONS = {
    "Lambda": "it holds code, which is not run",
    "TFOpLambda": "it is an operation of TensorFlow, not a layer",
    "CuDNNLSTM": "its weights are in cuDNN's layout: load and save it with Keras 2 as an LSTM",
    "CuDNNGRU": "its weights are in cuDNN's layout: load and save it with Keras 2 as a GRU",
}


def find_kind(name: Any, place: str) -> str:
    """The table's name of a Keras class.

    Raises
    ------
    ValueError
        For one that is not in it; the message names the layer.
    """
    import rnnfast.interop.keras._plain
    import rnnfast.interop.keras._recurrent  # noqa: F401

    name = ALIASES.get(name, name) if isinstance(name, str) else name
    if not isinstance(name, str) or name not in KINDS:
        reason = _REASONS.get(name, f"those that are: {', '.join(sorted(KINDS))}") if isinstance(name, str) else ""
        raise ValueError(f"{place}: the layer {name!r:.60} is not supported; {reason}".rstrip("; "))
    return name


def build(config: Config, shape: Shape) -> Built:
    """Our layers for one of Keras's, that takes arrays of this shape (without the batch).

    Raises
    ------
    ValueError
        When its arguments are unknown, malformed or not supported; the message names the layer.
    """
    find_kind(config.kind, config.place)
    config.check()
    try:
        built = KINDS[config.kind].build(config, shape)
    except (TypeError, ValueError, OverflowError) as error:
        if str(error).startswith(config.place):
            raise
        raise config.error(str(error)) from None
    if config.values.get("trainable") is False:
        for layer in built.layers:
            layer.frozen = True
    return built


def features(config: Config, shape: Shape, least: int = 1) -> int:
    """The last axis of a shape that must be known."""
    if len(shape) < least:
        raise config.error(f"it takes arrays of {least + 1} axes, got {shown(shape)}")
    if shape[-1] is None:
        raise config.error(f"the last axis of what it takes must be known, got {shown(shape)}")
    return shape[-1]


def shown(shape: Iterable[int | None]) -> str:
    """A shape as Keras shows it, with the batch."""
    return f"({', '.join(map(str, (None, *shape)))})"


def direct(
    config: Config, path: str, name: str, layer: Layer, ours: str, *, trained: bool = True, turn: bool = False
) -> Weight:
    """A variable that is a parameter of ours, or its transpose; or a buffer."""
    block, inner = {**layer.slots(), **layer.buffer_slots()}[ours]
    shape = block.shapes[inner][:: -1 if turn else 1]
    return Weight(
        path,
        name,
        shape,
        lambda value: block.set(inner, np.asarray(value).T if turn else value),
        lambda: np.array(block.array(inner).T if turn else block.array(inner), order="C"),
        lambda rng: draw(config[f"{name}_initializer"], shape, rng),
        trained,
        ((layer, ours),) if trained else (),
        config.values.get(f"{name}_regularizer"),
    )
