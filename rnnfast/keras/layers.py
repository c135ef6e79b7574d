"""Keras's layers: each keeps the arguments that Keras takes, and becomes layers of ours when it knows its input."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from rnnfast.interop.keras._kinds import KINDS, REQUIRED, Built, Config, Shape, build, find_kind
from rnnfast.keras._spelling import as_config, snake
from rnnfast.keras.regularizers import get as find_regularizer

Array = np.ndarray

_COMMON = ("name", "trainable", "dtype", "input_shape", "batch_input_shape", "batch_shape", "weights", "input_dim")


class KerasTensor:
    """What a layer gives when it is called on an `Input`: the shape, and the layers so far.

    Attributes
    ----------
    shape : tuple
        With the batch, None.
    layers : tuple of Layer
        From the input on.
    """

    def __init__(self, shape: Shape, layers: tuple[Any, ...], dtype: str = "float32"):
        self.shape, self.layers, self.dtype = (None, *shape), layers, dtype

    def __repr__(self) -> str:
        return f"KerasTensor(shape={self.shape})"


class InputLayer:
    """Says what the first layer takes: see `Input`."""

    def __init__(self, shape: Any = None, batch_size: Any = None, dtype: Any = None, name: Any = None, **more: Any):
        whole = more.pop("batch_shape", None) or more.pop("batch_input_shape", None)
        shape = more.pop("input_shape", None) if shape is None and whole is None else shape
        if more:
            raise TypeError(f"Input has no argument {next(iter(more))!r}")
        self.shape = check_shape(whole[1:] if whole is not None else shape)
        self.dtype, self.name = str(np.dtype(dtype)) if dtype is not None else "float32", name or "input_layer"


def Input(shape: Any = None, batch_size: Any = None, dtype: Any = None, name: Any = None, **more: Any) -> KerasTensor:
    """What a model takes, without the batch: ``Input((100, 50))`` are sequences of 100 steps of 50 features.

    Parameters
    ----------
    shape : tuple of int or None
        None where any number will do.
    batch_size, dtype, name
        As in Keras; they change nothing.

    Returns
    -------
    KerasTensor
    """
    layer = InputLayer(shape, batch_size, dtype, name, **more)
    return KerasTensor(layer.shape, (), layer.dtype)


def check_shape(shape: Any) -> Shape:
    """A shape without the batch."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(shape, (tuple, list)) or not all(
        axis is None or (isinstance(axis, (int, np.integer)) and axis > 0) for axis in shape
    ):
        raise ValueError(f"an input's shape must be a tuple of numbers above 0 or None, got {shape!r}")
    return tuple(None if axis is None else int(axis) for axis in shape)


