"""The table that a Keras-shaped model's `summary` prints."""

from typing import Any


def table(name: str, rows: list[tuple[str, tuple[Any, ...], int]], trained: int) -> str:
    """The text of (layer, output shape, weights) rows; of all weights, `trained` are."""
    cells = [("Layer (type)", "Output Shape", "Param #")]
    cells += [(layer, str(shape), f"{count:,}") for layer, shape, count in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in cells]
    rule = "-" * (sum(widths) + 4)
    total = sum(count for _, _, count in rows)
    return "\n".join(
        [
            f'Model: "{name}"',
            rule,
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"Total params: {total:,}",
            f"Trainable params: {trained:,}",
            f"Non-trainable params: {total - trained:,}",
        ]
    )
