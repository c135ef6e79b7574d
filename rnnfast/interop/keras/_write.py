"""Writing Keras 3's files: `.weights.h5` and `.keras`."""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

from rnnfast.files import write_whole
from rnnfast.interop._extra import package
from rnnfast.interop.keras._chain import Chain
from rnnfast.interop.keras._kinds import Config, Shape
from rnnfast.interop.keras._read import group_names


def weights_file(made: Chain) -> bytes:
    """The content of a `.weights.h5`."""
    h5py = package("h5py", "writing Keras files")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("vars").attrs["name"] = "sequential"
        names = group_names([config.kind for config in made.configs])
        for name, config, each in zip(names, made.configs, made.built, strict=True):
            group = file.create_group(f"layers/{name}")
            group.create_group("vars").attrs["name"] = str(config.values.get("name", name))
            counts: dict[str, int] = {}
            for weight in each.weights:
                number = counts[weight.path] = counts.get(weight.path, -1) + 1
                path = "/".join(filter(None, (weight.path, "vars", str(number))))
                group.create_dataset(path, data=weight.get())
    return content.getvalue()


def write_weights(made: Chain, path: Any) -> None:
    """Write a `.weights.h5`, whole or not at all."""
    write_whole(path, weights_file(made))


def write_model(made: Chain, shape: Shape, path: Any, name: str = "sequential") -> None:
    """Write a `.keras` file, whole or not at all."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0", "date_saved": ""}))
        archive.writestr("config.json", json.dumps(plan(made, shape, name)))
        archive.writestr("model.weights.h5", weights_file(made))
    write_whole(path, content.getvalue())


def plan(made: Chain, shape: Shape, name: str) -> dict[str, Any]:
    """Keras's JSON of the model."""
    dtype = "int64" if made.configs[0].kind == "Embedding" else made.configs[0].dtype
    layers = [layer_plan("InputLayer", {"batch_shape": [None, *shape], "dtype": dtype, "name": "input_layer"})]
    for config, each in zip(made.configs, _shapes(made, shape), strict=True):
        layers.append({**layer_plan(config.kind, complete(config)), "build_config": {"input_shape": [None, *each]}})
    top = {"name": name, "trainable": True, "layers": layers, "build_input_shape": [None, *shape]}
    return {"module": "keras", "class_name": "Sequential", "config": top, "registered_name": None}


def layer_plan(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """A layer in Keras's JSON."""
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def complete(config: Config) -> dict[str, Any]:
    """A layer's config as Keras takes it: what differs from its defaults."""
    left_out = ("build_config", "batch_input_shape", "batch_shape", "input_shape", "build_input_shape")
    values = {name: value for name, value in config.values.items() if name not in left_out and value is not None}
    if config.kind == "LeakyReLU" and "alpha" in values:
        values["negative_slope"] = values.pop("alpha")
    return {**values, "dtype": config.dtype}


def _shapes(made: Chain, shape: Shape) -> Sequence[Shape]:
    return [shape, *(each.shape for each in made.built[:-1])]
