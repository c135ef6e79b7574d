"""What callbacks are."""

from collections.abc import Callable, Mapping
from typing import Any


class Callback:
    """What is called while a model is fitted: a class of your own defines some of these methods.

    Callbacks are called in their order; each method may read and change the run. A function of (epoch, logs) is a
    callback, too: it is called at the end of each epoch.

    Attributes
    ----------
    run : Run
        The run that goes on, or went on last: `run.model`, `run.optimizer`, `run.history`, `run.epoch` (from 0),
        `run.step` (updates so far), and `run.stop`, which may be set to end the fit after this step.

    Examples
    --------
    >>> import numpy as np, rnnfast
    >>> class Norms(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, sorted(logs), np.linalg.norm(self.run.model.params["0.weight"]) > 0)
    >>> model = rnnfast.Sequential(rnnfast.Linear(2, 1, seed=0))
    >>> x = np.ones((3, 2))
    >>> model.fit(x, x[:, :1], loss="mse", callbacks=[Norms()], verbose=False)
    0 ['loss'] True
    History(1 epochs: loss ...)
    """

    run: Any = None

    def on_train_begin(self, run: Any) -> None:
        """The fit begins, or goes on from a checkpoint: `load_state` is called after this, then."""
        self.run = run

    def on_epoch_begin(self, run: Any) -> None:
        """An epoch begins."""

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        """The parameters have been moved; `logs` has the epoch's mean `loss` so far."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        """An epoch is over.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : dict of str to float
            `loss` and each metric by name, and the same with `val_` in front where there are data to validate on.

        Returns
        -------
        bool or None
            True ends the fit.
        """
        return None

    def on_train_end(self, run: Any) -> None:
        """The fit is over, by whatever way but an error."""

    def state(self) -> dict[str, Any]:
        """What must be kept so that a fit that goes on from a checkpoint ends as if it had never stopped.

        Numbers, strings, None, lists and mappings of these, and arrays.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""


class LambdaCallback(Callback):
    """Functions of your own as the methods of a `Callback`.

    Parameters
    ----------
    on_train_begin, on_epoch_begin, on_train_end : callable, optional
        Of (run).
    on_batch_end : callable, optional
        Of (run, logs).
    on_epoch_end : callable, optional
        Of (epoch, logs); True ends the fit.

    Examples
    --------
    >>> steps = []
    >>> callback = LambdaCallback(on_batch_end=lambda run, logs: steps.append(run.step))
    """

    def __init__(
        self,
        on_train_begin: Callable[..., Any] | None = None,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
    ):
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_batch_end": on_batch_end,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        for hook, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{hook} must be a function, got {function!r}")
            setattr(self, hook, function)
