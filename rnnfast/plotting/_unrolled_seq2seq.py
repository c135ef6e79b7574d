"""An encoder-decoder unrolled: the source left, the target right, the bridge between."""

from rnnfast.models import Seq2Seq
from rnnfast.plotting._diagram import HEIGHT, ROW, Diagram, numbered
from rnnfast.plotting._layers import layers_of
from rnnfast.plotting._unrolled import Unrolled


def draw_seq2seq(diagram: Diagram, model: Seq2Seq, steps: int) -> None:
    """Draw encoder, bridge, decoder, and its attention and output."""
    decoder = model.decoder
    encoder = Unrolled(diagram, layers_of(model.encoder), steps, sign="x", time="S")
    encoder.draw(outputs=False)
    left = encoder.right + 90
    target = Unrolled(diagram, [decoder.embedding, *layers_of(decoder.recurrent)], steps, left, sign="y")
    target.draw(outputs=False, notes=False)
    # A bridge may join levels of different numbers; it is drawn level by level as far as there are both.
    for one, other in zip(encoder.levels, target.levels, strict=False):
        start, end = one["forward" if "forward" in one else "reverse"][-1], other["forward"][0]
        diagram.arrow("bridge", start.right, end.left)
        diagram.note((start.right[0] + end.left[0]) / 2, start.y - 10, model.bridge.kind, "middle", 10)
    y = min(encoder.y, target.y)
    if decoder.attention is not None:
        y -= ROW
        middle, width = (encoder.x(0) + encoder.x(steps - 1)) / 2, encoder.right - encoder.x(0) + encoder.width / 2
        memory = diagram.box(middle, y, width, HEIGHT, f"memory: (B, S, {model.encoder.output_size})", "attention")
        for boxes in encoder.tops.values():
            for box in boxes:
                diagram.arrow("up", box.top, (box.x, memory.bottom[1]))
        target.y = y - 0.9 * ROW
        for step, boxes in list(target.tops.items()):
            attention = target._box(step, "Attention", "attention", boxes)
            x = attention.x - attention.width / 4
            diagram.arrow("bridge", memory.right, (x, memory.y), (x, attention.bottom[1]))
        if decoder.combine is not None:
            target.y -= ROW
            for step, boxes in list(target.tops.items()):
                target._box(step, "tanh W", "layer", boxes)
        y = target.y
    target.y = y - ROW
    for step, boxes in list(target.tops.items()):
        target._box(step, type(decoder.output).__name__, "layer", boxes)
    target.y -= ROW
    for step, boxes in list(target.tops.items()):
        target._box(step, numbered("y", step + 2), "output", boxes)
