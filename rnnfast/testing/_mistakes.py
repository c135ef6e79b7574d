"""The usual mistakes in a cell of one's own, as cells that make them: what they compute is compared with what was
computed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from rnnfast.equations import activate

Array = np.ndarray
Named = dict[str, Array]

GATES = {"rnn": "h", "lstm": "ifgo", "gru": "rzn"}
_KNOWN = {"rnn": {"activation"}, "lstm": set(), "gru": {"reset", "update"}}
_FUNCTIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "identity": "no activation"}


@dataclass(frozen=True)
class Attempt:
    """A plain cell taken apart: weights and activation of each gate, and the formulas that join the gates."""

    W: dict[str, Array]
    R: dict[str, Array]
    b: dict[str, Array]
    functions: dict[str, Any]
    joins: dict[str, Callable[..., Array]]

    def entering(self, k: str, x: Array, h: Array) -> Array:
        """W_k x + R_k h + b_k."""
        return x @ self.W[k].T + h @ self.R[k].T + self.b[k]

    def run(self, cell: str, x: Array, h: Array, c: Array) -> Named:
        """Everything that `rnnfast.equations.step` names."""
        if cell == "rnn":
            a = self.entering("h", x, h)
            return {"a": a, "h": activate(self.functions["h"], a)}
        entering = {k: self.entering(k, x, h) for k in GATES[cell] if k != "n"}
        named = {k: activate(self.functions[k], a) for k, a in entering.items()}
        if cell == "gru":
            entering["n"] = x @ self.W["n"].T + self.b["n"] + self.joins["n"](named["r"], h, self.R["n"])
            named["n"] = activate(self.functions["n"], entering["n"])
            named["h"] = self.joins["h"](named["z"], named["n"], h)
        else:
            named["c"] = self.joins["c"](**named, old=c)
            named["h"] = self.joins["h"](named["o"], named["c"], c)
        return named | {f"a_{k}": a for k, a in entering.items()}


def mistakes(
    cell: str, params: Mapping[str, Array], x: Array, state: Any, options: Mapping[str, Any], concatenated: bool
) -> Iterator[tuple[str, Named]]:
    """(what went wrong, what the cell then gives) for one mistake at a time; nothing for options beyond the plain."""
    if cell not in GATES or set(options) - _KNOWN[cell]:
        return
    h, c = state if cell == "lstm" else (state, np.zeros_like(state))
    right = _right(cell, params, options)
    for what, attempt in _wrong(cell, right, params, options, concatenated):
        yield what, attempt.run(cell, x, h, c)
    if cell == "lstm":
        named = right.run(cell, x, h, c)
        yield "h and c have changed places", named | {"h": named["c"], "c": named["h"]}


def _right(cell: str, params: Mapping[str, Array], options: Mapping[str, Any]) -> Attempt:
    gates = GATES[cell]

    def split(array: Array) -> dict[str, Array]:
        return dict(zip(gates, np.split(array, len(gates)), strict=True))

    functions = {k: options.get("activation", "tanh") if k in "ghn" else "sigmoid" for k in gates}
    bias = params.get("bias", np.zeros(len(params["weight_ih"])))
    joins = _joins(cell, options, params.get("bias_hn", 0))
    return Attempt(split(params["weight_ih"]), split(params["weight_hh"]), split(bias), functions, joins)


def _joins(cell: str, options: Mapping[str, Any], bias_hn: Any) -> dict[str, Callable[..., Array]]:
    if cell == "lstm":
        return {"c": lambda i, f, g, o, old: f * old + i * g, "h": lambda o, c, old: o * np.tanh(c)}
    after, keep = options.get("reset", "after") == "after", options.get("update", "keep") == "keep"
    return {
        "n": lambda r, h, R: r * (h @ R.T + bias_hn) if after else (r * h) @ R.T,
        "h": lambda z, n, h: (1 - z) * n + z * h if keep else (1 - z) * h + z * n,
    }


def _wrong(
    cell: str, right: Attempt, params: Mapping[str, Array], options: Mapping[str, Any], concatenated: bool
) -> Iterator[tuple[str, Attempt]]:
    gates = GATES[cell]
    if concatenated:
        whole = {k: np.concatenate([right.R[k], right.W[k]], axis=1) for k in gates}
        I = right.W[gates[0]].shape[1]  # noqa: E741
        other = replace(right, W={k: w[:, :I] for k, w in whole.items()}, R={k: w[:, I:] for k, w in whole.items()})
        yield "W multiplies [x, h] where it should multiply [h, x]", other
    for name, what, formula in _other_joins(cell, options, params.get("bias_hn", 0)):
        yield what, replace(right, joins=right.joins | {name: formula})
    for some in [*gates, gates] if len(gates) > 1 else gates:
        yield from _in_gates(some, right)
    for order in permutations(gates):
        if order != tuple(gates):
            moved = [dict(zip(gates, (part[k] for k in order), strict=True)) for part in (right.W, right.R, right.b)]
            swapped = [k for k, other in zip(gates, order, strict=True) if k != other]
            what = f"gates {' and '.join(swapped)} swapped" if len(swapped) == 2 else "gates mixed up"
            yield (
                f"{what}: the blocks are read in the order {' '.join(_inverse(gates, order))}",
                replace(right, W=moved[0], R=moved[1], b=moved[2]),
            )


def _inverse(gates: str, order: tuple[str, ...]) -> list[str]:
    """Which gate each block is taken for."""
    return [gates[order.index(k)] for k in gates]


def _in_gates(some: str, right: Attempt) -> Iterator[tuple[str, Attempt]]:
    """Mistakes made in one gate, or in all."""
    where = f"gate {some}" if len(some) == 1 and some != "h" else "the gates" if len(some) > 1 else "h"

    def changed(part: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
        return part | {k: change(part[k]) for k in some}

    for name, called in _FUNCTIONS.items():
        if any(right.functions[k] != name for k in some):
            wanted = " and ".join(dict.fromkeys(str(right.functions[k]) for k in some))
            what = f"{where} computed with {called} in place of {wanted}"
            yield what, replace(right, functions=right.functions | dict.fromkeys(some, name))
    yield f"{where} computed without the bias", replace(right, b=changed(right.b, np.zeros_like))
    yield f"{where} computed with the bias added twice", replace(right, b=changed(right.b, lambda b: 2 * b))
    yield f"{where} computed without h", replace(right, R=changed(right.R, np.zeros_like))
    yield f"{where} computed without x", replace(right, W=changed(right.W, np.zeros_like))
    yield f"{where} computed with the recurrent weights transposed", replace(right, R=changed(right.R, np.transpose))
    negated = (changed(part, np.negative) for part in (right.W, right.R, right.b))
    yield f"{where} computed with the sign turned", replace(right, **dict(zip("WRb", negated, strict=True)))


def _other_joins(
    cell: str, options: Mapping[str, Any], bias_hn: Any
) -> Iterator[tuple[str, str, Callable[..., Array]]]:
    if cell == "lstm":
        yield "c", "c computed without the input gate, as f*c + g", lambda i, f, g, o, old: f * old + g
        yield "c", "c computed without the forget gate, as c + i*g", lambda i, f, g, o, old: old + i * g
        yield "c", "c computed with 1 - f in place of i", lambda i, f, g, o, old: f * old + (1 - f) * g
        yield (
            "c",
            "i and f exchanged in c, or the gates' blocks read in the order f i g o",
            lambda i, f, g, o, old: i * old + f * g,
        )
        yield "h", "h computed without the tanh of c, as o*c", lambda o, c, old: o * c
        yield "h", "h computed with sigmoid of c in place of tanh", lambda o, c, old: o * activate("sigmoid", c)
        yield "h", "h computed from the old c", lambda o, c, old: o * np.tanh(old)
        yield "h", "h computed without the output gate, as tanh(c)", lambda o, c, old: np.tanh(c)
    if cell == "gru":
        reset, update = options.get("reset", "after"), options.get("update", "keep")
        turned = {"keep": "new", "new": "keep"}[update]
        other = {"after": "before", "before": "after"}[reset]
        formula = "(1 - z)*n + z*h" if update == "keep" else "(1 - z)*h + z*n"
        yield (
            "h",
            f"h computed with z and 1 - z exchanged: it should be {formula}",
            _joins(cell, {"update": turned}, bias_hn)["h"],
        )
        placed = f"n computed with the reset gate {other} the recurrent product: it should work {reset} it"
        yield "n", placed, _joins(cell, {"reset": other}, 0)["n"]
        yield "n", "n computed without the reset gate", lambda r, h, R: h @ R.T + bias_hn
        if reset == "after":
            yield "n", "n computed without b_hn", lambda r, h, R: r * (h @ R.T)
            yield "n", "n computed with b_hn outside the reset gate", lambda r, h, R: r * (h @ R.T) + bias_hn
