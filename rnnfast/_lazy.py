"""Public names that are imported when first used, so that importing the package costs next to nothing."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def attach(
    package: str, names: Mapping[str, Sequence[str]], submodules: Sequence[str] = ()
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """What a package's `__init__` binds to `__all__`, `__getattr__` and `__dir__`.

    Parameters
    ----------
    package : str
        The package's `__name__`.
    names : mapping of str to list of str
        Public names by the module that defines them.
    submodules : list of str
        Modules of the package that are public themselves.
    """
    modules = {name: module for module, found in names.items() for name in found}
    public = sorted({*modules, *submodules})

    def __dir__() -> list[str]:
        return sorted({*(name for name in vars(sys.modules[package]) if name.startswith("__")), *public})

    def __getattr__(name: str) -> Any:
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return public, __getattr__, __dir__
