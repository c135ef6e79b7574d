"""Boxes and arrows, written as SVG."""

import html
from typing import Any, NamedTuple

from rnnfast.plotting._markup import Svg

_FILLS = {
    "input": ("#f1f1f1", "#777777"),
    "output": ("#f1f1f1", "#777777"),
    "recurrent": ("#cfe3f7", "#2b6cb0"),
    "reverse": ("#fbdcc4", "#c05621"),
    "layer": ("#e3f1da", "#4f8a33"),
    "attention": ("#eadcf5", "#7a3fa8"),
}
_ARROWS = {"up": "#666666", "time": "#2b6cb0", "back": "#c05621", "bridge": "#7a3fa8"}
ROW, HEIGHT = 66, 30  # from row to row, and of a box, in pixels
_DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_CHARACTER = 7.0  # the width of one in the boxes' font, in pixels, on the safe side
_MARGIN = 12.0  # around all that is drawn


Point = tuple[float, float]


class Box(NamedTuple):
    """A box by its centre; `kind` colours it."""

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: str

    @property
    def top(self) -> Point:
        """Where an arrow leaves upwards."""
        return self.x, self.y - self.height / 2

    @property
    def bottom(self) -> Point:
        """Where an arrow arrives from below."""
        return self.x, self.y + self.height / 2

    @property
    def left(self) -> Point:
        """The middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """The middle of the right side."""
        return self.x + self.width / 2, self.y


class Diagram:
    """What is to be drawn; y grows downwards."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self._arrows: list[tuple[str, list[Point], float]] = []
        self._notes: list[tuple[float, float, str, str, int]] = []

    def box(self, x: float, y: float, width: float, height: float, text: str, kind: str) -> Box:
        """Add a box."""
        self.boxes.append(Box(x, y, width, height, text, kind))
        return self.boxes[-1]

    def arrow(self, kind: str, *points: Point, bend: float = 0.0) -> None:
        """Add an arrow, "up", in "time", "back" in time, or a "bridge", through points or bent sideways by pixels."""
        self._arrows.append((kind, list(points), bend))

    def note(self, x: float, y: float, text: str, anchor: str = "middle", size: int = 11) -> None:
        """Add grey text, centred at y; `anchor` is "start", "middle" or "end"."""
        self._notes.append((x, y, text, anchor, size))

    def svg(self, title: str) -> Svg:
        """The picture, cut to what it holds."""
        left, top, right, bottom = self._extent()
        width, height = right - left, bottom - top
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" '
            'font-family="DejaVu Sans, Verdana, Helvetica, sans-serif">',
            f"<title>{html.escape(title)}</title>",
            "<defs>",
            *(
                f'<marker id="head-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                f'orient="auto"><path d="M0,0.8 L8,4 L0,7.2 z" fill="{colour}"/></marker>'
                for kind, colour in _ARROWS.items()
            ),
            "</defs>",
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="white"/>',
            *(_path(*arrow) for arrow in self._arrows),
            *(_draw(box) for box in self.boxes),
            *(
                f'<text class="note" x="{x:.1f}" y="{y + 0.35 * size:.1f}" font-size="{size}" text-anchor="{anchor}" '
                f'fill="#555555">{html.escape(text)}</text>'
                for x, y, text, anchor, size in self._notes
            ),
            "</svg>",
        ]
        return Svg("\n".join(lines) + "\n")

    def _extent(self) -> tuple[float, float, float, float]:
        xs = [x for box in self.boxes for x in (box.left[0], box.right[0])]
        ys = [y for box in self.boxes for y in (box.top[1], box.bottom[1])]
        for _, points, bend in self._arrows:
            xs += [x for x, _ in points] + [(points[0][0] + points[-1][0]) / 2 + 0.75 * bend]
            ys += [y for _, y in points]
        for x, y, text, anchor, size in self._notes:
            width = text_width(text, size)
            first = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
            xs += [first, first + width]
            ys += [y - size, y + size]
        return min(xs) - _MARGIN, min(ys) - _MARGIN, max(xs) + _MARGIN, max(ys) + _MARGIN


def text_width(text: str, size: float = 12) -> float:
    """About how wide a text is, in pixels."""
    return len(text) * _CHARACTER * size / 11.5


def numbered(sign: str, number: int) -> str:
    """A sign with a number at its foot, as x₁."""
    return sign + str(number).translate(_DIGITS)


def shape_text(shape: Any) -> str:
    """A shape, or several, as (B, T, 3)."""
    return f"({', '.join(shape_text(axis) if isinstance(axis, tuple) else str(axis) for axis in shape)})"


def _path(kind: str, points: list[Point], bend: float) -> str:
    (x, y), (u, v) = points[0], points[-1]
    line = " ".join(f"L{each[0]:.1f},{each[1]:.1f}" for each in points[1:])
    if bend:
        line = f"C{x + bend:.1f},{y + (v - y) / 4:.1f} {u + bend:.1f},{v - (v - y) / 4:.1f} {u:.1f},{v:.1f}"
    return (
        f'<path class="arrow {kind}" d="M{x:.1f},{y:.1f} {line}" fill="none" stroke="{_ARROWS[kind]}" '
        f'stroke-width="1.4" marker-end="url(#head-{kind})"/>'
    )


def _draw(box: Box) -> str:
    fill, line = _FILLS[box.kind]
    return (
        f'<g class="box {box.kind}"><rect x="{box.left[0]:.1f}" y="{box.top[1]:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="6" fill="{fill}" stroke="{line}" stroke-width="1.3"/>'
        f'<text x="{box.x:.1f}" y="{box.y + 4:.1f}" font-size="12" text-anchor="middle" fill="#111111">'
        f"{html.escape(box.text)}</text></g>"
    )
