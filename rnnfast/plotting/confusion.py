"""The confusion matrix, drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array, Axes, checked_tokens, one_axes, visible


def plot_confusion(
    matrix: Any, labels: Sequence[Any] | None = None, *, normalize: bool = False, ax: Axes | None = None
) -> Axes:
    """How often each class is told for each class that is true.

    Parameters
    ----------
    matrix : array_like (C, C), or a tuple (targets, predictions)
        `matrix[true, told]`, as `ConfusionMatrix.counts`; or the classes, integers of one shape: those that are -1 in
        targets do not count. Predictions may be scores, with one axis more.
    labels : sequence of str, optional
        The classes' names.
    normalize : bool
        Whether each row is divided by its sum: of a class, what share is told as what.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    counts = _count(*matrix) if isinstance(matrix, tuple) and len(matrix) == 2 else np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"matrix must have shape (C, C), or be a tuple (targets, predictions), got {counts.shape}")
    classes = len(counts)
    names = [str(i) for i in range(classes)] if labels is None else checked_tokens(labels, classes, "class")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals == 0, 1, totals)
    shown = shares if normalize else counts
    size = min(10.0, 2.4 + 0.45 * classes)
    ax = one_axes(ax, size + 0.8, size)
    # Shares of a row colour the cells, so that rare classes are seen as well as frequent ones.
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, pad=0.02, label="share of the true class", shrink=0.85)
    ticks = [visible(name).replace("␣", " ") for name in names]
    turned = sum(map(len, ticks)) > 4 * classes and classes > 3
    ax.set_xticks(range(classes), ticks, rotation=45 if turned else 0, ha="right" if turned else "center",
                  rotation_mode="anchor" if turned else "default")  # fmt: skip
    ax.set_yticks(range(classes), ticks)
    if classes <= 20:
        for (row, column), value in np.ndenumerate(shown):
            text = f"{value:.2f}" if normalize else f"{value:g}"
            colour = "white" if shares[row, column] > 0.55 else "black" if value else "0.7"
            small = 10 if classes <= 8 else 7
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=small)
    ax.set(xlabel="predicted", ylabel="true")
    return ax


def _count(targets: Any, predictions: Any) -> Array:
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if predictions.ndim == targets.ndim + 1 and predictions.shape[-1]:
        classes, predictions = predictions.shape[-1], predictions.argmax(axis=-1)
    else:
        classes = 0
    if targets.shape != predictions.shape:
        raise ValueError(f"targets and predictions must have one shape, got {targets.shape} and {predictions.shape}")
    for name, array in (("targets", targets), ("predictions", predictions)):
        if array.dtype.kind not in "iub":
            raise TypeError(f"{name} must be classes, integers, got {array.dtype}")
    counted = targets >= 0
    targets, predictions = targets[counted].astype(np.int64), predictions[counted].astype(np.int64)
    if predictions.size and predictions.min() < 0:
        raise ValueError("predictions must be classes from 0 where targets are")
    classes = max(classes, 1 + int(max(targets.max(initial=-1), predictions.max(initial=-1))))
    return np.bincount(targets * classes + predictions, minlength=classes**2).reshape(classes, classes)
