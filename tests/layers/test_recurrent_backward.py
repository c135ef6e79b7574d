"""RNN, LSTM and GRU layers: every gradient, and when backward refuses."""

import numpy as np
import pytest
from checks import awkward, relative_error, same_bits
from layer_checks import check_layer_gradients, flatten, map_state
from recurrent_checks import KINDS, draw, draw_state, kinds, make


@kinds
@pytest.mark.parametrize(
    ("layers", "options"),
    [
        (1, {}),
        (2, {"bidirectional": True}),
        (2, {"bidirectional": True, "bias": "double"}),
        (3, {"dropout": 0.4, "bias": False}),
        (2, {"dropout": 0.4, "bidirectional": True}),
    ],
    ids=["single", "stack", "double", "deep", "both"],
)
def test_every_gradient(kind, layers, options):
    layer = make(kind, H=3, layers=layers, **options)
    if kind == "rnn_relu":  # keep every unit away from the kink
        for name, value in list(layer.params.items()):
            layer.params[name] = np.abs(value)
        check_layer_gradients(layer, np.abs(draw(2, 4, 3)), state=np.abs(draw_state(layer, 2)), rng=3)
        return
    check_layer_gradients(layer, draw(2, 4, 3), state=draw_state(layer, 2), rng=3)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"rnn_relu"}))  # its kink would spoil differences
def test_every_gradient_of_a_ragged_batch(kind):
    layer = make(kind, H=3, layers=2, bidirectional=True)
    check_layer_gradients(layer, draw(4, 5, 3), state=draw_state(layer, 4), lengths=[3, 0, 5, 1])


@kinds
def test_unbatched_and_time_major_gradients(kind):
    layer = make(kind, bidirectional=True)
    x, dy = draw(2, 4, 3), draw(2, 4, 10, seed=3)
    (_, _), backward = layer.forward(x)
    dx, _ = backward(dy)
    wanted = layer.grads["weight_hh_l0"].copy()
    layer.zero_grad()
    (_, _), backward = layer.forward(x.transpose(1, 0, 2), time_major=True)
    assert same_bits(np.ascontiguousarray(backward(dy.transpose(1, 0, 2))[0].transpose(1, 0, 2)), dx)
    assert same_bits(layer.grads["weight_hh_l0"], wanted)
    (y, state), backward = layer.forward(x[1])
    alone, dstate = backward(dy[1], state)
    assert y.shape == (4, 10)
    assert alone.shape == (4, 3)
    assert all(part.shape == (2, 5) for part in flatten(dstate))
    np.testing.assert_allclose(layer(x[1], lengths=3)[0][:3], layer(x[1, :3])[0], atol=1e-15)


@kinds
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True, "dropout": 0.3}], ids=["single", "stack"])
def test_what_the_caller_does_meanwhile_changes_nothing(kind, options, time_major):
    """To y, to both states, to lengths and to the gradients that were passed."""
    layer = make(kind, **options)
    x, dy, dstate = draw(4, 4, 3), draw(4, 4, layer.output_size, seed=3), draw_state(layer, 4, seed=11)

    def gradients(spoil):
        layer.zero_grad()
        state, lengths = draw_state(layer, 4), np.array([4, 2, 0, 3])
        (y, after), backward = layer.forward(x, state, lengths=lengths, time_major=time_major, rng=1)
        if spoil:
            for array in (y, *flatten(state), *flatten(after)):
                array.fill(np.nan)
            lengths.fill(1)
        dx, initial = backward(dy, dstate)
        return [dx, *flatten(initial), layer.block.grad.copy()]

    wanted = gradients(False)
    kept = [array.copy() for array in (dy, *flatten(dstate))]
    assert all(same_bits(a, b) for a, b in zip(gradients(True), wanted, strict=True))
    assert all(same_bits(a, b) for a, b in zip((dy, *flatten(dstate)), kept, strict=True))


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru", "gru_before"])
@pytest.mark.parametrize("bias", [True, False, "double"])
def test_float32_gradients(kind, bias):
    """Those of the float64 layer, three layers deep, ragged, to the precision of float32."""
    found = {}
    for dtype in ("float32", "float64"):
        layer = make(kind, I=7, H=21, layers=3, bidirectional=True, bias=bias, dropout=0.2, dtype=dtype)
        x, dy = draw(5, 9, 7).astype("f"), draw(5, 9, 42, seed=3).astype("f")
        lengths, state = [9, 0, 4, 7, 1], draw_state(layer, 5)
        (y, after), backward = layer.forward(x, state, lengths=lengths, rng=2)
        dx, initial = backward(dy, draw_state(layer, 5, seed=11))
        found[dtype] = {"y": y, "dx": dx, **layer.grads}
        found[dtype] |= {f"state {i}": part for i, part in enumerate([*flatten(after), *flatten(initial)])}
    for name, wanted in found["float64"].items():
        got = found["float32"][name]
        assert got.dtype == np.float32
        assert np.any(wanted != 0)
        assert relative_error(got, wanted) < 1e-5, name


