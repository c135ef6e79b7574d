"""How far back gradients reach: vanishing and exploding, seen."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array, Axes, one_axes


def plot_gradient_norms(
    layers: Any, x: Any = None, dy: Any = None, *, lengths: Any = None, ax: Axes | None = None
) -> Axes:
    """The norm of dL/dh_t by step and layer, on a logarithmic axis: a line that falls to the left vanishes.

    Parameters
    ----------
    layers : recurrent layer, or mapping of str to recurrent layer
        By the names that the picture shows. Instead of a layer, what its `gradient_norms` gave.
    x : array_like (B, T, I) or (T, I)
    dy : array_like of the shape of y, or mapping of str to such, optional
        dL/dy. None: a gradient of norm 1 enters at the last step of each sequence, and nowhere else.
    lengths : array_like of int (B,), optional
    ax : Axes, optional

    Returns
    -------
    Axes
        A line for each layer and direction: the mean over the sequences of the batch that have the step.

    Notes
    -----
    A norm of 0, as far back as nothing arrives in the layer's dtype, is not on the axis: there the line ends.
    """
    named = layers if isinstance(layers, Mapping) and not _is_norms(layers) else {"": layers}
    ax = one_axes(ax, 7.0, 4.0)
    styles = ("-", "--", ":", "-.")
    for number, (name, layer) in enumerate(named.items()):
        norms = layer if _is_norms(layer) else _norms(layer, x, dy[name] if isinstance(dy, Mapping) else dy, lengths)
        for i, (level, array) in enumerate(norms.items()):
            label = ", ".join(part for part in (name, level if len(norms) > 1 or not name else "") if part)
            values = _mean(np.asarray(array, np.float64), lengths)
            ax.plot(np.where(values > 0, values, np.nan), styles[i % 4], color=f"C{number}", label=label)
    ax.set(yscale="log", xlabel="step t", ylabel=r"norm of $\partial L / \partial h_t$")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def _is_norms(value: Any) -> bool:
    """Whether it is what `gradient_norms` gives: arrays by level."""
    return isinstance(value, Mapping) and all(isinstance(each, np.ndarray) for each in value.values())


def _norms(layer: Any, x: Any, dy: Any, lengths: Any) -> dict[str, Array]:
    if not hasattr(layer, "gradient_norms"):
        raise TypeError(f"layers must be recurrent layers, or what gradient_norms gave, got {type(layer).__name__}")
    if x is None:
        raise TypeError("x is missing: the input whose gradients are drawn")
    x = np.asarray(x)
    if dy is None:
        if layer.merge is None:
            raise ValueError("with merge=None there are two outputs: say dy, a pair")
        dy = np.zeros((*x.shape[:-1], layer.output_size), layer.block.dtype)
        batch = dy if dy.ndim == 3 else dy[None]
        ends = np.full(len(batch), batch.shape[1]) if lengths is None else np.ravel(np.asarray(lengths))
        rows = np.flatnonzero(ends)
        batch[rows, ends[rows] - 1] = layer.output_size**-0.5
    return layer.gradient_norms(x, dy, lengths=lengths)


def _mean(norms: Array, lengths: Any) -> Array:
    """Of (B, T) or (T,), over the sequences that have the step."""
    if norms.ndim == 1:
        return norms
    if lengths is None:
        return norms.mean(axis=0)
    there = np.arange(norms.shape[1]) < np.asarray(lengths)[:, None]
    return (norms * there).sum(axis=0) / np.maximum(1, there.sum(axis=0))
