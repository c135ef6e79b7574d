"""Text to train on: Python's own documentation, or one's files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

_Sliceable = TypeVar("_Sliceable", bound=Sequence)


def python_documentation() -> str:
    """Return the language reference that every Python carries for its `help()`.

    The topics of `pydoc_data.topics` stand in alphabetical order, so that the text depends on the Python version
    alone: 465,048 characters on 3.11.

    Examples
    --------
    >>> text = python_documentation()
    >>> len(text) > 400_000, "statement" in text
    (True, True)
    """
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(files: Iterable[str | os.PathLike[str]]) -> str:
    """Read UTF-8 text files and join them, one newline between two.

    Parameters
    ----------
    files : iterable of paths
        A byte order mark is dropped; Windows line ends become newlines.

    Returns
    -------
    text : str

    Raises
    ------
    OSError
        When a file is missing, is a directory or cannot be read.
    ValueError
        When no file is given, or one is empty, binary or not UTF-8.
    """
    names = list(files)
    if not names:
        raise ValueError("no text file given")
    return "\n".join(_read_one(Path(name)) for name in names)


def _read_one(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path}: is a directory, a text file was expected") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error.strerror})") from None
    if not raw:
        raise ValueError(f"{path}: the file is empty")
    if b"\0" in raw:
        raise ValueError(f"{path}: a binary file (it holds zero bytes), UTF-8 text was expected")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start}: {error.reason})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def hold_out(text: _Sliceable, fraction: float = 0.1) -> tuple[_Sliceable, _Sliceable]:
    """Split a text, or any sequence, into a training part and the last `fraction` of it.

    Examples
    --------
    >>> hold_out("abcdefghij", 0.2)
    ('abcdefgh', 'ij')
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    place = len(text) - int(len(text) * fraction)
    return text[:place], text[place:]  # type: ignore[return-value]
