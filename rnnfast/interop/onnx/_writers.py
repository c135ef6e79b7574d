"""The layers that are not recurrent as ONNX nodes."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from rnnfast import layers
from rnnfast.interop.onnx._recurrent import State, write_recurrent
from rnnfast.interop.onnx._writer import Value, Writer
from rnnfast.layers._activations import Choice
from rnnfast.layers._activations import parse as parse_activation
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models.graph import Graph
from rnnfast.models.sequential import Sequential

_PLAIN = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
_MERGES: dict[type, str] = {
    layers.Concatenate: "Concat",
    layers.Add: "Sum",
    layers.Average: "Mean",
    layers.Multiply: "Mul",
}
_END = np.iinfo(np.int64).max


def write_layer(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    """The nodes of a layer or model; what it gives.

    Raises
    ------
    ValueError
        For a layer or an option that ONNX has no operators for.
    """
    if isinstance(layer, Sequential):
        for i, each in enumerate(layer.layers):
            value = write_layer(writer, each, value, f"{prefix}{i}.")
        return value
    if isinstance(layer, Recurrent):
        return write_recurrent(writer, layer, value, prefix)[0]
    if isinstance(layer, Graph) and isinstance(layer._outputs, str) and len(layer.inputs) == 1:
        return write_graph(writer, layer, dict.fromkeys(layer.inputs, value), prefix)[layer._outputs]
    for kind, write in _WRITERS.items():
        if type(layer) is kind:
            return write(writer, layer, value, prefix)
    raise ValueError(f"layer {prefix or type(layer).__name__!r}: {type(layer).__name__} cannot be written as ONNX")


def write_graph(writer: Writer, graph: Graph, inputs: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """The nodes of all layers of a graph; every value of it by its name."""
    values, states = dict(inputs), dict[str | None, State]()
    sources = {node.state for node in graph.nodes}
    for node in graph.nodes:
        taken, called = [values[name] for name in node.inputs], f"{prefix}{node.name}."
        if isinstance(node.layer, Recurrent):
            start, keep = states.get(node.state), node.name in sources
            values[node.name], states[node.name] = write_recurrent(writer, node.layer, taken[0], called, start, keep)
        elif node.state is not None or node.name in sources:
            raise ValueError(f"layer {called!r}: in ONNX only recurrent layers hand on their state")
        elif type(node.layer) in _MERGES:
            values[node.name] = _merge(writer, node.layer, taken)
        else:
            values[node.name] = write_layer(writer, node.layer, taken[0], called)
    return values


def _merge(writer: Writer, layer: Any, taken: list[Value]) -> Value:
    names, op_type = [value.name for value in taken], _MERGES[type(layer)]
    if op_type == "Mul":
        name = reduce(lambda a, b: writer.add("Mul", [a, b]), names)
    else:
        how: dict[str, Any] = {"axis": -1} if op_type == "Concat" else {}
        name = writer.add(op_type, names, **how)
    lengths = next((value.lengths for value in taken if value.lengths is not None), None)
    return writer.kept(Value(name, layer.shapes_of_many([value.shape for value in taken])[0], lengths))


def activated(writer: Writer, name: str, choice: Choice) -> str:
    """f of a value, number by number; softmax along the last axis."""
    if choice.name == "identity":
        return name
    if choice.name in _PLAIN:
        return writer.add(_PLAIN[choice.name], [name])
    if choice.name == "softmax":
        return writer.add("Softmax", [name], axis=-1)
    if choice.name == "leaky_relu":
        return writer.add("LeakyRelu", [name], alpha=choice.alpha)
    if choice.name == "elu":
        return writer.add("Elu", [name], alpha=choice.alpha)
    if choice.name.startswith("hard_sigmoid"):
        return writer.add("HardSigmoid", [name], alpha=choice.alpha, beta=choice.beta)

    def number(value: float) -> str:
        return writer.constant(value, np.float32)

    if choice.name == "swish":
        return writer.add("Mul", [name, writer.add("Sigmoid", [writer.add("Mul", [name, number(choice.alpha)])])])
    cube = writer.add("Mul", [writer.add("Mul", [name, name]), name])
    inner = writer.add("Add", [name, writer.add("Mul", [cube, number(0.044715)])])
    gate = writer.add("Tanh", [writer.add("Mul", [inner, number(np.sqrt(2 / np.pi))])])
    half = writer.add("Mul", [name, number(0.5)])
    return writer.add("Mul", [half, writer.add("Add", [gate, number(1)])])


def _same(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    return value


def _embedding(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    weight, ids = writer.weight(layer.params["weight"], f"{prefix}weight"), value
    if value.lengths is not None:  # what stands beyond may be no id at all
        ids = value._replace(name=writer.add("Where", [writer.valid(value), value.name, writer.constant(0)]))
    name = writer.add("Gather", [weight, ids.name])
    return writer.kept(Value(name, layer.output_shape(value.shape), value.lengths))


def _linear(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    name = writer.add("MatMul", [value.name, writer.weight(layer.params["weight"].T, f"{prefix}weight")])
    if layer.bias:
        name = writer.add("Add", [name, writer.weight(layer.params["bias"], f"{prefix}bias")])
    name = activated(writer, name, parse_activation(layer.activation or "identity"))
    return writer.kept(Value(name, layer.output_shape(value.shape), value.lengths))


def _activation(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    return writer.kept(value._replace(name=activated(writer, value.name, layer.activation)))


def _layer_norm(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    weights = [writer.weight(layer.params[name], f"{prefix}{name}") for name in ("weight", "bias")]
    name = writer.add("LayerNormalization", [value.name, *weights], axis=-1, epsilon=layer.eps)
    return writer.kept(value._replace(name=name))


def _batch_norm(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    # At inference it is one factor and one number to add; the last axis is the features', not the operator's second.
    mean, variance = (np.asarray(layer.buffers[name], np.float64) for name in ("running_mean", "running_var"))
    factor = layer.params["weight"] / np.sqrt(variance + layer.eps)
    shift = writer.weight(layer.params["bias"] - mean * factor, f"{prefix}shift")
    name = writer.add("Mul", [value.name, writer.weight(factor, f"{prefix}factor")])
    return writer.kept(value._replace(name=writer.add("Add", [name, shift])))


def _last(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    if len(value.shape) != 3:
        raise ValueError(f"layer {prefix!r}: Last takes (B, T, F), got {value.shape}")
    directions = layer.directions or 1
    if directions == 2:
        size = value.shape[-1]
        if not isinstance(size, int) or size % 2:
            raise ValueError(f"layer {prefix!r}: Last with two directions needs an even last axis, got {value.shape}")
        halves = writer.add_many("Split", [value.name], ["forward", "reverse"], axis=2)
        ends = [_step(writer, value, half, reverse) for half, reverse in zip(halves, (False, True), strict=True)]
        if layer.merge == "concat":
            name = writer.add("Concat", ends, axis=1)
        else:
            name = writer.add("Mul" if layer.merge == "mul" else "Add", ends)
        if layer.merge == "average":
            name = writer.add("Mul", [name, writer.constant(0.5, np.float32)])
    else:
        name = _step(writer, value, value.name, directions == -1)
    return Value(name, layer.output_shape(value.shape))


def _step(writer: Writer, value: Value, name: str, first: bool) -> str:
    """The first or the last step that each sequence has; zero where it has none."""
    if value.lengths is None:
        return writer.add("Gather", [name, writer.constant(0 if first else -1)], axis=1)
    some = writer.once("Unsqueeze", [writer.once("Greater", [value.lengths, writer.constant(0)]), writer.constant([1])])
    if first:
        found = writer.add("Gather", [name, writer.constant(0)], axis=1)
    else:
        last = writer.once("Sub", [writer.once("Max", [value.lengths, writer.constant(1)]), writer.constant(1)])
        places = writer.once("Unsqueeze", [last, writer.constant([1])])
        found = writer.add("GatherND", [name, places], batch_dims=1)
    return writer.add("Where", [some, found, writer.constant(0, np.float32)])


def _mean_pool(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    if value.lengths is None:
        name = writer.add("ReduceMean", [value.name], axes=[1], keepdims=0)
    else:
        count = writer.once("Cast", [writer.once("Max", [value.lengths, writer.constant(1)])], to=1)
        total = writer.add("ReduceSum", [writer.kept(value).name, writer.constant([1])], keepdims=0)
        name = writer.add("Div", [total, writer.once("Unsqueeze", [count, writer.constant([1])])])
    return Value(name, layer.output_shape(value.shape))


def _max_pool(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    name = writer.add("ReduceMax", [writer.kept(value, -np.inf).name], axes=[1], keepdims=0)
    if value.lengths is not None:
        some = writer.once("Greater", [value.lengths, writer.constant(0)])
        some = writer.once("Unsqueeze", [some, writer.constant([1])])
        name = writer.add("Where", [some, name, writer.constant(0, np.float32)])
    return Value(name, layer.output_shape(value.shape))


def _flatten(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    name = writer.add("Flatten", [writer.kept(value).name], axis=1)
    return Value(name, layer.output_shape(value.shape))


def _repeat(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    name = writer.add("Unsqueeze", [value.name, writer.constant([1])])
    return Value(writer.add("Tile", [name, writer.constant([1, layer.n, 1])]), layer.output_shape(value.shape))


def _conv(writer: Writer, layer: Any, value: Value, prefix: str) -> Value:
    x, span = writer.kept(value), layer.span
    carried = writer.stateful and layer._carries and span
    if carried:
        if value.lengths is not None:
            raise ValueError(f"layer {prefix!r}: a Conv1D with a state cannot take lengths in ONNX")
        state = writer.input(f"{prefix}state", np.float32, ("B", span, layer.in_channels))
        x = x._replace(name=writer.add("Concat", [state, x.name], axis=1))
        last = writer.add("Slice", [x.name, *(writer.constant([n]) for n in (-span, _END, 1))])
        writer.output(last, f"{prefix}state_out", np.float32, ("B", span, layer.in_channels))
    weights = [writer.weight(layer.params[name], f"{prefix}{name}") for name in ("weight", "bias")[: 1 + layer.bias]]
    name = writer.add(
        "Conv",
        [writer.add("Transpose", [x.name], perm=[0, 2, 1]), *weights],
        kernel_shape=[layer.kernel_size],
        strides=[layer.stride],
        dilations=[layer.dilation],
        pads=[span if layer.causal and not carried else 0, 0],
    )
    name = activated(writer, writer.add("Transpose", [name], perm=[0, 2, 1]), layer.activation)
    lengths = value.lengths
    if lengths is not None and not layer._carries:
        inside = lengths if layer.causal else writer.once("Sub", [lengths, writer.constant(span)])
        up = writer.once("Add", [inside, writer.constant(layer.stride - 1)])
        up = writer.once("Max", [up, writer.constant(0)])
        lengths = writer.once("Div", [up, writer.constant(layer.stride)])
    return writer.kept(Value(name, layer.output_shape(value.shape), lengths))


_WRITERS: dict[type, Callable[[Writer, Any, Value, str], Value]] = {
    layers.Embedding: _embedding,
    layers.Linear: _linear,
    layers.Activation: _activation,
    layers.LayerNorm: _layer_norm,
    layers.BatchNorm: _batch_norm,
    layers.Last: _last,
    layers.MeanPool: _mean_pool,
    layers.MaxPool: _max_pool,
    layers.Flatten: _flatten,
    layers.Repeat: _repeat,
    layers.Conv1D: _conv,
    **dict.fromkeys([layers.Dropout, layers.SpatialDropout, layers.GaussianNoise, layers.ActivityRegularizer], _same),
}
