"""Memorisation: how much an output depends on each of the inputs before it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.layers import Embedding
from rnnfast.plotting._cells import draw_text, lines_of, shares_bar, shares_colours
from rnnfast.plotting._figure import Array, Axes, panels, token_ticks
from rnnfast.plotting._layers import at_rest, layers_of
from rnnfast.plotting._tokens import encode


def memorisation(model: Any, x: Any, output: int | None = None, *, step: int = -1) -> Array:
    """The norm of the gradient of one output with respect to each input: |dy[step, output] / dx_t|.

    Parameters
    ----------
    model : Sequential, or what has one as its `network`, as `LanguageModel` and `Classifier`
        It is taken as it is at rest: nothing is dropped, and nothing in it changes.
    x : str, list of str, array_like of int (T,), or array_like (T, F)
        One sequence: a text or words, where the model has a vocabulary; ids, whose vectors are what the gradient is
        taken of; or vectors.
    output : int, optional
        Which feature of the output, a class's score say; None is the largest one there.
    step : int
        Which step of the output, where it has a time axis.

    Returns
    -------
    numpy.ndarray (T,)
        float64, not negative.

    Raises
    ------
    ValueError, TypeError
        When x is no single sequence, or the model has layers whose gradient at rest is not known (zoneout).

    Notes
    -----
    As in Madsen 2019, "Visualizing memorization in RNNs", Distill: a model that remembers has large norms far back.

    Examples
    --------
    >>> import rnnfast as rf
    >>> model = rf.Sequential(rf.Embedding(5, 3, seed=0), rf.GRU(3, 4, seed=0), rf.Last(), rf.Linear(4, 2, seed=0))
    >>> memorisation(model, [3, 1, 4]).shape
    (3,)
    """
    layers = layers_of(model)
    values = np.asarray(encode(model, x)[0])
    symbols = isinstance(layers[0], Embedding)
    if values.ndim != (1 if symbols else 2) or not len(values):
        wanted = "(T,), ids" if symbols else "(T, F)"
        raise ValueError(f"x must be one sequence, of shape {wanted}, got {values.shape}")
    y: Any = layers[0](values[None]) if symbols else values[None]
    backwards = []
    for layer in layers[symbols:]:
        quiet = at_rest(layer)
        if quiet is None:
            continue
        y, backward = quiet.forward(y, rng=0)
        if layer.has_state:
            y, _ = y
        backwards.append((layer.has_state, backward))
    dy = np.zeros(y.shape, y.dtype)
    dy[_place(y, output, step)] = 1
    for has_state, backward in reversed(backwards):
        dy = backward(dy, None, {})[0] if has_state else backward(dy, {})
    return np.linalg.norm(dy[0].astype(np.float64), axis=-1)


def plot_memorisation(
    models: Any,
    x: Any,
    tokens: Sequence[Any] | None = None,
    output: int | None = None,
    *,
    step: int = -1,
    columns: int = 64,
    ax: Any = None,
) -> list[Axes]:
    """The text, each token as dark as the output depends on it; one panel a model.

    Parameters
    ----------
    models : model, or mapping of str to model
        As of `memorisation`, by the names that the picture shows.
    x, output, step
        As of `memorisation`.
    tokens : sequence of str, optional
        One a step; None takes them from x where it is a text or words. Without tokens a strip is drawn over the steps.
    columns : int
        How many characters a line has.
    ax : sequence of Axes, one a model, optional

    Returns
    -------
    list of Axes

    Notes
    -----
    The norms of each model are divided by its largest, for the scales of different models do not compare: the picture
    tells where a model looks, not how steep it is. Colours go with the root of the share.
    """
    named = models if isinstance(models, Mapping) else {"": models}
    if not named:
        raise ValueError("models must hold at least one model")
    if tokens is None:
        tokens = encode(next(iter(named.values())), x)[1]
    found = {name: memorisation(model, x, output, step=step) for name, model in named.items()}
    if tokens is not None and any(len(tokens) != len(norms) for norms in found.values()):
        raise ValueError(f"tokens must have one for each step, {len(next(iter(found.values())))}, got {len(tokens)}")
    width = 7.5
    if tokens is None:
        drawn = panels(ax, len(found), width, 1.3)
    else:
        drawn = panels(ax, len(found), width, 0.62 + 0.24 * lines_of(tokens, columns))
    for each, (name, norms) in zip(drawn, found.items(), strict=True):
        largest = norms.max()
        shares = norms / largest if largest else norms
        if tokens is None:
            colours = shares_colours()
            each.imshow(shares[None], aspect="auto", cmap=colours.cmap, norm=colours.norm, interpolation="nearest")
            token_ticks(each.xaxis, None, len(shares), "step")
            each.set_yticks([])
        else:
            colours = draw_text(each, tokens, shares, columns)
        shares_bar(each, colours)
        each.set_title(name, fontsize=10, loc="left")
    return drawn


def _place(y: Array, output: int | None, step: int) -> tuple[int, ...]:
    """Where in the output (1, C) or (1, T, C) the gradient starts."""
    place: tuple[int, ...] = (0,)
    if y.ndim == 3:
        if not -y.shape[1] <= step < y.shape[1]:
            raise ValueError(f"the output has {y.shape[1]} steps, got step={step}")
        place = (0, step)
    scores = y[place]
    if scores.ndim != 1:
        raise ValueError(f"the model's output must have shape (B, C) or (B, T, C), got {y.shape}")
    if output is None:
        output = int(scores.argmax())
    if not -len(scores) <= output < len(scores):
        raise ValueError(f"the output has {len(scores)} features, got output={output}")
    return (*place, output)
