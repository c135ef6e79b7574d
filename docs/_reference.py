"""The pages of the API reference, made from what each package says is public."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import rnnfast

_APART = ("rnnfast.cli", "rnnfast.kernels")
_COMMON = ("Layer", "StatefulLayer", "Network", "Sequential", "Estimator", "Loss", "Metric", "Optimizer", "Callback")
_BUILT_IN = "dict, tuple, list, object, Generic, Protocol, Mapping"


def public_modules() -> dict[str, list[str]]:
    """Every public package, and the modules that one of them makes public, with the names that each makes public."""
    waiting = ["rnnfast"]
    for each in pkgutil.walk_packages(rnnfast.__path__, "rnnfast.", onerror=lambda name: None):
        private = any(part.startswith("_") for part in each.name.split("."))
        if each.ispkg and not private and not each.name.startswith(_APART):
            waiting.append(each.name)
    found: dict[str, list[str]] = {}
    while waiting:
        name = waiting.pop(0)
        try:
            module = importlib.import_module(name)
        except ImportError:  # it needs a package that is not here
            continue
        names = [each for each in getattr(module, "__all__", None) or _own(module) if _importable(module, each)]
        inner = (getattr(module, each) for each in names)
        waiting += [each.__name__ for each in inner if isinstance(each, ModuleType) and each.__name__ not in found]
        if names:
            found[name] = names
    return dict(sorted(found.items()))


def _importable(module: ModuleType, name: str) -> bool:
    try:
        getattr(module, name)
    except ImportError:
        return False
    return True


def _own(module: ModuleType) -> list[str]:
    """What a module without `__all__` defines itself."""
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return sorted(key for key in own if not key.startswith("_"))


def homes(modules: dict[str, list[str]]) -> dict[tuple[str, str], str]:
    """For each (package, name) the package under which it is described: the deepest that has the same object."""
    where: dict[int, str] = {}
    objects: dict[tuple[str, str], Any] = {}
    for module in sorted(modules, key=lambda name: name.count("."), reverse=True):
        for name in modules[module]:
            objects[module, name] = value = getattr(importlib.import_module(module), name)
            where.setdefault(id(value), module)
    return {(module, name): where[id(value)] for (module, name), value in objects.items()}


def write_pages(folder: Path) -> list[str]:
    """Write a page for each public package, and one that lists them; returns the names that they describe.

    Parameters
    ----------
    folder : Path
        Made where it is missing; pages that have not changed are left alone.
    """
    folder.mkdir(exist_ok=True)
    modules = public_modules()
    home = homes(modules)
    described = []
    for module, names in modules.items():
        lines = [module, "=" * len(module), "", f".. automodule:: {module}", "   :no-members:", ""]
        here = [name for name in names if home[module, name] == module and not _is_module(module, name)]
        lines += _table(module, [name for name in names if not name.startswith("__")], home)
        for name in here:
            if not name.startswith("__"):
                lines += _entry(module, name)
        described += [f"{home[module, name]}.{name}" for name in names if not name.startswith("__")]
        _write(folder / f"{module}.rst", "\n".join(lines))
    index = ["API reference", "=============", "", "What each package makes public, from its docstrings.", ""]
    index += [".. toctree::", "   :maxdepth: 1", "", *(f"   {module}" for module in modules), ""]
    _write(folder / "index.rst", "\n".join(index))
    return [name for name in described if not isinstance(_value(name), ModuleType)]


def _value(name: str) -> Any:
    module, _, inner = name.rpartition(".")
    return getattr(importlib.import_module(module), inner)


def _is_module(module: str, name: str) -> bool:
    return isinstance(_value(f"{module}.{name}"), ModuleType)


def _table(module: str, names: list[str], home: dict[tuple[str, str], str]) -> list[str]:
    lines = [".. list-table::", "   :widths: 30 70", ""]
    for name in names:
        value = _value(f"{module}.{name}")
        if isinstance(value, ModuleType):
            has_page = any(module == value.__name__ for module, _ in home)
            lines += [f"   * - :doc:`{name} <{value.__name__}>`" if has_page else f"   * - ``{name}``"]
        else:
            role = "class" if inspect.isclass(value) else "func" if callable(value) else "data"
            lines += [f"   * - :py:{role}:`{name} <{home[module, name]}.{name}>`"]
        lines += [f"     - {_first_line(value)}"]
    return [*lines, ""] if names else ["Nothing yet.", ""]


def _first_line(value: Any) -> str:
    text = inspect.getdoc(value) if callable(value) or isinstance(value, ModuleType) else ""
    return ((text or "").partition("\n\n")[0]).replace("\n", " ").replace("*", "\\*").replace("|", "\\|")


def _entry(module: str, name: str) -> list[str]:
    value = _value(f"{module}.{name}")
    if inspect.isclass(value):
        # What all layers, models, losses ... have stands with `Layer`, `Sequential`, `Loss` ..., once.
        common = "" if name in _COMMON else ", ".join(_COMMON)
        options = ["   :members:", f"   :inherited-members: {', '.join(filter(None, (common, _BUILT_IN)))}"]
        return [f".. autoclass:: {module}.{name}", *options, "   :special-members: __call__", ""]
    return [f".. auto{'function' if callable(value) else 'data'}:: {module}.{name}", ""]


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
