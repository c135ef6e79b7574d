"""How well sequences are told: language models, transcripts, tagged entities."""

import math
from typing import Any

import numpy as np

from rnnfast.decoding.ctc import labels_of_path
from rnnfast.training.losses._places import spread
from rnnfast.training.metrics._base import Mean, Metric
from rnnfast.training.metrics._distance import edit_distances, numbered
from rnnfast.training.metrics._places import class_places, mean_of, told_ids


class Perplexity(Mean):
    """exp of the mean of -log softmax(logits)[target]: as many equally likely classes would be as hard to tell.

    Logits (..., C) with integer targets (...).

    Examples
    --------
    >>> metric = Perplexity()
    >>> metric.update(np.zeros((2, 3, 5)), np.array([[0, 1, 2], [3, 4, 0]]))
    >>> round(metric.result(), 12)
    5.0
    """

    name = "perplexity"

    def __init__(self, name: str | None = None):
        super().__init__(name=name)

    def measure(self, predictions: Any, targets: Any, mask: Any, weights: Any) -> tuple[float, float]:
        take, wanted, weights = class_places(self.name, predictions, targets, mask, weights)
        logits = take(predictions)
        if not len(logits):
            return 0.0, 0
        logits = logits - logits.max(axis=-1, keepdims=True)
        own = np.take_along_axis(logits, wanted[:, None], axis=-1)[:, 0].astype(np.float64)
        return mean_of(np.log(np.exp(logits, out=logits).sum(axis=-1, dtype=np.float64)) - own, weights)

    def result(self) -> float:
        mean = super().result()
        return math.exp(mean) if mean < 709 else mean * math.inf


class EditDistance(Metric):
    """Insertions, deletions and replacements that turn targets into predictions, by the length of the targets.

    With words as ids it is the word error rate, with characters the character error rate ("wer" and "cer" are
    `EditDistance` under these names).

    Parameters
    ----------
    blank : int, optional
        The blank of connectionist temporal classification: of what is told, repeats count once, and then blanks are
        dropped (Graves et al. 2006, section 3.1).
    end : int, optional
        What ends a sequence: it and what follows is dropped, from predictions and targets.
    padding : int
        What is dropped from the targets, wherever it stands.
    separator : int, optional
        Makes words of ids: those between separators. The rate is then that of words.
    name : str

    Notes
    -----
    Predictions are scores (B, T, C), of which the largest is told, potentials (B, T, C, C) of a conditional random
    field, of which the best path is, or ids (B, T). Targets are ids (B, S), or a list of
    B sequences of ids. A mask (B, T) says which steps are told; without a blank, targets of shape (B, T) stand step by
    step beside the predictions, and share it. Weights are not used: a sequence counts by its length.

    Examples
    --------
    >>> metric = EditDistance(blank=0)
    >>> metric.update(np.array([[1, 1, 0, 1, 2, 0]]), np.array([[1, 2, 2, -1]]))
    >>> round(metric.result(), 4)
    0.3333
    """

    edits: int
    length: int

    def __init__(
        self,
        blank: int | None = None,
        end: int | None = None,
        padding: int = -1,
        separator: int | None = None,
        name: str = "edit_distance",
    ):
        self.name = name
        self._blank, self._end, self._padding, self._separator = blank, end, padding, separator
        super().__init__()

    def start(self) -> dict[str, Any]:
        return {"edits": 0, "length": 0}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        told = told_ids(self.name, predictions, mask)
        if mask is not None:
            mask = spread(np.asarray(mask), told.shape, f"{self.name}: mask")
        targets = targets if isinstance(targets, list) else np.asarray(targets)
        if len(targets) != len(told):
            raise ValueError(f"{self.name}: there are {len(told)} predictions and {len(targets)} targets")
        beside = self._blank is None and isinstance(targets, np.ndarray) and targets.shape == told.shape
        hypotheses: list[Any] = []
        references: list[Any] = []
        for i, (hypothesis, reference) in enumerate(zip(told, targets, strict=True)):
            reference = np.asarray(reference)
            if mask is not None:
                hypothesis, reference = hypothesis[mask[i]], reference[mask[i]] if beside else reference
            if self._blank is not None:
                hypothesis = labels_of_path(hypothesis, self._blank)
            hypotheses.append(self._units(self._ended(hypothesis)))
            references.append(self._units(self._ended(reference[reference != self._padding])))
        if self._separator is not None:
            hypotheses, references = numbered(hypotheses, references)
        self.edits += int(edit_distances(references, hypotheses).sum())
        self.length += sum(map(len, references))

    def result(self) -> float:
        if self.length:
            return self.edits / self.length
        return math.inf if self.edits else math.nan

    def _ended(self, ids: np.ndarray) -> np.ndarray:
        return ids if self._end is None or not (ids == self._end).any() else ids[: (ids == self._end).argmax()]

    def _units(self, ids: np.ndarray) -> Any:
        if self._separator is None:
            return ids
        parts = np.split(ids, np.flatnonzero(ids == self._separator))
        words = [tuple(part[part != self._separator].tolist()) for part in parts]
        return [word for word in words if word]
