"""Model files of every kind that rnnfast reads and writes, told apart by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnfast.cli._arguments import CommandError

FORMATS = ("rnnfast", "torch", "keras", "onnx", "c")
_ENDINGS = {".safetensors": "rnnfast", ".keras": "keras", ".h5": "keras", ".hdf5": "keras", ".onnx": "onnx", ".c": "c"}
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


def format_of(path: str) -> str:
    """What a file is: "rnnfast", "torch" (a state dict as safetensors), "keras" or "onnx".

    Raises
    ------
    ValueError
        When it is none of these.
    OSError
        When it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(len(_HDF5))
    if start.startswith((_HDF5, _ZIP)):
        return "keras"
    if Path(path).suffix.lower() == ".onnx":
        return "onnx"
    from rnnfast.files import read_header

    return "rnnfast" if read_header(path)[0].get("format") == "rnnfast" else "torch"


def format_for(path: str) -> str:
    """What a file of this name is written as.

    Raises
    ------
    CommandError
        For a name that does not tell.
    """
    found = _ENDINGS.get(Path(path).suffix.lower())
    if found is None:
        raise CommandError(
            f"{path}: the name does not tell the format; give --to, or an ending of {', '.join(_ENDINGS)}"
        )
    return found


def read_model(path: str, part: str | None) -> Any:
    """The layer or model of a file of any kind.

    Parameters
    ----------
    path : str
    part : str, optional
        Which recurrent module of a state dict, or node of an ONNX model, where there are several.
    """
    kind = format_of(path)
    if part is not None and kind not in ("torch", "onnx"):
        raise CommandError(f"{path}: --part is for state dicts and ONNX files; the whole of a {kind} file is converted")
    if kind == "rnnfast":
        from rnnfast import files

        return files.load(path)
    if kind == "torch":
        from rnnfast.interop.torch import from_torch

        return from_torch(path, prefix=part)
    if kind == "keras":
        from rnnfast.interop import keras

        return keras.load(path)
    from rnnfast.interop.onnx import layers_of

    found = layers_of(path)
    if not found:
        raise CommandError(f"{path}: there is no RNN, GRU or LSTM node in it")
    if part is None and len(found) > 1:
        raise CommandError(f"{path}: it has {len(found)} recurrent nodes; choose one with --part: {', '.join(found)}")
    if part is not None and part not in found:
        raise CommandError(f"{path}: no recurrent node is called {part!r}; there are {', '.join(found)}")
    return found[part if part is not None else next(iter(found))]


def write_model(model: Any, path: str, kind: str) -> None:
    """Write a layer or model in a format, whole or not at all."""
    if kind == "rnnfast":
        from rnnfast import files

        files.save(model, path)
    elif kind == "torch":
        from rnnfast.files import write_tensors
        from rnnfast.interop.torch import to_torch_state_dict

        write_tensors(path, to_torch_state_dict(model), {"format": "pt"})
    elif kind == "keras":
        from rnnfast.interop import keras

        keras.save(model, path)
    elif kind == "onnx":
        from rnnfast.interop.onnx import to_onnx

        to_onnx(model, path)
    else:
        from rnnfast.export import save_c

        save_c(model, path)
