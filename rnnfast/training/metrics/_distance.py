"""Levenshtein's distance, many pairs at once."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np


def edit_distances(references: Sequence[Any], hypotheses: Sequence[Any]) -> np.ndarray:
    """The fewest insertions, deletions and replacements from one sequence of ids to another, of each pair.

    Parameters
    ----------
    references, hypotheses : sequences of B sequences of int

    Returns
    -------
    numpy.ndarray of int64 (B,)

    Notes
    -----
    Row by row of the table (Wagner and Fischer 1974) for all pairs. Within a row, distance[j] is the least over k <= j
    of step[k] + (j - k), where step[k] comes from the row before: a running minimum in place of a loop.
    """
    rows, columns = _padded(references), _padded(hypotheses)
    row_ends, column_ends = (np.array([len(each) for each in side], np.intp) for side in (references, hypotheses))
    j = np.arange(columns.shape[1] + 1)
    distances = np.tile(j, (len(rows), 1))
    found = column_ends.astype(np.int64)
    for i in range(rows.shape[1]):
        step = distances + 1
        np.minimum(step[:, 1:], distances[:, :-1] + (rows[:, i, None] != columns), out=step[:, 1:])
        distances = np.minimum.accumulate(step - j, axis=1) + j
        ended = np.flatnonzero(row_ends == i + 1)
        found[ended] = distances[ended, column_ends[ended]]
    return found


def numbered(*sides: Sequence[Sequence[Hashable]]) -> tuple[list[list[int]], ...]:
    """Ids in place of words or other things, equal ones for equal things."""
    ids: dict[Hashable, int] = {}
    return tuple([[ids.setdefault(each, len(ids)) for each in sequence] for sequence in side] for side in sides)


def _padded(sequences: Sequence[Any]) -> np.ndarray:
    array = np.zeros((len(sequences), max(map(len, sequences), default=0)), np.int64)
    for row, sequence in zip(array, sequences, strict=True):
        row[: len(sequence)] = sequence
    return array
