"""Reading Keras files: `.keras`, `.weights.h5` and the HDF5 files of Keras 1 to 3."""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rnnfast.interop.keras import _hdf5
from rnnfast.interop.keras._architecture import Architecture, parse
from rnnfast.interop.keras._chain import Chain, chain, join
from rnnfast.interop.keras._kinds import Built, Config, Shape, build
from rnnfast.layers._block import lay_end_to_end, planned

_LARGEST_TEXT = 100_000_000
# How many bytes one byte of a zip member may become: weights hardly shrink.
_DENSEST = 100
_SMALL = 10_000_000


def load_chain(path: Any) -> tuple[Chain, Architecture]:
    """The model in a `.keras` or HDF5 file, with the Keras layers that it was made of."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        start = file.read(8)
    if start[:2] == b"PK":
        return _load_archive(path)
    if start == b"\x89HDF\r\n\x1a\n":
        return _load_legacy(path)
    if not start:
        raise ValueError(f"{path}: it is empty")
    raise ValueError(f"{path}: it is neither a .keras file nor an HDF5 file")


def _load_archive(path: str) -> tuple[Chain, Architecture]:
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = _json(_member(archive, "metadata.json", _LARGEST_TEXT))
            config = _member(archive, "config.json", _LARGEST_TEXT)
            if "model.weights.h5" not in archive.namelist():
                raise ValueError("it has no model.weights.h5")
            weights = _member(archive, "model.weights.h5", None)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise ValueError(f"{path}: it is not a sound .keras file ({error})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    with _hdf5.opened(io.BytesIO(weights), path) as file:
        found = parse(config, _is_old(metadata.get("keras_version")))
        _believe(found, len(weights))
        return _fill(found, lambda built: _by_class(file, found.configs, built)), found


def _member(archive: zipfile.ZipFile, name: str, most: int | None) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"it has no {name}") from None
    if info.file_size > max(info.compress_size * _DENSEST, _SMALL) or (most is not None and info.file_size > most):
        raise ValueError(f"its {name} claims {info.file_size} bytes in {info.compress_size}, which is not sound")
    with archive.open(info) as file:
        return file.read(info.file_size)


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise ValueError("its metadata.json is not a JSON object")
    return found


def _is_old(version: Any) -> bool:
    """Whether a version is one before Keras 3; files without one are the oldest."""
    found = re.match(r"\d+", version) if isinstance(version, str) else None
    return found is None or int(found[0][:4]) < 3


def _load_legacy(path: str) -> tuple[Chain, Architecture]:
    with _hdf5.opened(path, path) as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights alone, no architecture: build the model and use load_weights")
        group = _hdf5.group_in(file, "model_weights")
        if group is None:
            raise ValueError("it has no model_weights")
        version = file.attrs.get("keras_version", group.attrs.get("keras_version", "1"))
        found = parse(_hdf5.text(file.attrs["model_config"]), _is_old(_hdf5.text(version)))
        _believe(found, os.path.getsize(path))
        return _fill(found, lambda built: _by_name(group, built)), found


def read_weights(path: Any, made: Chain) -> None:
    """Set the parameters of a model from a `.weights.h5`, a `.keras` or another HDF5 file.

    Raises
    ------
    ValueError
        When the file is damaged, or its weights are those of another architecture; no parameter has been changed then.
    """
    path = os.fspath(path)
    with open(path, "rb") as opened:
        packed = opened.read(2) == b"PK"
    source: Any = path
    if packed:
        try:
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(_member(archive, "model.weights.h5", None))
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            raise ValueError(f"{path}: {error}") from None
    with _hdf5.opened(source, path) as file:
        legacy = "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file
        if legacy:
            group = file if "model_weights" not in file else _hdf5.group_in(file, "model_weights")
            found = _by_name(group, made.built)
        else:
            found = _by_class(file, made.configs, made.built)
        arrays = [_hdf5.read(each) for each in _checked(found, made)]
    for weight, array in zip(made.weights(), arrays, strict=True):
        weight.put(array)


def _believe(found: Architecture, size: int) -> None:
    """Sizes are widths and counts, none of which can exceed that of a file of weights by much."""
    for config in found.configs:
        config.most = max(1 << 16, size)
        config.read = True


def _fill(found: Architecture, locate: Any) -> Chain:
    """The model with the values that `locate` finds; memory is there only when all shapes are right."""
    with planned():
        made = _plan(found, locate)
        arrays = _checked(locate(made.built), made)
    lay_end_to_end(made.model.blocks())
    for block in made.model.buffer_blocks():
        lay_end_to_end([block])
    _unlearned(made)
    for weight, array in zip(made.weights(), arrays, strict=True):
        weight.put(_hdf5.read(array))
    return made


def _unlearned(made: Chain) -> None:
    """Norms without a scale have one of ours, which is 1."""
    for layer in made.model.layers:
        for name in layer.frozen_names:
            if name == "weight" and hasattr(layer, "num_features"):
                block, inner = layer.slots()[name]
                block.set(inner, [1.0] * layer.num_features)


def _plan(found: Architecture, locate: Any) -> Chain:
    """The layers, where the file says what the first takes; else by the first kernel."""
    if found.shape is not None:
        return chain(found.configs, found.shape)
    built: list[Built] = []
    shape: Shape = (None, None)
    for config in found.configs:
        if built == [] and config.kind == "Embedding":
            shape = (None,)
        elif not any(each.weights for each in built) and shape[-1] is None:
            shape = (*shape[:-1], _width(config, locate))
        built.append(build(config, shape))
        shape = built[-1].shape
    return join(found.configs, built)


def _width(config: Config, locate: Any) -> int | None:
    """How many features the first layer that has weights takes, by these; None for layers before it."""
    probe = build(config, (7, 7))
    if not probe.weights:
        return None
    return int(locate([probe])[0].shape[0])


def _checked(found: list[Any], made: Chain) -> list[Any]:
    """Datasets in the order of the variables, whose shapes are right."""
    places = [config.place for config, each in zip(made.configs, made.built, strict=True) for _ in each.weights]
    for place, weight, array in zip(places, made.weights(), found, strict=True):
        if tuple(array.shape) != weight.shape:
            doubled = weight.name == "bias" and array.size == 2 * int(np.prod(weight.shape))
            hint = ": are they weights in cuDNN's layout, or of a GRU with reset_after=True?" if doubled else ""
            raise ValueError(
                f"{place}: its {weight.name} has shape {tuple(array.shape)}, its config wants {weight.shape}{hint}"
            )
    return found


def group_names(kinds: list[str]) -> list[str]:
    """What Keras 3 calls the layers' groups: the class in snake case, numbered from the second of its kind."""
    seen: dict[str, int] = {}
    found = []
    for kind in kinds:
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", kind)))
        name = name.lower()
        seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}_{seen[name]}" if seen[name] else name)
    return found


