import importlib
import sys

import pytest

import rnnfast
from rnnfast.interop._extra import package


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    for name, install in (("h5py", r"'rnnfast\[keras\]'"), ("torch", "torch")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=f"^reading files needs {name}: pip install {install}$"):
            package(name, "reading files")
    assert package("json", "texts").dumps([1]) == "[1]"


def test_without_onnx_its_functions_say_what_installs_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("rnnfast.interop.onnx.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ImportError, match=r"^reading and writing ONNX models needs onnx: pip install 'rnnfast\[onnx\]'$"
    ):
        importlib.import_module("rnnfast.interop.onnx.export")
    assert {"layers_of", "prepare", "to_onnx"} <= set(dir(rnnfast.interop.onnx))
