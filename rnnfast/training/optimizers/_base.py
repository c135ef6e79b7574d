"""What optimizers share."""

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, NamedTuple, TypedDict

import numpy as np

from rnnfast import ops
from rnnfast.layers._base import Block, Layer, matching
from rnnfast.training._shapes import Shapes, check_shapes, shapes_of
from rnnfast.training.optimizers import _state
from rnnfast.training.optimizers._parts import Part, trained_parts
from rnnfast.training.schedules import Schedule

Rate = float | Callable[[int], float]


class Rest(TypedDict, total=False):
    """Arguments that every optimizer takes by name alone; `Optimizer` says what they mean."""

    clip_tensor_norm: float | None
    clip_value: float | None
    decoupled: bool
    no_decay: Iterable[str]
    rates: Mapping[str, float] | None


class Common(Rest, total=False):
    """Arguments that every optimizer takes."""

    weight_decay: float
    clip_norm: float | None


class Setting(NamedTuple):
    """What may differ from parameter to parameter."""

    decays: bool
    rate: float


class Optimizer:
    """What optimizers share: learning rates, weight decay, clipping, frozen parameters and the state.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a function of the number of steps made, as `rnnfast.training.schedules` has them.
    weight_decay : float
        Adds weight_decay times the parameters to their gradients.
    clip_norm : float or None
        Gradients whose norm over the whole model is larger are scaled down to it (Pascanu et al. 2013, algorithm 1).
        Keras calls it `global_clipnorm`.
    clip_tensor_norm : float or None
        Then each parameter's gradient whose own norm is larger is scaled down to it. Keras calls it `clipnorm`.
    clip_value : float or None
        Then every number is brought between -clip_value and clip_value. Keras calls it `clipvalue`.
    decoupled : bool
        Decay shrinks the parameters, by learning_rate times weight_decay, instead of adding to the gradients
        (Loshchilov and Hutter 2019).
    no_decay : iterable of str
        Patterns of the names of parameters that do not decay, with `*` for any text, as in `("bias*", "*norm*")`. They
        are fitted to the whole name and to what comes after its last dot; at least one must fit a parameter.
    rates : mapping of str to float
        Factors of the learning rate by patterns likewise, each of which must fit: `{"0.*": 0.1}`. Where several fit a
        parameter their product counts.

    Attributes
    ----------
    steps : int
        Steps made.
    last_norm : float or None
        What the last step returned.
    last_clipped : bool
        Whether the last step clipped anything.

    Notes
    -----
    An optimizer belongs to the first model it steps. `learning_rate`, `weight_decay` and the clips may be set between
    steps.
    """

    # The rule of `ops.update`, and its states by name; an optimizer may set them when it is made.
    _rule: str
    _arrays: tuple[str, ...] = ()
    # What else must be kept to go on exactly: attributes that JSON can hold.
    _kept: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        *,
        clip_tensor_norm: float | None = None,
        clip_value: float | None = None,
        decoupled: bool = False,
        no_decay: Iterable[str] = (),
        rates: Mapping[str, float] | None = None,
    ):
        self.learning_rate = learning_rate
        self.weight_decay = number(weight_decay, "weight_decay")
        self.clip_norm = _limit(clip_norm, "clip_norm")
        self.clip_tensor_norm = _limit(clip_tensor_norm, "clip_tensor_norm")
        self.clip_value = _limit(clip_value, "clip_value")
        self.decoupled = bool(decoupled)
        self.no_decay = (no_decay,) if isinstance(no_decay, str) else tuple(no_decay)
        self.rates = {name: number(rate, f"rates[{name!r}]") for name, rate in (rates or {}).items()}
        self.steps = 0
        self.last_norm: float | None = None
        self.last_clipped = False
        self._state: dict[str, np.ndarray] = {}
        self._blocks: list[Block] | None = None
        self._parameters: Shapes | None = None
        self._settings: dict[tuple[Block, str], Setting] = {}

    @property
    def learning_rate(self) -> Rate:
        """A number, or a function of the number of steps made. May be set between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        self._learning_rate = value if callable(value) else number(value, "learning_rate")

    def current_rate(self) -> float:
        """The learning rate of the next step."""
        if callable(self._learning_rate):
            return number(self._learning_rate(self.steps), f"the learning rate of step {self.steps}")
        return self._learning_rate

    def step(self, model: Layer, *, scale: float = 1.0) -> float:
        """Move the parameters against the gradients, in place.

        Parameters
        ----------
        model : Layer
            A layer or model. Its frozen parameters stay as they are and do not count in the norm.
        scale : float
            Multiplies the gradients before all else: 1 / n for the mean over n batches whose gradients were added up.

        Returns
        -------
        float
            The norm of the gradients, scaled, before clipping.

        Raises
        ------
        FloatingPointError
            When that norm is not finite; the parameters are left as they were.
        ValueError
            When the optimizer belongs to another model, or scale is not a finite number larger than 0.
        """
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be larger than 0 and finite, got {scale!r}")
        blocks = model.blocks()
        self._bind(model, blocks)
        rate = self.current_rate()
        # Each parameter by itself where each is clipped by itself.
        apart = self.clip_tensor_norm is not None
        whole = trained_parts(blocks, self._clipped_alone if apart else None)
        squares = [ops.sum_of_squares(part.grad) for part in whole]
        norm = scale * math.sqrt(sum(squares))
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"the gradients' norm is {norm}, parameters are left as they were: look for inf or nan in the data, "
                "or lower the learning rate"
            )
        factor = scale * _shrinkage(norm, self.clip_norm)
        factors = [factor * _shrinkage(factor * math.sqrt(square), self.clip_tensor_norm) for square in squares]
        clipped = any(each != scale for each in factors) or self._cuts(whole, factors)
        self.steps += 1
        self._begin()
        # Before, so that an interrupted step leaves nothing that was derived from older values; and after, for
        # what other threads derive meanwhile.
        moved = [block for block in blocks if not block.frozen]
        _say_changed(moved)
        if apart:
            for part, each in zip(whole, factors, strict=True):
                self._update(part, self._setting(*part.common), rate, each)
        else:
            for part in trained_parts(blocks, self._setting) if self._settings else whole:
                self._update(part, part.common or _PLAIN, rate, factor)
        _say_changed(moved)
        self.last_norm, self.last_clipped = norm, clipped
        return norm

    @staticmethod
    def _clipped_alone(block: Block, name: str) -> tuple[Block, str]:
        """What `clip_tensor_norm` takes as one: neighbours of which this gives the same."""
        return block, name

    def _cuts(self, parts: list[Part], factors: list[float]) -> bool:
        """Whether `clip_value` cuts a number."""
        if self.clip_value is None:
            return False
        most = self.clip_value
        pairs = zip(parts, factors, strict=True)
        return any(max(part.grad.max(), -part.grad.min()) * factor > most for part, factor in pairs)

    def _update(self, part: Part, setting: Setting, rate: float, scale: float) -> None:
        rate *= setting.rate
        decay = self.weight_decay if setting.decays else 0.0
        ops.update(
            self._rule,
            part.data,
            part.grad,
            [self._state[name][part.place] for name in self._arrays],
            self._numbers(rate),
            scale=scale,
            clip_value=math.inf if self.clip_value is None else self.clip_value,
            decay=0.0 if self.decoupled else decay,
            shrink=self._shrink(rate) * (1 - rate * decay if self.decoupled else 1.0),
        )

    def _begin(self) -> None:
        """Called once a step, when `steps` counts it and nothing has been moved."""

    def _numbers(self, rate: float) -> tuple[float, ...]:
        """The numbers of the rule in this step, for parameters that learn at this rate."""
        raise NotImplementedError

    def _shrink(self, rate: float) -> float:
        """What multiplies the parameters, apart from weight decay."""
        return 1.0

    def _fresh(self, name: str, blocks: list[Block]) -> np.ndarray:
        """A state before the first step."""
        return np.zeros(sum(block.size for block in blocks), blocks[0].dtype if blocks else np.float32)

    def _bind(self, model: Layer, blocks: list[Block]) -> None:
        if self._blocks is not None:
            if blocks != self._blocks:
                raise ValueError("this optimizer belongs to another model; make a new one")
            return
        if self._parameters is not None:
            check_shapes(model, self._parameters)
        _state.check_sizes(self._state, blocks)
        self._settings = self._find_settings(model.slots())
        for name in self._arrays:
            if name not in self._state:
                self._state[name] = self._fresh(name, blocks)
        self._blocks, self._parameters = blocks, shapes_of(model)

    def _find_settings(self, slots: Mapping[str, tuple[Block, str]]) -> dict[tuple[Block, str], Setting]:
        kept = {name for pattern in self.no_decay for name in _fitting(pattern, slots)}
        if self.no_decay and not kept:
            matching(" or ".join(self.no_decay), slots)
        found: dict[tuple[Block, str], Setting] = {}
        for name, slot in slots.items():
            decays = found.get(slot, _PLAIN).decays and name not in kept
            found[slot] = Setting(decays, 1.0)
        for pattern, rate in self.rates.items():
            for slot in {slots[name] for name in _fitting(pattern, slots) or matching(pattern, slots)}:
                found[slot] = found[slot]._replace(rate=found[slot].rate * rate)
        return found if self.no_decay or self.rates else {}

    def _setting(self, block: Block, name: str) -> Setting:
        return self._settings.get((block, name), _PLAIN)

    def state(self) -> dict[str, Any]:
        """A copy of all that going on exactly takes.

        Returns
        -------
        dict
            "optimizer" (the class), "steps", "learning_rate" (a number, or a schedule's `config`; None for another
            function), "parameters" (shapes by name, once there was a step), what else the optimizer counts: JSON can
            hold these; and flat arrays in the order of the model's blocks.
        """
        rate = self._learning_rate
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "learning_rate": rate.config() if isinstance(rate, Schedule) else None if callable(rate) else rate,
            **({} if self._parameters is None else {"parameters": copy.deepcopy(self._parameters)}),
            **{name: copy.deepcopy(getattr(self, name)) for name in self._kept},
            **{name: array.copy() for name, array in self._state.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state()` gave, on this model or on a copy of it.

        The learning rate is the state's; everything else that is an argument of the class stays as it is.

        Raises
        ------
        ValueError
            When it is the state of another optimizer, or holds other arrays or sizes; the optimizer is left as it was.
            That a state is another model's shows at the next step, which raises it then.
        """
        checked = _state.check(state, type(self).__name__, self._arrays, self._kept)
        if checked.learning_rate is not None:
            self.learning_rate = checked.learning_rate
        self.steps, self._state, self._parameters, self._blocks = *checked[:3], None
        for name, value in checked.kept.items():
            setattr(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to the next model it steps, which may be a copy too.
        return {**self.__dict__, "_blocks": None, "_settings": {}}

    def __repr__(self) -> str:
        names = [
            name for name, each in inspect.signature(type(self)).parameters.items() if each.kind != each.VAR_KEYWORD
        ]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


_PLAIN = Setting(True, 1.0)


def _shrinkage(norm: float, limit: float | None) -> float:
    return limit / norm if limit is not None and norm > limit else 1.0


def _fitting(pattern: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[2], pattern)]


def _say_changed(blocks: list[Block]) -> None:
    for block in blocks:
        block.changed()


def number(value: float, name: str, below: float = math.inf) -> float:
    """`value` as a float, at least 0 and less than `below`; anything else is an error that says `name`."""
    try:
        fits = bool(0 <= value < below)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not fits:
        wanted = "at least 0" + (f" and less than {below:g}" if below < math.inf else " and finite")
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return float(value)


def _limit(value: float | None, name: str) -> float | None:
    if value is None:
        return None
    found = number(value, name)
    if not found:
        raise ValueError(f"{name} must be larger than 0, or None")
    return found
