"""A row of layers unrolled in time: rows of boxes, a column a step."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rnnfast.layers import Conv1D, Last
from rnnfast.layers._base import Layer
from rnnfast.layers.recurrent import Recurrent
from rnnfast.plotting._diagram import HEIGHT, ROW, Box, Diagram, numbered, shape_text, text_width

_GAP = 40

Boxes = dict[int, list[Box]]
"""By step: what a layer gives there; forward and reverse where there are two."""


class Unrolled:
    """Rows of boxes, drawn upwards from the input at y = 0."""

    def __init__(
        self, diagram: Diagram, layers: Sequence[Layer], steps: int, left: float = 0.0, sign: str = "x", time: str = "T"
    ):
        self.diagram, self.layers, self.steps, self.sign, self.time = diagram, layers, steps, sign, time
        names = [name for layer in layers for name in _names(layer)]
        self.width = max(52.0, *(text_width(name) + 14 for name in names))
        self.offset = 0.54 * self.width if any(_both(layer) for layer in layers) else 0.0
        self.pitch = self.width + 2 * self.offset + _GAP
        self.left, self.y = left + self.width / 2 + self.offset, 0.0
        self.tops: Boxes = {}
        self.levels: list[dict[str, list[Box]]] = []
        """The boxes of each level of each recurrent layer, by direction, in order of time."""

    @property
    def right(self) -> float:
        """Where the last column ends."""
        return self.x(self.steps - 1) + self.width / 2 + self.offset

    def x(self, step: int) -> float:
        """The middle of a column."""
        return self.left + step * self.pitch

    def draw(self, *, outputs: bool = True, notes: bool = True) -> None:
        """Draw input, layers and output."""
        shape: tuple[Any, ...] = self.layers[0].input_shape
        timed = len(shape) == 3 or shape[1:] == ("T",)
        for step in range(self.steps) if timed else [0]:
            self._box(step, self._sign(self.sign, step, timed), "input")
        self._note("input", shape, notes)
        for number, layer in enumerate(self.layers):
            before, shape = timed, layer.output_shape(shape)
            timed = len(shape) > 2
            if isinstance(layer, Recurrent):
                self._recurrent(layer, number, shape, notes)
                continue
            self.y -= ROW
            name = type(layer).__name__
            if isinstance(layer, Conv1D):
                self._convolution(layer, name)
            elif layer.has_state:
                self._cells(layer, name, False)
            elif before and not timed:
                self._join(layer, name)
            else:
                self._each(layer, name, timed and not before)
            self._note(f"{number} {name}", shape, notes)
        if outputs:
            self.y -= ROW
            for number, (step, boxes) in enumerate(list(self.tops.items())):
                self._box(step, self._sign("y", number, timed), "output", boxes)
            self._note("output", shape, notes)

    def _sign(self, sign: str, step: int, timed: bool) -> str:
        return numbered(sign, step + 1) if timed else sign

    def _note(self, name: str, shape: Sequence[Any], wanted: bool, y: float | None = None) -> None:
        if wanted:
            y = self.y if y is None else y
            x = self.left - self.width / 2 - self.offset - _GAP - 6
            self.diagram.note(x, y - 7, name, "end", 12)
            self.diagram.note(x, y + 8, shape_text([self.time if axis == "T" else axis for axis in shape]), "end", 10)

    def _box(self, step: int, text: str, kind: str, below: Sequence[Box] = (), shift: float = 0.0) -> Box:
        """A box in a column, with arrows from what is below it; it becomes the column's top."""
        narrow = 44.0 if kind in ("input", "output") else self.width
        box = self.diagram.box(self.x(step) + shift, self.y, narrow, HEIGHT, text, kind)
        for each in below:
            # An arrow from far away arrives beside the one from below.
            aside = self.width / 4 if abs(each.x - box.x) > self.width else 0.0
            end = box.x + (aside if each.x > box.x else -aside), box.bottom[1]
            self.diagram.arrow("up", each.top, end)
        self.tops[step] = [box]
        return box

    def _each(self, layer: Layer, name: str, repeated: bool) -> None:
        """A layer that works step by step; a repeated vector goes to every step."""
        below = dict(self.tops)
        if repeated:
            count = min(self.steps, int(getattr(layer, "n", self.steps)))
            sources = dict.fromkeys(range(count), below[0])
        else:
            sources = below
        for step, boxes in sources.items():
            self._box(step, name, "layer", boxes)

    def _convolution(self, layer: Conv1D, name: str) -> None:
        """A box over the last step of each window, with arrows from all of it."""
        below, self.tops = self.tops, {}
        steps = sorted(below)
        first = 0 if layer.causal else min(layer.span, len(steps) - 1)
        for place in range(first, len(steps), layer.stride):
            window = range(place - layer.span, place + 1, layer.dilation)
            self._box(steps[place], name, "layer", [box for at in window if at >= 0 for box in below[steps[at]]])

    def _join(self, layer: Layer, name: str) -> None:
        """A layer that takes time away; its box stands over the last step."""
        last = max(self.tops)
        self.y -= 0.4 * ROW  # room for arrows from far away
        below = self._ends(layer) if isinstance(layer, Last) else [box for step in self.tops.values() for box in step]
        self.tops = {}
        self._box(last, name, "layer", below)
        self.tops = {last: self.tops[last]}

    def _ends(self, layer: Last) -> list[Box]:
        first, last = self.tops[min(self.tops)], self.tops[max(self.tops)]
        if layer.directions == -1:
            return [first[-1]]
        if layer.directions == 2:
            return [last[0], first[-1]]
        return [last[-1]]

    def _recurrent(self, layer: Recurrent, number: int, shape: Sequence[Any], notes: bool) -> None:
        name = type(layer).__name__
        for level, width in enumerate(layer.hidden_sizes):
            self.y -= ROW
            start = self.y
            self._cells(layer, name, layer.reverse)
            inner = (*shape[:-1], shape[-1] if level == layer.num_layers - 1 else layer._levels[level].output_size)
            last = f" l{level}" if layer.num_layers > 1 else ""
            self._note(f"{number} {name}{last}, {width} units", inner, notes, (start + self.y) / 2)

    def _cells(self, layer: Any, name: str, reverse: bool) -> None:
        """A level of cells in one direction, or in two: the reverse one above and to the right."""
        below, found = dict(self.tops), {}
        directions = [(name, reverse), (f"{name} ←", True)] if _both(layer) else [(name, reverse)]
        rows: list[Boxes] = []
        for i, (text, backwards) in enumerate(directions):
            if i:
                self.y -= 0.75 * ROW
            shift = 0.0 if len(directions) == 1 else self.offset * (1 if i else -1)
            kind = "reverse" if backwards else "recurrent"
            row = {step: [self._box(step, text, kind, boxes, shift)] for step, boxes in below.items()}
            rows.append(row)
            found["reverse" if backwards else "forward"] = self._through_time(row, backwards, layer)
        self.tops = {step: [box for row in rows for box in row[step]] for step in below}
        self.levels.append(found)

    def _through_time(self, row: Boxes, reverse: bool, layer: Any) -> list[Box]:
        """The arrows of the state, the first of them from before the first step."""
        order = [row[step][0] for step in sorted(row, reverse=reverse)]
        side = 1 if reverse else -1
        leave, arrive, kind = ("left", "right", "back") if reverse else ("right", "left", "time")
        x, y = getattr(order[0], arrive)
        self.diagram.arrow(kind, (x + side * (_GAP - 14), y), (x, y))
        state = "h, c" if getattr(layer, "cell", "") == "lstm" else "h"
        for one, other in pairwise(order):
            start, end = getattr(one, leave), getattr(other, arrive)
            self.diagram.arrow(kind, start, end)
        if len(order) > 1:
            start, end = getattr(order[0], leave), getattr(order[1], arrive)
            self.diagram.note((start[0] + end[0]) / 2, start[1] - 9, state, "middle", 10)
        return order


def _names(layer: Layer) -> list[str]:
    name = type(layer).__name__
    return [name, f"{name} ←"] if _both(layer) else [name]


def _both(layer: Layer) -> bool:
    return bool(getattr(layer, "bidirectional", False))
