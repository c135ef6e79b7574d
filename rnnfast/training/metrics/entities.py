"""Named entities, told by tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.training.losses._places import spread
from rnnfast.training.metrics._base import Metric
from rnnfast.training.metrics._places import told_ids

_OUT, _BEGIN, _INSIDE, _END, _SINGLE = range(5)
_PREFIXES = {"O": _OUT, "B": _BEGIN, "I": _INSIDE, "E": _END, "L": _END, "S": _SINGLE, "U": _SINGLE}


class Scheme:
    """What tags mean, in any of the schemes IOB1, IOB2 (BIO), IOE and IOBES (BILOU), and where their entities are.

    An entity begins at B and S (or U), at I or E after O, after another type, and after E or S; it ends before these
    and before O. So tags that fit no scheme still make entities, the same as `conlleval`, the script of the shared
    tasks, makes of them.

    Parameters
    ----------
    tags : sequence of str
        The tag of each id: "O", or a letter, a hyphen and a type ("B-PER").
    name : str
        What an error calls them.

    Attributes
    ----------
    kinds : list of str
        The types, sorted.
    kind : numpy.ndarray (N,)
        The type's place in `kinds` by id; -1 of "O".

    Raises
    ------
    ValueError
        When a tag is none of those.
    """

    def __init__(self, tags: Sequence[str], name: str = "tags"):
        parts = [str(tag).partition("-")[::2] for tag in tags]
        for tag, (letter, kind) in zip(tags, parts, strict=True):
            if letter not in _PREFIXES or (letter == "O" and kind):
                raise ValueError(f"{name} must be 'O' or like 'B-PER', got {tag!r}")
        self._prefix = np.array([_PREFIXES[letter] for letter, _ in parts], np.int64)
        self.kinds = sorted({kind for letter, kind in parts if letter != "O"})
        self.kind = np.array([self.kinds.index(kind) if letter != "O" else -1 for letter, kind in parts], np.int64)

    def __len__(self) -> int:
        return len(self._prefix)

    def spans(self, ids: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where entities begin, and their last places.

        Parameters
        ----------
        ids : numpy.ndarray (M,)
            Tags of sequences one after the other.
        first : numpy.ndarray of bool (M,)
            Where a sequence begins.
        """
        prefix, kind = self._prefix[ids], self.kind[ids]
        before = np.where(first, _OUT, np.roll(prefix, 1))
        other = kind != np.roll(kind, 1)
        inside = (prefix == _INSIDE) | (prefix == _END)
        alone = (before == _OUT) | (before == _END) | (before == _SINGLE)
        begins = (prefix == _BEGIN) | (prefix == _SINGLE) | (inside & (alone | other))
        # An entity ends where the next place, if of the same sequence, does not go on with it.
        goes_on = np.append((inside & ~begins)[1:], False)[: len(ids)]
        return np.flatnonzero(begins), np.flatnonzero((prefix != _OUT) & ~goes_on)


class EntityF1(Metric):
    """F1 of whole entities: right are those that are told with both ends and the type as they are wanted.

    2 · right / (told + wanted), over the entities of all types, as the script conlleval of the CoNLL-2000 shared task
    counts them (Tjong Kim Sang and Buchholz 2000), but as a share, not in per cent.

    Parameters
    ----------
    tags : sequence of str
        The tag of each id: "O", and "B-PER", "I-PER" and so on (BIO, in the first or the second version); "E-" or "L-"
        at the end and "S-" or "U-" alone, where the scheme has them (IOBES, BILOU).
    name : str

    Notes
    -----
    `Scheme` says where entities are. Predictions are scores (B, T, C), of which the largest is told, potentials of a
    conditional random field (B, T, C, C), of which the best path is, or ids (B, T); targets are ids (B, T). Steps that
    the mask (B, T) leaves out, or whose target is below 0, are taken out of their sequence. Weights are not used.

    Examples
    --------
    >>> metric = EntityF1(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    >>> metric.update(np.array([[1, 2, 0, 3, 0]]), np.array([[1, 2, 0, 3, 4]]))
    >>> metric.result()
    0.5
    >>> metric.by_type()["PER"]
    {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'entities': 1}
    """

    counts: np.ndarray

    def __init__(self, tags: Sequence[str], name: str = "entity_f1"):
        if isinstance(tags, str) or not len(tags):
            raise ValueError(f"{name}: tags must be a list of 'O', 'B-type', 'I-type' and so on, got {tags!r}")
        self._scheme = Scheme(tags, f"{name}: tags")
        self.name = name
        super().__init__()

    def start(self) -> dict[str, Any]:
        # Of each type, the entities that are right, told, and wanted.
        return {"counts": np.zeros((3, len(self._scheme.kinds)), np.int64)}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        told, wanted = told_ids(self.name, predictions, mask), np.asarray(targets)
        if wanted.shape != told.shape or (wanted.dtype.kind not in "iu" and wanted.size):
            raise ValueError(
                f"{self.name}: targets must be integers of shape {told.shape}, got {wanted.dtype} of {wanted.shape}"
            )
        keep = wanted >= 0
        if mask is not None:
            keep = keep & spread(np.asarray(mask), told.shape, f"{self.name}: mask")
        sequence = np.nonzero(keep)[0]
        first = np.append(True, sequence[1:] != sequence[:-1])[: len(sequence)]
        told, wanted = told[keep], wanted[keep]
        for what, ids in (("predictions", told), ("targets", wanted)):
            if ids.size and not 0 <= ids.min() <= ids.max() < len(self._scheme):
                raise ValueError(f"{self.name}: {what} must be ids of the {len(self._scheme)} tags, got {ids.max()}")
        scheme, kind = self._scheme, self._scheme.kind
        begins, ends = scheme.spans(told, first)
        wanted_begins, wanted_ends = scheme.spans(wanted, first)
        last = np.full(len(told), -1)
        last[begins] = ends
        right = wanted_begins[(last[wanted_begins] == wanted_ends) & (kind[told] == kind[wanted])[wanted_begins]]
        found = (wanted[right], told[begins], wanted[wanted_begins])
        self.counts = self.counts + [np.bincount(kind[ids], minlength=len(scheme.kinds)) for ids in found]

    def result(self) -> float:
        right, told, wanted = self.counts.sum(axis=1).tolist()
        return 2 * right / (told + wanted) if told + wanted else float("nan")

    def by_type(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and how many entities are wanted, of each type; 0 where a denominator is 0."""
        return {
            kind: {
                "precision": right / max(told, 1),
                "recall": right / max(wanted, 1),
                "f1": 2 * right / max(told + wanted, 1),
                "entities": wanted,
            }
            for kind, (right, told, wanted) in zip(self._scheme.kinds, self.counts.T.tolist(), strict=True)
        }
