"""The examples in docstrings run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import rnnfast

# Each imports its package when it is imported itself, or in its examples.
NEEDS = {
    "rnnfast.interop.keras": "h5py",
    "rnnfast.interop.onnx": "onnx",
    "rnnfast.interop.sklearn": "sklearn",
    "rnnfast.interop.torch.modules": "torch",
    "rnnfast.interop.torch.swap": "torch",
    "rnnfast.interop.torch._weights": "torch",
    "rnnfast.plotting": "matplotlib",
}
MODULES = ["rnnfast", *(each.name for each in pkgutil.walk_packages(rnnfast.__path__, "rnnfast.", lambda name: None))]
LEFT_OUT = ("rnnfast.kernels", "rnnfast.cli._rivals", "rnnfast.__main__")  # compiled; for rivals that are not there


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(LEFT_OUT)])
def test_examples(name):
    for start, package in NEEDS.items():
        if name.startswith(start):
            pytest.importorskip(package)
    module = importlib.import_module(name)
    globs = {**vars(module), "__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs=globs):
        said = []
        runner.run(test, out=said.append, clear_globs=True)
        assert not runner.failures, "".join(said)
