"""Rprop."""

from typing import Unpack

import numpy as np

from rnnfast.layers._base import Block
from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Rprop(Optimizer):
    """Resilient back-propagation (Riedmiller and Braun 1993): a step grows while its gradient's sign stays.

    For gradients of the whole data, not of batches.

    Parameters
    ----------
    learning_rate : float or callable
        The size of the first step; later ones do not depend on it.
    shrink, grow : float
        Factors of the size where the sign has turned, and where it has stayed.
    least, most : float
        Bounds of the size.
    **common
        See `Optimizer`.
    """

    _rule = "rprop"
    _arrays = ("before", "sizes")

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        shrink: float = 0.5,
        grow: float = 1.2,
        least: float = 1e-6,
        most: float = 50.0,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.shrink, self.grow = number(shrink, "shrink", below=1.0), number(grow, "grow")
        self.least, self.most = number(least, "least"), number(most, "most")
        if self.rates:
            raise ValueError("rates have no meaning for Rprop, whose steps have sizes of their own")

    def _fresh(self, name: str, blocks: list[Block]) -> np.ndarray:
        return super()._fresh(name, blocks) + (self.current_rate() if name == "sizes" else 0)

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return self.shrink, self.grow, self.least, self.most
