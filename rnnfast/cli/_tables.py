"""Users' tables: whatever stands between fields, and which columns are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.cli._arguments import bad_input
from rnnfast.data import read_csv, read_text

_BETWEEN_FIELDS = ",;\t"


def read_table(path: str, text: Sequence[str] = ()) -> dict[str, Any]:
    """All columns of a CSV or TSV file by name, those in `text` as text; see `rnnfast.data.read_csv`."""
    first = read_text([path]).partition("\n")[0]
    table = read_csv(path, text=text, delimiter=max(_BETWEEN_FIELDS, key=first.count))
    if not len(next(iter(table.values()))):
        raise ValueError(f"{path}: it has no rows below the columns' names, {_listed(table)}")
    return table


def column(path: str, table: dict[str, Any], name: str, option: str | None = None) -> Any:
    """A column that must be there; `option` is what chooses another, where the model has not been trained yet."""
    if name not in table:
        raise ValueError(f"{path}: it has no column {name!r}; its first line names {_listed(table)}{_hint(option)}")
    return table[name]


def numbers(path: str, table: dict[str, Any], names: Sequence[str], option: str | None = None) -> np.ndarray:
    """Columns of numbers side by side (N, F), nan where one is missing; `option` as of `column`."""
    found = [column(path, table, name, option) for name in names]
    if wrong := [name for name, values in zip(names, found, strict=True) if isinstance(values, list)]:
        raise ValueError(f"{path}: column {wrong[0]!r} does not hold numbers alone{_hint(option)}")
    return np.stack(found, axis=1)


def whole(path: str, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Refuse values (N, F) that are missing or infinite."""
    if len(wrong := np.argwhere(~np.isfinite(values))):
        row, place = wrong[0].tolist()
        what = "no number" if np.isnan(values[row, place]) else "an infinite number"
        raise ValueError(f"{path}: row {row + 1} has {what} in column {names[place]!r}")
    return values


def numeric(table: dict[str, Any]) -> list[str]:
    """Names of the columns of numbers."""
    return [name for name, values in table.items() if not isinstance(values, list)]


def read_series(
    path: str, chosen: Sequence[str] | None, option: str | None = None, *, apart: Sequence[str] = ()
) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    """The names of the columns of a series, their values (T, F), and the whole table.

    Without a choice it is all columns of numbers but those kept `apart`: one, where there is an option to choose by.

    Raises
    ------
    CommandError
        When the file is no such table, or a number is missing.
    """
    with bad_input():
        table = read_table(path)
        names = [name for name in numeric(table) if name not in apart] if chosen is None else list(chosen)
        if not names:
            raise ValueError(f"{path}: no column holds numbers alone")
        if option and chosen is None and len(names) > 1:
            raise ValueError(f"{path}: columns {', '.join(map(repr, names))} hold numbers; choose with {option}")
        return names, whole(path, numbers(path, table, names, option), names), table


def _hint(option: str | None) -> str:
    return " (the model was trained on it)" if option is None else f" (choose with {option})"


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
