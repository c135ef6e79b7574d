"""paddle.nn; it has no GRU with the reset before the product."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, two_biases
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A layer without gradients, or with them; time-major, which is its native order."""
    if case.cell == "gru_before":
        return None
    import paddle

    paddle.set_device("cpu")
    paddle.set_default_dtype(case.dtype)
    if hasattr(paddle, "set_num_threads"):
        paddle.set_num_threads(get_num_threads())
    kind = {"rnn": paddle.nn.SimpleRNN, "lstm": paddle.nn.LSTM, "gru": paddle.nn.GRU}[case.kind]
    layer = kind(
        case.I, case.H, case.layers, direction="bidirect" if case.bidirectional else "forward", time_major=True
    )
    names = []
    for end in case.ends:
        direction = data.direction(end)
        first, second = two_biases(case, direction)
        for part, value in (*direction.items(), ("bias_ih", first), ("bias_hh", second)):
            if part not in ("bias", "bias_hn"):
                getattr(layer, part + end).set_value(value)
                names.append(part + end)
    x = np.ascontiguousarray((data.x[:, :1] if case.mode == "step" else data.x).swapaxes(0, 1))
    inputs, dy = paddle.to_tensor(x), paddle.to_tensor(np.ascontiguousarray(data.dy.swapaxes(0, 1)))
    lengths = None if data.lengths is None else paddle.to_tensor(data.lengths)
    state: Any = None
    if case.mode == "training":
        inputs.stop_gradient = False
        wanted = [inputs, *(getattr(layer, name) for name in names)]

        def train() -> Any:
            y = layer(inputs, sequence_length=lengths)[0]
            return y, paddle.grad(y, wanted, dy)

        def trained() -> dict[str, Array]:
            y, (dx, *rest) = train()
            grads = {name: grad.numpy() for name, grad in zip(names, rest, strict=True)}
            found = {name: grads[name] for name in names if name.startswith("weight")}
            for end in case.ends:
                found["bias" + end] = grads["bias_ih" + end]
                if case.cell == "gru":
                    found["bias_hn" + end] = grads["bias_hh" + end][2 * case.H :]
            return found | {"y": y.numpy().swapaxes(0, 1), "dx": dx.numpy().swapaxes(0, 1)}

        return Contestant(train, trained)
    layer.eval()

    def forward() -> Any:
        nonlocal state
        with paddle.no_grad():
            y, after = layer(inputs, state, sequence_length=lengths)
        if case.mode == "step":
            state = after
        return y

    def result() -> dict[str, Array]:
        calls = CHECKED_STEPS if case.mode == "step" else 1
        return {"y": [forward() for _ in range(calls)][-1].numpy().swapaxes(0, 1)}

    return Contestant(forward, result)
