"""Labels of any kind as numbers, and back."""

import contextlib
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

Array = np.ndarray


class Labels:
    """Distinct labels in order: sorted where they can be, else as they come first.

    Attributes
    ----------
    classes : numpy.ndarray (C,)
        Of numbers or strings where all labels are one kind of these, else of objects.
    """

    def __init__(self, values: Iterable[Any]):
        found: list[Any] = list(dict.fromkeys(_plain(value) for value in values))
        with contextlib.suppress(TypeError):
            found = sorted(found)
        self.classes = as_array(found)
        self._numbers = {label: number for number, label in enumerate(found)}

    def __len__(self) -> int:
        return len(self.classes)

    def number(self, label: Any) -> int:
        """The number of a label.

        Raises
        ------
        ValueError
            When it is none of these.
        """
        number = self._numbers.get(_plain(label))
        if number is None:
            shown = ", ".join(map(repr, list(self._numbers)[:8])) + (", ..." if len(self) > 8 else "")
            raise ValueError(f"y: the label {label!r} was not in the training part, which has {shown}")
        return number

    def numbers(self, labels: Iterable[Any]) -> Array:
        """The numbers of several labels, int64 (N,)."""
        return np.array([self.number(label) for label in labels], np.int64)

    def to_json(self) -> list[Any]:
        """The labels in order; tuples as objects, as JSON has none."""
        return [_pack(label) for label in self._numbers]

    @classmethod
    def from_json(cls, saved: Any) -> "Labels":
        """The labels that `to_json` gave."""
        labels = cls(_unpack(label) for label in saved)
        if not len(labels) or len(labels) != len(saved):
            raise ValueError("its labels are not distinct")
        return labels


def as_array(labels: list[Any]) -> Array:
    """An array of labels: of their own kind where it is one of numbers or strings, else of objects."""
    kinds = {type(label) for label in labels}
    if len(kinds) == 1 and kinds <= {int, float, bool, str}:
        return np.array(labels)
    array = np.empty(len(labels), object)
    array[:] = labels
    return array


def _plain(label: Any) -> Hashable:
    """The label as Python's own kind where it is NumPy's."""
    label = label.item() if isinstance(label, np.generic) else label
    try:
        hash(label)
    except TypeError:
        raise TypeError(f"y: a label must be hashable, got {type(label).__name__} {label!r:.60}") from None
    if isinstance(label, float) and label != label:
        raise ValueError("y: a label must not be nan")
    return label


def _pack(label: Any) -> Any:
    if isinstance(label, tuple):
        return {"tuple": [_pack(each) for each in label]}
    if label is not None and type(label) not in (int, float, bool, str):
        raise TypeError(f"a label of type {type(label).__name__} cannot be written to a file: {label!r:.60}")
    return label


def _unpack(saved: Any) -> Any:
    return tuple(_unpack(each) for each in saved["tuple"]) if isinstance(saved, dict) else saved
