"""Callbacks that set the learning rate. One that changes with every step is the optimizer's, as a schedule."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from rnnfast.layers import _check
from rnnfast.training.callbacks._base import Callback
from rnnfast.training.callbacks._monitor import Monitor


class ReduceOnPlateau(Monitor):
    """Lower the learning rate when a figure has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        The figure's name in the logs.
    factor : float
        What the rate is multiplied by, above 0 and below 1.
    patience : int
        How many epochs in a row without improvement lower it; 0 is as 1.
    cooldown : int
        How many epochs it then takes before epochs are counted again, the last of which counts.
    min_rate : float
        The rate is not lowered below this.
    min_delta : float
        By how much the figure must be better than the best so far, to be better.
    mode : "auto", "min" or "max"
        As of `EarlyStopping`.

    Raises
    ------
    TypeError
        When the fit begins, and the optimizer's learning rate is a schedule.

    Notes
    -----
    These are the rules of Keras's ReduceLROnPlateau. PyTorch's lowers the rate one epoch later with the same patience
    (after `patience + 1` epochs), takes `threshold` as a share of the best figure, and does not count any epoch of the
    cooldown. Unlike both, a figure that is not a number is never the best.

    Examples
    --------
    >>> callback = ReduceOnPlateau("val_loss", factor=0.5, patience=3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        cooldown: int = 0,
        min_rate: float = 0.0,
        min_delta: float = 1e-4,
        mode: str = "auto",
    ):
        super().__init__(monitor, mode, min_delta)
        self.factor = _check.not_negative(factor, "factor")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be above 0 and below 1, got {factor!r}")
        self.patience, self.cooldown = (
            _check.size(patience, "patience", least=0),
            _check.size(cooldown, "cooldown", least=0),
        )
        self.min_rate = _check.not_negative(min_rate, "min_rate")
        self.waited = self.cooling = 0

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        if callable(run.optimizer.learning_rate):
            raise TypeError("ReduceOnPlateau needs a learning rate that is a number, the optimizer's is a schedule")
        self.expect(run)
        self.best, self.waited, self.cooling = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        value = self.watched(logs)
        if self.cooling:
            self.cooling -= 1
            self.waited = 0
        if self.is_better(value, self.best):
            self.best, self.waited = value, 0
            return
        if self.cooling:
            return
        self.waited += 1
        rate = self.run.optimizer.learning_rate
        if self.waited >= self.patience and rate > self.min_rate:
            self.run.optimizer.learning_rate = max(rate * self.factor, self.min_rate)
            self.waited, self.cooling = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        return {**self.kept("waited", "cooling"), "rate": self.run.optimizer.learning_rate}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state({name: value for name, value in state.items() if name != "rate"})
        self.run.optimizer.learning_rate = state["rate"]


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Parameters
    ----------
    schedule : callable
        Of the epoch, from 0, or of the epoch and the rate as it is; gives the rate.

    Raises
    ------
    ValueError
        When it gives what is no finite number of at least 0.

    Examples
    --------
    >>> callback = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else 0.9 * rate)
    """

    def __init__(self, schedule: Callable[..., float]):
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of the epoch, got {schedule!r}")
        self.schedule = schedule
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, run: Any) -> None:
        rate = run.optimizer.learning_rate
        if self._takes_rate and callable(rate):
            raise TypeError("a schedule of (epoch, rate) needs a rate that is a number, the optimizer's is a schedule")
        found = self.schedule(run.epoch, rate) if self._takes_rate else self.schedule(run.epoch)
        try:
            number = float(found)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"the schedule must give a finite rate of at least 0, got {found!r} in epoch {run.epoch}")
        run.optimizer.learning_rate = number

    def state(self) -> dict[str, Any]:
        rate = self.run.optimizer.learning_rate
        return {"rate": None if callable(rate) else rate}

    def load_state(self, state: Mapping[str, Any]) -> None:
        # Within an epoch, whose beginning a fit that goes on from a checkpoint does not see.
        if state["rate"] is not None:
            self.run.optimizer.learning_rate = state["rate"]


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):
        return False
    return True
