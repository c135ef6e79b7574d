"""Keras's callbacks: its arguments over ours, and its hooks for those of one's own."""

from collections.abc import Callable, Mapping
from typing import Any

from rnnfast.training import History  # noqa: F401 - listed below
from rnnfast.training import callbacks as _ours

__all__ = [
    *("CSVLogger", "Callback", "EarlyStopping", "History", "LambdaCallback"),
    *("LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN"),
]


class Callback(_ours.Callback):
    """Base of callbacks with Keras's hooks, which all end with `logs=None`.

    Attributes
    ----------
    model : Sequential
        The Keras-shaped model; ``self.model.stop_training = True`` ends the fit.
    params : dict
        `epochs`.
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Hear of the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Hear of the fit."""
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """The fit begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """The fit is over."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # type: ignore[override]
        """An epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """An epoch is over."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """The weights have been moved."""


class LambdaCallback(Callback):
    """Functions as hooks."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
    ):
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in given.items():
            if function is not None:
                setattr(self, name, function)


class Hooks(_ours.Callback):
    """A callback of Keras's kind, called by our fit."""

    def __init__(self, inner: Any, model: Any, epochs: int):
        self.inner, self.model = inner, model
        if hasattr(inner, "set_model"):
            inner.set_model(model)
        if hasattr(inner, "set_params"):
            inner.set_params({"epochs": epochs})
        self._batch = 0

    def _call(self, name: str, *args: Any) -> Any:
        hook = getattr(self.inner, name, None)
        return hook(*args) if hook is not None else None

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        self._call("on_train_begin", {})

    def on_epoch_begin(self, run: Any) -> None:
        self._batch = 0
        self._call("on_epoch_begin", run.epoch, {})

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        self._call("on_train_batch_end", self._batch, dict(logs))
        self._batch += 1
        if self.model.stop_training:
            run.stop = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        self._call("on_epoch_end", epoch, logs)
        return True if self.model.stop_training else None

    def on_train_end(self, run: Any) -> None:
        self._call("on_train_end", {})


class EarlyStopping(_ours.EarlyStopping):
    """End the fit when a figure has not become better; Keras's defaults: a patience of 0, nothing restored."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(
            monitor, patience, abs(min_delta), _mode(mode, monitor), restore_best_weights, baseline, start_from_epoch
        )
        self.restore_best_weights = restore_best_weights


class ReduceLROnPlateau(_ours.ReduceOnPlateau):
    """Lower the learning rate when a figure has not become better."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, factor, patience, cooldown, min_lr, min_delta, _mode(mode, monitor))


class LearningRateScheduler(_ours.LearningRateScheduler):
    """The learning rate of each epoch, by a function of the epoch, or of the epoch and the rate."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        super().__init__(schedule)


class CSVLogger(_ours.CSVLogger):
    """Write a line of figures at the end of each epoch."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False):
        super().__init__(filename, separator, append)


class TerminateOnNaN(_ours.StopOnNaN):
    """End the fit when the loss is not finite any more."""


class ModelCheckpoint(_ours.ModelCheckpoint):
    """Save the model at the end of each epoch, or of the best: as `.keras`, `.weights.h5` or `.safetensors`."""

    model: Any = None

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
    ):
        if save_freq != "epoch":
            raise ValueError(f"save_freq must be 'epoch', got {save_freq!r}")
        super().__init__(filepath, monitor, save_best_only, _mode(mode, monitor))
        if save_weights_only and not self.path.endswith(".weights.h5"):
            raise ValueError(f"with save_weights_only filepath must end with '.weights.h5', got {self.path!r}")
        self.save_weights_only = bool(save_weights_only)

    def set_model(self, model: Any) -> None:
        """Hear of the model."""
        self.model = model

    def write(self, path: str, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the model."""
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)


def _mode(mode: str, monitor: str) -> str:
    """Whether less is better; as in Keras, it is unless the figure's name says otherwise."""
    if mode != "auto":
        return mode
    more = ("acc", "accuracy", "auc", "precision", "recall", "f1", "r2")
    return "max" if monitor.endswith(more) else "min"


def adapted(callbacks: Any, model: Any, epochs: int) -> list[Any]:
    """Callbacks as our fit takes them."""
    listed = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    found: list[Any] = []
    for each in listed:
        if isinstance(each, ModelCheckpoint):
            each.set_model(model)
        keras_like = isinstance(each, Callback) or not (isinstance(each, _ours.Callback) or callable(each))
        found.append(Hooks(each, model, epochs) if keras_like else each)
    return found
