"""ONNX models from files, bytes or protos: checked, and complete with the data that lies beside the file."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnfast.interop._extra import package

_USE = "reading and writing ONNX models"
onnx = package("onnx", _USE)
package("onnx.external_data_helper", _USE)
package("onnx.numpy_helper", _USE)


def read_model(model: Any) -> Any:
    """A checked copy of a model.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        Data outside the file is read where the file's own folder holds it; it cannot be of bytes and protos.

    Raises
    ------
    ValueError
        When this is no sound ONNX model; the message says what is wrong.
    OSError
        When the file cannot be read.
    """
    proto, folder = onnx.ModelProto(), None
    if isinstance(model, onnx.ModelProto):
        proto.CopyFrom(model)
    else:
        if not isinstance(model, (bytes, str, os.PathLike)):
            raise TypeError(f"model must be a path, bytes or an onnx.ModelProto, got {type(model).__name__}")
        content = model
        if not isinstance(model, bytes):
            folder = os.path.dirname(os.path.abspath(os.fspath(model)))
            with open(model, "rb") as file:
                content = file.read()
        try:
            proto.ParseFromString(content)
        except Exception as error:  # protobuf's own class, which has moved
            raise ValueError(f"this is no ONNX model, or not a whole one: {error}") from error
    for tensor in _tensors(proto):
        if any(size < 0 for size in tensor.dims):  # which NumPy would take for a size that is left open
            raise ValueError(f"this is no valid ONNX model: tensor {tensor.name!r:.80} has shape {list(tensor.dims)}")
        if onnx.external_data_helper.uses_external_data(tensor):
            _fetch(tensor, folder)
    # The standard domain has a long name too.
    functions = [opset for function in proto.functions for opset in function.opset_import]
    for named in (*proto.opset_import, *functions, *all_nodes(proto)):
        if named.domain == "ai.onnx":
            named.domain = ""
    # Many exporters leave shapes open that the checker asks for, and that nothing here needs.
    open_ones = [
        each.type.tensor_type
        for each in (*proto.graph.input, *proto.graph.output)
        if each.type.HasField("tensor_type") and not each.type.tensor_type.HasField("shape")
    ]
    for each in open_ones:
        each.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # its own ValidationError, and others where a model is too large
        raise ValueError(f"this is no valid ONNX model: {error}") from error
    for each in open_ones:
        each.ClearField("shape")
    return proto


def array_of(tensor: Any) -> np.ndarray:
    """The numbers of a TensorProto.

    Raises
    ------
    ValueError
        When there are not as many as its shape says, or they are of an unknown type.
    """
    try:
        return onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise ValueError(f"tensor {tensor.name!r:.80} of shape {list(tensor.dims)} cannot be read: {error}") from error


def subgraphs(nodes: Any) -> Iterator[Any]:
    """The graphs that are attributes of nodes, and those within them."""
    for node in nodes:
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield graph
                yield from subgraphs(graph.node)


def all_nodes(model: Any) -> Iterator[Any]:
    """Every node of a model, within control flow and functions too."""
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        yield from nodes
        for graph in subgraphs(nodes):
            yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    for graph in (model.graph, *subgraphs(model.graph.node)):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for function in model.functions:
        for graph in subgraphs(function.node):
            yield from graph.initializer
    for node in all_nodes(model):
        for attribute in node.attribute:
            yield from (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors)


def _fetch(tensor: Any, folder: str | None) -> None:
    """Put the data of a tensor that lies in another file into it."""
    if folder is None:
        raise ValueError(f"tensor {tensor.name!r:.80} lies in another file: give the path of the model's file")
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    path = os.path.realpath(os.path.join(folder, location))
    if os.path.isabs(location) or not path.startswith(os.path.join(os.path.realpath(folder), "")):
        raise ValueError(f"tensor {tensor.name!r:.80} asks for {location!r:.80}, outside the model's folder")
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", -1))
    except ValueError:
        raise ValueError(f"tensor {tensor.name!r:.80}: offset and length of its data must be numbers") from None
    if not os.path.isfile(path):
        raise ValueError(f"tensor {tensor.name!r:.80} lies in {location!r:.80}, which is not beside the model")
    size = os.path.getsize(path)
    length = size - offset if length < 0 else length
    if not (0 <= offset <= size and 0 <= length <= size - offset):
        raise ValueError(f"tensor {tensor.name!r:.80}: its data reach beyond the end of {location!r:.80}")
    with open(path, "rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
