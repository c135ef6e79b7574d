"""The benchmark's picture: what the others take beside us, and how near everybody comes to the peak."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnfast.cli._arguments import CommandError


def check_installed() -> None:
    """Say what to install where matplotlib is missing, before anything is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--plot needs matplotlib: pip install 'rnnfast[plot]'")


def draw(config: Mapping[str, str], rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw two panels: ratios by row, on a logarithmic axis; and fractions of the multiply-add peak by row.

    Beside the fractions stands what the multipliers and the cache that holds the weights allow.

    Parameters
    ----------
    config : mapping of str to str
        What was measured; its values make the title.
    rows : sequence of mappings
        As `rnnfast bench --json` writes them.
    path : Path
        The ending tells the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 1.8 + 0.24 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    ratios, peaks = figure.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    for index, name in enumerate(names):
        places = [place for place, row in enumerate(rows) if name in row["seconds"]]
        taken = [rows[place] for place in places]
        style = {"color": f"C{index}" if index < 10 else "black", "label": name}
        style |= {"marker": "D", "zorder": 3} if name == "rnnfast" else {"marker": "o", "alpha": 0.75}
        ratios.scatter([row["ratio"][name] for row in taken], places, **style)
        fractions = [row["peak_fraction"] * row["seconds"]["rnnfast"] / row["seconds"][name] for row in taken]
        peaks.scatter([100 * fraction for fraction in fractions], places, **{**style, "label": None})
    limits = [100 * row["operations"] / row["limit"] / row["peak"] for row in rows]
    peaks.scatter(limits, range(len(rows)), marker="|", s=80, color="black", label="limit: multipliers and caches")
    peaks.legend(fontsize=8, loc="lower left")
    ratios.set(xscale="log", xlabel="times as long as rnnfast", yticks=range(len(rows)))
    ratios.set_yticklabels([row["name"] for row in rows], fontsize=8)
    ratios.axvline(1, color="grey", linewidth=0.8)
    peaks.set(xlabel="% of the peak of multiply-adds in registers", xlim=(0, 103))
    peaks.axvline(100, color="grey", linewidth=0.8)
    for axes in (ratios, peaks):
        axes.grid(alpha=0.3)
    ratios.invert_yaxis()
    ratios.legend(fontsize=8, ncols=2)
    kept = ("rnnfast", "instruction set", "threads", "peak")
    figure.suptitle(", ".join(f"{key} {config[key]}" for key in kept if key in config), fontsize=10)
    figure.savefig(path)
