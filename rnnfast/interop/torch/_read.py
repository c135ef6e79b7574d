"""Tensors by name from what holds them: a module, a mapping, a safetensors file. PyTorch is not needed."""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rnnfast.files import read_header, read_tensors
from rnnfast.layers._block import float_dtype

Array = np.ndarray
Arrays = dict[str, Array]


def is_module(value: Any) -> bool:
    """Whether it is a module of PyTorch, which is not imported for the answer."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def read_state_dict(source: Any) -> Arrays:
    """A state dict's floating-point tensors as arrays, half precision as float32.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to tensor or array_like, or path
        A path is that of a safetensors file.

    Raises
    ------
    ValueError, TypeError, OSError
        When it is none of these, or damaged; for a pickle, which would run code.
    """
    if is_module(source):
        source = source.state_dict()
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source)
    if not isinstance(source, Mapping):
        raise TypeError(
            f"wanted a torch.nn.Module, a state dict or the path of a safetensors file, got {type(source).__name__}"
        )
    for name in source:
        if not isinstance(name, str):
            raise TypeError(f"the names in a state dict must be str, got {name!r}")
    return {name: _array(name, value) for name, value in source.items() if not _is_count(name)}


def common_dtype(arrays: Iterable[tuple[str, Array]], dtype: Any) -> np.dtype:
    """What a layer of these arrays computes in: `dtype` where it is given.

    Raises
    ------
    ValueError
        For another dtype than float32 and float64, or where some are of one and some of the other.
    """
    if dtype is not None:
        return float_dtype(dtype)
    found = {array.dtype: name for name, array in arrays}
    if len(found) > 1:
        named = " and ".join(f"{name!r} {dtype}" for dtype, name in found.items())
        raise ValueError(f"the tensors have different dtypes, {named}: choose one with dtype=")
    return next(iter(found), np.dtype(np.float32))


def _is_count(name: str) -> bool:
    # A whole number that PyTorch's BatchNorm keeps, and that only a momentum of None uses.
    return name.rpartition(".")[2] == "num_batches_tracked"


def _array(name: str, value: Any) -> Array:
    if hasattr(value, "detach"):  # a tensor of PyTorch
        if value.device.type == "meta":
            raise ValueError(f"tensor {name!r} is on the device 'meta', where it has a shape and no numbers")
        if not value.dtype.is_floating_point or value.is_quantized:
            raise TypeError(f"tensor {name!r} must hold floating-point numbers, got {value.dtype}")
        value = value.detach().to("cpu")
        value = (value if value.dtype.itemsize >= 4 else value.float()).to_dense().numpy()
    array = np.asarray(value)
    if array.dtype.name == "bfloat16" or array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"tensor {name!r} must hold floating-point numbers, got dtype {array.dtype}")
    return array


def _read_file(path: Any) -> Arrays:
    path = os.fspath(path)
    with open(path, "rb") as file:
        start = file.read(4)
    if start.startswith((b"PK", b"\x80")):
        raise ValueError(
            f"{path}: it is a pickle, as torch.save writes, and reading one can run any code that is in it. Give "
            "torch.load(path, weights_only=True) in its place, or write it again with safetensors.torch.save_file"
        )
    found = read_header(path)[1]
    if all(dtype != "BF16" for _, dtype in found.values()):
        arrays = read_tensors(path)[0]
    else:
        arrays = _with_bfloat16(path, found)
    try:
        return {name: _array(name, array) for name, array in arrays.items() if not _is_count(name)}
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None


def _with_bfloat16(path: str, found: Mapping[str, tuple[tuple[int, ...], str]]) -> Arrays:
    """All tensors of a sound file, some of them in a dtype that NumPy does not have."""
    import json

    dtypes = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "BF16": np.uint16}
    arrays: Arrays = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, (shape, dtype) in found.items():
            if _is_count(name):
                continue
            if dtype not in dtypes:
                raise TypeError(f"{path}: tensor {name!r} must hold floating-point numbers, got {dtype}")
            first, last = header[name]["data_offsets"]
            file.seek(8 + length + first)
            array = np.frombuffer(file.read(last - first), dtypes[dtype]).reshape(shape)
            if dtype == "BF16":  # the upper half of a float32
                array = (array.astype(np.uint32) << 16).view(np.float32)
            arrays[name] = array
    return arrays
