"""One time step of each cell, in C: the equations of `rnnfast.equations`, with the options written out or left out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast.export._text import Stage, Text, number
from rnnfast.layers._activations import TABLE, Choice
from rnnfast.layers._direction import Direction
from rnnfast.ops._variant import ACTIVATIONS, Activation

_EPSILON = "1e-05f"  # of layer normalisation, as in rnnfast.equations
_NAMES = {numbered: name for name, (numbered, *_) in reversed(ACTIVATIONS.items())}


class Cell:
    """What the cells' texts are made of.

    Parameters
    ----------
    text : Text
    direction : Direction
    weights : mapping
        As `Direction.weights` gives them.
    where : str
        Which layer it is, for names: "1_l0".
    """

    def __init__(self, text: Text, direction: Direction, weights: Mapping[str, np.ndarray], where: str):
        self.text, self.variant, self.where = text, direction.variant, where
        self.I, self.H, self.P = direction.input_size, direction.hidden_size, direction.output_size
        self.rows = self.variant.gates * self.H
        self._weights = weights

    def has(self, name: str) -> bool:
        return name in self._weights

    def array(self, name: str) -> str:
        """The C name of a parameter."""
        return self.text.array(f"{self.where}_{name}", self._weights[name])

    def apply(self, activation: Activation, value: str) -> str:
        """An activation of a C expression."""
        name = _NAMES[activation[0]]
        alpha, beta = activation[1:] if TABLE[name].defaults else (0.0, 0.0)
        function = self.text.activation(Choice(name, alpha, beta))
        return f"{function}({value})" if function else value

    def clipped(self, value: str, limit: float) -> str:
        return f"{self.text.function('clip')}({value}, {number(limit)})" if limit else value

    def gate(self, value: str) -> str:
        return self.apply(self.variant.gate, self.clipped(value, self.variant.clip))

    def candidate(self, value: str) -> str:
        return self.apply(self.variant.candidate, self.clipped(value, self.variant.clip))

    def mixed(self, zone: float, old: str, new: str) -> str:
        return f"{number(zone)} * {old} + {number(1 - zone)} * {new}" if zone else new

    def into(self, target: str, first: str | None, rows: int) -> list[str]:
        """Lines that set an array to a bias, or to zero."""
        if first is None:
            return [f"memset({target}, 0, {rows} * sizeof(float));"]
        return [f"memcpy({target}, {first}, {rows} * sizeof(float));"]

    def add(self, target: str, name: str, x: str, first: int = 0, rows: int | None = None) -> str:
        """A line that adds to an array the product of x with rows of a parameter."""
        return self.text.product(target, f"{self.where}_{name}", self._weights[name], x, first, rows)

    def inputs(self, recurrent_rows: int) -> list[str]:
        """Lines that put into a what enters the gates: bias, W x, and the first rows of R h."""
        bias = self.array("bias") if self.has("bias") else None
        N = self.rows
        if not self.variant.layer_norm:
            lines = [*self.into("a", bias, N), self.add("a", "weight_ih", "x")]
            return [*lines, self.add("a", "weight_hh", "h", rows=recurrent_rows)] if recurrent_rows else lines
        return [
            *self.into("a", None, N),
            self.add("a", "weight_ih", "x"),
            f"{self.text.function('normalise')}(a, {N}, {_EPSILON});",
            *self.recurrent(),
            *loop(N, f"a[j] = {self.array('norm_ih')}[j] * a[j]" + (f" + {bias}[j];" if bias else ";")),
        ]

    def recurrent(self) -> list[str]:
        """Lines that put R h into p, normalised where that is wanted."""
        N = self.rows
        lines = [*self.into("p", None, N), self.add("p", "weight_hh", "h")]
        if self.variant.layer_norm:
            lines.append(f"{self.text.function('normalise')}(p, {N}, {_EPSILON});")
            lines += loop(N, f"p[j] *= {self.array('norm_hh')}[j];")
        return lines


def loop(count: int, *lines: str) -> list[str]:
    """Lines for j from 0 to count - 1."""
    return [f"for (int j = 0; j < {count}; j++) {{", *(f"    {line}" for line in lines), "}"]


def _rnn(cell: Cell) -> tuple[list[str], int]:
    if cell.variant.cell == "indrnn":
        start = cell.inputs(0)
        start += loop(cell.H, f"a[j] += {cell.array('weight_hh')}[j] * h[j];")
    else:
        start = cell.inputs(cell.H)
    new = cell.mixed(cell.variant.zoneout_h, "h[j]", cell.candidate("a[j]"))
    return ["float *a = s->scratch;", *start, *loop(cell.H, f"y[j] = h[j] = {new};")], cell.H


def _gru(cell: Cell) -> tuple[list[str], int]:
    H, variant = cell.H, cell.variant
    kept = "(1.0f - z) * h[j] + z * n" if variant.new_update else "(1.0f - z) * n + z * h[j]"
    new = f"y[j] = h[j] = {cell.mixed(variant.zoneout_h, 'h[j]', f'({kept})' if variant.zoneout_h else kept)};"
    if variant.reset == "after":
        inner = f"(p[{2 * H} + j] + {cell.array('bias_hn')}[j])" if cell.has("bias_hn") else f"p[{2 * H} + j]"
        start = cell.inputs(0)
        return [
            f"float *a = s->scratch, *p = a + {3 * H};",
            *start,
            *([] if variant.layer_norm else cell.recurrent()),
            *loop(
                H,
                f"float r = {cell.gate('a[j] + p[j]')};",
                f"float z = {cell.gate(f'a[{H} + j] + p[{H} + j]')};",
                f"float n = {cell.candidate(f'a[{2 * H} + j] + r * {inner}')};",
                new,
            ),
        ], 6 * H
    return [
        f"float *a = s->scratch, *p = a + {3 * H};",
        *cell.inputs(2 * H),
        *loop(H, f"p[j] = {cell.gate('a[j]')} * h[j];"),
        cell.add(f"a + {2 * H}", "weight_hh", "p", first=2 * H),
        *loop(H, f"float z = {cell.gate(f'a[{H} + j]')};", f"float n = {cell.candidate(f'a[{2 * H} + j]')};", new),
    ], 4 * H


def _mgu(cell: Cell) -> tuple[list[str], int]:
    H = cell.H
    new = cell.mixed(cell.variant.zoneout_h, "h[j]", "((1.0f - f) * h[j] + f * n)")
    return [
        f"float *a = s->scratch, *p = a + {2 * H};",
        *cell.inputs(H),
        *loop(H, f"a[j] = {cell.gate('a[j]')};", "p[j] = a[j] * h[j];"),
        cell.add(f"a + {H}", "weight_hh", "p", first=H),
        *loop(H, "float f = a[j];", f"float n = {cell.candidate(f'a[{H} + j]')};", f"y[j] = h[j] = {new};"),
    ], 3 * H


def _lstm(cell: Cell) -> tuple[list[str], int]:
    H, P, variant = cell.H, cell.P, cell.variant
    gates = ["i", "g", "o"] if variant.coupled else ["i", "f", "g", "o"]
    at = {gate: f"a[{k * H} + j]" if k else "a[j]" for k, gate in enumerate(gates)}
    if variant.layer_norm:
        at = {gate: f"{place} + {place.replace('a', 'p', 1)}" for gate, place in at.items()}
    seeing = [gate for gate in gates if gate != "g"]
    if variant.peephole:
        ways = cell.array("weight_ch")
        seen = {gate: f"{ways}[{k * H} + j]" if k else f"{ways}[j]" for k, gate in enumerate(seeing)}
        at |= {gate: f"{at[gate]} + {seen[gate]} * {'new' if gate == 'o' else 'c[j]'}" for gate in seeing}
    forget = "1.0f - i" if variant.coupled else cell.gate(at["f"])
    lines = [
        f"float i = {cell.gate(at['i'])};",
        f"float f = {forget};",
        f"float g = {cell.candidate(at['g'])};",
        f"float new = {cell.clipped('f * c[j] + i * g', variant.cell_clip)};",
        f"float o = {cell.gate(at['o'])};",
        f"c[j] = {cell.mixed(variant.zoneout_c, 'c[j]', 'new')};",
    ]
    scratch = cell.rows * (2 if variant.layer_norm else 1)
    pointers = f"float *a = s->scratch{f', *p = a + {cell.rows}' if variant.layer_norm else ''};"
    start = cell.inputs(cell.rows)
    if variant.layer_norm:
        # a of the first gate and p of the first gate are read before they are overwritten.
        lines += ["a[j] = o;", "p[j] = new;"]
        shift = f" + {cell.array('bias_c')}[j]" if cell.has("bias_c") else ""
        inner = cell.apply(variant.output, f"{cell.array('norm_c')}[j] * p[j]{shift}")
        after = [f"{cell.text.function('normalise')}(p, {H}, {_EPSILON});", *loop(H, f"a[j] *= {inner};")]
    else:
        lines.append(f"a[j] = o * {cell.apply(variant.output, 'new')};")
        after = []
    made = "a[j]"
    if cell.has("weight_hr"):
        after += [*cell.into("y", None, P), cell.add("y", "weight_hr", "a")]
        made = "y[j]"
    return [
        pointers,
        *start,
        *loop(H, *lines),
        *after,
        *loop(P, f"y[j] = h[j] = {cell.mixed(variant.zoneout_h, 'h[j]', made)};"),
    ], scratch


_CELLS: dict[str, Callable[[Cell], tuple[list[str], int]]] = {
    "rnn": _rnn, "indrnn": _rnn, "gru": _gru, "mgu": _mgu, "lstm": _lstm,
}  # fmt: skip


def cell_stage(text: Text, direction: Direction, block: Any, where: str, title: str) -> Stage:
    """One direction of one layer.

    Parameters
    ----------
    text : Text
        Takes the arrays and functions.
    direction : Direction
    block : Block
        Its parameters.
    where, title : str
        For C names and for comments.
    """
    cell = Cell(text, direction, direction.weights(block), where)
    lines, scratch = _CELLS[direction.cell](cell)
    parts = [(f"{part}_{where}", size) for part, size in zip("hc", direction.state_sizes, strict=False)]
    pointers = ", ".join(f"*{name[0]} = s->{name}" for name, _ in parts)
    return Stage(title, cell.I, cell.P, "\n".join([f"float {pointers};", *lines]), tuple(parts), scratch)
