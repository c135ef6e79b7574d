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
from rnnfast.keras import callbacks as _callbacks
from rnnfast.keras import losses as _losses
from rnnfast.keras import metrics as _metrics
from rnnfast.keras import optimizers as _optimizers
from rnnfast.keras import regularizers as _regularizers
from rnnfast.keras._table import table
from rnnfast.keras._verbs import batches_of, stateful_evaluate, stateful_predict
from rnnfast.keras.layers import InputLayer, KerasTensor, Layer, check_shape, fresh_rng, set_weights
from rnnfast.layers import Embedding
from rnnfast.training.callbacks import PrintEpoch
from rnnfast.training.history import History

Array = np.ndarray


class Sequential:
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

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        **more: Any,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or optimizer
            "adam", ..., or one of `rnnfast.keras.optimizers` or `rnnfast.training.optimizers`.
        loss : str, loss or function
            By Keras's names, of probabilities; a function is one of rnnfast's, of (predictions, targets, mask).
        metrics : list of str or metric
        run_eagerly, jit_compile, steps_per_execution, auto_scale_loss
            Accepted; they change nothing.
        """
        usual = ("run_eagerly", "jit_compile", "steps_per_execution", "auto_scale_loss")
        unknown = [name for name in more if name not in usual]
        if unknown or loss_weights is not None or weighted_metrics:
            name = unknown[0] if unknown else "loss_weights" if loss_weights is not None else "weighted_metrics"
            raise TypeError(f"compile: {name!r} is not supported")
        self.optimizer = _optimizers.get(optimizer)
        self.loss = None if loss is None else _losses.get(loss)
        self.metrics = _metrics.get_all(metrics)

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` gives, by name."""
        return ["loss", *self.metrics]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        **more: Any,
    ) -> History:
        """Train, as `rnnfast.Sequential.fit` does.

        Parameters
        ----------
        x, y : array_like (N, ...)
            Or x gives batches (x, y).
        batch_size : int, optional
            32 unless told.
        epochs, callbacks, validation_split, validation_data, shuffle, class_weight, sample_weight, initial_epoch
            As in Keras.
        verbose : "auto", 0, 1 or 2
            A bar, nothing, a bar, or a line an epoch.
        **more
            Of `rnnfast.training.fit`: `seed`, `checkpoint`, `tbptt`, `accumulate` ... `validation_batch_size`,
            `validation_steps`, `validation_freq`, `workers` and the like are accepted only as they are by themselves.

        Returns
        -------
        History
        """
        _only_usual(more)
        x = self._prepared(x)
        self._compiled()
        self.stop_training = False
        listed = _callbacks.adapted(callbacks, self, epochs)
        stateful = self._stateful()
        seed = more.pop("seed", None)
        self._states = None
        self.history = self.core.fit(
            x,
            y,
            loss=self.loss,
            optimizer=self.optimizer,
            metrics=list(self.metrics.values()),
            epochs=epochs,
            batch_size=32 if batch_size is None else batch_size,
            validation_split=validation_split,
            validation_data=self._validation(validation_data),
            shuffle=bool(shuffle) and not stateful,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            stateful=stateful,
            regularizers=self._penalties(),
            callbacks=[*listed, PrintEpoch()] if verbose == 2 else listed,
            seed=fresh_rng() if seed is None else seed,
            verbose=verbose in ("auto", 1, True),
            **more,
        )
        return self.history

    def _validation(self, data: Any) -> Any:
        if not isinstance(data, tuple):
            return data
        x, y, *weights = data
        return (self._prepared(x), y, None, *weights) if weights else (self._prepared(x), y)

    def _compiled(self) -> None:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError("the model has not been compiled: call compile(optimizer=..., loss=...) first")

    def _prepared(self, x: Any) -> Any:
        """Data as the network takes them; it is built by them, where it has not been."""
        if hasattr(x, "__array__") or (isinstance(x, (list, tuple)) and x and not isinstance(x[0], str)):
            x = np.asarray(x)
            if self._chain is None:
                self.build(x.shape if self._shape is None else None)
            first = self.core.layers[0]
            if isinstance(first, Embedding) and x.dtype.kind in "fb":
                whole = x.astype(np.int64)
                if (whole != x).any():
                    raise ValueError("an Embedding takes whole numbers")
                x = whole
            wanted = self.input_shape
            if x.ndim == len(wanted) - 1 and wanted[-1] == 1:
                x = x[..., None]
            if x.ndim != len(wanted) or any(a not in (None, b) for a, b in zip(wanted[1:], x.shape[1:], strict=False)):
                raise ValueError(f"the model takes arrays of shape {wanted}, got {x.shape}")
        elif self._chain is None:
            self.build()
        return x

    def _penalties(self) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        names = {(id(block), inner): name for name, (block, inner) in self.core.slots().items()}
        for weight in self._made().weights():
            regularizer = _regularizers.get(weight.regularizer)
            if regularizer is None:
                continue
            for layer, ours in weight.ours:
                block, inner = layer.slots()[ours]
                found[names[id(block), inner]] = regularizer
        return found or None

    def _stateful(self) -> bool:
        return any(each.config.values.get("stateful") or _inner_stateful(each) for each in self._layers)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **more: Any,
    ) -> Any:
        """Loss and metrics: a list of them as Keras gives it, the loss alone where there are no metrics."""
        _only_usual(more)
        x = self._prepared(x)
        if self.loss is None:
            raise RuntimeError("the model has not been compiled: call compile(loss=...) first")
        size = 32 if batch_size is None else batch_size
        if self._stateful():
            found, self._states = stateful_evaluate(self.core, x, y, self.loss, self.metrics, size, self._states)
        else:
            found = self.core.evaluate(
                x, y, loss=self.loss, metrics=list(self.metrics.values()), sample_weight=sample_weight, batch_size=size
            )
        found["loss"] += sum(
            regularizer(self.core.params[name])[0] for name, regularizer in (self._penalties() or {}).items()
        )
        if return_dict:
            return found
        listed = [found[name] for name in self.metrics_names]
        return listed if len(listed) > 1 else listed[0]

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, **more: Any
    ) -> Array:
        """Outputs for all of x."""
        _only_usual(more)
        x = self._prepared(x)
        size = 32 if batch_size is None else batch_size
        if self._stateful():
            found, self._states = stateful_predict(self.core, x, size, self._states)
            return found
        if not isinstance(x, np.ndarray):
            return np.concatenate([self.core(self._prepared(each)) for each in batches_of(x, steps)])
        return self.core.predict(x, batch_size=size)

    def predict_on_batch(self, x: Any) -> Array:
        """Outputs for one batch."""
        return self.predict(x, batch_size=max(1, len(x)))

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, **more: Any) -> Any:
        """One step; the loss, and the metrics, before it."""
        history = self.fit(
            x, y, batch_size=max(1, len(x)), sample_weight=sample_weight, shuffle=False, verbose=0, **more
        )
        listed = [history.history[name][0] for name in self.metrics_names]
        return listed if len(listed) > 1 else listed[0]

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Loss and metrics of one batch."""
        return self.evaluate(x, y, batch_size=max(1, len(x)), sample_weight=sample_weight, verbose=0)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Inference on one batch; on an `Input`, the layers one after the other."""
        if isinstance(x, KerasTensor):
            for layer in self._layers:
                x = layer(x)
            return x
        if training:
            raise ValueError("training=True is not supported: model.core.forward(x, rng=...) is training")
        return self.core(self._prepared(x))

    def reset_states(self) -> None:
        """Forget what stateful layers remember."""
        self._states = None

    reset_state = reset_states

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
        _only_usual(more)
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


def _inner_stateful(layer: Layer) -> bool:
    inner = layer.config.values.get("layer")
    return isinstance(inner, Mapping) and bool(inner.get("config", {}).get("stateful"))


def _only_usual(more: dict[str, Any]) -> None:
    """Take out Keras's arguments that say what is done anyway, and refuse those that say something else."""
    for name, value in list(more.items()):
        if name in (
            "workers",
            "use_multiprocessing",
            "max_queue_size",
            "skip_mismatch",
            "reset_metrics",
            "validation_batch_size",
        ):
            if name == "skip_mismatch" and value:
                raise ValueError("skip_mismatch=True is not supported")
            del more[name]
        elif name in ("validation_steps", "validation_freq", "return_dict"):
            if value not in (None, 1, False):
                raise ValueError(f"{name}={value!r} is not supported")
            del more[name]


def _check_overwrite(path: str, overwrite: bool) -> None:
    import os

    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} is there already, and overwrite=False")


Functional = Model
