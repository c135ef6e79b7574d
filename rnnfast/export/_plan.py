"""A model as a row of stages: which there are, what each does to a step, and what cannot be written in C."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rnnfast.export._cells import cell_stage
from rnnfast.export._text import Stage, Text
from rnnfast.layers import (
    Activation,
    ActivityRegularizer,
    BatchNorm,
    Dropout,
    Embedding,
    GaussianNoise,
    Last,
    LayerNorm,
    Linear,
    SpatialDropout,
)
from rnnfast.layers._activations import Choice, parse
from rnnfast.layers._base import Layer
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models import Sequential

_TRAINING_ONLY = (Dropout, SpatialDropout, GaussianNoise, ActivityRegularizer)


class Node(NamedTuple):
    """A stage, or two that read the same steps in opposite directions and write side by side."""

    stages: tuple[Stage, ...]
    reverse: tuple[bool, ...] = (False,)
    around: bool = False
    """Whether the input is added to the output."""

    @property
    def inputs(self) -> int:
        return self.stages[0].inputs

    @property
    def outputs(self) -> int:
        return sum(stage.outputs for stage in self.stages)


class Ending(NamedTuple):
    """`Last`: so many features are of the forward direction, and how both become one."""

    forward: int
    merge: str


class Plan(NamedTuple):
    """What comes before `Last`, what it does, and what comes after; without a `Last` all is body."""

    body: list[Node]
    ending: Ending | None
    head: list[Node]
    initial: dict[str, np.ndarray]
    """Learned states, by the names of the state they start."""

    @property
    def reads_backwards(self) -> bool:
        return any(True in node.reverse for node in self.body)


def make_plan(model: Layer, text: Text) -> Plan:
    """The stages of a model; its weights and functions go into `text`.

    Raises
    ------
    ValueError
        Naming the layer or option that C export does not have.
    """
    layers = [(where, layer) for where, layer in _flat(model, "") if not isinstance(layer, _TRAINING_ONLY)]
    if not layers:
        raise ValueError("the model has no layer that does anything at inference: there is nothing to write")
    body: list[Node] = []
    head: list[Node] = []
    initial: dict[str, np.ndarray] = {}
    ending, width, before, folded = None, _input_size(layers), 0, False
    for (where, layer), (_, following) in zip(layers, [*layers[1:], ("", None)], strict=True):
        if folded:
            folded = False
            continue
        if isinstance(layer, Last):
            if ending is not None:
                raise ValueError(f"{_named(where, layer)}: a second Last is not written in C")
            directions, before = layer.directions or 1, width
            ending = Ending(0 if directions < 0 else width // directions, layer.merge)
            width = width if layer.merge == "concat" else width // 2
            continue
        nodes = body if ending is None else head
        if isinstance(layer, Linear):
            # Bytes are made of the matrix as it is, so that they are those of the layer.
            follows = isinstance(following, BatchNorm) and layer.activation is None and not text.int8
            norm = following if follows else None
            found, folded = [_linear(text, where, layer, norm)], norm is not None
        else:
            found = _nodes(text, where, layer, width, initial, ending is None, not nodes and ending is None)
        nodes += found
        width = found[-1].outputs
    plan = Plan(body, ending, head, initial)
    if ending is not None and ending.merge + str(ending.forward) != f"concat{before}" and not plan.reads_backwards:
        raise ValueError("Last of two directions, or of the reverse one, needs a layer before it that has them")
    return plan


def _flat(layer: Layer, where: str) -> Iterator[tuple[str, Layer]]:
    """The leaf layers with their places, "1" or "1_0"."""
    if not isinstance(layer, Sequential):
        yield where or "0", layer
        return
    for i, inner in enumerate(layer.layers):
        yield from _flat(inner, f"{where}_{i}" if where else str(i))


def _title(where: str, layer: Layer) -> str:
    return f"{where.replace('_', '.')} {type(layer).__name__}"


def _named(where: str, layer: Layer) -> str:
    return f"layer {where.replace('_', '.')} ({type(layer).__name__})"


def _input_size(layers: list[tuple[str, Layer]]) -> int:
    if isinstance(layers[0][1], Embedding):
        return 1
    for _, layer in layers:
        size = layer.input_shape[-1]
        if isinstance(size, int):
            return size
    raise ValueError("no layer of the model knows its number of inputs: C source needs one that does")


def _nodes(
    text: Text, where: str, layer: Layer, width: int, initial: dict[str, np.ndarray], in_body: bool, first: bool
) -> list[Node]:
    title = _title(where, layer)
    if isinstance(layer, Recurrent):
        if not in_body:
            raise ValueError(f"{_named(where, layer)}: a recurrent layer after Last is not written in C")
        return _recurrent(text, where, layer, title, initial)
    if isinstance(layer, Embedding):
        if not first:
            raise ValueError(f"{_named(where, layer)}: in C an Embedding must be the first layer")
        D = layer.embedding_dim
        if text.int8:
            table, scale = text.bytes_and_scale(f"{where}_weight", layer.params["weight"])
            body = _each(D, f"{scale}[*x] * (float){table}[(size_t)*x * {D} + (size_t)j]")
        else:
            table = text.array(f"{where}_weight", layer.params["weight"])
            body = f"memcpy(y, {table} + (size_t)*x * {D}, {D} * sizeof(float));"
        return [Node((Stage(title, 1, D, body, num_ids=layer.num_embeddings),))]
    if isinstance(layer, LayerNorm):
        normalise = text.function("normalise")
        weight, bias = (text.array(f"{where}_{name}", layer.params[name]) for name in ("weight", "bias"))
        lines = f"memcpy(y, x, {width} * sizeof(float));\n{normalise}(y, {width}, {np.float32(layer.eps)}f);\n"
        return [Node((Stage(title, width, width, lines + _each(width, f"{weight}[j] * y[j] + {bias}[j]")),))]
    if isinstance(layer, BatchNorm):
        factor, shift = _scale(layer)
        names = text.array(f"{where}_factor", factor), text.array(f"{where}_shift", shift)
        return [Node((Stage(title, width, width, _each(width, f"{names[0]}[j] * x[j] + {names[1]}[j]")),))]
    if isinstance(layer, Activation):
        return [Node((Stage(title, width, width, _activated(text, layer.activation, width, "x")),))]
    known = "Sequential of Embedding, RNN, LSTM, GRU, IndRNN, MGU, Linear, LayerNorm, BatchNorm, Activation, Last"
    raise ValueError(f"{_named(where, layer)} is not written in C: what is, is a {known}, and Dropout and its kin")


def _recurrent(text: Text, where: str, layer: Recurrent, title: str, initial: dict[str, np.ndarray]) -> list[Node]:
    found = []
    for level in layer._levels:
        two = len(level.directions) == 2
        if layer.merge is None or layer.residual == "highway" or (level.around and two and level.merge != "concat"):
            option = "residual='highway'" if layer.residual == "highway" else f"merge={layer.merge!r}"
            also = " with residual" if level.around and layer.residual != "highway" else ""
            raise ValueError(f"{_named(where, layer)}: {option}{also} is not written in C")
        stages = []
        for direction in level.directions:
            name = f"{where}{direction.suffix}"
            way = f"{title}{direction.suffix.replace('_', ' ')}"
            stages.append(cell_stage(text, direction, layer.block, name, way))
            if direction.learned_state:
                learned = direction.initial_state(layer.block, 1)
                arrays = learned if isinstance(learned, tuple) else (learned,)
                initial |= {name: array[0] for (name, _), array in zip(stages[-1].state, arrays, strict=True)}
        reverse = tuple(direction.reverse for direction in level.directions)
        found.append(Node(tuple(stages), reverse, bool(level.around)))
        if two and level.merge != "concat":
            half = stages[0].outputs
            merged = Stage(f"{title} merge", 2 * half, half, _each(half, merge_expression(level.merge or "", half)))
            found.append(Node((merged,)))
    return found


def merge_expression(kind: str, half: int, first: str = "x", second: str = "x") -> str:
    """The first half of one array and the second half of another made one, number by number."""
    sign = "*" if kind == "mul" else "+"
    return f"{'0.5f * ' * (kind == 'average')}({first}[j] {sign} {second}[{half} + j])"


def _linear(text: Text, where: str, layer: Linear, norm: BatchNorm | None) -> Node:
    """A linear map, with the batch normalisation that follows it in its weights."""
    weight, bias = layer.params["weight"], layer.params["bias"] if layer.bias else None
    title = _title(where, layer)
    if norm is not None:
        factor, shift = _scale(norm)
        weight, bias = weight * factor[:, None], shift if bias is None else bias * factor + shift
        title += " with the BatchNorm after it"
    rows, columns = weight.shape
    start = f"memset(y, 0, {rows} * sizeof(float));"
    if bias is not None:
        start = f"memcpy(y, {text.array(f'{where}_bias', bias)}, {rows} * sizeof(float));"
    lines = [start, text.product("y", f"{where}_weight", weight, "x")]
    if layer.activation is not None:
        lines.append(_activated(text, parse(layer.activation), rows, "y"))
    return Node((Stage(title, columns, rows, "\n".join(lines)),))


def _each(count: int, value: str) -> str:
    return f"for (int j = 0; j < {count}; j++)\n    y[j] = {value};"


def _activated(text: Text, choice: Choice, width: int, source: str) -> str:
    if choice.name == "softmax":
        copy = "" if source == "y" else f"memcpy(y, {source}, {width} * sizeof(float));\n"
        return f"{copy}{text.function('softmax')}(y, {width});"
    function = text.activation(choice)
    return _each(width, f"{function}({source}[j])" if function else f"{source}[j]")


def _scale(layer: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """y = factor x + shift, of the running statistics."""
    mean, variance = (layer.buffers[name].astype(np.float64) for name in ("running_mean", "running_var"))
    factor = layer.params["weight"] / np.sqrt(variance + layer.eps)
    return factor, layer.params["bias"] - mean * factor
