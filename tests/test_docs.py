"""The Python in the README and in docs/ runs, page by page, each page's blocks one after another."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.is_file()]
OTHERS = ("h5py", "keras", "matplotlib", "onnx", "onnxruntime", "sklearn", "torch")

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the tests stand without the documentation here")


def blocks(path):
    """The blocks of Python, each behind as many empty lines as stand before it, so that errors name the page's line."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text.count("\n", 0, found.start(1)) + found[1]


@pytest.mark.parametrize("path", [page for page in PAGES if any(blocks(page))], ids=lambda path: path.name)
def test_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": "__main__"}
    for block in blocks(path):
        # A page shows how well it goes in the end; here it is enough that it goes.
        block = re.sub(r"\bepochs=\d+", "epochs=2", block)
        try:
            exec(compile(block, path, "exec"), names)
        except ImportError as error:
            if any(re.search(rf"\b{name}\b", str(error)) for name in OTHERS):
                pytest.skip(str(error))
            raise


def test_every_public_name_is_in_the_reference(tmp_path):
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs" / "_reference.py")
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    described = pages.write_pages(tmp_path / "reference")
    public = pages.public_modules()
    assert {"rnnfast", "rnnfast.layers", "rnnfast.data.tasks", "rnnfast.export", "rnnfast.reference"} <= set(public)
    index = (tmp_path / "reference" / "index.rst").read_text(encoding="utf-8")
    for module, names in public.items():
        assert f"   {module}\n" in index
        page = (tmp_path / "reference" / f"{module}.rst").read_text(encoding="utf-8")
        for name in names:
            assert name.startswith("__") or re.search(rf"`+{name}\b", page), f"{module}.{name}"
    for name in set(described):
        module = name.rpartition(".")[0]
        page = (tmp_path / "reference" / f"{module}.rst").read_text(encoding="utf-8")
        assert re.search(rf"^\.\. auto\w+:: {re.escape(name)}$", page, re.MULTILINE), name
