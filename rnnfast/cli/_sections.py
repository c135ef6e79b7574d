"""The rows of the benchmark's tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]
"""The arguments of a `rnnfast.cli._cases.Case`, which is not imported here: NumPy comes with it."""

CELLS = ("rnn", "lstm", "gru", "gru_before")
MODES = ("forward", "training", "step")
_LONG = MODES[:2]
_UNITS = (32, 64, 128, 256, 512)


def row(mode: str, cell: str, B: int, T: int, H: int, I: int | None = None, **more: Any) -> Row:  # noqa: E741
    """One row, with as many inputs as units unless told."""
    return {"cell": cell, "mode": mode, "B": B, "T": T, "I": H if I is None else I, "H": H, **more}


def _rows(
    modes: Iterable[str], cells: Iterable[str], batches: Iterable[tuple[int, int]], units: Iterable[int], **more: Any
) -> Iterator[Row]:
    units, batches, cells = list(units), list(batches), list(cells)
    for mode in modes:
        for cell in cells:
            for B, T in batches:
                yield from (row(mode, cell, B, T, H, **more) for H in units)


SECTIONS: dict[str, list[Row]] = {
    "short": [
        *_rows(_LONG, ("lstm", "gru"), [(32, 100)], (128, 256)),
        *_rows(("forward",), ("lstm", "gru"), [(1, 100)], (64,)),
        *_rows(("step",), ("lstm", "gru"), [(1, 1)], _UNITS),
    ],
    "batch": list(_rows(_LONG, CELLS, [(32, 100), (64, 50), (128, 28)], _UNITS)),
    "single": [
        *_rows(("forward",), CELLS, [(1, 100)], _UNITS[1:]),
        *_rows(("training",), CELLS, [(1, 200)], (128,)),
    ],
    "step": list(_rows(("step",), CELLS, [(1, 1), (16, 1)], _UNITS)),
    "stack": list(_rows(_LONG, CELLS, [(32, 100)], (128,), I=64, layers=2, bidirectional=True)),
    "ragged": [
        case
        for H in (64, 128)
        for mode in _LONG
        for cell in CELLS
        for case in (row(mode, cell, 32, 100, H, ragged=True), row(mode, cell, 32, 100, H))
    ],
    "float64": [
        case
        for mode in _LONG
        for cell in ("lstm", "gru")
        for H in (64, 128, 256)
        for case in (row(mode, cell, 32, 100, H, dtype="float64"), row(mode, cell, 32, 100, H))
    ],
    "odd": [
        *_rows(_LONG, CELLS[:3], [(32, 100)], (20, 50, 100, 200, 300)),
        *_rows(_LONG, CELLS[:3], [(3, 100), (7, 100), (50, 100)], (128,)),
    ],
}
"""Tables by name. Ragged and float64 rows are followed by the same work in batches of one length and in float32."""


def full() -> list[Row]:
    """Every row of every section but the short one, once."""
    found: list[Row] = []
    for name, rows in SECTIONS.items():
        found += [case for case in rows if name != "short" and case not in found]
    return found
