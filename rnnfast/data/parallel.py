"""Pairs of texts: sentences and their translations, questions and answers."""

from __future__ import annotations

import os

from rnnfast.data.corpora import read_text


def read_parallel(
    path: str | os.PathLike[str],
    target_path: str | os.PathLike[str] | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    separator: str = "\t",
) -> tuple[list[str], list[str]]:
    """Read pairs of texts, one pair a line, from one file with columns or from two files.

    Parameters
    ----------
    path : path
        UTF-8 text: pairs in columns, or with `target_path` the sources alone.
    target_path : path, optional
        The targets, line by line those of `path`.
    columns : (int, int)
        Which columns of the one file are source and target. Further ones are left out.
    separator : str
        What stands between columns.

    Returns
    -------
    sources, targets : lists of str
        Without white space at their ends. Lines that are empty (in both files) are left out.

    Raises
    ------
    OSError
        When a file cannot be read.
    ValueError
        When a line has too few columns, or the files have not equally many lines.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "pairs.tsv")
    >>> _ = path.write_text("one\\tuno\\ntwo\\tdos\\n")
    >>> read_parallel(path)
    (['one', 'two'], ['uno', 'dos'])
    """
    if min(columns) < 0:
        raise ValueError(f"columns must not be negative, got {columns}")
    if target_path is not None:
        sources, targets = _lines(path), _lines(target_path)
        if len(sources) != len(targets):
            raise ValueError(f"{path} has {len(sources)} lines, {target_path} has {len(targets)}")
        pairs = list(zip(sources, targets, strict=True))
    else:
        pairs = []
        for number, line in enumerate(_lines(path), start=1):
            fields = line.split(separator)
            if not line.strip():
                continue
            if len(fields) <= max(columns):
                raise ValueError(
                    f"{path}: line {number} has {len(fields)} columns, {max(columns) + 1} were expected, "
                    f"with {separator!r} between them"
                )
            pairs.append((fields[columns[0]], fields[columns[1]]))
    stripped = [(source.strip(), target.strip()) for source, target in pairs]
    kept = [pair for pair in stripped if pair != ("", "")]
    return [source for source, _ in kept], [target for _, target in kept]


def _lines(path: str | os.PathLike[str]) -> list[str]:
    # Only newlines end lines: str.splitlines would also cut at characters that texts hold within a line.
    return read_text([path]).removesuffix("\n").split("\n")
