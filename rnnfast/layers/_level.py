"""One layer of a stack: its directions, how they become one output, and what leads around them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty
from rnnfast.kernels._packed import Packed
from rnnfast.kernels._recurrent import worth_side_by_side
from rnnfast.layers._block import Block
from rnnfast.layers._direction import Direction, dropped
from rnnfast.layers._grid import Masks, run_all
from rnnfast.layers._highway import AroundStep, Highway
from rnnfast.layers._merge import merge_into, split_gradient
from rnnfast.layers._valid import ValidSteps

Array = np.ndarray


class LevelCall:
    """What one call of a level keeps from forward to backward."""

    training: bool
    calls: list[Any]
    beside: bool  # the directions run side by side
    x: Array
    key: Any = None
    lengths: Array | None = None
    valid: ValidSteps | None = None
    input_mask: Array | None = None
    parts: Sequence[Array] | None = None  # what a product of both directions was made of
    gate: tuple[Array, Array] | None = None  # of a highway


class Level:
    """One layer of a stack.

    Parameters
    ----------
    number : int
        From 0.
    directions : list of Direction
        Forward, and reverse where there is one.
    merge : "concat", "sum", "mul", "average" or None
        How two become one; None leaves them two.
    residual : False, True or "highway"
        Where input and output are equally wide and there is a layer below.
    input_dropout, weight_drop : float

    Attributes
    ----------
    at : slice
        Where its directions stand among those of all layers.
    """

    def __init__(
        self,
        number: int,
        directions: list[Direction],
        merge: str | None,
        residual: bool | str,
        input_dropout: float,
        weight_drop: float,
    ):
        self.number, self.directions = number, directions
        self.merge = merge if len(directions) == 2 else "concat"
        self.input_dropout, self.weight_drop = input_dropout, weight_drop
        self.input_size, width = directions[0].input_size, directions[0].output_size
        self.output_size = width * len(directions) if self.merge == "concat" else width
        self._halves = [slice(i * width, i * width + width) for i in range(len(directions))]
        self._merged = self.merge not in ("concat", None)
        self._shown = [slice(None)] if self._merged else self._halves
        self.around: bool | Highway = bool(residual and number and self.input_size == self.output_size)
        if self.around and residual == "highway":
            self.around = Highway(self.output_size, f"_l{number}")
        self._in_place = not (self._merged or isinstance(self.around, Highway))
        self.at = slice(number * len(directions), (number + 1) * len(directions))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters, in order."""
        found: dict[str, tuple[int, ...]] = {}
        for direction in self.directions:
            found |= direction.shapes()
        return found | self.around.shapes() if isinstance(self.around, Highway) else found

    def initialise(self, block: Block, rng: np.random.Generator) -> None:
        """First values of the parameters."""
        for direction in self.directions:
            direction.initialise(block, rng)
        if isinstance(self.around, Highway):
            self.around.initialise(block, rng)

    def forward(
        self,
        block: Block,
        cache: dict[str, Any],
        x: Array,
        y: Any,
        given: Sequence[Any],
        final: Sequence[tuple[Array, ...]],
        lengths: Any,
        key: Any,
        valid: ValidSteps | None = None,
        segment: int = 0,
    ) -> LevelCall:
        """Write the output for x (B, T, I) to y; with a key, for training.

        Parameters
        ----------
        y : ndarray (B, T, F), or one for each direction where they are not merged
            With `valid`, of the caller's T.
        given, final : sequence, one entry a direction
            Where it starts, and where its last state is written.
        valid : ValidSteps, optional
            Where the steps of y belong that x has in front.
        segment : int
            The steps that backward runs again at once; 0: none, and all is kept.
        """
        call, inner = LevelCall(), x
        training = call.training = key is not None
        if self.around or valid:
            call.x, call.lengths, call.valid = x, lengths, valid
        if training and self.input_dropout:
            ones = np.ones((x.shape[0], self.input_size), block.dtype)
            call.input_mask = ops.dropout(ones, self.input_dropout, int(key), Masks.INPUT.stream(self.number))
            inner = x * call.input_mask[:, None]
        if training and self.weight_drop:
            call.key = key
            packed = [
                each.packed_dropped(block, self.weight_drop, int(key), self._weight_stream(i))
                for i, each in enumerate(self.directions)
            ]
        else:
            packed = [each.packed(block, cache, training) for each in self.directions]
        in_place = self._in_place and valid is None
        made = y if in_place else self._room(block, x)
        outs = self._parts(made)

        def run(i: int) -> Any:
            return ops.forward(
                self.directions[i].cell,
                None,
                inner,
                given[i],
                lengths=lengths,
                reverse=self.directions[i].reverse,
                out=outs[i],
                save=training,
                packed=packed[i],
                final=final[i],
                noise=self.directions[i].noise(key, 2 * self.number + i),
                segment=segment,
                **self.directions[i].options,
            )[2]

        first, (B, T, _) = packed[0], x.shape
        call.beside = len(packed) == 2 and isinstance(first, Packed) and worth_side_by_side(first, B, T)
        call.calls = run_all(run, len(packed), call.beside)
        if not in_place:
            self._finish(call, block, cache, made, y)
        elif self.around:
            np.add(y, x, out=y)
        return call

    def _finish(self, call: LevelCall, block: Block, cache: dict[str, Any], made: Any, y: Any) -> None:
        """From what the directions wrote to the output."""
        valid, parts = call.valid, self._parts(made)
        if not self.around:
            if valid:
                full = [empty((*y.shape[:2], self.output_size), block.dtype) for _ in parts] if self._merged else None
                targets = full or self._parts(y)
                parts = [valid.spread(part, self._order(i), targets[i]) for i, part in enumerate(parts)]
            if self._merged:
                self._merge(call, parts, y)
            return
        whole = self._merge(call, parts, empty(parts[0].shape, block.dtype)) if self._merged else made
        target = y if valid is None else whole
        if isinstance(self.around, Highway):
            call.gate = self.around.forward(call.x, whole, block, cache, target)
        else:
            np.add(whole, call.x, out=target)
        if valid:
            for i, half in enumerate(self._shown):
                valid.spread(target[..., half], self._order(i), y[..., half])

    def backward(
        self,
        block: Block,
        call: LevelCall,
        dy: Any,
        dstate: Sequence[Any],
        initial: Sequence[tuple[Array, ...]],
        need_dx: bool,
        norms: Sequence[Array | None] = (None, None),
    ) -> tuple[Array | None, dict[str, Array]]:
        """The gradient of x, in memory of its own, and those of the parameters by name.

        Parameters
        ----------
        dy : as y, or None
        dstate : sequence, one entry a direction
        initial : sequence of tuple of ndarray
            Where the gradient of the initial state is written.
        norms : sequence, one entry a direction
            Where the norm of the gradient of each h is written, (T, B).
        """
        valid = call.valid
        found: dict[str, Array] = {}
        past = None  # the gradient that leads around
        if self.around:
            if valid and dy is not None:
                halves = [valid.collect(dy[..., half], self._order(i)) for i, half in enumerate(self._shown)]
                dy = np.concatenate(halves, axis=2)
            if isinstance(self.around, Highway):
                assert call.gate is not None
                dy, past, found = self.around.backward(call.x, *call.gate, _within(dy, call), block)
            else:
                past = dy
        parts = self._split(call, dy)
        if valid and not self.around:
            parts = [None if part is None else valid.collect(part, self._order(i)) for i, part in enumerate(parts)]

        def run(i: int) -> Any:
            return ops.backward(call.calls[i], parts[i], dstate[i], need_dx=need_dx, initial=initial[i], norms=norms[i])

        dx: Array | None = None
        for i, (part, _, named) in enumerate(run_all(run, len(parts), call.beside)):
            if self.weight_drop:
                stream = self._weight_stream(i)
                named["weight_hh"] = dropped(named["weight_hh"], self.weight_drop, int(call.key), stream)
            found |= self.directions[i].gradients(named)
            if dx is None:
                dx = part
            elif part is not None:
                dx += part
        if dx is not None:
            if call.input_mask is not None:
                dx *= call.input_mask[:, None]
            if past is not None:
                dx += past
        return dx, found

    def steps(self, block: Block, cache: dict[str, Any], rows: int) -> list[Any]:
        """What the level does to one step of `rows` sequences."""
        from rnnfast.kernels._step import RecurrentStep
        from rnnfast.layers._learned_step import LearnedStep

        (direction,) = self.directions
        packed = direction.packed(block, cache, False)
        step = RecurrentStep(packed, rows)
        if direction.learned_state:
            step = LearnedStep(packed, rows, direction.initial_state(block, 1))
        if not self.around:
            return [step]
        around = AroundStep(self.output_size, rows, block.dtype)
        if isinstance(self.around, Highway):
            weight, matrix = block.array(self.around.weight), self.around.packed(block, cache)
            around = AroundStep(self.output_size, rows, block.dtype, weight, matrix)
        return [around.enter, step, around.leave]

    def numbers(self, B: int, T: int) -> tuple[int, int]:
        """How many numbers beside its output a call needs at once, and how many training keeps for backward."""
        whole = B * T * self.output_size
        highway = 2 * whole if isinstance(self.around, Highway) else 0
        apart = 0
        if self._merged or highway:
            apart = whole * (len(self.directions) + bool(self.around) if self._merged else 1)
        kept = highway + (2 * whole if self.merge == "mul" else 0)
        if self.input_dropout:
            kept += (B * T + B) * self.input_size
        return highway + apart, kept

    def _order(self, i: int) -> int:
        """In which order a direction reads: 0 forward, 1 reverse."""
        return int(self.directions[i].reverse)

    def _weight_stream(self, i: int) -> int:
        return Masks.WEIGHT.stream(2 * self.number + i)

    def _room(self, block: Block, x: Array) -> Any:
        """Where the directions write, if not to the output."""
        shape = (*x.shape[:2], self.output_size)
        return (
            empty(shape, block.dtype) if self.merge == "concat" else [empty(shape, block.dtype) for _ in self._halves]
        )

    def _parts(self, made: Any) -> Sequence[Array]:
        """Each direction's part of what `_room` gives."""
        if self.merge != "concat":
            return made
        return [made] if len(self._halves) == 1 else [made[..., half] for half in self._halves]

    def _merge(self, call: LevelCall, parts: Sequence[Array], out: Array) -> Array:
        assert self.merge is not None
        if self.merge == "mul" and call.training:
            call.parts = parts
        return merge_into(self.merge, parts[0], parts[1], out)

    def _split(self, call: LevelCall, dy: Any) -> Sequence[Array | None]:
        """The gradient of each direction's output."""
        if dy is None:
            return [None] * len(self._halves)
        if not self._merged:
            return self._parts(dy)
        assert self.merge is not None
        return split_gradient(self.merge, dy, *(call.parts or (dy, dy)))


def _within(dy: Array | None, call: LevelCall) -> Array:
    """dy where the sequences have steps, zero elsewhere."""
    if dy is None:
        return np.zeros_like(call.x)
    if call.lengths is None:
        return dy
    return np.where(np.arange(dy.shape[1])[:, None] < call.lengths[:, None, None], dy, 0)
