"""Adagrad."""

from typing import Unpack

import numpy as np

from rnnfast.layers._base import Block
from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): v' = v + g², p' = p - learning_rate g / (sqrt(v') + epsilon).

    Parameters
    ----------
    learning_rate : float or callable
    initial : float
        What v starts with; Keras starts with 0.1.
    epsilon : float
        Added to the root; Keras adds it inside.
    **common
        See `Optimizer`.
    """

    _rule = "adagrad"
    _arrays = ("v",)

    def __init__(
        self, learning_rate: Rate = 1e-2, initial: float = 0.0, epsilon: float = 1e-10, **common: Unpack[Common]
    ):
        super().__init__(learning_rate, **common)
        self.initial, self.epsilon = number(initial, "initial"), number(epsilon, "epsilon")

    def _fresh(self, name: str, blocks: list[Block]) -> np.ndarray:
        return super()._fresh(name, blocks) + self.initial

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return rate, self.epsilon
