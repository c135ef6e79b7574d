"""Stochastic gradient descent."""

from typing import Unpack

from rnnfast.training.optimizers._base import Optimizer, Rate, Rest, number


class SGD(Optimizer):
    """Stochastic gradient descent: v' = momentum v + g, p' = p - learning_rate v'.

    Parameters
    ----------
    learning_rate : float or callable
    momentum : float
        In [0, 1); 0 keeps no velocity.
    nesterov : bool
        Steps by g + momentum v' (Sutskever et al. 2013, section 2).
    weight_decay, clip_norm, **rest
        See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        **rest: Unpack[Rest],
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, clip_norm=clip_norm, **rest)
        self.momentum = number(momentum, "momentum", below=1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum larger than 0")
        self._rule = "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"
        self._arrays = ("velocity",) if self.momentum else ()

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return (rate, self.momentum) if self.momentum else (rate,)
