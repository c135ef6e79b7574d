"""Adadelta."""

from typing import Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1): g times the root of the past changes' mean square over that of g's.

    Parameters
    ----------
    learning_rate : float or callable
        Multiplies the step; the paper has none, that is 1.
    rho : float
        In [0, 1): how slowly the means move.
    epsilon : float
        Added inside both roots.
    **common
        See `Optimizer`.
    """

    _rule = "adadelta"
    _arrays = ("v", "changes")

    def __init__(self, learning_rate: Rate = 1.0, rho: float = 0.9, epsilon: float = 1e-6, **common: Unpack[Common]):
        super().__init__(learning_rate, **common)
        self.rho, self.epsilon = number(rho, "rho", below=1.0), number(epsilon, "epsilon")

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return rate, self.rho, 1 - self.rho, self.epsilon
