"""Watching one figure for improvement."""

import math
from collections.abc import Mapping
from typing import Any

from rnnfast.layers import _check
from rnnfast.training.callbacks._base import Callback

_MORE = ("accuracy", "acc", "auc", "precision", "recall", "f1", "r2", "bleu", "confusion_matrix")
_LESS = ("loss", "mae", "mse", "rmse", "mape", "smape", "mase", "perplexity", "edit_distance", "wer", "cer", "error")


class Monitor(Callback):
    """Base of the callbacks that watch a figure of the logs.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    mode : "auto", "min" or "max"
        Whether less or more of it is better; "auto" knows losses and the metrics of this package, by the end of the
        name.
    min_delta : float
        By how much it must be better, to be better.

    Attributes
    ----------
    best : float or None
        The best so far; None before the first figure that is a number.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float):
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a figure in the logs, got {monitor!r}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            is_more, is_less = (monitor.endswith(tuple(names)) for names in (_MORE, _LESS))
            if not (is_more or is_less):
                raise ValueError(f"mode='auto' does not know whether more of {monitor!r} is better: say 'min' or 'max'")
            mode = "max" if is_more else "min"
        self.monitor, self.mode = monitor, mode
        self.min_delta = _check.not_negative(min_delta, "min_delta")
        self.best: float | None = None

    def expect(self, run: Any) -> None:
        """Refuse, before the first epoch, to wait for a figure of data to validate on where there are none."""
        figure = self.monitor.removeprefix("val_")
        if figure != self.monitor and figure in run.means.logs() and not run.validates:
            what = "fit needs validation_split or validation_data"
            raise ValueError(f"{type(self).__name__}: there will be no {self.monitor!r}: {what}")

    def watched(self, logs: Mapping[str, float]) -> float:
        """The figure.

        Raises
        ------
        ValueError
            When it is not in the logs.
        """
        if self.monitor not in logs:
            hint = " (data to validate on give those with val_)" if self.monitor.startswith("val_") else ""
            names = ", ".join(map(repr, logs)) or "nothing"
            raise ValueError(f"{type(self).__name__}: there is no {self.monitor!r} in the logs, but {names}{hint}")
        return float(logs[self.monitor])

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether it is better by more than `min_delta`; what is not a number never is."""
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value < than - self.min_delta if self.mode == "min" else value > than + self.min_delta

    def kept(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", *names)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
