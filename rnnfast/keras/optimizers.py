"""Keras's optimizers: its arguments, its defaults and its epsilons over ours."""

import math
from typing import Any

from rnnfast.layers._base import Block
from rnnfast.training import optimizers as _ours
from rnnfast.training.schedules import Schedule


class _Keras:
    """What differs from ours: a GRU's pair of biases is one of Keras's weights, and clipped as one."""

    @staticmethod
    def _clipped_alone(block: Block, name: str) -> tuple[Block, str]:
        return block, name.replace("bias_ih", "bias").replace("bias_hh", "bias")


def _common(more: dict[str, Any]) -> dict[str, Any]:
    """Keras's arguments that every optimizer takes, as ours."""
    found: dict[str, Any] = {}
    clips = {"clipnorm": "clip_tensor_norm", "clipvalue": "clip_value", "global_clipnorm": "clip_norm"}
    given = [name for name in clips if more.get(name) is not None]
    if len(given) > 1:
        raise ValueError(f"only one of {', '.join(clips)} can be set, got {' and '.join(given)}")
    for name, value in more.items():
        if name in clips:
            found[clips[name]] = value
        elif name == "weight_decay":
            if value:
                found.update(weight_decay=value, decoupled=True)
        elif name in ("name", "jit_compile", "is_legacy_optimizer"):
            continue
        elif name in ("use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"):
            if value and name == "use_ema":
                raise ValueError("use_ema is not supported: rnnfast.EMA is a callback that does it")
            if value and name == "loss_scale_factor":
                raise ValueError("loss_scale_factor is not supported, and float32 needs none")
        elif name == "gradient_accumulation_steps":
            if value:
                raise ValueError("gradient_accumulation_steps is not supported: fit(accumulate=...) of rnnfast does it")
        else:
            raise TypeError(f"there is no argument {name!r}")
    return found


class SGD(_Keras, _ours.SGD):
    """p' = p - learning_rate g, or with momentum."""

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **more: Any):
        super().__init__(learning_rate, momentum, nesterov and momentum > 0, **_common(more))


class _Root:
    """Adam's epsilon as Keras has it: added before the mean square is corrected, the smaller the step."""

    epsilon: float
    beta2: float
    steps: int

    def _raised(self, numbers: tuple[float, ...]) -> tuple[float, ...]:
        return (*numbers[:-1], self.epsilon / math.sqrt(1 - self.beta2**self.steps))


class Adam(_Keras, _Root, _ours.Adam):
    """Adam with an epsilon of 1e-7, added before the correction (Kingma and Ba 2015, below algorithm 1)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **more: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad=amsgrad, **_common(more))
        self.beta_1, self.beta_2 = self.beta1, self.beta2

    def _numbers(self, rate: float) -> tuple[float, ...]:
        return self._raised(super()._numbers(rate))


class AdamW(Adam):
    """Adam whose decay shrinks the weights."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **more: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **more)


class RMSprop(_Keras, _ours.RMSprop):
    """RMSprop; its epsilon is added to the root, where Keras adds it inside."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **more: Any,
    ):
        super().__init__(learning_rate, rho, epsilon, momentum, centered, **_common(more))
        self.rho = self.alpha


class Adagrad(_Keras, _ours.Adagrad):
    """Adagrad; its epsilon is added to the root, where Keras adds it inside."""

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, **more: Any
    ):
        super().__init__(learning_rate, initial_accumulator_value, epsilon, **_common(more))
        self.initial_accumulator_value = initial_accumulator_value


class Adadelta(_Keras, _ours.Adadelta):
    """Adadelta."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **more: Any):
        super().__init__(learning_rate, rho, epsilon, **_common(more))


class Adamax(_Keras, _ours.Adamax):
    """Adam by the largest gradient."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **more: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **_common(more))
        self.beta_1, self.beta_2 = self.beta1, self.beta2


class Nadam(_Keras, _ours.Nadam):
    """Adam with Nesterov's momentum."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **more: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, 1.0, **_common(more))
        self.beta_1, self.beta_2 = self.beta1, self.beta2


class Lion(_Keras, _ours.Lion):
    """Steps of one size, by the sign of the momentum."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **more: Any):
        super().__init__(learning_rate, beta_1, beta_2, **_common(more))
        self.beta_1, self.beta_2 = self.beta1, self.beta2


_KINDS: dict[str, Any] = {
    each.__name__.lower(): each for each in (SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Lion)
}
Optimizer = _ours.Optimizer
__all__ = [each.__name__ for each in _KINDS.values()] + ["Optimizer", "Schedule", "get"]


def get(optimizer: Any) -> _ours.Optimizer:
    """An optimizer by Keras's name, or itself.

    Raises
    ------
    ValueError
        For an unknown one.
    """
    if isinstance(optimizer, _ours.Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, _ours.Optimizer):
        return optimizer()  # type: ignore[call-arg]
    if isinstance(optimizer, str) and optimizer.lower() in _KINDS:
        return _KINDS[optimizer.lower()]()
    raise ValueError(f"the optimizer {optimizer!r:.80} is not known; there are {', '.join(_KINDS)}")
