"""Packages that are imported when they are used."""

import importlib
from typing import Any

EXTRAS = {"h5py": "keras", "onnx": "onnx", "sklearn": "sklearn"}


def package(name: str, use: str) -> Any:
    """The module `name`.

    Parameters
    ----------
    name : str
        As it is imported.
    use : str
        What it is wanted for, for the message: "reading Keras files".

    Raises
    ------
    ImportError
        When it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        install = f"'rnnfast[{EXTRAS[top]}]'" if top in EXTRAS else top
        raise ImportError(f"{use} needs {top}: pip install {install}") from error