class Layer:
    """A Keras layer. Its arguments are Keras's; :meth:`get_config` gives them.

    Attributes
    ----------
    name : str
    trainable : bool
        Whether training moves its weights; it may be set at any time.
    built : bool
        Whether it knows what it takes, and has weights.
    """

    kind: ClassVar[str]
    _counts: ClassVar[dict[str, int]] = {}

    def __init_subclass__(cls) -> None:
        cls.kind = find_kind(cls.__name__, cls.__name__)
        parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        for name, default in KINDS[cls.kind].arguments.items():
            usual = {"default": inspect.Parameter.empty if default is REQUIRED else default}
            parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, **usual))
        more = inspect.Parameter("more", inspect.Parameter.VAR_KEYWORD)
        names = [each for each in parameters if each.default is inspect.Parameter.empty]
        rest = [each for each in parameters if each not in names]
        cls.__signature__ = inspect.Signature([*names, *rest, more][1:])  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **more: Any):
        known = KINDS[self.kind].arguments
        given: dict[str, Any] = {}
        if len(args) > len(known):
            raise TypeError(f"{type(self).__name__} takes at most {len(known)} arguments, got {len(args)}")
        given.update(zip(known, args, strict=False))
        for name, value in more.items():
            if name in given:
                raise TypeError(f"{type(self).__name__} got {name!r} twice")
            if name not in known and name not in (*_COMMON, "use_cudnn", "implementation", "input_length"):
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"its arguments are {', '.join(known)}"
                raise TypeError(f"{type(self).__name__} has no argument {name!r}: {hint}")
            given[name] = value
        missing = [name for name, default in known.items() if default is REQUIRED and name not in given]
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        self.first_weights = given.pop("weights", None)
        self.input_shape_given = _given_shape(given, "input_dim" not in known)
        self._start({**{name: value for name, value in known.items() if value is not REQUIRED}, **given})

    def _start(self, values: Mapping[str, Any]) -> None:
        self.inner = {name: value for name, value in values.items() if isinstance(value, Layer)}
        self._values = {
            name: as_config(find_regularizer(value) if name.endswith("_regularizer") else value)
            for name, value in values.items()
        }
        if self.kind == "GRU" and self._values.get("reset_after") is None:
            self._values["reset_after"] = True
        if not self._values.get("name"):
            number = self._counts[self.kind] = self._counts.get(self.kind, -1) + 1
            self._values["name"] = f"{snake(self.kind)}_{number}" if number else snake(self.kind)
        self._built: Built | None = None
        self._config: Config | None = None
        self.input_shape: Any = None

    @classmethod
    def from_built(cls, config: Config, shape: Shape, built: Built) -> "Layer":
        """The layer of what a file gave."""
        layer = object.__new__(_CLASSES[config.kind])
        layer.first_weights, layer.input_shape_given = None, None
        layer._start({**{k: v for k, v in config.given.items() if v is not REQUIRED}, **config.values})
        layer._config, layer._built, layer.input_shape = config, built, (None, *shape)
        return layer

    @property
    def name(self) -> str:
        """How the model's summary and files call it."""
        return str(self._values["name"])

    @property
    def built(self) -> bool:
        """Whether it has weights."""
        return self._built is not None

    @property
    def made(self) -> Built:
        """What it became; an error before that."""
        if self._built is None:
            raise ValueError(f"layer {self.name!r} is not built yet: it does not know what it takes")
        return self._built

    @property
    def config(self) -> Config:
        """What it was built of."""
        return self._config or Config(self.kind, self._values, False, "", self.dtype)

    @property
    def dtype(self) -> str:
        """float32, or float64 where it was asked for."""
        return "float64" if str(self._values.get("dtype")) == "float64" else "float32"

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """With the batch, None."""
        return (None, *self.made.shape)

    def make(self, shape: Shape, rng: np.random.Generator) -> None:
        """Become layers of ours that take arrays of this shape, without the batch; weights are drawn as Keras does."""
        config = Config(self.kind, self._values, False, "", self.dtype)
        found = build(config, shape)
        for weight in found.weights:
            weight.put(weight.initial(rng))
        self._config, self._built, self.input_shape = config, found, (None, *shape)
        if self.first_weights is not None:
            self.set_weights(self.first_weights)

    def build(self, input_shape: Any) -> None:
        """Become layers of ours; `input_shape` is with the batch, as in Keras."""
        self.make(check_shape(tuple(input_shape)[1:]), fresh_rng())

    def __call__(self, x: Any) -> Any:
        """On an `Input`, the next `KerasTensor`; on an array (B, ...), what the layer by itself makes of it."""
        if isinstance(x, KerasTensor):
            if not self.built:
                self.make(x.shape[1:], fresh_rng())
            return KerasTensor(self.made.shape, (*x.layers, self), x.dtype)
        from rnnfast.keras.models import Sequential

        alone = Sequential([self])
        return alone(x)

    @property
    def trainable(self) -> bool:
        return self._values.get("trainable") is not False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._values["trainable"] = bool(value)
        if self._built is not None:
            for weight in self._built.weights:
                for layer, name in weight.ours:
                    (layer.unfreeze if value else layer.freeze)(name)

    def get_config(self) -> dict[str, Any]:
        """Keras's arguments, as its files hold them."""
        return dict(self._values)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new layer of these arguments."""
        return cls(**config)

    def get_weights(self) -> list[Array]:
        """The weights in Keras's order and layout."""
        return [weight.get() for weight in self.made.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights from arrays in Keras's order and layout.

        Raises
        ------
        ValueError
            When there are too many or too few, or a shape is another; nothing is set then.
        """
        set_weights(self.made.weights, weights, f"layer {self.name!r}")

    def count_params(self) -> int:
        """How many numbers its weights hold, trained or not."""
        return sum(int(np.prod(weight.shape)) for weight in self.made.weights)

    def trained_params(self) -> int:
        """How many of them training moves."""
        if not self.trainable:
            return 0
        return sum(int(np.prod(weight.shape)) for weight in self.made.weights if weight.trained)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def set_weights(wanted: Sequence[Any], weights: Sequence[Any], what: str) -> None:
    """Set variables from arrays, all or none."""
    arrays = [np.asarray(each) for each in weights]
    if len(arrays) != len(wanted):
        raise ValueError(f"{what} has {len(wanted)} weights, got {len(arrays)}")
    for weight, array in zip(wanted, arrays, strict=True):
        if array.shape != weight.shape:
            raise ValueError(f"{what}: {weight.name} has shape {weight.shape}, got {array.shape}")
    for weight, array in zip(wanted, arrays, strict=True):
        weight.put(array)


def fresh_rng() -> np.random.Generator:
    """A generator that follows from NumPy's global state, which `np.random.seed` sets, as Keras's follow from one."""
    return np.random.default_rng(np.random.randint(2**31, size=4))  # noqa: NPY002


def _given_shape(given: dict[str, Any], takes_input_dim: bool) -> Shape | None:
    """What `input_shape=` and the like of a first layer say; they are taken out."""
    whole = given.pop("batch_input_shape", None) or given.pop("batch_shape", None)
    shape = given.pop("input_shape", None)
    size = given.pop("input_dim", None) if takes_input_dim else None
    length = given.pop("input_length", None)
    if whole is not None:
        return check_shape(tuple(whole)[1:])
    if shape is not None:
        return check_shape(shape)
    if size is not None:
        return (size,) if length is None else (length, size)
    return None if length is None else (length,)


class LSTM(Layer):
    """Long short-term memory: `rnnfast.LSTM`."""


class GRU(Layer):
    """The gated recurrent unit: `rnnfast.GRU` with two biases, or with reset_after=False and one."""


class SimpleRNN(Layer):
    """`rnnfast.RNN`."""


class Bidirectional(Layer):
    """Both directions of a recurrent layer."""


class Embedding(Layer):
    """A vector for each symbol; with mask_zero=True symbol 0 is padding."""


class Dense(Layer):
    """`rnnfast.Linear` on the last axis."""


class Conv1D(Layer):
    """Convolution over time, with padding="valid" or "causal"."""


class BatchNormalization(Layer):
    """`rnnfast.BatchNorm`."""


class LayerNormalization(Layer):
    """`rnnfast.LayerNorm`."""


class TimeDistributed(Layer):
    """A layer at every step."""


class Dropout(Layer):
    """`rnnfast.Dropout`."""


class SpatialDropout1D(Layer):
    """`rnnfast.SpatialDropout`."""


class GaussianNoise(Layer):
    """`rnnfast.GaussianNoise`."""


class Activation(Layer):
    """An activation by its name."""


class ReLU(Layer):
    """max(x, 0), or less steep below 0."""


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope x."""


class ELU(Layer):
    """x where x > 0, else alpha (e^x - 1)."""


class Softmax(Layer):
    """Probabilities along the last axis."""


class Flatten(Layer):
    """All steps side by side."""


class RepeatVector(Layer):
    """A vector as n equal steps."""


class GlobalAveragePooling1D(Layer):
    """The mean over time, without padding."""


class GlobalMaxPooling1D(Layer):
    """The greatest over time."""


class MaxPooling1D(Layer):
    """The greatest of each window of steps."""


class AveragePooling1D(Layer):
    """The mean of each window of steps."""


class ZeroPadding1D(Layer):
    """Steps of zeros before and after."""


class ActivityRegularization(Layer):
    """x itself; its penalty is not supported, but for files that are read to predict."""


class Masking(Layer):
    """Steps of which all features are mask_value are padding."""


class Identity(Layer):
    """x itself."""


GlobalAvgPool1D, GlobalMaxPool1D = GlobalAveragePooling1D, GlobalMaxPooling1D
AvgPool1D, MaxPool1D = AveragePooling1D, MaxPooling1D
_CLASSES: dict[str, type[Layer]] = {each.__name__: each for each in Layer.__subclasses__()}
