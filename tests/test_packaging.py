"""What an installed rnnfast holds, weighs and imports."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rnnfast

FOLDER = Path(rnnfast.__file__).parent
MEGABYTE = 1 << 20


def distribution():
    """The installed distribution, None where the package runs from a checkout without being installed."""
    try:
        found = importlib.metadata.distribution("rnnfast")
    except importlib.metadata.PackageNotFoundError:
        return None
    return found


def installed():
    """Whether the package was copied into this environment, as a user has it, not linked to a checkout."""
    found = distribution()
    if found is None or found.files is None:
        return False
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    return not origin.get("dir_info", {}).get("editable", False) and found.read_text("WHEEL") is not None


only_installed = pytest.mark.skipif(not installed(), reason="rnnfast runs from a checkout here")


def modules_after(statement):
    program = f"import sys; {statement}; print(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


USE = "import rnnfast; [getattr(rnnfast, name) for name in rnnfast.__all__]"


@pytest.mark.parametrize("statement", ["import rnnfast", USE])
def test_import_brings_numpy_alone(statement):
    ours = {name.partition(".")[0] for name in modules_after(statement) - modules_after("import numpy")}
    foreign = {name for name in ours if name not in sys.stdlib_module_names and name not in {"rnnfast", "numpy"}}
    # Compiled modules register what Cython shares between them under names of its own.
    assert {name for name in foreign if not name.startswith(("_cython", "cython_runtime"))} == set()


def test_typed():
    assert (FOLDER / "py.typed").is_file()
    compiled = sorted(path for suffix in ("so", "pyd") for path in FOLDER.rglob(f"*.{suffix}"))
    assert compiled
    for path in compiled:
        assert path.with_name(path.name.partition(".")[0] + ".pyi").is_file(), f"{path.name} has no stub"


@only_installed
def test_tested_is_what_is_installed():
    assert Path(distribution().locate_file("rnnfast")).resolve() == FOLDER


@only_installed
def test_version_is_the_metadatas():
    assert rnnfast.__version__ == distribution().version


@only_installed
def test_no_sources_installed():
    found = {path.suffix for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert found <= {".py", ".pyi", ".so", ".pyd", ".typed"}


@only_installed
def test_small():
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 8 * MEGABYTE
    # What a wheel brings, before Python has compiled it.
    assert sum(size for path, size in sizes.items() if path.suffix != ".pyc") < 5 * MEGABYTE
    assert sum(size for path, size in sizes.items() if path.suffix in (".so", ".pyd")) < 4 * MEGABYTE
