"""Tensors by name from what holds them: a module, a mapping, a safetensors file. PyTorch is not needed."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.files import read_header, read_tensors
from rnnfast.layers._block import float_dtype

Array = np.ndarray
Arrays = dict[str, Array]


def is_module(value: Any) -> bool:
    """Whether it is a module of PyTorch, which is not imported for the answer."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


class StateDict(Mapping[str, Array]):
    """A state dict's tensors as arrays, half precision as float32. Each is looked at when it is asked for.

    Parameters
    ----------
    tensors : mapping of str to tensor or array_like
    origin : str
        Put before errors: the file, if it is one.
    """

    def __init__(self, tensors: Mapping[str, Any], origin: str = ""):
        for name in tensors:
            if not isinstance(name, str):
                raise TypeError(f"the names in a state dict must be str, got {name!r}")
        self._tensors = {name: value for name, value in tensors.items() if not _is_count(name)}
        self._origin = origin

    def __getitem__(self, name: str) -> Array:
        try:
            return _array(name, self._tensors[name])
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self._origin}{error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors


def read_state_dict(source: Any) -> StateDict:
    """The state dict of a module, a mapping or a safetensors file.

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
        path = os.fspath(source)
        return StateDict(_read_file(path), f"{path}: ")
    if not isinstance(source, Mapping):
        raise TypeError(
            f"wanted a torch.nn.Module, a state dict or the path of a safetensors file, got {type(source).__name__}"
        )
    for name, value in source.items():
        if isinstance(value, Mapping) and value and all(hasattr(each, "shape") for each in value.values()):
            raise ValueError(f"it is a checkpoint, which holds a state dict as {name!r}: give checkpoint[{name!r}]")
    return StateDict(source)


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
    if isinstance(value, _Other):
        raise TypeError(f"tensor {name!r} must hold floating-point numbers, got {value.dtype}")
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


def _read_file(path: str) -> dict[str, Any]:
    """The tensors of a file as they are."""
    with open(path, "rb") as file:
        start = file.read(4)
    if start.startswith((b"PK", b"\x80")):
        raise ValueError(
            f"{path}: it is a pickle, as torch.save writes, and reading one can run any code that is in it. Give "
            "torch.load(path, weights_only=True) in its place, or write it again with safetensors.torch.save_file"
        )
    found = read_header(path)[1]
    if all(dtype in _DTYPES for _, dtype in found.values()):
        return dict(read_tensors(path)[0])
    return _with_more_dtypes(path, found)


_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def _with_more_dtypes(path: str, found: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, Any]:
    """All tensors of a sound file, some of them in a dtype that NumPy does not have; the name of such a dtype alone."""
    tensors: dict[str, Any] = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, (shape, dtype) in found.items():
            kind = np.uint16 if dtype == "BF16" else _DTYPES.get(dtype)
            if kind is None:
                tensors[name] = _Other(dtype)
                continue
            first, last = header[name]["data_offsets"]
            file.seek(8 + length + first)
            array = np.frombuffer(file.read(last - first), kind).reshape(shape)
            if dtype == "BF16":  # the upper half of a float32
                array = (array.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = array
    return tensors


class _Other(NamedTuple):
    """A tensor that is left in its file."""

    dtype: str
