"""Keras layers on TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, regate, two_biases
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A tf.function; compiled by XLA for the forward pass, where that is the faster way, but not for training."""
    if case.ragged and case.bidirectional:
        return None
    import tensorflow

    if get_num_threads() != tensorflow.config.threading.get_intra_op_parallelism_threads():
        tensorflow.config.threading.set_intra_op_parallelism_threads(get_num_threads())
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    import keras

    keras.backend.clear_session()
    keras.config.set_floatx(case.dtype)
    # Keras stacks the gates z r h, and a reset-after GRU's two biases.
    order = {"rnn": [0], "lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}[case.kind]

    def weights(end: str) -> list[Array]:
        direction = data.direction(end)
        biases = [regate(bias, order) for bias in two_biases(case, direction)]
        matrices = [regate(direction[name], order).T for name in ("weight_ih", "weight_hh")]
        return [*matrices, np.stack(biases) if case.cell == "gru" else biases[0]]

    options = {"reset_after": case.cell == "gru"} if case.kind == "gru" else {}
    name = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[case.kind]
    if case.mode == "step":
        cell = getattr(keras.layers, name + "Cell")(case.H, **options)
        cell.build((case.B, case.I))
        cell.set_weights(weights("_l0"))
        return _step(tensorflow, cell, tensorflow.constant(data.x[:, 0]), case)

    x, dy = tensorflow.constant(data.x), tensorflow.constant(data.dy)
    mask = None if data.lengths is None else tensorflow.sequence_mask(data.lengths, case.T)
    stack: list[Any] = []
    for ends in case.stack:
        layer = getattr(keras.layers, name)(case.H, return_sequences=True, zero_output_for_mask=case.ragged, **options)
        layer = keras.layers.Bidirectional(layer) if case.bidirectional else layer
        layer.build((case.B, case.T, case.outputs if stack else case.I))
        layer.set_weights([array for end in ends for array in weights(end)])
        stack.append(layer)

    def run(x: Any) -> Any:
        for layer in stack:
            x = layer(x, mask=mask, training=case.mode == "training")
        return x

    if case.mode == "forward":
        forward = tensorflow.function(run, jit_compile=True)
        return Contestant(lambda: forward(x), lambda: {"y": forward(x).numpy()})
    variables = [variable.value for layer in stack for variable in layer.trainable_variables]

    @tensorflow.function
    def train(x: Any, dy: Any) -> Any:
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        return y, tape.gradient(y, [x, *variables], output_gradients=dy)

    def trained() -> dict[str, Array]:
        y, (dx, *rest) = train(x, dy)
        found, values = {"y": y.numpy(), "dx": dx.numpy()}, iter(rest)
        for end in case.ends:
            for part in ("weight_ih", "weight_hh"):
                found[part + end] = regate(next(values).numpy().T, order)  # the order is its own inverse
            bias = next(values).numpy()
            if case.cell == "gru":
                found["bias_hn" + end] = bias[1, 2 * case.H :]
                bias = bias[0]
            found["bias" + end] = regate(bias, order)
        return found

    return Contestant(lambda: train(x, dy), trained)


def _step(tensorflow: Any, cell: Any, x: Any, case: Case) -> Contestant:
    state = [tensorflow.zeros((case.B, case.H), case.dtype) for _ in range(1 + (case.kind == "lstm"))]
    run = tensorflow.function(lambda x, state: cell(x, state)[1]).get_concrete_function(x, state)

    def step() -> Any:
        nonlocal state
        state = run(x, state)
        return state[0]

    return Contestant(step, lambda: {"y": [step() for _ in range(CHECKED_STEPS)][-1].numpy()[:, None]})
