"""A text on Axes: a coloured cell for each token, in lines."""

from collections.abc import Sequence
from typing import Any

from rnnfast.plotting._figure import Array, Axes, pyplot, visible

_ADVANCE = 0.602  # of DejaVu Sans Mono, in parts of its size


def places_of(tokens: Sequence[Any], columns: int) -> list[tuple[int, int, str]]:
    """The line, first column and shown text of each token; single characters stand side by side, words apart."""
    shown = [visible(token) for token in tokens]
    gap = 0 if all(_width(text) <= 1 for text in shown) else 1
    found, line, column = [], 0, 0
    for token, text in zip(tokens, shown, strict=True):
        width = _width(text)
        if width > columns:
            text, width = text[: columns - 1] + "…", columns
        if column and column + width > columns:
            line, column = line + 1, 0
        found.append((line, column, text))
        column += width + gap
        if str(token) == "\n":
            line, column = line + 1, 0
    return found


def lines_of(tokens: Sequence[Any], columns: int) -> int:
    """How many lines the tokens take."""
    return 1 + max((line for line, _, _ in places_of(tokens, columns)), default=0)


def draw_text(ax: Axes, tokens: Sequence[Any], values: Array, columns: int) -> Any:
    """Draw tokens in cells coloured by values from 0 to 1; gives what `shares_bar` takes."""
    plt = pyplot()
    colours = shares_colours()
    places = places_of(tokens, columns)
    lines = 1 + max(line for line, _, _ in places)
    widest = max(column + _width(text) for _, column, text in places)
    columns = max(min(columns, widest), 24)
    inches = ax.get_position().width * ax.figure.get_size_inches()[0]
    size = min(13.0, 0.82 * inches * 72 / columns / _ADVANCE)
    for (line, column, text), value in zip(places, values.tolist(), strict=True):
        width, face = _width(text), colours.to_rgba(value)
        ax.add_patch(plt.Rectangle((column, line), width, 1, facecolor=face, edgecolor="white", linewidth=0.6))
        ink = "white" if 0.3 * face[0] + 0.6 * face[1] + 0.1 * face[2] < 0.5 else "black"
        faint = "0.6" if text in ("␣", "⏎", "⇥") else ink
        ax.text(column + width / 2, line + 0.52, text, ha="center", va="center", color=faint, fontsize=size,
                family="monospace")  # fmt: skip
    ax.set(xlim=(0, columns), ylim=(lines, 0), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    return colours


def shares_colours() -> Any:
    """Colours of shares from 0 to 1, as the root of the share, so that small ones are seen beside the largest."""
    plt = pyplot()
    from matplotlib.colors import PowerNorm

    return plt.cm.ScalarMappable(norm=PowerNorm(0.5, 0, 1), cmap="OrRd")


def shares_bar(ax: Axes, colours: Any) -> None:
    """A bar that tells what `shares_colours` mean."""
    bar = ax.figure.colorbar(colours, ax=ax, pad=0.02, ticks=[0, 0.1, 0.5, 1])
    bar.set_label("share of\nthe largest", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _width(text: str) -> int:
    return len(text.replace(r"\$", "$"))
