"""Connectionist temporal classification: labels for a sequence, without saying at which steps they are."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import check_predictions
from rnnfast.training.losses._sequences import Sequences

_NORMALIZE = ("sequence", "target")


class CTC(Loss):
    """-log p(labels | logits), summed over all alignments of labels and steps (Graves et al. 2006).

    The network gives a class, or the blank, at each step. Repeated classes are merged, then blanks are left out, and
    what remains are the labels: `a a - a b` reads `a a b`. p(labels) is the sum of the probabilities of all paths that
    read so.

    Parameters
    ----------
    blank : int
        The class that means no label.
    zero_infinity : bool
        Where there are too few steps for the labels (one for each, and one between equal neighbours), p is 0: the loss
        is infinite and its gradient zero, or with `zero_infinity` both are zero. The sequence counts all the same.
    normalize : "sequence" or "target"
        "sequence": the mean is that of the sequences' losses, as Keras's. "target": each loss is first divided by the
        number of its labels, or by 1 where there are none.

    Notes
    -----
    Predictions are logits (B, T, C); the softmax is inside. Targets are integers (B, S), padded with -1 after each
    sequence's labels, or a list of 1-D integer arrays. A mask (B, T) gives the lengths. The count is the number of
    sequences, those of length 0 with them; a mask (B,) or a weight of 0 leaves sequences out. Weights are (B,).

    `torch.nn.functional.ctc_loss` with ``reduction="sum"`` is the sum here with "sequence"; ``reduction="mean"`` is
    sum / count with "target".

    Examples
    --------
    >>> total, count, gradient = CTC()(np.zeros((2, 3, 4)), [[2, 1], [3, -1]])
    >>> round(float(np.exp(-total)) * 64 * 64, 6), count, gradient.shape  # of 64 paths, 5 read "2 1", and 6 read "3"
    (30.0, 2, (2, 3, 4))
    """

    name = "ctc"
    # Targets have steps of their own, so fit leaves them whole where it cuts a batch.
    aligned = False

    def __init__(self, blank: int = 0, zero_infinity: bool = False, normalize: str = "sequence"):
        if not isinstance(blank, (int, np.integer)) or isinstance(blank, bool):
            raise TypeError(f"blank must be a whole number, got {blank!r}")
        if blank < 0:
            raise ValueError(f"blank must be a class, at least 0, got {blank}")
        if normalize not in _NORMALIZE:
            raise ValueError(f"normalize must be one of {', '.join(map(repr, _NORMALIZE))}, got {normalize!r}")
        self.blank = int(blank)
        self.zero_infinity = bool(zero_infinity)
        self.normalize = normalize

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of sequences.

        Raises
        ------
        TypeError, ValueError
            When a shape or dtype does not fit, a target that counts is no class or the blank, -1 stands between labels,
            or the mask has True after False.
        """
        predictions = check_predictions(predictions, self.name)
        if predictions.ndim != 3:
            raise ValueError(f"ctc: predictions must have shape (B, T, C), got {predictions.shape}")
        B, T, C = predictions.shape
        if self.blank >= C:
            raise ValueError(f"ctc: the blank, {self.blank}, must be one of {C} classes, predictions {(B, T, C)}")
        sequences = Sequences((B, T), mask, weights, self.name)
        labels, counts = read_labels(targets, sequences.weights != 0, C, self.blank, self.name)
        factors = sequences.weights / np.maximum(counts, 1) if self.normalize == "target" else sequences.weights
        losses, gradient = ops.ctc(predictions, labels, counts, sequences.lengths, factors, self.blank)
        if self.normalize == "target":
            losses /= np.maximum(counts, 1)
        if self.zero_infinity:
            losses[np.isposinf(losses)] = 0
        return sequences.total(losses), sequences.count, gradient


def read_labels(targets: Any, read: np.ndarray, classes: int, blank: int, loss: str) -> tuple[np.ndarray, np.ndarray]:
    """All labels end to end, and how many each sequence has; none where it is not read."""
    if isinstance(targets, np.ndarray) and targets.dtype != object:
        if targets.ndim != 2:
            raise ValueError(f"{loss}: targets must have shape (B, S), or be a list of arrays, got {targets.shape}")
    elif not isinstance(targets, (np.ndarray, list, tuple)):
        raise TypeError(f"{loss}: targets must be an array (B, S) or a list of arrays, got {type(targets).__name__}")
    if len(targets) != len(read):
        raise ValueError(f"{loss}: targets must be those of {len(read)} sequences, got {len(targets)}")
    rows, counts = [], np.zeros(len(read), np.int64)
    for n in np.flatnonzero(read):
        row = _check.real_array(targets[n], f"{loss}: targets")
        if row.ndim != 1 or (row.dtype.kind not in "iu" and row.size):
            raise TypeError(f"{loss}: targets of a sequence must be integers (S,), got {row.dtype} {row.shape}")
        ends = np.flatnonzero(row == -1)
        counts[n] = ends[0] if ends.size else row.size
        found, rest = row[: counts[n]], row[counts[n] :]
        wrong = found[(found < 0) | (found >= classes) | (found == blank)]
        if wrong.size or (rest != -1).any():
            wanted = f"classes 0 to {classes - 1} but the blank {blank}, and after them -1 alone"
            got = wrong[0] if wrong.size else f"{rest[rest != -1][0]} after -1"
            raise ValueError(f"{loss}: targets must be {wanted}, got {got} in sequence {n}")
        rows.append(found.astype(np.int64))
    return np.concatenate([np.zeros(0, np.int64), *rows]), counts
