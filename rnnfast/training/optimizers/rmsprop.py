"""RMSprop."""

from typing import Unpack

from rnnfast.training.optimizers._base import Common, Optimizer, Rate, number


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e): the step is g over the root of its mean square.

    v' = alpha v + (1 - alpha) g², p' = p - learning_rate g / (sqrt(v') + epsilon).

    Parameters
    ----------
    learning_rate : float or callable
    alpha : float
        In [0, 1): how slowly the mean of g² moves.
    epsilon : float
        Added to the root; Keras adds it inside.
    momentum : float
        In [0, 1): of the steps, before learning_rate multiplies them.
    centered : bool
        The root of g's variance takes the place of that of its square (Graves 2013, equations 38 to 45).
    **common
        See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        alpha: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        **common: Unpack[Common],
    ):
        super().__init__(learning_rate, **common)
        self.alpha, self.epsilon = number(alpha, "alpha", below=1.0), number(epsilon, "epsilon")
        self.momentum, self.centered = number(momentum, "momentum", below=1.0), bool(centered)
        self._rule = "rmsprop" + "_centered" * self.centered + "_momentum" * bool(self.momentum)
        self._arrays = ("v", *("mean",) * self.centered, *("velocity",) * bool(self.momentum))

    def _numbers(self, rate: float) -> tuple[float, ...]:
        numbers = (rate, self.alpha, 1 - self.alpha, self.epsilon)
        return (*numbers, self.momentum) if self.momentum else numbers
