"""The layers that a Keras model's JSON names, in the order in which they are applied."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from rnnfast.interop.keras._chain import configs_of
from rnnfast.interop.keras._kinds import Config, Shape

_LONGEST = 10_000


class Architecture(NamedTuple):
    """The layers' configs, what the first takes (None where the file does not say), and the model's name."""

    configs: list[Config]
    shape: Shape | None
    inputs: list[str]
    """Names and classes of layers that hold no weights of ours but count in files: those of the input."""


def parse(text: Any, old: bool) -> Architecture:
    """The architecture in a Keras model's JSON.

    Raises
    ------
    ValueError
        When it is not JSON that can be read, not a chain of layers, or has layers that are not supported.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        plan = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("its architecture is not JSON that can be read") from None
    return architecture(plan, old)


def architecture(plan: Any, old: bool) -> Architecture:
    """The same of what JSON gives."""
    if not isinstance(plan, Mapping):
        raise ValueError("its architecture is no object")
    kind, config = plan.get("class_name"), plan.get("config")
    if kind == "Sequential":
        layers = config.get("layers") if isinstance(config, Mapping) else config  # a list alone until Keras 2.2
        plans = _plans(layers)
    elif kind in ("Functional", "Model"):
        plans = _in_order(config)
    else:
        raise ValueError(f"it is a {kind!r:.60}, not a Sequential or Functional model")
    inputs, shape = [], None
    while plans and plans[0][0] == "InputLayer":
        inputs.append(str(plans[0][1].get("name", "input")))
        shape = _shape(plans.pop(0)[1]) or shape
    if not plans:
        raise ValueError("it has no layers")
    dtypes = {found for _, values in plans if (found := _dtype(values)) is not None}
    shape = shape or _shape(plans[0][1])
    dtype = "float64" if dtypes == {"float64"} else "float32"
    return Architecture(configs_of(plans, old, dtype), shape, inputs)


def _plans(layers: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(layers, list) or len(layers) > _LONGEST:
        raise ValueError("its layers are no list, or too many")
    found = []
    for number, layer in enumerate(layers):
        if not isinstance(layer, Mapping) or not isinstance(layer.get("config", {}), Mapping):
            raise ValueError(f"layer {number} is no object with a config")
        config = dict(layer.get("config", {}))
        built = layer.get("build_config")
        if isinstance(built, Mapping) and "batch_shape" not in config:
            config["build_config"] = dict(built)
        found.append((str(layer.get("class_name")), config))
    return found


def _in_order(config: Any) -> list[tuple[str, dict[str, Any]]]:
    """The layers of a functional model, each of which takes what the one before gives."""
    if not isinstance(config, Mapping):
        raise ValueError("its architecture has no config")
    plans = _plans(config.get("layers"))
    by_source: dict[str | None, tuple[str, dict[str, Any]]] = {}
    names: list[str] = []
    for layer, plan in zip(config["layers"], plans, strict=True):
        name = layer.get("name", plan[1].get("name"))
        sources = list(_sources(layer.get("inbound_nodes", [])))
        if len(sources) > 1:
            raise ValueError(
                f"layer {name!r:.60} ({plan[0]}) takes {len(sources)} inputs: only models that are one chain of layers "
                "are read"
            )
        source = sources[0] if sources else None
        if source in by_source:
            what = "the model has two inputs" if source is None else f"the output of layer {source!r:.60} goes two ways"
            raise ValueError(f"{what}: only models that are one chain of layers are read")
        if not isinstance(name, str) or name in names:
            raise ValueError(f"the layers' names must differ, got {name!r:.60} twice")
        names.append(name)
        plan[1].setdefault("name", name)
        by_source[source] = plan
    ordered: list[tuple[str, dict[str, Any]]] = []
    name = None
    while name in by_source:
        ordered.append(by_source.pop(name))
        name = ordered[-1][1]["name"]
    if by_source:
        left = ", ".join(repr(plan[1]["name"]) for plan in by_source.values())
        raise ValueError(f"layers {left:.200} are on no way from the input, or on a way that returns to itself")
    return ordered


def _sources(nodes: Any) -> Any:
    """The names of the layers that a layer's calls take their inputs from."""
    if not isinstance(nodes, list):
        raise ValueError("its inbound_nodes are no list")
    for node in nodes:
        if isinstance(node, Mapping):  # Keras 3
            yield from _histories(node.get("args"), 0)
        elif isinstance(node, list):
            entries = [node] if node and isinstance(node[0], str) else node
            for entry in entries:
                if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
                    raise ValueError("its inbound_nodes are malformed")
                if len(entry) > 3 and isinstance(entry[3], Mapping) and entry[3].get("initial_state"):
                    raise ValueError(f"the layer after {entry[0]!r:.60} is given an initial state, which is not read")
                yield entry[0]
        else:
            raise ValueError("its inbound_nodes are malformed")


def _histories(value: Any, depth: int) -> Any:
    if depth > 20:
        raise ValueError("its inbound_nodes are nested too deeply")
    if isinstance(value, Mapping):
        history = value.get("config", {}).get("keras_history") if isinstance(value.get("config"), Mapping) else None
        if isinstance(history, list) and history and isinstance(history[0], str):
            yield history[0]
    elif isinstance(value, list):
        for each in value:
            yield from _histories(each, depth + 1)


def _shape(config: Mapping[str, Any]) -> Shape | None:
    """What a layer takes, without the batch, where its config says so."""
    built = config.get("build_config")
    for found in (
        config.get("batch_shape"),
        config.get("batch_input_shape"),
        built.get("input_shape") if isinstance(built, Mapping) else None,
    ):
        if isinstance(found, (list, tuple)) and len(found) > 1:
            if all(each is None or (type(each) is int and each > 0) for each in found[1:]):
                return tuple(found[1:])
            raise ValueError(f"layer {config.get('name')!r:.60}: its input shape {found!r:.60} is malformed")
    return None


def _dtype(config: Mapping[str, Any]) -> str | None:
    """The dtype of a layer's parameters: a name, or that in the config of Keras's policy."""
    found = config.get("dtype")
    if isinstance(found, Mapping):
        found = found.get("config", {}).get("name") if isinstance(found.get("config"), Mapping) else None
    return found if isinstance(found, str) else None
