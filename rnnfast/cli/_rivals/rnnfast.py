"""rnnfast, by its public interface."""

from __future__ import annotations

import numpy as np

from rnnfast import layers
from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data


def contestant(case: Case, data: Data) -> Contestant:
    """A layer called, trained, or stepped as a stream."""
    kind = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}[case.kind]
    layer = kind(
        case.I, case.H, case.layers, bidirectional=case.bidirectional, dtype=case.dtype, **case.options
    )  # fmt: skip
    for name, value in data.params.items():
        layer.params[name] = value
    if case.mode == "step":
        stream, x = layer.stream(case.B), np.ascontiguousarray(data.x[:, 0])

        def steps() -> dict[str, Array]:
            for _ in range(CHECKED_STEPS):
                y = stream(x)
            return {"y": y[:, None].copy()}

        return Contestant(lambda: stream(x), steps)
    if case.mode == "forward":
        return Contestant(
            lambda: layer(data.x, lengths=data.lengths), lambda: {"y": layer(data.x, lengths=data.lengths)[0]}
        )

    def train() -> tuple[Array, Array]:
        layer.params["weight_hh_l0"] = data.params["weight_hh_l0"]  # weights that change are packed again
        layer.zero_grad()
        (y, _), backward = layer.forward(data.x, lengths=data.lengths)
        return y, backward(data.dy)[0]

    def trained() -> dict[str, Array]:
        y, dx = train()
        return {"y": y, "dx": dx} | {name: layer.grads[name] for name in data.params}

    return Contestant(train, trained)
