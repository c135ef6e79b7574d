"""Tables of numbers and labels in CSV files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.data.corpora import read_text

_MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


def read_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    text: Sequence[str] = (),
    delimiter: str = ",",
    missing: Iterable[str] = _MISSING,
) -> dict[str, Any]:
    """Read columns of a CSV file by name.

    Parameters
    ----------
    path : path
        UTF-8 text with the columns' names in its first line; quoted fields may hold delimiters and newlines.
    columns : sequence of str, optional
        Columns of numbers. None: every column that is not in `text`, those that hold something else than numbers as
        text.
    text : sequence of str
        Columns to read as text.
    delimiter : str
        What stands between fields: ",", ";" or "\\t".
    missing : iterable of str
        Fields (in lower case) that stand for no number.

    Returns
    -------
    dict
        By name, in the order asked for: float64 arrays (N,), NaN where a number is missing; lists of str.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it has no such column, or a line has another number of fields than the first, or a field of a column in
        `columns` is no number; the message names the line.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "weather.csv")
    >>> _ = path.write_text("day,warm,rain\\nMon,20.5,0\\nTue,,3.5\\n")
    >>> table = read_csv(path, ["warm", "rain"])
    >>> np.stack(list(table.values()), axis=1).tolist()
    [[20.5, 0.0], [nan, 3.5]]
    >>> read_csv(path)["day"]
    ['Mon', 'Tue']
    """
    names, lines, rows = _fields(path, delimiter)
    chosen = [*(names if columns is None else columns), *(name for name in text if columns is not None)]
    if unknown := [name for name in [*chosen, *text] if name not in names]:
        raise ValueError(f"{path}: it has no column {unknown[0]!r}; it has {', '.join(map(repr, names))}")
    empty = frozenset(missing)
    table: dict[str, Any] = {}
    for name in chosen:
        place = names.index(name)
        fields = [row[place] for row in rows]
        if name in text:
            table[name] = fields
            continue
        values, wrong = _numbers(fields, empty)
        if wrong is None:
            table[name] = values
        elif columns is None:
            table[name] = fields
        else:
            raise ValueError(f"{path}: line {lines[wrong]}: {fields[wrong]!r} in column {name!r} is no number")
    return table


def _fields(path: str | os.PathLike[str], delimiter: str) -> tuple[list[str], list[int], list[list[str]]]:
    """The columns' names, and each record's last line and fields."""
    reader = csv.reader(io.StringIO(read_text([path]), newline=""), delimiter=delimiter, strict=True)
    lines, rows = [], []
    try:
        names = [name.strip() for name in next(reader)]
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise ValueError(f"{path}: line {reader.line_num} has {len(row)} fields, the first has {len(names)}")
            lines.append(reader.line_num)
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: {error}") from None
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: a column's name occurs twice: {', '.join(map(repr, names))}")
    return names, lines, rows


def _numbers(fields: list[str], missing: frozenset[str]) -> tuple[npt.NDArray[np.float64], int | None]:
    """The fields as numbers, and the place of the first that is none."""
    values = np.full(len(fields), np.nan)
    for place, field in enumerate(fields):
        if (stripped := field.strip()).lower() in missing:
            continue
        try:
            values[place] = float(stripped)
        except ValueError:
            return values, place
    return values, None
