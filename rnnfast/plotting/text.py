"""Text coloured by numbers, such as what a neuron says at each token: as HTML, or for a terminal."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import checked_tokens
from rnnfast.plotting._layers import layers_of, levels_of, run
from rnnfast.plotting._markup import Html
from rnnfast.plotting._tokens import encode

_POSITIVE, _NEGATIVE = (240, 101, 76), (88, 152, 222)  # black is read well on both
_INK = (17, 17, 17)


def color_text(
    tokens: Sequence[Any],
    values: Any,
    format: str = "html",
    *,
    limit: float | None = None,
    separator: str | None = None,
) -> str:
    """Tokens on coloured ground: red where the value is positive, blue where it is negative, white where it is 0.

    Parameters
    ----------
    tokens : str, or sequence of str
        Characters or words.
    values : array_like (N,)
        A number for each token; NaN is left white.
    format : "html" or "ansi"
        HTML, which notebooks show as it is, with each value as a tooltip; or escape sequences for a terminal that
        has 24-bit colours.
    limit : float, optional
        The value whose colour is full; None is the largest size of all.
    separator : str, optional
        What stands between tokens; None is a space between words, and nothing between characters.

    Returns
    -------
    str
        Tokens cannot break out of it: HTML's signs are escaped, control characters are shown as signs.

    Examples
    --------
    >>> print(color_text("a<", [1.0, -0.5], limit=1.0))  # doctest: +NORMALIZE_WHITESPACE
    <pre style="white-space: pre-wrap; color: #111111; background: #ffffff; padding: 4px; line-height: 1.5"><span
    style="background: #f0654c" title="1">a</span><span style="background: #acccee" title="-0.5">&lt;</span></pre>
    """
    if format not in ("html", "ansi"):
        raise ValueError(f"format must be 'html' or 'ansi', got {format!r}")
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"values must have shape (N,), got {numbers.shape}")
    texts = checked_tokens(tokens, len(numbers), "value")
    sizes = np.abs(numbers[np.isfinite(numbers)])
    if limit is None:
        limit = float(sizes.max(initial=0)) or 1.0
    if not limit > 0:
        raise ValueError(f"limit must be larger than 0, got {limit}")
    if separator is None:
        separator = " " if any(len(text) > 1 for text in texts) else ""
    paint = _html if format == "html" else _ansi
    painted = [
        paint(_plain(text), _colour(value / limit), value) for text, value in zip(texts, numbers.tolist(), strict=True)
    ]
    if format == "ansi":
        return _plain(separator).join(painted)
    style = "white-space: pre-wrap; color: #111111; background: #ffffff; padding: 4px; line-height: 1.5"
    return Html(f'<pre style="{style}">{html.escape(_plain(separator)).join(painted)}</pre>')


def neuron_text(
    model: Any,
    text: Any,
    unit: int,
    *,
    layer: int = 0,
    state: str = "h",
    tokens: Sequence[Any] | None = None,
    format: str = "html",
    limit: float | None = None,
    separator: str | None = None,
) -> str:
    """A text coloured by one neuron: by what a unit of a recurrent layer says at each token.

    Parameters
    ----------
    model : Sequential, or what has one as its `network` (`LanguageModel`, `Classifier` ...), or a recurrent layer
    text : str, list of str, array_like of int (T,), or array_like (T, F)
        A text or words where the model has a vocabulary.
    unit : int
    layer : int
        Which recurrent layer and direction, counted from below; -1 is the last.
    state : str
        "h", "c", or a gate as in `layer.trace`.
    tokens : sequence of str, optional
        What is shown; None is the characters or words of the text.
    format, limit, separator
        As of `color_text`.

    Returns
    -------
    str

    Notes
    -----
    As in Karpathy, Johnson and Fei-Fei 2015 (arXiv:1506.02078), section 4.2.
    """
    layers = layers_of(model)
    levels = levels_of(layers)
    if not levels:
        raise ValueError("the model has no recurrent layer")
    if not -len(levels) <= layer < len(levels):
        raise ValueError(f"the model has {len(levels)} recurrent layers and directions, got layer={layer}")
    place, name = levels[layer]
    inputs, shown = encode(model, text)
    x = run(layers[:place], np.asarray(inputs)[None])
    found = layers[place].trace(x)[name]  # type: ignore[attr-defined]
    if state not in found:
        raise ValueError(f"the layer has no {state!r}; it has {', '.join(found)}")
    values = found[state][0]
    if not -values.shape[1] <= unit < values.shape[1]:
        raise ValueError(f"the layer has {values.shape[1]} units, got unit={unit}")
    tokens = shown if tokens is None else tokens
    if tokens is None:
        raise TypeError("tokens is missing: what is shown of ids or vectors")
    return color_text(tokens, values[:, unit], format, limit=limit, separator=separator)


def _colour(share: float) -> tuple[int, int, int]:
    """From white at 0 to the full colour of its sign at 1 and beyond."""
    if not np.isfinite(share):
        share = 0.0 if np.isnan(share) else float(np.sign(share))
    weight = min(abs(share), 1.0)
    red, green, blue = (round(255 - weight * (255 - end)) for end in (_POSITIVE if share > 0 else _NEGATIVE))
    return red, green, blue


def _plain(text: str) -> str:
    """Text whose control characters are signs, but for line ends and tabs."""
    shown = []
    for sign in text:
        code = ord(sign)
        if sign in "\n\t" or not (code < 32 or 127 <= code < 160):
            shown.append(sign)
        else:
            shown.append(chr(0x2400 + code) if code < 32 else "␡" if code == 127 else "�")
    return "".join(shown)


def _html(text: str, colour: tuple[int, ...], value: float) -> str:
    shown = html.escape(text).replace("\n", "⏎\n")
    return f'<span style="background: #{bytes(colour).hex()}" title="{value:.4g}">{shown}</span>'


def _ansi(text: str, colour: tuple[int, ...], value: float) -> str:
    start = "\x1b[48;2;{};{};{}m\x1b[38;2;{};{};{}m".format(*colour, *_INK)
    # A line that ends in colour would be coloured to the terminal's edge.
    lines = text.replace("\n", "⏎\n").split("\n")
    return "\n".join(f"{start}{line}\x1b[0m" if line else "" for line in lines)
