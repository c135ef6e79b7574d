"""Models of ours as ONNX models."""

from typing import Any

import numpy as np

from rnnfast import files
from rnnfast.interop.onnx._file import onnx
from rnnfast.interop.onnx._writer import Value, Writer
from rnnfast.interop.onnx._writers import activated, write_graph, write_layer
from rnnfast.layers import Embedding
from rnnfast.layers._activations import parse as parse_activation
from rnnfast.layers._base import Axis, Layer
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models.graph import Graph
from rnnfast.models.sequential import Sequential


def to_onnx(
    model: Any, path: Any = None, *, lengths: bool = False, stateful: bool = False, output: str | None = None
) -> Any:
    """Write a layer or model as an ONNX model: one RNN, GRU or LSTM node a level, both directions in one.

    Parameters
    ----------
    model : Layer, or a task model with a `network`
        Recurrent layers (but those made of Python steps), Embedding, Linear, Activation, LayerNorm, BatchNorm, Conv1D,
        Last, MeanPool, MaxPool, Flatten and Repeat; what acts in training alone is left out. It is inference that is
        written. Of a task model (`Classifier`, `Tagger`, `LanguageModel` ...) it is the network, without what prepares
        its input. A `Graph` has its own inputs and outputs by their names (one output is "y"), and may hold
        Concatenate, Add, Average and Multiply, but no Attention.
    path : path, optional
        Where the model is written too, whole or not at all.
    lengths : bool
        Whether the model takes `lengths`, int64 (B,), beside x: all layers then do as ours do with them. A graph with
        several time axes takes "lengths_S" for an axis S.
    stateful : bool
        Whether recurrent layers take and give their states, so that a sequence can be fed in pieces or step by step:
        "h" (L·D, B, H) as ours have it, for an LSTM "c" too, behind "{index}." in a `Sequential`; what is given is
        called "h_out". Where layers differ in width there is one for each, "h_l0". A causal Conv1D has "state".
    output : "softmax", "sigmoid" or None
        What is done to the output in the end, where the model leaves that to its loss.

    Returns
    -------
    onnx.ModelProto
        Opset 17, float32. Inputs "x" (B, T, F), or whole numbers (B, T) where an Embedding comes first, with B and T
        free; output "y".

    Raises
    ------
    ValueError
        For a layer or an option that ONNX has no operator for; the message names it. Among them are projections, layer
        norm inside a cell, zoneout and the clip of c.

    Notes
    -----
    ONNX Runtime's recurrent operators know float32 alone: numbers of a float64 model are rounded. Ids that are no row
    of an Embedding are an error in ours, and in some of ONNX's runtimes another row.

    Examples
    --------
    >>> import rnnfast as rf
    >>> from rnnfast.interop.onnx import to_onnx
    >>> model = rf.Sequential(rf.Embedding(100, 8), rf.LSTM(8, 16, bidirectional=True), rf.Last(), rf.Linear(32, 2))
    >>> [node.op_type for node in to_onnx(model).graph.node].count("LSTM")
    1
    """
    layer = getattr(model, "network", model)
    if not isinstance(layer, Layer):
        raise TypeError(f"model must be a layer or a model of layers, got {type(model).__name__}")
    if output not in (None, "softmax", "sigmoid"):
        raise ValueError(f"output must be None, 'softmax' or 'sigmoid', got {output!r}")
    writer = Writer(stateful)
    if isinstance(layer, Graph):
        _write_graph(writer, layer, lengths, output)
    else:
        _write(writer, layer, lengths, output)
    note = "Parameters rounded from float64 to float32." if layer.dtype == np.float64 else ""
    proto = writer.model(note)
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        files.write_whole(path, proto.SerializeToString())
    return proto


def _write(writer: Writer, layer: Layer, lengths: bool, output: str | None) -> None:
    first, *_ = leaves = _leaves(layer)
    ids = isinstance(first, Embedding)
    shape = _input_shape(leaves)
    x = writer.input("x", np.int64 if ids else np.float32, shape)
    if lengths and (len(shape) < 2 or shape[1] != "T"):
        raise ValueError(f"lengths=True is for a model that takes sequences; this one takes {shape}")
    ends = writer.input("lengths", np.int64, ("B",)) if lengths else None
    value = write_layer(writer, layer, Value(x, shape, ends), "")
    name = value.name if output is None else activated(writer, value.name, parse_activation(output))
    if name == x:
        raise ValueError("nothing of this model is left at inference")
    writer.output(name, "y", np.float32, value.shape)
    # The states stand behind what the model is for.
    writer.outputs.insert(0, writer.outputs.pop())


def _write_graph(writer: Writer, graph: Graph, lengths: bool, output: str | None) -> None:
    if writer.stateful:
        raise ValueError("stateful=True: a Graph takes no state from outside")
    ids = {name for node in graph.nodes if isinstance(_leaves(node.layer)[0], Embedding) for name in node.inputs}
    times = graph._times()
    letters = sorted(set(times.values())) if lengths else []
    values = {
        name: Value(writer.input(name, np.int64 if name in ids else np.float32, shape), shape)
        for name, shape in graph.inputs.items()
    }
    ends = {
        letter: writer.input("lengths" if len(letters) == 1 else f"lengths_{letter}", np.int64, ("B",))
        for letter in letters
    }
    values = {name: value._replace(lengths=ends.get(times.get(name, ""))) for name, value in values.items()}
    found = graph._formed(write_graph(writer, graph, values, ""))
    for name, value in (found if isinstance(found, dict) else {"y": found}).items():
        given = value.name if output is None else activated(writer, value.name, parse_activation(output))
        writer.output(given, name, np.float32, value.shape)


def _leaves(layer: Layer) -> list[Layer]:
    if not isinstance(layer, Sequential):
        return [layer]
    return [leaf for each in layer.layers for leaf in _leaves(each)]


def _input_shape(leaves: list[Layer]) -> tuple[Axis, ...]:
    """What goes in: with an axis of time where any layer wants one and none has made it."""
    shape = leaves[0].input_shape
    for each in leaves:
        if len(each.output_shape(("B", "T", "F"))) != 3:
            break
        if isinstance(each, Recurrent) or "T" in each.input_shape[1:]:
            return shape if "T" in shape[1:] else ("B", "T", *shape[1:])
    return shape
