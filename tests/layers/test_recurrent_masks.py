"""Recurrent layers: masks with holes, padding in front, and what stands at steps that are not valid."""

import numpy as np
import pytest
from checks import same_bits
from layer_checks import check_layer_gradients, flatten, map_state
from recurrent_checks import draw, draw_state, kinds, make, row_of

import rnnfast as rf

MASK = np.array(
    [
        [False, False, True, True, True, True],
        [True, False, False, True, False, True],
        [False, False, False, False, False, False],
        [True, True, True, True, True, True],
        [True, True, False, False, False, False],
        [False, True, False, False, True, False],
    ]
)
B, T = MASK.shape


def row_by_row(layer, x, state, mask):
    """Each sequence alone, without the steps that are not valid: (y, state), zeros where no step is."""
    y, finals = np.zeros((*mask.shape, layer.output_size)), []
    for row in range(len(x)):
        if mask[row].any():
            y[row, mask[row]], final = layer(x[row, mask[row]], row_of(state, row))
        else:
            final = row_of(state, row)
        finals.append(flatten(final) if isinstance(final, tuple) else [final])
    parts = [np.stack(part, axis=1) for part in zip(*finals, strict=True)]
    return y, parts


def held(y, mask, reverse):
    """Keras's output: at a step that is not valid that of the step read before; zeros before the first."""
    y = y.copy()
    for row in range(len(y)):
        last = np.zeros(y.shape[2])
        for t in reversed(range(T)) if reverse else range(T):
            last = y[row, t] if mask[row, t] else last
            y[row, t] = last
    return y


@kinds
@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True}, {"layers": 3, "residual": True}])
def test_steps_that_are_not_valid_might_not_be_there(kind, options):
    layer, x = make(kind, **options), draw(B, T, 3)
    state = draw_state(layer, B)
    y, after = layer(x, state, mask=MASK)
    wanted, parts = row_by_row(layer, x, state, MASK)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-14)
    for got, truth in zip(flatten(after), parts, strict=True):
        np.testing.assert_allclose(got, truth, rtol=0, atol=1e-14)
    assert all(same_bits(row_of(a, 2), row_of(b, 2)) for a, b in zip(flatten(after), flatten(state), strict=True))
    x[~MASK] = np.nan
    (again, after_again), backward = layer.forward(x, state, mask=MASK)
    assert same_bits(again, y)
    assert all(same_bits(a, b) for a, b in zip(flatten(after_again), flatten(after), strict=True))
    dy = draw(*y.shape, seed=3)
    dy[~MASK] = np.nan
    dx, _ = backward(dy)
    assert not dx[~MASK].any()
    assert np.abs(dx[MASK]).min() > 0
    assert np.isfinite(layer.block.grad).all()


@kinds
def test_axes_and_memory(kind):
    layer, x = make(kind, layers=2, bidirectional=True), draw(B, T, 3)
    y, state = layer(x, mask=MASK)
    out = np.full((T, B, 10), np.nan)
    major, after = layer(x.transpose(1, 0, 2), mask=MASK.T, time_major=True, out=out)
    assert major is out
    assert same_bits(np.ascontiguousarray(out.transpose(1, 0, 2)), y)
    assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(state), strict=True))
    for row in range(B):
        one, after = layer(x[row], mask=MASK[row].tolist())
        assert same_bits(one, y[row])
        assert all(same_bits(a, b[:, row]) for a, b in zip(flatten(after), flatten(state), strict=True))
    buffer = np.zeros((B, T, 12))
    buffer[..., 4:7] = x
    assert same_bits(np.ascontiguousarray(layer(buffer[..., 4:7], mask=MASK, out=buffer[..., 1:11])[0]), y)
    dy = draw(B, T, 10, seed=3)
    dx, _ = layer.forward(x, mask=MASK)[1](dy)
    dx_major, _ = layer.forward(x.transpose(1, 0, 2), mask=MASK.T, time_major=True)[1](dy.transpose(1, 0, 2))
    assert same_bits(np.ascontiguousarray(dx_major.transpose(1, 0, 2)), dx)


@kinds
def test_a_mask_without_holes_is_lengths(kind):
    layer, x, lengths = make(kind, bidirectional=True), draw(4, 5, 3), np.array([3, 0, 5, 1])
    mask = np.arange(5) < lengths[:, None]
    for padding in ("zeros", "hold"):
        layer.padding = padding
        y, after = layer(x, lengths=lengths)
        masked, after_masked = layer(x, mask=mask)
        assert same_bits(masked, y)
        assert all(same_bits(a, b) for a, b in zip(flatten(after_masked), flatten(after), strict=True))
    assert same_bits(layer(x, mask=np.ones((4, 5), bool))[0], layer(x)[0])


