"""The documentation site: `sphinx-build -W docs build/docs`, with what `pip install '.[docs]'` brings."""

import re
import sys
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from jinja2.sandbox import SandboxedEnvironment
from numpydoc import docscrape_sphinx
from sphinx.errors import SphinxError
from sphinx.ext.autodoc.mock import _MockObject, mock

import rnnfast

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _reference import write_pages  # noqa: E402

# numpydoc compiles its template anew for each docstring: a fifth of the time that all takes.
_environments = []


def _environment(loader):
    if not _environments:
        _environments.append(SandboxedEnvironment(loader=loader))
    return _environments[0]


docscrape_sphinx.SandboxedEnvironment = _environment

EQUATION = re.compile(r" [-+*/]?= ")
PROMPT = re.compile(r" *(>>>|\.\.\. )")
LITERAL = re.compile(r"(``.*?``|`[^`]*`)")
MARKUP = re.compile(r"([*|]|(?<=\w)_(?!\w))")

project = "rnnfast"
author = "the rnnfast developers"
copyright = "the rnnfast developers"
release = version = rnnfast.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["build", "_*"]
default_role = "literal"
smartquotes = False
myst_heading_anchors = 3
numpydoc_show_class_members = False
# What is not installed is acted, so that the pages of the rooms that need it are complete.
OPTIONAL = ("h5py", "joblib", "keras", "matplotlib", "onnx", "onnxruntime", "sklearn", "torch")
autodoc_mock_imports = [name for name in OPTIONAL if find_spec(name) is None]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
suppress_warnings: list[str] = []
html_theme = "furo"
html_title = f"rnnfast {release}"


def escaped(row):
    """A line with backslashes before what is no markup, but for its literals."""
    parts = LITERAL.split(row)
    return "".join(part if n % 2 else MARKUP.sub(r"\\\1", part) for n, part in enumerate(parts))


def as_markup(app, what, name, value, options, lines):
    """Docstrings are written to be read as text: what reStructuredText would take for markup in them is escaped.

    Paragraphs of equations, one a line, stay one a line.
    """
    found: list[str] = []
    for paragraph, rows in groupby(lines, key=lambda line: bool(line.strip())):
        block = list(rows)
        if paragraph and len(block) > 1 and all(EQUATION.search(row) for row in block):
            found += ["::", "", *(f"    {row}" for row in block)]
        else:
            found += [row if PROMPT.match(row) else escaped(row) for row in block]
    lines[:] = found


def is_theirs(app, what, name, member, skip, options):
    """Leave out what a class of ours has from a package that is optional: it is described there."""
    return True if (getattr(member, "__module__", None) or "").partition(".")[0] in OPTIONAL else None


def list_others(app, docname, source):
    """In the place of OTHER_PAGES in the index: the pages that it does not name."""
    if docname == "index":
        named = {line.strip() for line in source[0].splitlines()}
        others = sorted(path.stem for path in HERE.glob("*.md") if path.stem not in {"index", *named})
        source[0] = source[0].replace("OTHER_PAGES", "\n".join(others))


def check_names(app, error):
    """Fail where a public name has no entry."""
    described = {name for name, *_ in app.env.domains["py"].get_objects()}
    if error is None and (missing := sorted(set(NAMES) - described)):
        raise SphinxError(f"public names without an entry in the reference: {', '.join(missing)}")


_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: self  # in annotations, `Tensor | None`
with mock(autodoc_mock_imports):
    NAMES = write_pages(HERE / "reference")


def setup(app):
    """Docstrings, members, the index, and the check."""
    app.connect("autodoc-process-docstring", as_markup, priority=1)  # before numpydoc
    app.connect("autodoc-skip-member", is_theirs)
    app.connect("source-read", list_others)
    app.connect("build-finished", check_names)
