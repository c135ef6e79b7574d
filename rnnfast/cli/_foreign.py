"""What `rnnfast inspect` says of other people's files."""

from __future__ import annotations

from collections import Counter
from typing import Any

Tensors = dict[str, tuple[tuple[int, ...], str]]
_DTYPES = {"float32": "F32", "float64": "F64"}


def keras(path: str, found: dict[str, Any]) -> tuple[list[str], Tensors]:
    """Lines, and tensors (shape, dtype), of a Keras file; what programs want goes into `found`."""
    from rnnfast.interop import keras
    from rnnfast.layers._summary import summarise

    model = keras.load(path)
    found |= {"kind": "keras", "parameters": model.num_params}
    tensors = {name: (value.shape, _DTYPES[str(value.dtype)]) for name, value in model.params.items()}
    return [f"{path}: a Keras model, as rnnfast reads it", "", summarise(model)], tensors


def onnx(path: str, found: dict[str, Any]) -> tuple[list[str], Tensors]:
    """The same of an ONNX file."""
    from rnnfast.interop.onnx import layers_of
    from rnnfast.interop.onnx._file import all_nodes, array_of, read_model

    model = read_model(path)
    counts = Counter(node.op_type for node in all_nodes(model))
    layers = {name: repr(layer) for name, layer in layers_of(model).items()}
    arrays = {tensor.name: array_of(tensor) for tensor in model.graph.initializer}
    found |= {"kind": "onnx", "operators": dict(counts), "recurrent": layers}
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [f"{path}: an ONNX model", f"operators: {said}", *_as_layers("recurrent nodes", layers)]
    return lines, {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}


def torch(path: str, metadata: dict[str, str], found: dict[str, Any]) -> list[str]:
    """Lines on a safetensors file that rnnfast did not write, PyTorch's state dicts most often."""
    from rnnfast.files import read_header
    from rnnfast.interop.torch import from_torch
    from rnnfast.interop.torch._recurrent import recurrent_prefixes

    modules = {}
    for prefix in recurrent_prefixes(read_header(path)[1]):
        try:
            modules[prefix.removesuffix(".")] = repr(from_torch(path, prefix=prefix))
        except (ValueError, TypeError) as error:
            modules[prefix.removesuffix(".")] = str(error)
    found |= {"kind": None, "metadata": metadata, "recurrent": modules}
    return [f"{path}: a safetensors file that rnnfast did not write", *_as_layers("recurrent modules", modules)]


def _as_layers(what: str, layers: dict[str, str]) -> list[str]:
    return ["", f"{what}, as layers", *(f"  {name}  {layer}" for name, layer in layers.items())] if layers else []
