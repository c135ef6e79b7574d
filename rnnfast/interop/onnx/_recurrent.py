"""Recurrent layers as ONNX nodes: one a level, both directions in one."""

from typing import Any

import numpy as np

from rnnfast.interop.onnx import _activations
from rnnfast.interop.onnx._node import RecurrentNode
from rnnfast.interop.onnx._writer import Value, Writer
from rnnfast.layers._direction import Direction
from rnnfast.layers._highway import Highway
from rnnfast.layers._level import Level

Array = np.ndarray

_MERGES = {"mul": "ReduceProd", "average": "ReduceMean"}


State = dict[str, list[str]]  # by the letter of h or c, a name for each level


def write_recurrent(
    writer: Writer, layer: Any, value: Value, prefix: str, start: State | None = None, keep: bool = False
) -> tuple[Value, State]:
    """The nodes of an RNN, LSTM, GRU, IndRNN or MGU layer; with `keep` its last state too.

    `start` is the last state of another.
    """
    check(layer, prefix, value.lengths is not None)
    states = _States(writer, layer, value, prefix, start, keep)
    x = writer.add("Transpose", [value.name], perm=[1, 0, 2])
    for level in layer._levels:
        x = _level(writer, layer, level, x, value.lengths, states, prefix)
    states.leave()
    name = writer.add("Transpose", [x], perm=[1, 0, 2])
    return Value(name, layer.output_shape(value.shape), value.lengths), states.found


def check(layer: Any, prefix: str, lengths: bool) -> None:
    """Refuse what no ONNX operator has."""
    variant, kind = layer._directions[0].variant, type(layer).__name__
    refused = {
        "proj_size": layer._directions[0].proj_size,
        "layer_norm": variant.layer_norm,
        "cell_clip": variant.cell_clip,
        "zoneout": variant.zoneout_h or variant.zoneout_c,
        "merge=None": layer.merge is None,
        'padding="hold", with lengths,': lengths and layer.padding == "hold",
    }
    for name, value in refused.items():
        if value:
            raise ValueError(f"layer {prefix or kind!r}: ONNX has no operator for {kind} with {name}")
    if variant.cell == "mgu" and variant.gate[0] != 2:
        raise ValueError(f"layer {prefix or kind!r}: an MGU is a GRU of ONNX with sigmoid gates alone")


class _States:
    """Where the levels start from, and where their last states go to."""

    def __init__(self, writer: Writer, layer: Any, value: Value, prefix: str, start: State | None, keep: bool):
        self.writer, self.layer, self.value, self.prefix = writer, layer, value, prefix
        self.letters = "hc" if layer.cell == "lstm" else "h"
        self.together = len(set(layer.hidden_sizes)) == 1  # one array for all levels, as our layers have it
        self.given: State = start or {}
        self.found: State = {letter: [] for letter in self.letters}
        self.keep = keep or writer.stateful
        if start and [len(each) for each in start.values()] != [layer.num_layers] * len(self.letters):
            raise ValueError(f"layer {prefix!r}: the state that it starts from is that of another kind of layer")
        if writer.stateful:
            for letter in self.letters:
                self.given[letter] = self._enter(letter)

    def _names(self, letter: str) -> list[tuple[str, int, int]]:
        """What the arrays of a state are called, and their first and last axis."""
        D, widths = 1 + self.layer.bidirectional, self.layer.hidden_sizes
        if self.together:
            return [(f"{self.prefix}{letter}", D * len(widths), widths[0])]
        return [(f"{self.prefix}{letter}_l{i}", D, width) for i, width in enumerate(widths)]

    def _enter(self, letter: str) -> list[str]:
        writer, levels = self.writer, self.layer.num_layers
        names = [writer.input(name, np.float32, (n, "B", H)) for name, n, H in self._names(letter)]
        if self.together and levels > 1:
            names = writer.add_many("Split", names, [f"{names[0]}_l{i}" for i in range(levels)], axis=0)
        return names

    def initial(self, level: Level) -> list[str]:
        """What a level starts from; empty names are zeros."""
        if self.given:
            return [self.given[letter][level.number] for letter in self.letters]
        if not self.layer.learned_state:
            return [""] * len(self.letters)
        writer = self.writer
        rows, H = writer.size(self.value.name, 0), level.directions[0].hidden_size
        shape = writer.once("Concat", [writer.constant([len(level.directions)]), rows, writer.constant([H])], axis=0)
        found = []
        for letter in self.letters:
            stacked = np.stack([self.layer.params[f"{letter}0{each.suffix}"] for each in level.directions])
            weight = writer.weight(stacked[:, None], f"{self.prefix}{letter}0_l{level.number}")
            found.append(writer.add("Expand", [weight, shape]))
        return found

    def final(self, initial: list[str], names: list[str]) -> None:
        """Take what a level ends with."""
        writer = self.writer
        for letter, before, name in zip(self.letters, initial, names, strict=True):
            if (
                self.value.lengths is not None and before
            ):  # a sequence without steps keeps its state; the operator gives zeros
                some = writer.once("Greater", [self.value.lengths, writer.constant(0)])
                name = writer.add("Where", [writer.once("Unsqueeze", [some, writer.constant([0, 2])]), name, before])
            self.found[letter].append(name)

    def leave(self) -> None:
        """Make the last states outputs of the model."""
        for letter, names in self.found.items() if self.writer.stateful else ():
            if self.together and len(names) > 1:
                names = [self.writer.add("Concat", names, axis=0)]
            for name, (called, n, H) in zip(names, self._names(letter), strict=True):
                self.writer.output(name, f"{called}_out", np.float32, (n, "B", H))


