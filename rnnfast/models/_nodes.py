"""The layers of a graph in order: shapes, lengths, values forward, gradients backward."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._base import Axis, Backward, Layer
from rnnfast.layers._key import Key
from rnnfast.layers._many import ManyInputs

Array = np.ndarray
Shape = tuple[Axis, ...]


class Node(NamedTuple):
    """A layer, and the names of what it takes; `state` is the node whose final state it starts from."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    state: str | None

    @property
    def values(self) -> list[str]:
        """The names of what it gives."""
        sides = self.layer.side_outputs if isinstance(self.layer, ManyInputs) else ()
        return [self.name, *(f"{self.name}.{side}" for side in sides)]


class Taped(NamedTuple):
    """A node that has run forward, and its layer's backward."""

    node: Node
    backward: Backward


def shapes_of(node: Node, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes of what a node gives; or the error that says what does not fit."""
    layer, taken = node.layer, [shapes[source] for source in node.inputs]
    if isinstance(layer, ManyInputs):
        if not taken:
            raise ValueError(f"{node.name!r} takes nothing; it needs inputs")
        return dict(zip(node.values, layer.shapes_of_many(taken), strict=True))
    if len(taken) != 1:
        raise ValueError(
            f"{node.name!r}: {type(layer).__name__} takes one input, got {len(taken)}; Concatenate, Add, Multiply and "
            "Average join several"
        )
    wanted, size = layer.input_shape[-1], taken[0][-1]
    if isinstance(wanted, int) and isinstance(size, int) and wanted != size:
        raise ValueError(
            f"{node.name!r}: {type(layer).__name__} takes {wanted} features, {node.inputs[0]!r} has {size}"
        )
    return {node.name: layer.output_shape(taken[0])}


def lengths_of(node: Node, ends: Mapping[str, Any]) -> dict[str, Any]:
    """The lengths of what a node gives."""
    taken = [ends[source] for source in node.inputs]
    if isinstance(node.layer, ManyInputs):
        return dict(zip(node.values, node.layer.lengths_of_many(taken), strict=True))
    return {node.name: node.layer.output_lengths(taken[0])}


def run(nodes: Iterable[Node], values: dict[str, Array], ends: dict[str, Any]) -> None:
    """Inference: put what the nodes give into `values`, and its lengths into `ends`."""
    states: dict[str | None, Any] = {}
    for node in nodes:
        layer = node.layer
        inputs, lengths = [values[source] for source in node.inputs], [ends[source] for source in node.inputs]
        if isinstance(layer, ManyInputs):
            results = layer.run_many(inputs, lengths)
        else:
            y, states[node.name] = layer.run(inputs[0], states.get(node.state), lengths=lengths[0])
            results = (y,)
        values.update(zip(node.values, results, strict=True))
        ends.update(lengths_of(node, ends))


def forward(nodes: Iterable[Node], values: dict[str, Array], ends: dict[str, Any], key: Key | None) -> list[Taped]:
    """Training: as `run`; gives what `backward` walks back."""
    states: dict[str | None, Any] = {}
    tape = []
    for i, node in enumerate(nodes):
        layer, rng = node.layer, None if key is None else key.child(i)
        inputs, lengths = [values[source] for source in node.inputs], [ends[source] for source in node.inputs]
        if isinstance(layer, ManyInputs):
            results, layer_backward = layer.forward_many(inputs, lengths, rng)
        elif layer.has_state:
            stateful: Callable[..., Any] = layer.forward
            given = inputs[0], states.get(node.state)
            (y, states[node.name]), layer_backward = stateful(*given, lengths=lengths[0], rng=rng)
            results = (y,)
        else:
            y, layer_backward = layer.forward(inputs[0], lengths=lengths[0], rng=rng)
            results = (y,)
        values.update(zip(node.values, results, strict=True))
        ends.update(lengths_of(node, ends))
        tape.append(Taped(node, layer_backward))
    return tape


def backward(
    tape: list[Taped],
    totals: dict[str, Any],
    shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    need: Collection[str],
) -> dict[int, dict[str, Array]]:
    """Run the layers' backwards, last first.

    Parameters
    ----------
    tape : list of Taped
        As `forward` gives it.
    totals : dict of str to numpy.ndarray
        Gradients of what comes out, by value; in the end those of the inputs are left.
    shapes : mapping of str to (shape, dtype)
        Of every value.
    need : collection of str
        Values whose gradients are wanted; a layer of one input saves the work for others.

    Returns
    -------
    dict of int to dict
        Gradients of each layer's parameters, by the layer's id and the parameter's name.
    """
    found: dict[int, dict[str, Array]] = {id(node.layer): {} for node, _ in tape}
    states: dict[str, Any] = {}
    for node, layer_backward in reversed(tape):
        doutputs, dstate = [totals.pop(value, None) for value in node.values], states.pop(node.name, None)
        if dstate is None and all(each is None for each in doutputs):
            continue
        into = found[id(node.layer)]
        if isinstance(node.layer, ManyInputs):
            dinputs = layer_backward(doutputs, into)
        else:
            how = {"grads": into, "need_dx": node.inputs[0] in need}
            dy = np.zeros(*shapes[node.name]) if doutputs[0] is None else doutputs[0]
            if node.layer.has_state:
                dx, before = layer_backward(dy, dstate, **how)
                if node.state is not None:
                    add(states, node.state, before)
            else:
                dx = layer_backward(dy, **how)
            dinputs = (dx,)
        for source, each in zip(node.inputs, dinputs, strict=True):
            if each is not None:
                add(totals, source, each)
    return found


def apart(nodes: Iterable[Node], values: Mapping[str, Array], outputs: set[str]) -> dict[str, Array]:
    """The values that come out; copied where a layer holds one for its backward, as the caller may write to it."""
    nodes = list(nodes)
    sources = {source for node in nodes for source in node.inputs}
    found = {}
    for node in nodes:
        for value in outputs & set(node.values):
            array, inputs = values[value], [values[source] for source in node.inputs]
            held = value in sources or any(np.may_share_memory(array, each) for each in inputs)
            found[value] = array.copy() if held else array
    return found


def add(totals: dict[str, Any], name: str, term: Any) -> None:
    """Add a gradient to what there is under a name; never in place, for others may hold it."""
    totals[name] = _sum(totals[name], term) if name in totals else term


def _sum(a: Any, b: Any) -> Any:
    """Two gradients of a value, or two of a state: tuples part by part."""
    if isinstance(a, tuple):
        parts = [_sum(*pair) for pair in zip(a, b, strict=True)]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    return a + b
