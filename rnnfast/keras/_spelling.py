"""What callers write in the place of Keras's names, as the names and objects that its files hold."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np


def snake(name: str) -> str:
    """A class's name in snake case, as Keras calls layers of it."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def as_config(value: Any) -> Any:
    """A value as JSON can hold it: layers, initializers and regularizers by class and config, functions by name."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (str, int, float, bool, type(None), list, tuple, Mapping)):
        return value
    if hasattr(value, "get_config"):
        name = getattr(value, "kind", None) or type(value).__name__
        module = "keras.layers" if hasattr(value, "kind") else type(value).__module__.replace("rnnfast.", "")
        return {"module": module, "class_name": name, "config": value.get_config(), "registered_name": None}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__ if value.__name__ != "<lambda>" else value
    return value