def _groups(top: Any, config: Config, path: str, most: int) -> Iterator[Any]:
    """The groups of layers of a class that have weights, in order.

    Keras 2.12 to 2.15 count each of them twice, so that there are gaps.
    """
    for name in group_names([config.kind] * most):
        try:
            group = _hdf5.group_in(top, name)
        except ValueError as error:
            raise ValueError(f"{config.place}: {error}") from None
        variables = None if group is None else _hdf5.group_in(group, f"{path}/vars")
        if variables is not None and len(variables):
            yield group


def _by_class(file: Any, configs: list[Config], built: list[Built]) -> list[Any]:
    """The arrays of a Keras 3 weights file, whose groups go by the layers' classes."""
    top = next(
        (found for name in ("layers", "_layer_checkpoint_dependencies") if (found := _hdf5.group_in(file, name))), None
    )
    if top is None:
        raise ValueError("it has no layers")
    arrays = []
    seen: dict[str, list[Any]] = {}
    for config, each in zip(configs, built, strict=False):
        if not each.weights:
            continue
        if config.kind not in seen:
            seen[config.kind] = list(_groups(top, config, each.weights[0].path, 2 * len(configs) + 2))
        if not seen[config.kind]:
            raise ValueError(f"{config.place}: there are no weights of it")
        group = seen[config.kind].pop(0)
        counts: dict[str, int] = {}
        for weight in each.weights:
            number = counts[weight.path] = counts.get(weight.path, -1) + 1
            inner = "/".join(filter(None, (weight.path, "vars", str(number))))
            try:
                arrays.append(_hdf5.dataset(group, inner))
            except ValueError as error:
                raise ValueError(f"{config.place}: {error}") from None
        for path, last in counts.items():
            inner = "/".join(filter(None, (path, "vars")))
            if f"{inner}/{last + 1}" in group:
                raise ValueError(f"{config.place}: there are more weights of it than {last + 1} in {inner!r}")
    return arrays


def _by_name(group: Any, built: list[Built]) -> list[Any]:
    """The arrays of an older file, in the order in which its attributes name them."""
    found = []
    for name in _hdf5.names(group, "layer_names"):
        inner = _hdf5.group_in(group, name)
        if inner is None:
            raise ValueError(f"there is no group of its layer {name!r:.60}")
        arrays = _hdf5.names(inner, "weight_names")
        if arrays:
            found.append((name, inner, arrays))
    wanted = [each for each in built if each.weights]
    if len(found) != len(wanted) and not (len(wanted) == 1 and len(built) == 1):
        raise ValueError(f"it has the weights of {len(found)} layers, and {len(wanted)} of its architecture have any")
    result = []
    for (name, inner, arrays), each in zip(found, wanted, strict=False):
        if len(arrays) != len(each.weights):
            raise ValueError(
                f"layer {name!r:.60} has {len(arrays)} weights in the file, and {len(each.weights)} are wanted"
            )
        try:
            result += [_hdf5.dataset(inner, array) for array in arrays]
        except ValueError as error:
            raise ValueError(f"layer {name!r:.60}: {error}") from None
    return result
