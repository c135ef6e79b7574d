"""Lion."""

from typing import Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): every step has the learning rate's size, and its sign from the momentum.

    p' = p - learning_rate sign(beta1 m + (1 - beta1) g), m' = beta2 m + (1 - beta2) g; decay is decoupled.

    Parameters
    ----------
    learning_rate : float or callable
        A third to a tenth of Adam's.
    beta1, beta2 : float
        In [0, 1).
    **common
        See `Optimizer`.
    """

    _rule = "lion"
    _arrays = ("m",)

    def __init__(self, learning_rate: Rate = 1e-4, beta1: float = 0.9, beta2: float = 0.99, **common: Unpack[Common]):
        common.setdefault("decoupled", True)
        super().__init__(learning_rate, **common)
        self.beta1, self.beta2 = number(beta1, "beta1", below=1.0), number(beta2, "beta2", below=1.0)

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return rate, self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2
