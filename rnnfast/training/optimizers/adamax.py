"""Adamax."""

from typing import Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Adamax(Optimizer):
    """Adam by the largest gradient instead of the mean square (Kingma and Ba 2015, algorithm 2).

    u' = max(beta2 u, |g| + epsilon), p' = p - learning_rate / (1 - beta1 ** t) m' / u'.

    Parameters
    ----------
    learning_rate : float or callable
    beta1, beta2 : float
        In [0, 1): how slowly the mean of g moves and the largest |g| fades.
    epsilon : float
        Added to |g|; Keras adds it to u'.
    **common
        See `Optimizer`.
    """

    _rule = "adamax"
    _arrays = ("m", "u")

    def __init__(
        self,
        learning_rate: Rate = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.beta1, self.beta2 = number(beta1, "beta1", below=1.0), number(beta2, "beta2", below=1.0)
        self.epsilon = number(epsilon, "epsilon")

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return rate / (1 - self.beta1**self.steps), 1 - self.beta1, self.beta2, self.epsilon
