"""The nodes of a model with what is known of their inputs before anything is fed to it."""

from collections import ChainMap
from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.onnx._file import array_of, onnx

Array = np.ndarray
Known = MutableMapping[str, Any]

# What exporters put between weights and the nodes that take them. None makes more numbers than it gets.
FOLDED = {
    *(
        "Constant",
        "Identity",
        "Cast",
        "Slice",
        "Concat",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Reshape",
        "Split",
        "Shape",
    ),
    "DequantizeLinear",
}
_WIDEST = 8  # bytes a number may have after a cast, for each it had
_ROOM = 1 << 26


class Found(NamedTuple):
    """A node, its attributes, and its inputs: arrays where they are known, True where they are not, None if absent."""

    node: Any
    attributes: dict[str, Any]
    inputs: list[Any]


class Walk:
    """The nodes of a model of some types, those in branches, loops and functions among them.

    Parameters
    ----------
    model : onnx.ModelProto
    operators : collection of (str, str)
        By domain and type.
    """

    def __init__(self, model: Any, operators: Any):
        self.model, self.operators = model, operators
        self.functions = {(each.domain, each.name): each for each in model.functions}
        self.opsets = {each.domain: each.version for each in model.opset_import}
        # Folding may be asked to double the same weights again and again: it ends where a sound model's would not.
        self.room = _ROOM + 16 * model.ByteSize()

    def __iter__(self) -> Iterator[Found]:
        return self._graph(self.model.graph, ChainMap(), {}, self.opsets, ())

    def _graph(
        self, graph: Any, outer: Known, given: dict[str, Any], opsets: dict[str, int], inside: tuple[Any, ...]
    ) -> Iterator[Found]:
        known: Known = outer.new_child()  # type: ignore[attr-defined]
        for value in graph.input:
            known[value.name] = True
        for tensor in graph.initializer:
            known[tensor.name] = tensor
        return self._nodes(graph.node, known, given, opsets, inside)

    def _nodes(
        self, nodes: Any, known: Known, given: dict[str, Any], opsets: dict[str, int], inside: tuple[Any, ...]
    ) -> Iterator[Found]:
        for node in nodes:
            attributes = _attributes(node, given)
            inputs = [known.get(name, True) if name else None for name in node.input]
            if (node.domain, node.op_type) in self.operators:
                arrays = [array_of(each) if isinstance(each, onnx.TensorProto) else each for each in inputs]
                yield Found(node, attributes, arrays)
            function = self.functions.get((node.domain, node.op_type))
            if function is not None:
                yield from self._function(function, inputs, attributes, inside)
            for value in attributes.values():
                for graph in value if isinstance(value, list) else [value]:
                    if isinstance(graph, onnx.GraphProto):
                        yield from self._graph(graph, known, given, opsets, inside)
            for name, value in zip(node.output, self._values(node, attributes, inputs, opsets), strict=False):
                known[name] = value

    def _function(
        self, function: Any, inputs: list[Any], attributes: dict[str, Any], inside: tuple[Any, ...]
    ) -> Iterator[Found]:
        key = function.domain, function.name
        if key in inside:
            raise ValueError(f"the function {function.name!r:.80} calls itself, which ONNX does not allow")
        known: Known = ChainMap(dict(zip(function.input, inputs, strict=False)))
        usual = {each.name: onnx.helper.get_attribute_value(each) for each in function.attribute_proto}
        opsets = {each.domain: each.version for each in function.opset_import}
        return self._nodes(function.node, known, usual | attributes, opsets, (*inside, key))

    def _values(self, node: Any, attributes: dict[str, Any], inputs: list[Any], opsets: dict[str, int]) -> list[Any]:
        """What a node gives, where it follows from the weights."""
        unknown = [True] * len(node.output)
        if node.domain:
            return unknown
        if node.op_type == "Constant":
            return (
                [attributes["value"]]
                if isinstance(attributes.get("value"), onnx.TensorProto)
                else ([np.array(value) for name, value in attributes.items() if name.startswith("value_")] or unknown)
            )
        if node.op_type == "Identity" and inputs:
            return [inputs[0]]
        if node.op_type not in FOLDED or not inputs or any(each is True for each in inputs):
            return unknown
        arrays = [array_of(each) if isinstance(each, onnx.TensorProto) else each for each in inputs]
        self.room -= _WIDEST * sum(each.size for each in arrays if each is not None)
        if self.room < 0:
            raise ValueError("the weights of this model are put together from more numbers than it holds")
        return _folded(node, attributes, arrays, opsets)


def _folded(node: Any, attributes: dict[str, Any], arrays: list[Any], opsets: dict[str, int]) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    from rnnfast.interop.onnx._older import older

    names = [f"x{i}" if array is not None else "" for i, array in enumerate(arrays)]
    outputs = [name or f"unused{i}" for i, name in enumerate(node.output)]
    plain = onnx.helper.make_node(node.op_type, names, outputs, **attributes)
    inputs = [onnx.ValueInfoProto(name=name) for name in names if name]
    graph = onnx.helper.make_graph([plain], "fold", inputs, [onnx.ValueInfoProto(name=name) for name in outputs])
    feed = {name: array for name, array in zip(names, arrays, strict=True) if name}
    try:
        versions = {"": 13, **opsets}
        found = older(node.op_type, versions[""])
        evaluator = ReferenceEvaluator(graph, opsets=versions, new_ops=[found] if found else None)
        return list(evaluator.run(None, feed))
    except Exception as error:
        raise ValueError(f"{node.op_type} {node.name!r:.80} of weights cannot be computed: {error}") from error


def _attributes(node: Any, given: dict[str, Any]) -> dict[str, Any]:
    """A node's attributes by name; those of a function that it refers to, as the function was called."""
    found = {}
    for each in node.attribute:
        if not each.ref_attr_name:
            found[each.name] = onnx.helper.get_attribute_value(each)
        elif each.ref_attr_name in given:
            found[each.name] = given[each.ref_attr_name]
    return found
