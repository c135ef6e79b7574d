import os
import shutil
import subprocess
import sys

import pytest

import rnnfast
from rnnfast._lazy import attach


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, numpy; before = set(sys.modules); import rnnfast; "
        "print(*(name for name in set(sys.modules) - before if not name.startswith('rnnfast')))"
        "; print(*(name for name in sys.modules if name.startswith('rnnfast')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign, ours = run.stdout.splitlines()
    assert not {name.split(".")[0] for name in foreign.split()} & {"tqdm", "safetensors", "asyncio", "multiprocessing"}
    assert len(ours.split()) < 8


def test_every_public_name_is_there():
    for name in rnnfast.__all__:
        assert getattr(rnnfast, name) is not None
        assert name in dir(rnnfast)
    assert {"LSTM", "GRU", "RNN", "Sequential", "Adam", "load", "save", "__version__"} <= set(rnnfast.__all__)


def test_what_is_private_is_not_listed():
    listed = {name for name in dir(rnnfast) if not name.startswith("__")}
    assert listed == set(rnnfast.__all__) - {"__version__"}


def test_unknown_names_are_errors():
    with pytest.raises(AttributeError, match="module 'rnnfast' has no attribute 'LSTMM'"):
        rnnfast.LSTMM  # noqa: B018


def test_names_are_looked_up_once():
    public, get, listing = attach("tests_of_lazy", {"json": ["dumps"]})
    assert public == ["dumps"]
    sys.modules["tests_of_lazy"] = module = type(sys)("tests_of_lazy")
    try:
        assert get("dumps") is module.dumps
        assert "dumps" in listing()
    finally:
        del sys.modules["tests_of_lazy"]


def test_an_unbuilt_checkout_says_how_to_build_it(tmp_path):
    package = tmp_path / "rnnfast"
    (package / "kernels").mkdir(parents=True)
    for name in ("__init__.py", "_lazy.py", "kernels/__init__.py"):
        shutil.copy(os.path.join(os.path.dirname(rnnfast.__file__), name), package / name)
    run = subprocess.run(
        [sys.executable, "-c", "import rnnfast"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "is not built" in run.stderr
    assert "pip install ." in run.stderr
