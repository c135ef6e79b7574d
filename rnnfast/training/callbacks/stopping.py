"""Callbacks that end a fit."""

import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.callbacks._base import Callback
from rnnfast.training.callbacks._monitor import Monitor


class EarlyStopping(Monitor):
    """End the fit when a figure has not become better for some epochs, and keep the best epoch's weights.

    Parameters
    ----------
    monitor : str
        The figure's name in the logs: "val_loss", "val_accuracy", "loss", ...
    patience : int
        How many epochs in a row without improvement end the fit; 0 is as 1.
    min_delta : float
        By how much the figure must be better than the best so far, to be better.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" knows losses and the metrics of this package by their names.
    restore_best : bool
        Whether the model gets the best epoch's weights and running statistics when the fit is over, also when no epochs
        are left or Ctrl-C ended it.
    baseline : float, optional
        Epochs count as improvement only when they are better than this, too. It has no say in which are the best.
    start_from : int
        The first epoch that counts, from 0.

    Attributes
    ----------
    best : float or None
    best_epoch : int or None
    stopped_epoch : int or None
        The epoch after which it has ended the fit.

    Notes
    -----
    As Keras's, but that restoring is the default, that a figure which is not a number is never the best, and that a
    name which is not in the logs is an error.

    Examples
    --------
    >>> import rnnfast
    >>> x = np.linspace(0, 1, 40).reshape(10, 4)
    >>> model = rnnfast.Sequential(rnnfast.Linear(4, 1, seed=0))
    >>> stopping = EarlyStopping("loss", patience=3, min_delta=1e-3)
    >>> how = {"loss": "mse", "optimizer": rnnfast.Adam(0.05), "epochs": 500, "seed": 0, "verbose": False}
    >>> history = model.fit(x, x[:, :1], callbacks=[stopping], **how)
    >>> len(history.epoch) == stopping.stopped_epoch + 1 == stopping.best_epoch + 4
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
        baseline: float | None = None,
        start_from: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience, self.start_from = (
            _check.size(patience, "patience", least=0),
            _check.size(start_from, "start_from", least=0),
        )
        self.restore_best = bool(restore_best)
        self.baseline = None if baseline is None else float(baseline)
        self._begin()

    def _begin(self) -> None:
        self.best = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self.waited = 0
        self.weights: dict[str, np.ndarray] | None = None

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        self.expect(run)
        self._begin()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        value = self.watched(logs)
        if epoch < self.start_from:
            return None
        self.waited += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                model = self.run.model
                self.weights = {name: np.array(each) for name, each in (*model.params.items(), *model.buffers.items())}
            if self.baseline is None or self.is_better(value, self.baseline):
                self.waited = 0
        if self.waited < max(self.patience, 1):
            return None
        self.stopped_epoch = epoch
        return True

    def on_train_end(self, run: Any) -> None:
        if self.weights is not None:
            run.model.set_weights(self.weights)
            self.weights = None

    def state(self) -> dict[str, Any]:
        return self.kept("best_epoch", "stopped_epoch", "waited", "weights")


class StopOnNaN(Callback):
    """End the fit when the mean loss is not finite any more, and say at which step.

    `fit` itself raises FloatingPointError when a gradient is not finite. This sees what has finite gradients: a loss
    that overflows, or a `val_loss`.

    Attributes
    ----------
    step : int or None
        The updates that had been made when the loss was found not to be finite.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self._seen = 0

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        self.step, self._seen = None, run.step

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        # Where nothing counted, nothing was updated, and the mean of nothing is nan.
        if run.step > self._seen and not math.isfinite(logs["loss"]):
            self._say(f"the loss is {logs['loss']} at step {run.step}, in epoch {run.epoch + 1}")
            run.stop = True
        self._seen = run.step

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        for name in ("loss", "val_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                self._say(f"{name} is {logs[name]} at the end of epoch {epoch + 1}, step {self.run.step}")
                return True
        return None

    def _say(self, what: str) -> None:
        self.step = self.run.step
        warnings.warn(f"{what}: the fit ends here", RuntimeWarning, stacklevel=3)


class TimeLimit(Callback):
    """End the fit after some time, within an epoch.

    The History has the epochs that were finished before. Of a fit that goes on from a checkpoint, the time before
    counts, too.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float):
        self.seconds = _check.not_negative(seconds, "seconds")
        self._begun, self._before = time.monotonic(), 0.0

    @property
    def used(self) -> float:
        """Seconds since the fit began, without those between a checkpoint and going on from it."""
        return self._before + time.monotonic() - self._begun

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        self._begun, self._before = time.monotonic(), 0.0

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        if self.used >= self.seconds:
            run.stop = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.on_batch_end(self.run, logs)

    def state(self) -> dict[str, Any]:
        return {"used": self.used}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._before = float(state["used"])
