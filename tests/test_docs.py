"""The Python in the README and in docs/ runs, page by page, each page's blocks one after another."""

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