def _level(writer: Writer, layer: Any, level: Level, x: str, lengths: str | None, states: _States, prefix: str) -> str:
    """One level: x (T, B, I) to y (T, B, F)."""
    called = f"{prefix}l{level.number}"
    node = _node_of(level.directions)
    stacked = [node.theirs(_weights(layer, direction)) for direction in level.directions]
    weights = {
        name: writer.weight(np.stack([each[name] for each in stacked]), f"{called}.{name}") for name in stacked[0]
    }
    ends = "" if lengths is None else writer.once("Cast", [lengths], to=6)  # int32
    initial = states.initial(level)
    inputs = [x, weights["W"], weights["R"], weights.get("B", ""), ends, *initial, weights.get("P", "")]
    while not inputs[-1]:
        inputs.pop()
    wanted = ["Y", "Y_h", "Y_c"][: 1 + len(states.letters)] if states.keep else ["Y"]
    y, *last = writer.add_many(node.cell.upper(), inputs, wanted, called=called, **node.attributes())
    if states.keep:
        states.final(initial, last)
    if len(level.directions) == 1:
        y = writer.add("Squeeze", [y, writer.constant([1])])
    elif level.merge == "concat":
        y = writer.add("Transpose", [y], perm=[0, 2, 1, 3])
        y = writer.add("Reshape", [y, writer.constant([0, 0, level.output_size])])
    elif level.merge == "sum":
        y = writer.add("ReduceSum", [y, writer.constant([1])], keepdims=0)
    else:
        y = writer.add(_MERGES[str(level.merge)], [y], axes=[1], keepdims=0)
    if isinstance(level.around, Highway):
        weight = writer.weight(layer.params[level.around.weight].T, f"{called}.highway")
        bias = writer.weight(layer.params[level.around.bias], f"{called}.highway_bias")
        t = writer.add("Sigmoid", [writer.add("Add", [writer.add("MatMul", [x, weight]), bias])])
        y = writer.add("Mul", [t, writer.add("Sub", [y, x])])
    return writer.add("Add", [y, x]) if level.around else y


def _node_of(directions: list[Direction]) -> RecurrentNode:
    first = directions[0]
    variant, options, cell = first.variant, first.options, first.cell
    names = {"lstm": ("recurrent_activation", "activation", "output_activation"), "rnn": ("activation",)}
    usual = {"recurrent_activation": "sigmoid", "activation": options.get("activation") or "tanh"}
    usual["output_activation"] = usual["activation"]
    roles = names.get({"indrnn": "rnn"}.get(cell, cell), ("recurrent_activation", "activation"))
    functions = tuple(_activations.of_ours(options.get(role) or usual[role]) for role in roles)
    return RecurrentNode(
        "",
        {"indrnn": "rnn", "mgu": "gru"}.get(cell, cell),
        tuple(each.reverse for each in directions),
        (functions,) * len(directions),
        clip=variant.clip or None,
        reset_after=variant.reset == "after",
        coupled=variant.coupled,
        hidden_size=first.hidden_size,
    )


def _weights(layer: Any, direction: Direction) -> dict[str, Array]:
    """A direction's parameters as those of a cell that ONNX knows, the pair of biases kept where there is one."""
    block, variant, H = layer.block, direction.variant, direction.hidden_size
    found = {name: array.copy() for name, array in direction.weights(block).items()}
    if direction.bias == "double" and direction.cell != "mgu":
        found = {name: array for name, array in found.items() if not name.startswith("bias")}
        found |= {name: block.array(name + direction.suffix).copy() for name in ("bias_ih", "bias_hh")}
    if direction.cell == "indrnn":
        found["weight_hh"] = np.diag(found["weight_hh"])
    if direction.cell == "mgu":  # f is the reset gate, and 1 - f the update gate: a sigmoid of the other sign
        for name, array in found.items():
            found[name] = np.concatenate([array[:H], -array[:H], array[H:]])
    if variant.new_update:
        for name, array in found.items():
            if name != "bias_hn":
                array[H : 2 * H] *= -1
    return found
