"""What the pictures share: Axes to draw on, heat maps, tokens as labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Axes = Any
"""A matplotlib.axes.Axes: matplotlib is not imported to say so."""


def pyplot() -> Any:
    """matplotlib.pyplot.

    Raises
    ------
    ImportError
        That says what to install, where matplotlib is missing.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'rnnfast[plot]'") from error
    return plt


def one_axes(ax: Axes | None, width: float = 6.4, height: float = 3.6) -> Axes:
    """The Axes given, or those of a new figure of so many inches."""
    return panels(None if ax is None else [ax], 1, width, height)[0]


def panels(axes: Any, count: int, width: float, height: float, *, columns: int = 1) -> list[Axes]:
    """As many Axes: those given, or those of a new figure, each of so many inches.

    Raises
    ------
    ValueError
        Where another number of Axes is given.
    """
    plt = pyplot()
    if axes is not None:
        found = list(np.ravel(np.asarray(axes, dtype=object)))
        if len(found) != count:
            raise ValueError(f"ax must be {count} Axes, one for each panel, got {len(found)}")
        return found
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows, columns, squeeze=False, figsize=(width * columns, height * rows), layout="constrained"
    )
    found = list(grid.ravel())
    for left in found[count:]:
        figure.delaxes(left)
    return found[:count]


def heat_map(ax: Axes, values: Array, limits: tuple[float, float], colours: str, label: str | None = None) -> Any:
    """Draw (rows, columns), a cell for each number, with a bar that tells what the colours mean."""
    image = ax.imshow(values, aspect="auto", cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    if label is not None:
        bar.set_label(label)
    return image


def token_ticks(axis: Any, tokens: Sequence[Any] | None, count: int, name: str, *, turned: bool = False) -> None:
    """Label an axis (`ax.xaxis` or `ax.yaxis`) with `count` tokens, or leave its numbers where there are none."""
    if tokens is None:
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_label_text(name)
        return
    shown = [visible(token) for token in checked_tokens(tokens, count, name)]
    longest = max(map(len, shown), default=0)
    axis.set_ticks(range(count), shown)
    if turned and longest > 1:
        axis.set_tick_params(rotation=90)
    small = 9 if count <= 30 else 7 if count <= 60 else 5
    axis.set_tick_params(labelsize=small, length=0 if longest <= 1 else 2)


def label_height(labels: Sequence[Any] | None) -> float:
    """Inches that turned labels take below the steps."""
    longest = max((len(str(label)) for label in labels or ()), default=0)
    return 0.085 * min(longest, 40) if longest > 1 else 0.0


def checked_tokens(tokens: Sequence[Any], count: int, name: str) -> list[str]:
    """Tokens as text, as many as wanted.

    Raises
    ------
    ValueError
        Where there are more or fewer.
    """
    found = [str(token) for token in tokens]
    if len(found) != count:
        raise ValueError(f"there must be one label for each {name}, {count}, got {len(found)}")
    return found


def visible(token: Any) -> str:
    """A token as a label: white space and control characters as signs, and dollars that start no formula."""
    signs = {"\n": "⏎", "\t": "⇥", " ": "␣"}
    text = "".join(signs.get(sign) or (chr(0x2400 + ord(sign)) if ord(sign) < 32 else sign) for sign in str(token))
    return text.replace("$", r"\$")
