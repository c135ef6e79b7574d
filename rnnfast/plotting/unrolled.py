"""A model unrolled in time: a box for each layer and step, as the textbooks draw it."""

from typing import Any

from rnnfast.models import Seq2Seq
from rnnfast.plotting._diagram import Diagram
from rnnfast.plotting._layers import layers_of
from rnnfast.plotting._unrolled import Unrolled
from rnnfast.plotting._unrolled_seq2seq import draw_seq2seq


def plot_unrolled(model: Any, steps: int = 4) -> str:
    """The network unrolled over some steps, as SVG: boxes by layer and step, arrows upwards and through time.

    Parameters
    ----------
    model : Sequential, Seq2Seq, recurrent layer, or what has one of them as its `network`
    steps : int
        How many steps are drawn, of source and target both in a Seq2Seq.

    Returns
    -------
    str
        An SVG document, which notebooks show as a picture. Boxes are groups of class "box" and of their kind: "input",
        "output", "recurrent", "reverse" (in time), "layer" or "attention"; arrows are paths of class "arrow" and "up",
        "time", "back" or "bridge" (from encoder to decoder).

    Notes
    -----
    All boxes of a row are one layer with one set of parameters. Left stands the row's name with the shape of what it
    gives: B sequences, T steps, features.

    Examples
    --------
    >>> import rnnfast as rf
    >>> picture = plot_unrolled(rf.Sequential(rf.LSTM(3, 8), rf.Last(), rf.Linear(8, 1)), steps=3)
    >>> picture.count('class="box recurrent"'), picture.count('class="arrow time"')
    (3, 3)
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 50:
        raise ValueError(f"steps must be a whole number from 1 to 50, got {steps!r}")
    model = getattr(model, "network", model)
    diagram = Diagram()
    if isinstance(model, Seq2Seq):
        draw_seq2seq(diagram, model, steps)
    else:
        Unrolled(diagram, layers_of(model), steps).draw()
    return diagram.svg(f"{type(model).__name__} unrolled over {steps} steps")
