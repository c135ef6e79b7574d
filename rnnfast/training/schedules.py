"""Learning rates as functions of the number of steps made: `Adam(Cosine(1e-3, steps=10_000))`.

Each schedule is pure: the same number of steps gives the same rate, whatever came before, so that a resumed run needs
nothing but the number. A step is one call of the optimizer: an epoch has as many as it has batches.
"""

import bisect
import dataclasses
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np


def _at_least(value: Any, low: float, name: str, *, above: bool = False) -> None:
    if not (value > low if above else value >= low) or not math.isfinite(value):
        raise ValueError(f"{name} must be {'larger than' if above else 'at least'} {low:g} and finite, got {value!r}")


def _between(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class Schedule:
    """What schedules share: called with the number of steps made they give the rate of the next one."""

    _kinds: ClassVar[dict[str, type["Schedule"]]] = {}

    def __init_subclass__(cls) -> None:
        Schedule._kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                continue
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())  # as JSON takes it
            # Lengths divide; nothing else need be more than zero.
            _at_least(value, 0, field.name, above=field.name in ("steps", "every", "period", "model_size", "scale"))

    def __call__(self, steps: int) -> float:
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The schedule as JSON holds it; `find_schedule` makes the schedule of it again."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"schedule": type(self).__name__, **{name: _plain(value) for name, value in values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.config()
    return list(value) if isinstance(value, tuple) else value


def find_schedule(config: Mapping[str, Any]) -> Schedule:
    """The schedule of which `Schedule.config` gave this.

    Raises
    ------
    ValueError
        When no schedule has this name.

    Examples
    --------
    >>> find_schedule(Cosine(0.1, steps=100).config())
    Cosine(learning_rate=0.1, steps=100, floor=0.0)
    """
    values = {name: find_schedule(value) if isinstance(value, Mapping) else value for name, value in config.items()}
    kind = values.pop("schedule", None)
    if kind not in Schedule._kinds:
        raise ValueError(f"schedule must be one of {', '.join(Schedule._kinds)}, got {kind!r}")
    return Schedule._kinds[kind](**values)


@dataclass(frozen=True)
class Constant(Schedule):
    """Always the same.

    Parameters
    ----------
    learning_rate : float
    """

    learning_rate: float

    def __call__(self, steps: int) -> float:
        return self.learning_rate


