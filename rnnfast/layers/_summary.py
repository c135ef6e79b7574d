"""The table that `summary()` prints."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rnnfast.layers._base import Layer


class Part(NamedTuple):
    """What a model holds: a line of its table, or several."""

    name: str
    title: str
    """What is shown after the name."""
    input_shape: Any
    output_shape: Any
    layer: "Layer | None"
    """None for an input."""


Row = tuple[str, Any, int | None]


def summarise(layer: "Layer") -> str:
    """A layer's or model's table: each parameter counted where it comes first."""
    kept = sum(block.size for block in layer.buffer_blocks())
    return table(summary_rows(layer), layer.num_params + kept, sum(block.frozen_size for block in layer.blocks()), kept)


def summary_rows(layer: "Layer") -> list[Row]:
    """The rows of that table: what is shown of a layer, its output shape, its parameters (None of a model inside)."""
    shape = layer.input_shape
    parts = layer.parts(shape) or [Part("", type(layer).__name__, shape, layer.output_shape(shape), layer)]
    seen: set[tuple[int, str]] = set()
    return [row for part in parts for row in _rows(part, "", seen)]


def _rows(part: Part, prefix: str, seen: set[tuple[int, str]]) -> Iterator[Row]:
    name, layer = f"{prefix}{part.name}", part.layer
    line = f"{'  ' * prefix.count('.')}{name} {part.title}" if name else part.title
    if layer is None:
        yield line, part.output_shape, 0
        return
    inside = layer.parts(part.input_shape)
    if inside:
        yield line + _notes(layer, False), part.output_shape, None
        for each in inside:
            yield from _rows(each, f"{name}.", seen)
        return
    count, shared = 0, False
    for block, inner in (*layer.slots().values(), *layer.buffer_slots().values()):
        shared |= (id(block), inner) in seen
        count += 0 if (id(block), inner) in seen else math.prod(block.shapes[inner])
        seen.add((id(block), inner))
    yield line + _notes(layer, shared), part.output_shape, count


def _notes(layer: "Layer", shared: bool) -> str:
    frozen = ["frozen" if layer.frozen else "partly frozen"] if layer.frozen_names else []
    notes = [*frozen, *(["shared"] if shared else [])]
    return f" ({', '.join(notes)})" if notes else ""


def table(rows: list[Row], total: int, frozen: int = 0, kept: int = 0) -> str:
    """The text of (layer, output shape, parameters) rows; of the total, how many are frozen, and how many buffers."""
    cells = [("Layer", "Output shape", "Parameters")]
    cells += [
        (name, f"({', '.join(map(str, shape))})", "" if count is None else f"{count:,}") for name, shape, count in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in cells]
    line = "-" * (sum(widths) + 4)
    split = [f"{total - frozen - kept:,} trained"]
    split += [f"{frozen:,} frozen"] if frozen else []
    split += [f"{kept:,} not trained"] if kept else []
    what = f": {', '.join(split)}" if len(split) > 1 else ""
    return "\n".join([lines[0], line, *lines[1:], line, f"{total:,} parameters{what}"])
