"""A model's layers as boxes, with shapes and numbers of parameters."""

from itertools import pairwise
from typing import Any

from rnnfast.layers._base import Layer
from rnnfast.models import Graph, Seq2Seq
from rnnfast.plotting._diagram import HEIGHT, ROW, Box, Diagram, shape_text, text_width

_GAP = 30


def plot_architecture(model: Any) -> str:
    """The layers of a model from input (below) to output (above), as SVG: each with its output's shape and parameters.

    Parameters
    ----------
    model : layer or model, or what has one as its `network`

    Returns
    -------
    str
        An SVG document, which notebooks show as a picture. Boxes are groups of class "box" and of their kind: "input",
        "recurrent", "attention" or "layer"; arrows are paths of class "arrow".

    Examples
    --------
    >>> import rnnfast as rf
    >>> plot_architecture(rf.Sequential(rf.GRU(3, 8), rf.Linear(8, 1))).count('class="box ')
    3
    """
    model = getattr(model, "network", model)
    if not isinstance(model, Layer):
        raise TypeError(f"model must be a layer or a model, got {type(model).__name__}")
    diagram = Diagram()
    if isinstance(model, Graph):
        _graph(diagram, model)
    else:
        _chain(diagram, model)
    return diagram.svg(f"{type(model).__name__}, {model.num_params:,} parameters")


def _chain(diagram: Diagram, model: Layer) -> None:
    rows = list(_leaves(model, model.input_shape))
    width = max(text_width(text) + 20 for text, _, _ in [*rows, ("input", None, None)])
    boxes = {"input": diagram.box(0, 0, width, HEIGHT, "input", "input")}
    _note(diagram, boxes["input"], model.input_shape, None)
    for i, (text, layer, shape) in enumerate(rows):
        boxes[text] = diagram.box(0, -(i + 1) * ROW, width, HEIGHT, text, _kind(layer))
        _note(diagram, boxes[text], shape, layer)
    joined = list(pairwise(boxes.values()))
    if isinstance(model, Seq2Seq):
        joined = _around_the_bridge(diagram, boxes, joined)
    for below, box in joined:
        diagram.arrow("up", below.top, box.bottom)


def _around_the_bridge(diagram: Diagram, boxes: dict[str, Box], joined: list[tuple[Box, Box]]) -> list[tuple[Box, Box]]:
    """The bridge leads to the decoder's recurrent layers, and the encoder's outputs to its attention."""
    names = {name.partition(" ")[0]: box for name, box in boxes.items()}
    encoder = next(below for below, box in joined if box is names["bridge"])
    bend = -0.85 * encoder.width
    first = next(box for name, box in names.items() if name.startswith("decoder.recurrent"))
    diagram.arrow("bridge", names["bridge"].left, first.left, bend=0.6 * bend)
    if "decoder.attention" in names:
        diagram.arrow("bridge", encoder.left, names["decoder.attention"].left, bend=bend)
    words = names["decoder.embedding"]
    diagram.arrow("up", (words.x, words.bottom[1] + 18), words.bottom)
    return [(below, box) for below, box in joined if box is not words]


def _leaves(layer: Layer, shape: Any, output: Any = None, name: str = "") -> Any:
    """Title, layer and output shape of each layer that holds no others, in order."""
    parts = layer.parts(shape)
    if not parts:
        yield f"{name} {type(layer).__name__}".strip(), layer, output or layer.output_shape(shape)
    for part in parts:
        if part.layer is not None:
            inner = f"{name}.{part.name}" if name else part.name
            yield from _leaves(part.layer, part.input_shape, part.output_shape, inner)


def _graph(diagram: Diagram, graph: Graph) -> None:
    shapes = {part.name: part.output_shape for part in graph.parts(graph.input_shape)}
    depths = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        taken = [each.partition(".")[0] for each in (*node.inputs, *([node.state] if node.state else []))]
        depths[node.name] = 1 + max(depths[each] for each in taken)
    texts = {name: name for name in graph.inputs}
    texts |= {node.name: f"{node.name}: {type(node.layer).__name__}" for node in graph.nodes}
    layers = {node.name: node.layer for node in graph.nodes}
    notes = {name: _said(shapes[name], layers.get(name)) for name in texts}
    width = max(max(text_width(texts[name]) + 20, text_width(notes[name], 10)) for name in texts)
    boxes: dict[str, Box] = {}
    rows: dict[int, list[str]] = {}
    for name, depth in depths.items():
        rows.setdefault(depth, []).append(name)
    for depth, names in rows.items():
        for i, name in enumerate(names):
            x = (i - (len(names) - 1) / 2) * (width + _GAP)
            kind = _kind(layers[name]) if name in layers else "input"
            boxes[name] = diagram.box(x, -1.25 * depth * ROW, width, HEIGHT, texts[name], kind)
            diagram.note(x, boxes[name].bottom[1] + 10, notes[name], "middle", 10)
    for node in graph.nodes:
        for kind, source in [("up", each) for each in node.inputs] + ([("bridge", node.state)] if node.state else []):
            start, end = boxes[str(source).partition(".")[0]], boxes[node.name]
            # An arrow that passes over a row goes around its boxes.
            far = depths[node.name] - depths[str(source).partition(".")[0]] > 1
            bend = (width * 0.75 + _GAP) * (1 if start.x >= end.x and start.x >= 0 else -1) if far else 0.0
            diagram.arrow(kind, start.top, (end.x, end.bottom[1] + 18), bend=bend)
    outputs = graph._outputs if isinstance(graph._outputs, dict) else {"output": graph._outputs}
    for name, value in outputs.items():
        box = boxes[str(value).partition(".")[0]]
        diagram.note(box.left[0], box.top[1] - 9, f"→ {name}", "start", 11)


def _kind(layer: Layer) -> str:
    if type(layer).__name__ == "Attention":
        return "attention"
    return "recurrent" if layer.has_state else "layer"


def _said(shape: Any, layer: Layer | None) -> str:
    text = shape_text(shape)
    return text if layer is None or not layer.num_params else f"{text}, {layer.num_params:,} parameters"


def _note(diagram: Diagram, box: Box, shape: Any, layer: Layer | None) -> None:
    diagram.note(box.right[0] + 12, box.y, _said(shape, layer), "start")