@kinds
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "average", None])
def test_held_outputs(kind, merge):
    plain = make(kind, layers=1, bidirectional=True)
    layer = make(kind, layers=1, bidirectional=True, merge=merge, padding="hold")
    x, state = draw(B, T, 3), draw_state(layer, B)
    for how, mask in [({"mask": MASK}, MASK), ({"lengths": MASK.sum(1)}, np.arange(T) < MASK.sum(1)[:, None])]:
        y, after = layer(x, state, **how)
        apart, wanted_after = plain(x, state, **how)
        first, second = held(apart[..., :5], mask, False), held(apart[..., 5:], mask, True)
        wanted = {
            "concat": np.concatenate([first, second], 2), "sum": first + second, "mul": first * second,
            "average": (first + second) * 0.5, None: (first, second),
        }[merge]  # fmt: skip
        if merge is None:
            assert all(same_bits(a, b) for a, b in zip(y, wanted, strict=True))
        else:
            assert same_bits(y, wanted)
        assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(wanted_after), strict=True))
    if merge is not None and kind != "rnn_relu":  # its kink would spoil differences
        layer = make(kind, H=2, bidirectional=True, merge=merge, padding="hold")
        check_layer_gradients(layer, x, state=draw_state(layer, B), mask=MASK)


@kinds
def test_the_gradient_of_held_steps_is_that_of_the_valid_one(kind):
    layer, x, dy = make(kind, padding="hold"), draw(1, 6, 3), draw(1, 6, 5, seed=3)
    mask = np.array([[False, True, False, False, True, False]])
    dx, _ = layer.forward(x, mask=mask)[1](dy)
    short, _ = layer.forward(x[:, [1, 4]])[1](np.stack([dy[:, 1:4].sum(1), dy[:, 4:].sum(1)], 1))
    np.testing.assert_allclose(dx[:, [1, 4]], short, rtol=0, atol=1e-14)
    assert not dx[:, [0, 2, 3, 5]].any()


@pytest.mark.parametrize("padding", ["zeros", "hold"])
@pytest.mark.parametrize("shape", [(3, 0), (0, 4), (0, 0), (3, 4)])
def test_nothing_valid(padding, shape):
    layer = make("lstm", layers=2, bidirectional=True, padding=padding, learned_state=True)
    x, mask = draw(*shape, 3), np.zeros(shape, bool)
    (y, after), backward = layer.forward(x, mask=mask)
    assert y.shape == (*shape, 10)
    assert not y.any()
    names = [f"h0_l{n}{end}" for n in (0, 1) for end in ("", "_reverse")]
    assert all(np.array_equal(after.h[i], np.tile(layer.params[n], (shape[0], 1))) for i, n in enumerate(names))
    dx, _ = backward(np.ones_like(y), map_state(np.ones_like, after))
    assert dx.shape == x.shape
    assert not dx.any()
    assert (layer.grads["c0_l1"] == shape[0]).all()
    assert not layer.grads["weight_ih_l0"].any()


def test_masks_in_float32_and_dropout_by_valid_step():
    """A sequence has the dropout that it would have without its padding."""
    layer = make("gru", layers=2, dropout=0.5, input_dropout=0.3, dtype="float32")
    x = draw(2, 6, 3).astype("f")
    front = np.concatenate([np.zeros((2, 3, 3), "f"), x], 1)
    mask = np.arange(9)[None] >= np.array([[3], [3]])
    (y, _), _ = layer.forward(x, rng=5)
    (padded, _), _ = layer.forward(front, mask=mask, rng=5)
    assert padded.dtype == np.float32
    assert same_bits(padded[:, 3:], y)
    assert not padded[:, :3].any()


@kinds
@pytest.mark.parametrize("merge", ["concat", None])
def test_ragged_sequences(kind, merge):
    layer = make(kind, bidirectional=True, merge=merge)
    sequences = [draw(n, 3, seed=n) for n in (4, 0, 1, 7)]
    state = draw_state(layer, 4)
    found, after = layer.ragged(iter(sequences), state)
    for row, (x, y) in enumerate(zip(sequences, found, strict=True)):
        alone, end = layer(x, row_of(state, row))
        for got, wanted in zip(*((y, alone) if merge is None else ([y], [alone])), strict=True):
            assert same_bits(np.ascontiguousarray(got), wanted)
        assert all(same_bits(a[:, row], b) for a, b in zip(flatten(after), flatten(end), strict=True))
    assert layer.ragged([])[0] == []
    with pytest.raises(ValueError, match=r"sequences\[1\].*\(T, 3\).*\(4, 2\)"):
        layer.ragged([draw(4, 3), draw(4, 2)])


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"mask": np.ones((2, 4), int)}, TypeError, ["mask", "boolean", "int64"]),
        ({"mask": np.ones((4, 2), bool)}, ValueError, ["mask", "(2, 4)", "(4, 2)"]),
        ({"mask": np.ones((2, 4), bool), "lengths": [4, 4]}, ValueError, ["mask", "lengths"]),
        ({"mask": np.ones((2, 4), bool), "time_major": True, "x": draw(4, 2, 3)}, ValueError, ["mask", "(4, 2)"]),
    ],
)
def test_errors_say_what_is_wrong(how, error, words):
    out = np.full((2, 4, 5), 7.0)
    with pytest.raises(error) as caught:
        rf.LSTM(3, 5, dtype="float64")(**({"x": draw(2, 4, 3)} | how))
    assert all(word in str(caught.value) for word in words), caught.value
    for wrong in ({"out": out.astype("f")}, {"out": out, "lengths": [5, 5]}, {"out": out, "state": np.zeros(3)}):
        with pytest.raises((ValueError, TypeError)):
            rf.GRU(3, 5, dtype="float64", padding="hold")(draw(2, 4, 3), **wrong)
    assert (out == 7).all()
