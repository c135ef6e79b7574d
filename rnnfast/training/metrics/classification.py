"""How well classes are told: of scores, most often logits."""

from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.metrics._base import Mean, Metric
from rnnfast.training.metrics._places import (
    binary_places,
    class_answers,
    class_places,
    mean_of,
    one_score,
    sum_over_places,
)


def accuracy(
    predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """How many largest scores stand at the target.

    Parameters
    ----------
    predictions : numpy.ndarray (..., C)
        Scores of the classes.
    targets : array_like of int (...)
    mask : numpy.ndarray of bool (...), optional
        True where a place counts.
    weights : numpy.ndarray of float (...), optional
        How much it counts.

    Returns
    -------
    (float, int or float)
        Right places, and all that count; with weights, the weights of these.
    """
    told, wanted, weights = class_answers("accuracy", predictions, targets, mask, weights)
    return mean_of(told == wanted, weights)


class Accuracy(Mean):
    """The share of places that are told right.

    Parameters
    ----------
    threshold : float
        Where there is one score a place, from which the answer is 1: 0 for logits, 0.5 for probabilities.
    multilabel : bool
        Whether every score is an answer of its own, 0 or 1, and the share is that of all of them.
    name : str, optional

    Notes
    -----
    Predictions (..., C) go with integer targets (...), or with targets (..., C) whose largest number is at the class,
    such as one-hot ones; of potentials (B, T, C, C), a conditional random field's, the best path is told. Predictions
    (..., 1) or (N,) go with targets of 0 and 1, (..., 1) or (...). With `multilabel` targets are 0 and 1 and have the
    predictions' shape. Integer targets below 0, as losses ignore them, do not count.

    Examples
    --------
    >>> metric = Accuracy()
    >>> metric.update(np.array([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]]), [1, 2])
    >>> metric.update(np.array([[0.0, 0.0, 1.0]]), [2])
    >>> round(metric.result(), 4)
    0.6667
    """

    def __init__(self, threshold: float = 0.0, multilabel: bool = False, name: str | None = None):
        super().__init__(name=name or ("binary_accuracy" if multilabel else "accuracy"))
        self._threshold, self._multilabel = threshold, multilabel

    def measure(self, predictions: Any, targets: Any, mask: Any, weights: Any) -> tuple[float, float]:
        if not self._multilabel and not one_score(predictions):
            return accuracy(predictions, targets, mask, weights)
        scores, wanted, weights = binary_places(self.name, predictions, targets, mask, weights)
        return mean_of((scores > self._threshold) == wanted, weights)


class TopK(Mean):
    """The share of places where fewer than k classes have a higher score than the target.

    Parameters
    ----------
    k : int
    name : str, optional
        `top_5_accuracy` for k = 5, and so on.

    Examples
    --------
    >>> metric = TopK(2)
    >>> metric.update(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), [1, 2])
    >>> metric.name, metric.result()
    ('top_2_accuracy', 0.5)
    """

    def __init__(self, k: int = 5, name: str | None = None):
        self._k = _check.size(k, "k")
        super().__init__(name=name or f"top_{self._k}_accuracy")

    def measure(self, predictions: Any, targets: Any, mask: Any, weights: Any) -> tuple[float, float]:
        take, wanted, weights = class_places(self.name, predictions, targets, mask, weights)
        scores = take(predictions)
        own = np.take_along_axis(scores, wanted[:, None], axis=-1)
        # What is not a number is not lower than anything, and not among the highest itself.
        return mean_of((~(scores <= own)).sum(axis=-1) < min(self._k, scores.shape[-1]), weights)


class ConfusionMatrix(Metric):
    """How often each class is told for each class that is wanted: `counts[wanted, told]`; the result is the accuracy.

    `fit` and `evaluate` gather in copies of a metric; for the counts, update this one with what `predict` gives.

    Parameters
    ----------
    threshold : float
        As of `Accuracy`; one score a place makes two classes.
    name : str

    Attributes
    ----------
    counts : numpy.ndarray (C, C)
        Integers, or float64 where there were weights; (0, 0) before the first batch.

    Examples
    --------
    >>> metric = ConfusionMatrix()
    >>> metric.update(np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]), [1, 0, 0])
    >>> metric.counts
    array([[1, 1],
           [0, 1]])
    """

    counts: np.ndarray

    def __init__(self, threshold: float = 0.0, name: str = "confusion_matrix"):
        self._threshold, self.name = threshold, name
        super().__init__()

    def start(self) -> dict[str, Any]:
        return {"counts": np.zeros((0, 0), np.int64)}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        found = _table(self.name, predictions, targets, mask, weights, self._threshold)
        self.counts = _added(self.name, self.counts, found)

    def result(self) -> float:
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")


class _Ratio(Metric):
    """Base of what follows from how many places are told to be of a class, are wanted to be, and both."""

    classes: np.ndarray
    places: float

    def __init__(
        self, average: str | None = None, threshold: float = 0.0, multilabel: bool = False, name: str | None = None
    ):
        if average not in (None, "binary", "macro", "micro"):
            raise ValueError(f"average must be 'binary', 'macro', 'micro' or None, got {average!r}")
        self._average, self._threshold, self._multilabel = average, threshold, multilabel
        self.name = name or self.name
        super().__init__()

    def start(self) -> dict[str, Any]:
        # Of each class or label, the places where it is both told and wanted, told, and wanted; and all places.
        return {"classes": np.zeros((3, 0), np.int64), "places": 0}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        if self._multilabel or (one_score(predictions) and self._average in (None, "binary")):
            scores, wanted, weights = binary_places(self.name, predictions, targets, mask, weights)
            told = scores > self._threshold
            found = np.stack([sum_over_places(each, weights) for each in (told & wanted, told, wanted)])
            count = len(scores) if weights is None else weights.sum()
        else:
            table = _table(self.name, predictions, targets, mask, weights, self._threshold)
            if self._average == "binary" and len(table) != 2:
                raise ValueError(f"{self.name}: average='binary' is for 2 classes, there are {len(table)}")
            found = np.stack([table.diagonal(), table.sum(axis=0), table.sum(axis=1)])
            count = table.sum()
        self.classes = _added(self.name, self.classes, found)
        self.places += count.item() if isinstance(count, np.generic) else count

    def result(self) -> float:
        if not self.places:
            return float("nan")
        counts = self.classes[:, -1:] if self._average == "binary" else self.classes
        if self._average == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        ratios = self._ratios(*counts[:, self._averaged(*counts)].astype(np.float64))
        return float(ratios.mean()) if ratios.size else 0.0

    def _averaged(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return (told > 0) | (wanted > 0)

    def _ratios(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Precision(_Ratio):
    """Of the places that are told to be of a class, the share that are.

    Parameters
    ----------
    average : "binary", "macro", "micro" or None
        "macro" is the mean over the classes that are told or wanted anywhere, "micro" takes all classes' places
        together, "binary" is class 1 alone. None is "binary" where there is one score a place, else "macro".
    threshold : float
        Where there is one score a place, above which the answer is 1: 0 for logits, 0.5 for probabilities.
    multilabel : bool
        Whether every score is an answer of its own, 0 or 1: labels in place of classes.
    name : str, optional

    Notes
    -----
    Predictions and targets as of `Accuracy`. 0 where the denominator is 0; nan where nothing counted at all.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update(np.array([2.0, 1.0, -1.0, -3.0]), [1, 0, 1, 0])
    >>> metric.result()
    0.5
    """

    name = "precision"

    def _ratios(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return right / np.where(told > 0, told, 1)


class Recall(_Ratio):
    """Of the places of a class, the share that are told; parameters as of `Precision`.

    Examples
    --------
    >>> metric = Recall()
    >>> metric.update(np.array([2.0, 1.0, -1.0, -3.0]), [1, 0, 1, 1])
    >>> round(metric.result(), 4)
    0.3333
    """

    name = "recall"

    def _ratios(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return right / np.where(wanted > 0, wanted, 1)


class F1(_Ratio):
    """2 · precision · recall / (precision + recall), of each class before averages; parameters as of `Precision`.

    Examples
    --------
    >>> metric = F1()
    >>> metric.update(np.array([2.0, 1.0, -1.0, -3.0]), [1, 0, 1, 1])
    >>> metric.result()
    0.4
    """

    name = "f1"

    def _ratios(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return 2 * right / (told + wanted)


class BalancedAccuracy(Recall):
    """The mean over the classes that are wanted anywhere of the share of their places that are told.

    Parameters
    ----------
    threshold : float
        As of `Accuracy`; one score a place makes two classes.
    name : str, optional
    """

    name = "balanced_accuracy"

    def __init__(self, threshold: float = 0.0, name: str | None = None):
        super().__init__("macro", threshold, name=name)

    def _averaged(self, right: np.ndarray, told: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return wanted > 0


class AUC(Metric):
    """The area under the receiver operating characteristic: the exact one, of all scores, which are kept until then.

    The share of pairs of a place that is 1 and a place that is 0 where the former has the higher score; ties count
    half. The pairs of places with weights count by the product of these.

    Parameters
    ----------
    name : str

    Notes
    -----
    Predictions (N,) or (..., 1), logits or probabilities, with targets 0 and 1; or logits (..., 2) of two classes with
    targets of 0 and 1. nan where there is no 0 or no 1, or a score is nan. Keeps two or three numbers for each place.

    Examples
    --------
    >>> metric = AUC()
    >>> metric.update(np.array([0.1, 0.4, 0.35, 0.8]), [0, 0, 1, 1])
    >>> metric.result()
    0.75
    """

    scores: list[np.ndarray]
    ones: list[np.ndarray]
    zeros: list[np.ndarray]

    def __init__(self, name: str = "auc"):
        self.name = name
        super().__init__()

    def start(self) -> dict[str, Any]:
        # Of each batch the scores, and how much each place counts as 1 and as 0.
        return {"scores": [], "ones": [], "zeros": []}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        if predictions.ndim > 1 and predictions.shape[-1] == 2:
            take, ids, weights = class_places(self.name, predictions, targets, mask, weights)
            logits = take(predictions).astype(np.float64)
            scores, wanted = logits[:, 1] - logits[:, 0], ids == 1
        elif one_score(predictions):
            found, wanted, weights = binary_places(self.name, predictions, targets, mask, weights)
            scores, wanted = found[:, 0], wanted[:, 0]
        else:
            raise ValueError(f"{self.name}: it is for two classes, the predictions have {predictions.shape[-1]} scores")
        weights = np.ones(len(scores)) if weights is None else weights
        # A copy, as the caller's array is free to change after this.
        self.scores.append(np.array(scores, np.float64))
        self.ones.append(weights * wanted)
        self.zeros.append(weights * ~wanted)

    def state(self) -> dict[str, Any]:
        """What has been gathered, as one list of each."""
        found = {name: getattr(self, name) for name in self.start()}
        return {name: [np.concatenate(each).tolist()] if each else [] for name, each in found.items()}

    def result(self) -> float:
        if not self.scores:
            return float("nan")
        scores, ones, zeros = (np.concatenate(each) for each in (self.scores, self.ones, self.zeros))
        _, group = np.unique(scores, return_inverse=True)
        ones, zeros = np.bincount(group, ones), np.bincount(group, zeros)
        pairs = ones.sum() * zeros.sum()
        if not pairs or np.isnan(scores).any():
            return float("nan")
        return float(ones @ (np.cumsum(zeros) - zeros / 2) / pairs)


def _table(name: str, predictions: Any, targets: Any, mask: Any, weights: Any, threshold: float) -> np.ndarray:
    """Counts (C, C) of the targets by the answers, or the sums of weights."""
    if one_score(predictions):
        scores, wanted, weights = binary_places(name, predictions, targets, mask, weights)
        told, ids, C = (scores > threshold)[:, 0], wanted[:, 0].astype(np.intp), 2
    else:
        told, ids, weights = class_answers(name, predictions, targets, mask, weights)
        C = predictions.shape[-1]
    return np.bincount(ids * C + told, weights, minlength=C * C).reshape(C, C)


def _added(name: str, before: np.ndarray, found: np.ndarray) -> np.ndarray:
    if not before.size:
        return found
    if before.shape != found.shape:
        raise ValueError(f"{name}: there were {before.shape[-1]} classes, now there are {found.shape[-1]}")
    return before + found
