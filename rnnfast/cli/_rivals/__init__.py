"""The systems that `rnnfast bench` compares, one module each with `contestant(case, data) -> Contestant | None`.

None means that the system has no such cell or mode. A module imports its system inside that function only, and gives
it as many threads as `rnnfast.get_num_threads()` says. It hands over data in the system's own layout, does nothing in
the timed call that a careful user would do once, and runs in a process of its own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import NamedTuple

from rnnfast import __version__


class Rival(NamedTuple):
    """Where a system's contestants are made, the packages that they need, and whether it is a library.

    What is no library is code written for this comparison: it is not asked of a user.
    """

    module: str
    needs: tuple[str, ...] = ()
    library: bool = True


RIVALS = {
    "rnnfast": Rival("rnnfast.cli._rivals.rnnfast"),
    "numpy": Rival("rnnfast.cli._rivals.numpy", ("numpy",), library=False),
    "torch": Rival("rnnfast.cli._rivals.torch", ("torch",)),
    "onnxruntime": Rival("rnnfast.cli._rivals.onnxruntime", ("onnxruntime", "onnx")),
    "openvino": Rival("rnnfast.cli._rivals.openvino", ("openvino", "onnx")),
    "jax": Rival("rnnfast.cli._rivals.jax", ("jax",)),
    "keras": Rival("rnnfast.cli._rivals.keras", ("keras", "tensorflow")),
    "paddle": Rival("rnnfast.cli._rivals.paddle", ("paddle",)),
    "ncnn": Rival("rnnfast.cli._rivals.ncnn", ("ncnn",)),
    "numba": Rival("rnnfast.cli._rivals.numba", ("numba", "scipy"), library=False),
    "onednn": Rival("rnnfast.cli._rivals.onednn", library=False),
}


def missing(name: str) -> str:
    """What a system lacks here, for a person to read; "" where it can be tried."""
    lacking = [package for package in RIVALS[name].needs if importlib.util.find_spec(package) is None]
    if lacking:
        return f"{' and '.join(lacking)} not installed"
    if name == "onednn":
        from rnnfast.cli._rivals import onednn

        return onednn.missing()
    return ""


def versions(name: str) -> str:
    """Versions of the packages that a system needs, or what is used where it needs none."""
    if name == "rnnfast":
        return __version__
    if name == "onednn":
        from rnnfast.cli._rivals import onednn

        return onednn.library()
    homes = importlib.metadata.packages_distributions()
    found = {package: importlib.metadata.version(homes[package][0]) for package in RIVALS[name].needs}
    first = found.pop(name, "")
    return ", ".join([first] * bool(first) + [f"{package} {version}" for package, version in found.items()])
