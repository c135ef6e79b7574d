"""What a Keras-shaped model does with data: compile, fit, evaluate, predict."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.interop.keras._chain import Chain
from rnnfast.keras import callbacks as _callbacks
from rnnfast.keras import losses as _losses
from rnnfast.keras import metrics as _metrics
from rnnfast.keras import optimizers as _optimizers
from rnnfast.keras import regularizers as _regularizers
from rnnfast.keras._verbs import batches_of, stateful_evaluate, stateful_predict
from rnnfast.keras.layers import Layer, fresh_rng
from rnnfast.layers import Embedding
from rnnfast.training.callbacks import PrintEpoch
from rnnfast.training.history import History

Array = np.ndarray


class Trained:
    """The verbs of a model, which has a network of ours, `core`."""

    core: Any
    input_shape: Any
    optimizer: Any = None
    loss: Any = None
    metrics: dict[str, Any]
    history: History | None = None
    stop_training: bool = False
    _chain: Chain | None
    _shape: Any
    _layers: list[Layer]
    _states: Any = None

    def build(self, input_shape: Any = None) -> None:
        """Make the network."""
        raise NotImplementedError

    def _made(self) -> Chain:
        raise NotImplementedError

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
        only_usual(more)
        x = self._prepared(x)
        self._compiled()
        if class_weight is not None and isinstance(self.loss, _losses.CategoricalCrossentropy):
            raise ValueError(
                "class_weight goes by whole numbers: give those as targets, with 'sparse_categorical_crossentropy'"
            )
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
        data = tuple(data) if isinstance(data, list) and 2 <= len(data) <= 3 else data
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
        only_usual(more)
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
        only_usual(more)
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

    def reset_states(self) -> None:
        """Forget what stateful layers remember."""
        self._states = None

    reset_state = reset_states


def _inner_stateful(layer: Layer) -> bool:
    inner = layer.config.values.get("layer")
    return isinstance(inner, Mapping) and bool(inner.get("config", {}).get("stateful"))


def only_usual(more: dict[str, Any]) -> None:
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
