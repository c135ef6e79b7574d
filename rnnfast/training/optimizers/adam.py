"""Adam, and AdamW."""

import math
from typing import Unpack

from rnnfast.training.optimizers._base import Optimizer, Rate, Rest, number


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1): steps of one size whatever the gradients' scale.

    Parameters
    ----------
    learning_rate : float or callable
    beta1, beta2 : float
        In [0, 1): how slowly the means of g and g² move.
    epsilon : float
        Added to the root of the mean of g².
    weight_decay, clip_norm, **rest
        See `Optimizer`.
    amsgrad : bool
        The greatest mean of g² so far takes its place (Reddi et al. 2018, algorithm 2).
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        *,
        amsgrad: bool = False,
        **rest: Unpack[Rest],
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, clip_norm=clip_norm, **rest)
        self.beta1, self.beta2 = number(beta1, "beta1", below=1.0), number(beta2, "beta2", below=1.0)
        self.epsilon, self.amsgrad = number(epsilon, "epsilon"), bool(amsgrad)
        self._rule = "amsgrad" if self.amsgrad else "adam"
        self._arrays = ("m", "v", "greatest") if self.amsgrad else ("m", "v")

    def _numbers(self, rate: float) -> tuple[float, ...]:
        correction1, correction2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        return (
            *(rate / correction1, 1 - self.beta1, self.beta2, 1 - self.beta2),
            *(1 / math.sqrt(correction2), self.epsilon),
        )


class AdamW(Adam):
    """Adam whose decay shrinks the parameters and stays out of the means (Loshchilov and Hutter 2019, algorithm 2).

    Parameters
    ----------
    learning_rate : float or callable
    beta1, beta2, epsilon, amsgrad
        See `Adam`.
    weight_decay, clip_norm, **rest
        See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 1e-2,
        clip_norm: float | None = None,
        *,
        amsgrad: bool = False,
        **rest: Unpack[Rest],
    ):
        rest.setdefault("decoupled", True)
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm, amsgrad=amsgrad, **rest)
