"""Nadam."""

import math
from typing import ClassVar, Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2).

    The momentum of step t is mu_t = beta1 (1 - 0.96 ** (t momentum_decay) / 2).

    Parameters
    ----------
    learning_rate : float or callable
    beta1, beta2, epsilon : float
        As of `Adam`.
    momentum_decay : float
        How fast the momentum rises. Torch's value; Keras has 1.
    **common
        See `Optimizer`.
    """

    _rule = "nadam"
    _arrays = ("m", "v")
    _kept: ClassVar = ("momentum_product",)

    def __init__(
        self,
        learning_rate: Rate = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.beta1, self.beta2 = number(beta1, "beta1", below=1.0), number(beta2, "beta2", below=1.0)
        self.epsilon, self.momentum_decay = number(epsilon, "epsilon"), number(momentum_decay, "momentum_decay")
        self.momentum_product = 1.0

    def _momentum(self, step: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _begin(self) -> None:
        self.momentum_product *= self._momentum(self.steps)

    def _numbers(self, rate: float) -> tuple[float, ...]:
        now, then = self._momentum(self.steps), self._momentum(self.steps + 1)
        root = math.sqrt(1 - self.beta2**self.steps)
        return (
            rate * then / (1 - self.momentum_product * then),
            *(1 - self.beta1, self.beta2, 1 - self.beta2, 1 / root, self.epsilon),
            rate * (1 - now) / (1 - self.momentum_product),
        )
