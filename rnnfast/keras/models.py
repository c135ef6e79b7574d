"""Keras's models: a chain of layers, and the verbs."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.interop.keras._architecture import architecture
from rnnfast.interop.keras._chain import Chain, chain, join
from rnnfast.interop.keras._kinds import Shape, shown
from rnnfast.interop.keras._read import load_chain, read_weights
from rnnfast.interop.keras._write import plan, write_model, write_weights
from rnnfast.keras._table import table
from rnnfast.keras._training import Trained, only_usual
from rnnfast.keras.layers import InputLayer, KerasTensor, Layer, check_shape, fresh_rng, set_weights
from rnnfast.training.history import History

Array = np.ndarray


class Sequential(Trained):
    """Keras layers one after another, over a network of ours.

    Parameters
    ----------
    layers : list of Layer, optional
        The first may be an `Input`, or have `input_shape=`; without either the model is built by the first data.
    name : str, optional

    Attributes
    ----------
    core : rnnfast.Sequential
        The network: everything of rnnfast works on it. It is a `MaskedSequential` where layers make masks.
    layers : list of Layer
    optimizer, loss, metrics
        As `compile` found them.
    history : History
        Of the last fit.
    stop_training : bool
        A callback may set it.

    Examples
    --------
    >>> from rnnfast.keras import Input, layers
    >>> model = Sequential([Input((100, 50)), layers.LSTM(128), layers.Dense(1, activation="sigmoid")])
    >>> model.count_params(), model.output_shape
    (91777, (None, 1))
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None):
        self.name = name or "sequential"
        self._layers: list[Layer] = []
        self._shape: Shape | None = None
        self._dtype = "float32"
        self._chain: Chain | None = None
        self.optimizer: Any = None
        self.loss: Any = None
        self.metrics: dict[str, Any] = {}
        self.history: History | None = None
        self.stop_training = False
        self._states: Any = None
        for layer in [layers] if isinstance(layers, (Layer, KerasTensor, InputLayer)) else layers or []:
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any) -> None:
        """Put a layer at the end; weights that are there stay."""
        if isinstance(layer, (KerasTensor, InputLayer)):
            if self._layers:
                raise ValueError("an Input comes first, before all layers")
            self._shape = check_shape(layer.shape[1:] if isinstance(layer, KerasTensor) else layer.shape)
            return
        if isinstance(layer, Sequential):
            for each in layer.layers:
                self.add(each)
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be those of rnnfast.keras.layers, got {type(layer).__name__}")
        if not self._layers and self._shape is None:
            self._shape = layer.input_shape_given or (layer.input_shape[1:] if layer.built else None)
        if any(each is layer for each in self._layers):
            raise ValueError(f"layer {layer.name!r} is in the model already: a chain has each layer once")
        taken = {each.name for each in self._layers}
        if layer.name in taken:
            base, number = layer.name, 1
            while f"{base}_{number}" in taken:
                number += 1
            layer._values["name"] = f"{base}_{number}"
        self._layers.append(layer)
        self._chain = None
        if self._shape is not None:
            self._build(self._shape, only=layer)

    def pop(self) -> Layer:
        """Take the last layer away."""
        self._chain = None
        return self._layers.pop()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or number."""
        if index is not None:
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ValueError(f"there is no layer {name!r}; there are {', '.join(each.name for each in self._layers)}")

    def build(self, input_shape: Any = None) -> None:
        """Make the network; `input_shape` is with the batch, as in Keras."""
        self._shape = check_shape(tuple(input_shape)[1:]) if input_shape is not None else self._shape
        if self._shape is None:
            raise ValueError("the model does not know what it takes: give build an input_shape, or an Input first")
        self._build(self._shape)

    def _build(self, shape: Shape, only: Layer | None = None) -> None:
        for layer in self._layers:
            if not layer.built:
                layer.make(shape, fresh_rng())
            elif tuple(layer.input_shape[1:])[-1:] != shape[-1:] and layer.made.weights:
                raise ValueError(
                    f"layer {layer.name!r} was built for {shown(layer.input_shape[1:])}, and is given {shown(shape)}"
                )
            shape = layer.made.shape
        if only is None:
            self._join()

    def _join(self) -> Chain:
        if not self._layers:
            raise ValueError("the model has no layers")
        layers = self._layers
        self._chain = join([each.config for each in layers], [each.made for each in layers])
        for layer in layers:
            if not layer.trainable:
                layer.trainable = False
        return self._chain

    def _made(self) -> Chain:
        if self._chain is None:
            self.build()
        assert self._chain is not None
        return self._chain

    @property
    def built(self) -> bool:
        """Whether there are weights."""
        return bool(self._layers) and all(layer.built for layer in self._layers)

    @property
    def core(self) -> Any:
        return self._made().model

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """With the batch, None."""
        if self._shape is None:
            raise ValueError("the model does not know what it takes yet")
        return (None, *self._shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """With the batch, None."""
        return (None, *self._made().built[-1].shape)

    @property
    def trainable(self) -> bool:
        """Whether training moves any weight; setting it sets all layers."""
        return any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._layers:
            layer.trainable = value

    def get_weights(self) -> list[Array]:
        """All weights in Keras's order and layout."""
        return [weight.get() for weight in self._made().weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from arrays in Keras's order and layout: all, or none."""
        set_weights(self._made().weights(), weights, "the model")

    def count_params(self) -> int:
        """How many numbers the weights hold, trained or not."""
        self._made()
        return sum(layer.count_params() for layer in self._layers)

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers, what they give, and how many numbers their weights hold."""
        self._made()
        rows = [(f"{each.name} ({each.kind})", each.output_shape, each.count_params()) for each in self._layers]
        trained = sum(layer.trained_params() for layer in self._layers)
        text = table(self.name, rows, trained)
        if print_fn is None:
            print(text)
        else:
            for line in text.splitlines():
                print_fn(line)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Inference on one batch; on an `Input`, the layers one after the other."""
        if isinstance(x, KerasTensor):
            for layer in self._layers:
                x = layer(x)
            return x
        if training:
            raise ValueError("training=True is not supported: model.core.forward(x, rng=...) is training")
        return self.core(self._prepared(x))

    def save(self, filepath: Any, overwrite: bool = True, **more: Any) -> None:
        """Write the model: as Keras's `.keras`, or with the name's end `.safetensors` as one of rnnfast's."""
        path = str(filepath)
        _check_overwrite(path, overwrite)
        if path.endswith(".safetensors"):
            self.core.save(path)
        elif path.endswith(".keras"):
            write_model(self._made(), self.input_shape[1:], path, self.name)
        else:
            raise ValueError(f"filepath must end with '.keras' or '.safetensors', got {path!r}")

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights as Keras's `.weights.h5`."""
        path = str(filepath)
        _check_overwrite(path, overwrite)
        if not path.endswith(".weights.h5"):
            raise ValueError(f"filepath must end with '.weights.h5', got {path!r}")
        write_weights(self._made(), path)

    def load_weights(self, filepath: Any, **more: Any) -> None:
        """Read weights from a `.weights.h5`, `.keras` or HDF5 file of the same layers."""
        only_usual(more)
        read_weights(filepath, self._made())

    def get_config(self) -> dict[str, Any]:
        """The layers as Keras's files hold them."""
        return plan(self._made(), self.input_shape[1:], self.name)["config"]

    def to_json(self, **more: Any) -> str:
        """Keras's JSON of the architecture."""
        return json.dumps(plan(self._made(), self.input_shape[1:], self.name), **more)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Sequential":
        """A new model of such layers."""
        found = architecture({"class_name": "Sequential", "config": config}, False)
        if found.shape is None:
            raise ValueError("the config does not say what the first layer takes")
        model = _of_chain(chain(found.configs, found.shape), found.shape, str(config.get("name", "sequential")))
        rng = fresh_rng()
        for weight in model._made().weights():
            weight.put(weight.initial(rng))
        return model

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"


class Model(Sequential):
    """A functional model that is one chain of layers: ``Model(inputs, outputs)``.

    Parameters
    ----------
    inputs : KerasTensor
        What `Input` gave.
    outputs : KerasTensor
        What the last layer gave.

    Raises
    ------
    ValueError
        For several inputs or outputs: `rnnfast.Graph` has those.

    Examples
    --------
    >>> from rnnfast.keras import Input, layers
    >>> inputs = Input((100, 50))
    >>> Model(inputs, layers.Dense(1)(layers.GRU(128)(inputs))).count_params()
    69249
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None):
        pair = [each[0] if isinstance(each, (list, tuple)) and len(each) == 1 else each for each in (inputs, outputs)]
        if not all(isinstance(each, KerasTensor) for each in pair):
            raise ValueError(
                "a Model takes one Input and what came of it; models of several inputs or outputs are those of "
                "rnnfast.Graph"
            )
        start, end = pair
        if end.layers[: len(start.layers)] != start.layers:
            raise ValueError("the outputs do not come from these inputs")
        super().__init__(name=name or "functional")
        self._shape = check_shape(start.shape[1:])
        for layer in end.layers[len(start.layers) :]:
            self.add(layer)
        self._build(self._shape)


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Sequential:
    """Read a `.keras` or HDF5 model without Keras. What it was compiled with is not read: call `compile`.

    Raises
    ------
    ValueError
        When the file is damaged, or holds a layer or an argument that is not supported; see
        `rnnfast.interop.keras.load`.
    """
    if custom_objects:
        raise ValueError("custom_objects are code of one's own, which cannot be layers here")
    made, found = load_chain(filepath)
    shape = found.shape
    if shape is None:
        first = made.model.input_shape[1:]
        shape = tuple(axis if isinstance(axis, int) else None for axis in first)
    return _of_chain(made, shape, "sequential")


def _of_chain(made: Chain, shape: Shape, name: str) -> Sequential:
    model = Sequential(name=name)
    model._shape = shape
    for config, built in zip(made.configs, made.built, strict=True):
        model._layers.append(Layer.from_built(config, shape, built))
        shape = built.shape
    model._chain = made
    return model


def _check_overwrite(path: str, overwrite: bool) -> None:
    import os

    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} is there already, and overwrite=False")


Functional = Model
