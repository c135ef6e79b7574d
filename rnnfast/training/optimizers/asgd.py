"""Averaged stochastic gradient descent, and its start when validation no longer improves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Unpack

import numpy as np

from rnnfast.layers._base import Block, Layer
from rnnfast.training.averaging import gathered, swapped
from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number
from rnnfast.training.optimizers._parts import trained_parts


class ASGD(Optimizer):
    """Stochastic gradient descent that keeps the mean of the weights (Polyak and Juditsky 1992; torch's ASGD).

    The rate of step t is learning_rate / (1 + shrink learning_rate (t - 1)) ** power, and the parameters are multiplied
    by 1 - shrink times that rate. The mean begins after `start` steps and is the weights themselves until then.

    Parameters
    ----------
    learning_rate : float or callable
    shrink : float
        Torch's lambd.
    power : float
        Torch's alpha.
    start : int
        Torch's t0.
    **common
        See `Optimizer`.
    """

    _rule = "asgd"
    _arrays = ("average",)

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        shrink: float = 1e-4,
        power: float = 0.75,
        start: int = 1_000_000,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.shrink, self.power, self.start = number(shrink, "shrink"), number(power, "power"), int(start)

    def _fresh(self, name: str, blocks: list[Block]) -> np.ndarray:
        return gathered(blocks)

    def _rate(self, rate: float) -> float:
        return rate / (1 + self.shrink * rate * (self.steps - 1)) ** self.power

    def _share(self) -> float:
        """Of the new weights in the mean."""
        return 1 / max(1, self.steps - 1 - self.start)

    def _shrink(self, rate: float) -> float:
        return 1 - self.shrink * self._rate(rate)

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return self._rate(rate), self._share()

    @contextmanager
    def averaged(self, model: Layer) -> Iterator[None]:
        """Inside, the model has the mean of its weights; afterwards, those that it had. For evaluating and saving.

        Frozen parameters stay as they are.
        """
        blocks = model.blocks()
        self._bind(model, blocks)
        wanted = gathered(blocks)
        for part in trained_parts(blocks):
            wanted[part.place] = self._state["average"][part.place]
        with swapped(blocks, wanted):
            yield


class NTASGD(ASGD):
    """SGD that starts to average its weights when validation no longer improves (Merity et al. 2018, algorithm 1).

    Parameters
    ----------
    learning_rate : float or callable
    patience : int
        Averaging starts when a value reported is worse than the best of all but the last `patience` before it. The
        paper's n.
    **common
        See `Optimizer`.

    Attributes
    ----------
    reports : list of float
    triggered_at : int or None
        The number of steps after which averaging began.

    Examples
    --------
    >>> optimizer = NTASGD(1.0, patience=2)
    >>> [optimizer.report(loss) for loss in (4.0, 5.0, 4.1, 4.2)]
    [False, False, False, True]
    """

    _kept: ClassVar = ("reports", "triggered_at")

    def __init__(self, learning_rate: Rate = 1.0, patience: int = 5, **common: Unpack[Common]):
        super().__init__(learning_rate, shrink=0.0, **common)
        if patience < 1:
            raise ValueError(f"patience must be 1 or more, got {patience}")
        self.patience = int(patience)
        self.reports: list[float] = []
        self.triggered_at: int | None = None

    def report(self, value: float) -> bool:
        """Tell the validation loss, smaller being better, after each epoch or every so many steps.

        Returns
        -------
        bool
            Whether weights are averaged from now on.
        """
        before = self.reports[: -self.patience]
        # What is no number has not improved.
        if self.triggered_at is None and before and not value <= min(before):
            self.triggered_at = self.steps
        self.reports.append(float(value))
        return self.triggered_at is not None

    def _share(self) -> float:
        # The weights at the trigger are the first of the mean.
        return 1.0 if self.triggered_at is None else 1 / (self.steps - self.triggered_at + 1)