@kinds
def test_memory_of_the_gradients_passed(kind):
    layer, x, dy = make(kind, layers=2, bidirectional=True), draw(3, 4, 3), draw(3, 4, 10, seed=3)
    wanted, _ = layer.forward(x)[1](dy)
    for what, same in awkward(dy):
        assert same_bits(layer.forward(x)[1](same)[0], wanted), what
    assert same_bits(layer.forward(x)[1](dy.tolist())[0], wanted)


@kinds
def test_no_gradient_is_a_zero_gradient(kind):
    layer, x = make(kind, layers=2, bidirectional=True), draw(2, 4, 3)
    dy, dstate = draw(2, 4, 10), draw_state(layer, 2)
    nothing = map_state(np.zeros_like, dstate)
    pairs = [((None, dstate), (np.zeros_like(dy), dstate)), ((dy, None), (dy, nothing)), ((dy,), (dy, nothing))]
    for given, zeros in pairs:
        results = []
        for arguments in (given, zeros):
            layer.zero_grad()
            dx, initial = layer.forward(x)[1](*arguments)
            results.append([dx, *flatten(initial), layer.block.grad.copy()])
        assert np.any(results[0][0])
        assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_without_dx_the_other_gradients_are_the_same():
    layer, x, dy = make("lstm", layers=2, bidirectional=True), draw(2, 4, 3), draw(2, 4, 10)
    _, wanted = layer.forward(x)[1](dy)
    kept = layer.block.grad.copy()
    layer.zero_grad()
    dx, dstate = layer.forward(x)[1](dy, need_dx=False)
    assert dx is None
    assert same_bits(layer.block.grad, kept)
    assert all(same_bits(a, b) for a, b in zip(flatten(dstate), flatten(wanted), strict=True))


@kinds
def test_truncated_backpropagation_adds_up_to_the_whole(kind):
    """Two halves, with the state carried forward and its gradient carried back, are one sequence."""
    layer, x, dy = make(kind, layers=2), draw(2, 6, 3), draw(2, 6, 5, seed=3)
    state, dstate = draw_state(layer, 2), draw_state(layer, 2, seed=11)
    dx, initial = layer.forward(x, state)[1](dy, dstate)
    whole = layer.block.grad.copy()
    layer.zero_grad()
    (_, middle), first = layer.forward(x[:, :2], state)
    (_, _), second = layer.forward(x[:, 2:], middle)
    dx_2, carried = second(dy[:, 2:], dstate)
    dx_1, start = first(dy[:, :2], carried)
    np.testing.assert_allclose(np.concatenate([dx_1, dx_2], axis=1), dx, rtol=0, atol=1e-14)
    np.testing.assert_allclose(layer.block.grad, whole, rtol=0, atol=1e-12)
    for got, wanted in zip(flatten(start), flatten(initial), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13)


def test_a_backward_that_refuses_its_arguments_can_be_called_again():
    layer, x, dy = make("lstm"), draw(2, 4, 3), draw(2, 4, 5)
    wanted, _ = layer.forward(x)[1](dy)
    _, backward = layer.forward(x)
    before = layer.block.grad.copy()
    for wrong in (np.zeros((2, 4, 6)), dy + 0j):
        with pytest.raises((ValueError, TypeError), match="dy"):
            backward(wrong)
    with pytest.raises(ValueError, match="dstate"):
        backward(dy, dy)
    assert same_bits(layer.block.grad, before)
    assert same_bits(backward(dy)[0], wanted)


def test_gradients_for_a_mapping_of_wrong_shapes_are_refused_whole():
    layer, x, dy = make("lstm"), draw(2, 4, 3), draw(2, 4, 5)
    given = {"weight_ih_l0": np.zeros((20, 3)), "bias_l0": np.zeros(3)}
    with pytest.raises(ValueError, match=r"grads\['bias_l0'\].*\(20,\).*\(3,\)"):
        layer.forward(x)[1](dy, grads=given)
    assert given.keys() == {"weight_ih_l0", "bias_l0"}
    assert not any(value.any() for value in given.values())


def test_backward_once_and_on_the_same_parameters():
    layer = make("gru")
    (y, _), backward = layer.forward(draw(2, 4, 3))
    backward(np.ones_like(y))
    before = layer.grads["weight_ih_l0"].copy()
    with pytest.raises(RuntimeError, match="once"):
        backward(np.ones_like(y))
    (y, _), backward = layer.forward(draw(2, 4, 3))
    layer.params["bias_l0"] = np.zeros(15)
    with pytest.raises(RuntimeError, match="changed"):
        backward(np.ones_like(y))
    assert same_bits(layer.grads["weight_ih_l0"], before)


def test_gradients_add_up_or_go_where_they_are_told():
    layer, x, dy = make("lstm", bias="double"), draw(2, 4, 3), draw(2, 4, 5, seed=3)
    given: dict = {}
    layer.forward(x)[1](dy, grads=given)
    assert set(given) == set(layer.params)
    assert not layer.grads["weight_ih_l0"].any()
    layer.forward(x)[1](dy)
    layer.forward(x)[1](dy, grads=given)
    layer.forward(x)[1](dy)
    for name, value in layer.grads.items():
        np.testing.assert_allclose(value, given[name], rtol=1e-15)
    assert given["bias_ih_l0"] is not given["bias_hh_l0"]
    assert layer.forward(x)[1](dy, need_dx=False)[0] is None
