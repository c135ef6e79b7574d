"""RAdam."""

import math
from typing import Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class RAdam(Optimizer):
    """Rectified Adam (Liu et al. 2020, algorithm 2): momentum alone until the mean of g² can be trusted.

    Parameters
    ----------
    learning_rate : float or callable
    beta1, beta2, epsilon : float
        As of `Adam`; epsilon is added before the bias of the root is corrected, as torch does.
    **common
        See `Optimizer`.
    """

    _rule = "adam"
    _arrays = ("m", "v")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.beta1, self.beta2 = number(beta1, "beta1", below=1.0), number(beta2, "beta2", below=1.0)
        self.epsilon = number(epsilon, "epsilon")

    def _numbers(self, rate: float) -> tuple[float, ...]:
        correction1, correction2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        rate, most = rate / correction1, 2 / (1 - self.beta2) - 1
        length = most - 2 * self.steps * self.beta2**self.steps / correction2
        means = (1 - self.beta1, self.beta2, 1 - self.beta2)
        if length <= 5:
            # The root times 0, plus 1: no division by it.
            return (rate, *means, 0.0, 1.0)
        rectified = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        return (rate * math.sqrt(rectified * correction2), *means, 1.0, self.epsilon)