@dataclass(frozen=True)
class Step(Schedule):
    """`factor` times less after `every` steps, and again: torch's StepLR.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    every : int
        Steps.
    factor : float

    Examples
    --------
    >>> [round(Step(1.0, every=2)(steps), 3) for steps in range(5)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def __call__(self, steps: int) -> float:
        return self.learning_rate * self.factor ** (steps // self.every)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """`factor` times less at each milestone: torch's MultiStepLR.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    milestones : tuple of int
        Numbers of steps made, ascending.
    factor : float
    """

    learning_rate: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"milestones must ascend, got {self.milestones}")

    def __call__(self, steps: int) -> float:
        return self.learning_rate * self.factor ** bisect.bisect_right(self.milestones, steps)


@dataclass(frozen=True)
class Exponential(Schedule):
    """learning_rate * factor ** (steps / every): torch's ExponentialLR, and Keras's ExponentialDecay.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    factor : float
    every : int
        The steps in which the rate falls by one factor.
    """

    learning_rate: float
    factor: float
    every: int = 1

    def __call__(self, steps: int) -> float:
        return self.learning_rate * self.factor ** (steps / self.every)


@dataclass(frozen=True)
class Linear(Schedule):
    """From one rate to another in a straight line, and then that: torch's LinearLR.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    end : float
    steps : int
        How long the way is.
    """

    learning_rate: float
    end: float
    steps: int

    def __call__(self, steps: int) -> float:
        return _between(self.learning_rate, self.end, min(steps / self.steps, 1.0))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """floor + (learning_rate - floor) (1 - steps made / steps) ** power, and then the floor: torch's PolynomialLR.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    steps : int
        How long the way is.
    power : float
    floor : float
    """

    learning_rate: float
    steps: int
    power: float = 1.0
    floor: float = 0.0

    def __call__(self, steps: int) -> float:
        left = max(1 - steps / self.steps, 0.0)
        return self.floor + (self.learning_rate - self.floor) * left**self.power


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the rate to the floor, and then the floor (Loshchilov and Hutter 2017, equation 5).

    The numbers of torch's CosineAnnealingLR, which climbs again where this one stays.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    steps : int
        How long the way is.
    floor : float
    """

    learning_rate: float
    steps: int
    floor: float = 0.0

    def __call__(self, steps: int) -> float:
        return _cosine(self.learning_rate, self.floor, min(steps / self.steps, 1.0))


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """SGDR (Loshchilov and Hutter 2017): a cosine again and again; torch's CosineAnnealingWarmRestarts.

    Parameters
    ----------
    learning_rate : float
        Of the first step after each start.
    period : int
        Steps of the first cosine.
    factor : int
        How many times longer each is than the one before.
    floor : float
    """

    learning_rate: float
    period: int
    factor: int = 1
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.factor, 1, "factor")

    def __call__(self, steps: int) -> float:
        if self.factor == 1:
            steps, period = steps % self.period, self.period
        else:
            period = self.period
            while steps >= period:
                steps, period = steps - period, period * self.factor
        return _cosine(self.learning_rate, self.floor, steps / period)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up, down and far down (Smith and Topin 2018), and then what it ended with: the rates of torch's OneCycleLR.

    Parameters
    ----------
    learning_rate : float
        The highest.
    steps : int
        Of the whole cycle.
    rise : float
        The part of the cycle that goes up, between 0 and 1.
    start_divisor, end_divisor : float
        The first rate is learning_rate / start_divisor, the last one is that / end_divisor.
    shape : {"cosine", "linear"}
    three_phase : bool
        Comes down to the first rate as it went up, and then to the last one.
    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    shape: Literal["cosine", "linear"] = "cosine"
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.start_divisor, 0, "start_divisor", above=True)
        _at_least(self.end_divisor, 0, "end_divisor", above=True)
        if self.shape not in ("cosine", "linear"):
            raise ValueError(f"shape must be 'cosine' or 'linear', got {self.shape!r}")
        ends = [stop for stop, _ in self._phases()]
        if ends[0] <= 0 or ends != sorted(set(ends)):
            most = 0.5 if self.three_phase else 1
            raise ValueError(
                f"rise must be between 0 and {most}, with a whole step for each phase of {self.steps}, got {self.rise}"
            )

    def _phases(self) -> list[tuple[float, float]]:
        """The step at which each phase ends, and the rate there."""
        start, top = self.learning_rate / self.start_divisor, self.rise * self.steps - 1
        back = [(2 * self.rise * self.steps - 2, start)] if self.three_phase else []
        return [(top, self.learning_rate), *back, (self.steps - 1, start / self.end_divisor)]

    def __call__(self, steps: int) -> float:
        between = _cosine if self.shape == "cosine" else _between
        begin, rate = 0.0, self.learning_rate / self.start_divisor
        for end, goal in self._phases():
            if steps <= end:
                return between(rate, goal, (steps - begin) / (end - begin))
            begin, rate = end, goal
        return rate


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight line up to the first rate of another schedule, which then begins.

    Parameters
    ----------
    inner : Schedule or float
    steps : int
        How long the line is.
    start : float
        What part of that rate the first step has.

    Examples
    --------
    >>> rate = WarmUp(Cosine(0.1, steps=100), steps=4)
    >>> [round(rate(steps), 3) for steps in (0, 1, 2, 3, 4, 54, 104)]
    [0.0, 0.025, 0.05, 0.075, 0.1, 0.05, 0.0]
    """

    inner: Any
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.inner, Schedule):
            object.__setattr__(self, "inner", Constant(self.inner))

    def __call__(self, steps: int) -> float:
        if steps >= self.steps:
            return self.inner(steps - self.steps)
        return self.inner(0) * _between(self.start, 1.0, steps / self.steps)


@dataclass(frozen=True)
class Noam(Schedule):
    """factor * model_size ** -0.5 * min(t ** -0.5, t * warmup ** -1.5), t = 1 at the first step.

    Vaswani et al. 2017, equation 3.

    Parameters
    ----------
    model_size : int
    warmup : int
        Steps of the way up.
    factor : float
    """

    model_size: int
    warmup: int
    factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.warmup, 1, "warmup")

    def __call__(self, steps: int) -> float:
        t = steps + 1
        return self.factor * self.model_size**-0.5 * min(t**-0.5, t * self.warmup**-1.5)


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """learning_rate / sqrt(1 + steps made / scale).

    `WarmUp(InverseSqrt(learning_rate, scale=n), steps=n)` goes up in n steps, and is learning_rate * sqrt(n / steps
    made) from there.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    scale : int
        After three times as many steps the rate is the half.
    """

    learning_rate: float
    scale: int

    def __call__(self, steps: int) -> float:
        return self.learning_rate / math.sqrt(1 + steps / self.scale)
