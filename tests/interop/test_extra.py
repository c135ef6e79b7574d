import sys

import pytest

from rnnfast.interop._extra import package


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    for name, install in (("h5py", r"'rnnfast\[keras\]'"), ("torch", "torch")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=f"^reading files needs {name}: pip install {install}$"):
            package(name, "reading files")
    assert package("json", "texts").dumps([1]) == "[1]"
