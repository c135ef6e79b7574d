"""Model files: safetensors with the architecture as JSON in the header. Loading runs no code.

The header's metadata holds `format` ("rnnfast"), `format_version`, `rnnfast_version`, `architecture` (the nested
plans of the layers) and `extra` (whatever JSON the caller adds).
"""

import contextlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import rnnfast
from rnnfast.layers._base import Layer
from rnnfast.layers._block import Block, lay_end_to_end, planned
from rnnfast.models._architecture import describe, rebuild

FORMAT_VERSION = 1
_DTYPES = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}
# Whole numbers in a plan are sizes and counts, none of which can exceed the number of parameters by much.
_SMALL = 1 << 16
_LARGEST_HEADER = 100_000_000  # as in the safetensors format


def save(model: Layer, path: Any, *, extra: dict[str, Any] | None = None) -> None:
    """Write a layer's or model's architecture, weights and running statistics to a file.

    The file is written beside and renamed, so that a crash leaves an older file of that name whole.

    Parameters
    ----------
    model : Layer
    path : str or path
    extra : dict, optional
        Anything JSON can hold, kept with the model: a vocabulary, a licence. `load_with_extra` gives it back.

    Raises
    ------
    TypeError
        When `extra` cannot be written as JSON, or the model holds a layer that is not rnnfast's.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import rnnfast, tempfile
    >>> model = rnnfast.Sequential(rnnfast.Linear(3, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(folder + "/model.safetensors")
    ...     again = rnnfast.load(folder + "/model.safetensors")
    >>> np.array_equal(model.params["0.weight"], again.params["0.weight"])
    True
    """
    metadata = {
        "format": "rnnfast",
        "format_version": str(FORMAT_VERSION),
        "rnnfast_version": rnnfast.__version__,
        "architecture": json.dumps(describe(model)),
        "extra": json.dumps({} if extra is None else extra),
    }
    write_tensors(path, {**model.params, **model.buffers}, metadata)


def load(path: Any) -> Any:
    """Read a layer or model that `save` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Layer
        Of the class that was saved, often a `Sequential`.

    Raises
    ------
    ValueError
        When the file is not a whole, sound rnnfast model; the message says what is wrong with it.
    OSError
        When the file cannot be read.
    """
    return load_with_extra(path)[0]


def load_with_extra(path: Any) -> tuple[Any, dict[str, Any]]:
    """Read a model and the `extra` that was saved with it; see `load`."""
    with _opened(path) as file:
        metadata = file.metadata() or {}
        _check_format(metadata)
        found = _shapes(file)
        plan, extra = _parse(metadata, "architecture"), _parse(metadata, "extra")
        if not isinstance(extra, dict):
            raise ValueError("its 'extra' is not a JSON object")
        model = plan_model(plan, found)
        slots = {**model.slots(), **model.buffer_slots()}
        _compare(slots, found)
        lay_end_to_end(model.blocks())
        lay_end_to_end(model.buffer_blocks())
        for name, (block, inner) in slots.items():
            block.set(inner, file.get_tensor(name))
    return model, extra


def plan_model(plan: Any, tensors: Mapping[str, tuple[tuple[int, ...], str]]) -> Layer:
    """The model of an architecture, with no room for its weights yet; `tensors` is as of `read_header`.

    Raises
    ------
    ValueError
        When the architecture is not valid, or has sizes that these tensors cannot fill.
    """
    _check_numbers(plan, max(_SMALL, sum(math.prod(shape) for shape, _ in tensors.values())))
    with planned():
        return _rebuild(plan)


def write_tensors(path: Any, tensors: Mapping[str, np.ndarray], header: dict[str, str]) -> None:
    """Write arrays and a header to a safetensors file, whole or not at all."""
    from safetensors.numpy import save as to_bytes

    write_whole(path, to_bytes({name: np.ascontiguousarray(array) for name, array in tensors.items()}, header))


