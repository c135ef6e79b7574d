"""What attention looked at."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Axes, heat_map, label_height, one_axes, token_ticks


def plot_attention(
    weights: Any,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    *,
    sequence: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """A heat map of attention weights: a row for each token written, a column for each token read.

    Parameters
    ----------
    weights : array_like (T, S) or (B, T, S), or what has such `weights`
        As `Attention` returns them, or `Seq2Seq.decode`.
    source, target : sequence of str, optional
        Tokens read and written. What is beyond them is padding, and is not drawn.
    sequence : int
        Which one of a batch.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    found = getattr(weights, "weights", weights)
    if found is None:
        raise ValueError("there are no attention weights: the model has no attention")
    array = np.asarray(found)
    if array.ndim == 3:
        if not -len(array) <= sequence < len(array):
            raise ValueError(f"there are {len(array)} sequences, got sequence={sequence}")
        array = array[sequence]
    if array.ndim != 2 or not array.size:
        raise ValueError(f"weights must have shape (T, S) or (B, T, S), got {np.shape(found)}")
    for name, tokens, count in (("target", target, array.shape[0]), ("source", source, array.shape[1])):
        if tokens is not None and not 0 < len(tokens) <= count:
            raise ValueError(f"{name} must have 1 to {count} tokens, as the weights have, got {len(tokens)}")
    array = array[: None if target is None else len(target), : None if source is None else len(source)]
    rows, columns = array.shape
    height = float(np.clip(1.0 + 0.3 * rows, 2.2, 9)) + label_height(source)
    ax = one_axes(ax, float(np.clip(1.8 + 0.32 * columns, 4, 11)) + label_height(target), height)
    heat_map(ax, array, (0.0, max(1e-9, float(array.max()))), "Blues", "attention weight")
    token_ticks(ax.xaxis, source, columns, "source step", turned=True)
    token_ticks(ax.yaxis, target, rows, "target step")
    if source is not None:
        ax.set_xlabel("source")
    if target is not None:
        ax.set_ylabel("target")
    ax.xaxis.set_ticks_position("top")
    ax.xaxis.set_label_position("top")
    return ax
