"""Callbacks, called: functions of (epoch, logs), and objects with some of the hooks."""

from collections.abc import Iterable
from typing import Any

_HOOKS = ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end")


class Calls:
    """The callbacks of a fit; each hook calls all that have it, in order.

    Parameters
    ----------
    callbacks : iterable, one callback, or None
        See `rnnfast.training.fit.fit`.

    Raises
    ------
    TypeError
        For one that is a class, or neither callable nor has a hook.
    """

    def __init__(self, callbacks: Iterable[Any] | Any):
        alone = callable(callbacks) or _has_hook(callbacks)
        self._callbacks: list[Any] = [callbacks] if alone else list(() if callbacks is None else callbacks)
        for each in self._callbacks:
            if isinstance(each, type):
                raise TypeError(f"a callback must be an object, got the class {each.__name__}: make one of it")
            if not callable(each) and not _has_hook(each):
                raise TypeError(f"a callback must be callable or have one of {', '.join(_HOOKS)}, got {each!r}")
        self._by_batch = [each for each in self._callbacks if hasattr(each, "on_batch_end")]

    def begin(self, run: Any) -> None:
        """The run begins, or goes on."""
        for each in self._callbacks:
            if hasattr(each, "on_train_begin"):
                each.on_train_begin(run)

    def epoch_begins(self, run: Any) -> None:
        """An epoch begins; one that is resumed has begun before."""
        for each in self._callbacks:
            if hasattr(each, "on_epoch_begin"):
                each.on_epoch_begin(run)

    def batch_ends(self, run: Any) -> None:
        """The parameters have been moved."""
        if self._by_batch:
            logs = {"loss": run.means.loss, "norm": run.norm}
            for each in self._by_batch:
                each.on_batch_end(run, logs)

    def epoch_ends(self, epoch: int, logs: dict[str, float]) -> bool:
        """An epoch is over; whether one of them, all of which are called, ends the fit."""
        found = []
        for each in self._callbacks:
            hook = getattr(each, "on_epoch_end", None if _has_hook(each) else each)
            if hook is not None:
                found.append(hook(epoch, logs) is True)
        return any(found)

    def end(self, run: Any) -> None:
        """The run is over."""
        for each in self._callbacks:
            if hasattr(each, "on_train_end"):
                each.on_train_end(run)

    def state(self) -> list[Any]:
        """What each of them has gathered, None for one that says nothing of it."""
        return [each.state() if hasattr(each, "state") else None for each in self._callbacks]

    def load_state(self, states: list[Any]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        ValueError
            When there were others then.
        """
        if len(states) != len(self._callbacks):
            raise ValueError(f"it was written with {len(states)} callbacks, now there are {len(self._callbacks)}")
        for each, state in zip(self._callbacks, states, strict=True):
            if state is not None:
                each.load_state(state)


def _has_hook(callback: Any) -> bool:
    return any(hasattr(callback, hook) for hook in _HOOKS)