def read_tensors(path: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and header of a safetensors file.

    Raises
    ------
    ValueError
        When the file is not a whole, sound safetensors file.
    OSError
        When it cannot be read.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_header(path: Any) -> tuple[dict[str, str], dict[str, tuple[tuple[int, ...], str]]]:
    """Metadata of any safetensors file, and shape and dtype ("F32", ...) of its tensors by name; none of them is read.

    Raises
    ------
    ValueError, OSError
        As of `read_tensors`.
    """
    with _opened(path) as file:
        return file.metadata() or {}, _shapes(file)


def write_whole(path: Any, content: bytes) -> None:
    """Write a file so that its name always stands for all of the old content or all of the new."""
    path = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(beside, os.stat(path).st_mode & 0o777)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # Where folders can be opened (not on Windows), this makes the new name itself outlast a power cut.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Any) -> Iterator[Any]:
    """The safetensors file; every ValueError inside gets the file's name in front."""
    from safetensors import SafetensorError, safe_open

    path = os.fspath(path)
    try:
        _check_whole(path)
        with safe_open(path, framework="numpy") as tensors:
            yield tensors
    except SafetensorError as error:
        raise ValueError(f"{path}: it is not a sound safetensors file ({error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _shapes(file: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return {name: (tuple(header.get_shape()), header.get_dtype()) for name, header in headers.items()}


def _check_whole(path: str) -> None:
    """The file begins as safetensors files do, and is as long as its header says."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 9 or file.read(1) != b"{" or length > _LARGEST_HEADER:
            raise ValueError("it is not a safetensors file")
        if 8 + length > size:
            raise ValueError("it is truncated within its header")
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            wanted = 8 + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ValueError("it is not a safetensors file, or its header is damaged") from None
    if size != wanted:
        raise ValueError(f"it has {size} bytes and should have {wanted}: it is truncated or damaged")


def _check_format(metadata: dict[str, str]) -> None:
    if metadata.get("format") != "rnnfast":
        raise ValueError(f"it is a safetensors file of another format, {metadata.get('format', 'without a name')!r}")
    version = metadata.get("format_version", "")
    if not version.isascii() or not version.isdigit():
        raise ValueError(f"its format version is {version!r}, not a number")
    if int(version[:9]) > FORMAT_VERSION:
        raise ValueError(
            f"its format version is {version}, this rnnfast {rnnfast.__version__} reads up to {FORMAT_VERSION}; "
            f"it was written by rnnfast {metadata.get('rnnfast_version', 'unknown')}"
        )


def _parse(metadata: dict[str, str], name: str) -> Any:
    try:
        return json.loads(metadata[name])
    except KeyError:
        raise ValueError(f"its header has no {name!r}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"the {name!r} in its header is not JSON that can be read") from None


def _check_numbers(plan: Any, limit: int) -> None:
    """Refuse sizes that the weights in the file cannot fill, before anything is made of them."""
    waiting = [plan]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, (int, float)) and not abs(value) <= limit:
            raise ValueError(f"its architecture has a size of {value}, more than its tensors can fill")


def _rebuild(plan: Any) -> Layer:
    try:
        return rebuild(plan)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its architecture is not valid: {error}") from error


def _compare(slots: dict[str, tuple[Block, str]], found: dict[str, tuple[tuple[int, ...], str]]) -> None:
    if missing := [name for name in slots if name not in found]:
        raise ValueError(f"it lacks {_some(missing)}")
    if extra := [name for name in found if name not in slots]:
        raise ValueError(f"its architecture has no {_some(extra)}")
    for name, (block, inner) in slots.items():
        shape, dtype = found[name]
        if shape != block.shapes[inner]:
            raise ValueError(f"tensor {name!r} has shape {shape}, its architecture wants {block.shapes[inner]}")
        if _DTYPES.get(dtype) != block.dtype:
            raise ValueError(f"tensor {name!r} has dtype {dtype}, its architecture wants {block.dtype}")


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"tensor{'s' if len(names) > 1 else ''} {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
