"""Recurrent layers: every gradient of options together, against central differences."""

from itertools import product

import numpy as np
import pytest
from layer_checks import check_layer_gradients, map_state
from recurrent_checks import draw, make

KINDS = ["rnn_tanh", "lstm", "gru", "gru_before"]
WHERE = {
    "all": {},
    "lengths": {"lengths": [2, 0, 3, 1]},
    "mask": {"mask": np.random.default_rng(4).random((4, 3)) < [[0.6], [0.0], [1.0], [0.5]]},
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("residual", [True, "highway"])
@pytest.mark.parametrize(("merge", "padding"), [*product(["sum", "mul", "average"], ["zeros"]), ("concat", "hold")])
def test_stacks(merge, padding, residual, where):
    kind = KINDS[(len(merge) + len(where)) % 4]  # all of them, in turn
    layer = make(
        kind, I=2, H=2, layers=2, bidirectional=True, merge=merge, residual=residual, padding=padding,
        learned_state=True, dropout=0.2, input_dropout=0.2, weight_drop=0.3,
    )  # fmt: skip
    check_layer_gradients(layer, draw(4, 3, 2), rng=8, **WHERE[where])


@pytest.mark.parametrize(("kind", "where"), [("rnn_tanh", "lengths"), ("lstm", "mask"), ("gru", "lengths")])
@pytest.mark.parametrize(("widths", "options"), [
    ([2, 3], {}),
    ([3, 2, 2], {"residual": True}),
    ([2, 2], {"residual": True, "padding": "hold"}),
    ([3, 3], {"residual": "highway", "padding": "hold", "bias": "double"}),
    ([2, 3], {"bidirectional": True, "merge": "mul", "padding": "hold"}),
    ([3, 2], {"bidirectional": True, "merge": "average", "padding": "hold", "weight_drop": 0.3, "bias": False}),
    ([3, 3], {"input_dropout": 0.3, "weight_drop": 0.3, "dropout": 0.3}),
])  # fmt: skip
def test_with_a_given_state(kind, where, widths, options):
    layer, x = make(kind, I=2, H=widths, layers=len(widths), **options), draw(4, 3, 2)
    state = map_state(lambda part: draw(*part.shape, seed=7), layer(x)[1])
    check_layer_gradients(layer, x, state=state, rng=8, **WHERE[where])


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru"])
@pytest.mark.parametrize(("B", "T", "time_major"), [(1, 1, False), (1, 3, True), (3, 1, True)])
def test_small_batches(kind, B, T, time_major):
    layer = make(
        kind, I=2, H=3, layers=2, bidirectional=True, merge="sum", residual="highway", learned_state=True,
        input_dropout=0.2, weight_drop=0.2,
    )  # fmt: skip
    shape = (T, B, 2) if time_major else (B, T, 2)
    check_layer_gradients(layer, draw(*shape), rng=8, time_major=time_major)


@pytest.mark.parametrize("how", [{}, {"mask": [True, False, True, True]}, {"lengths": 3}])
def test_unbatched(how):
    for merge, padding in (("concat", "hold"), ("mul", "hold"), ("sum", "zeros")):
        layer = make("gru", I=2, H=[3, 2], layers=2, bidirectional=True, merge=merge, padding=padding)
        check_layer_gradients(layer, draw(4, 2), rng=8, **how)
