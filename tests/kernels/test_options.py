"""Every cell with every option: the kernels against the textbook, and every gradient against central differences."""

from typing import Any

import numpy as np
import pytest
from equations_checks import LENGTHS, OPTIONS, kernel_options, make, option_digest

from rnnfast import equations, ops
from rnnfast.kernels import _memory

options = pytest.mark.parametrize("name", OPTIONS)
NOISE = (0x1234_5678_9ABC_DEF0, 40)


def draw_masks(
    B: int, T: int, H: int, P: int, zoneout: Any = 0.0, recurrent_dropout: float = 0.0, **_: Any
) -> dict[str, Any]:
    """The masks that the kernels draw with NOISE, as the equations take them."""
    key, stream = NOISE
    p_h, p_c = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout)
    masks: dict[str, Any] = {}
    if recurrent_dropout:
        masks["recurrent_mask"] = ops.dropout(np.ones((B, P)), recurrent_dropout, key, stream + 2)
    if p_h:
        masks["zone_h"] = (ops.dropout(np.ones((B, T, P)), 1 - p_h, key, stream) > 0).astype(float)
    if p_c:
        masks["zone_c"] = (ops.dropout(np.ones((B, T, H)), 1 - p_c, key, stream + 1) > 0).astype(float)
    return masks


def textbook(cell: str, params: Any, x: Any, state: Any, given: dict[str, Any], training: bool, **more: Any) -> Any:
    """What the equations say, with the masks of training or the shares of inference."""
    B, T, H = *x.shape[:2], params["weight_ih"].shape[0] // ops.kind(cell, **kernel_options(given)).gates
    rest = {name: value for name, value in given.items() if name not in ("zoneout", "recurrent_dropout")}
    if training:
        masks = draw_masks(B, T, H, given.get("proj_size") or H, **given)
        if cell != "lstm":
            masks.pop("zone_c", None)
        rest |= masks
    elif "zoneout" in given:
        rest["zoneout"] = given["zoneout"]
    return equations.run(cell, params, x, state, **rest, **more)


def flat(y: Any, state: Any) -> list[np.ndarray]:
    return [y, *(state if isinstance(state, tuple) else [state])]


@options
@pytest.mark.parametrize(("reverse", "H"), [(False, 5), (False, 16), (True, 19)])
def test_inference_is_the_textbook(name, reverse, H):
    cell, given = OPTIONS[name]
    params, x, state = make(cell, B=5, H=H, **given)
    for lengths in (None, LENGTHS):
        expected = flat(*textbook(cell, params, x, state, given, False, lengths=lengths, reverse=reverse))
        y, final, _ = ops.forward(cell, params, x, state, lengths=lengths, reverse=reverse, **kernel_options(given))
        for ours, wanted in zip(flat(y, final), expected, strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-13)


@options
@pytest.mark.parametrize("reverse", [False, True])
def test_training_is_the_textbook_with_the_masks(name, reverse):
    cell, given = OPTIONS[name]
    params, x, state = make(cell, B=5, H=9, **given)
    expected = flat(*textbook(cell, params, x, state, given, True, lengths=LENGTHS, reverse=reverse))
    y, final, _ = ops.forward(
        cell, params, x, state, lengths=LENGTHS, reverse=reverse, save=True, noise=NOISE, **kernel_options(given)
    )
    for ours, wanted in zip(flat(y, final), expected, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-13)


@options
def test_float32_is_as_near_as_numpys(name):
    cell, given = OPTIONS[name]
    params, x, state = make(cell, B=3, T=50, H=21, **given)
    small = {key: value.astype("f") for key, value in params.items()}
    narrow = (x.astype("f"), tuple(part.astype("f") for part in state) if cell == "lstm" else state.astype("f"))
    x, state = (
        narrow[0].astype(float),
        tuple(part.astype(float) for part in narrow[1]) if cell == "lstm" else narrow[1].astype(float),
    )
    exact, _ = textbook(cell, {key: value.astype(float) for key, value in small.items()}, x, state, given, False)
    numpys, _ = textbook(cell, small, *narrow, given, False)
    y, _, _ = ops.forward(cell, small, *narrow, **kernel_options(given))
    assert y.dtype == np.float32
    assert abs(y - exact).max() <= max(2e-6 * max(1, abs(exact).max()), 2 * abs(numpys - exact).max())


@options
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients_are_the_differences(name, lengths):
    cell, given = OPTIONS[name]
    params, x, state = make(cell, B=5, T=6, I=3, H=5, **given)
    more = {"lengths": lengths, "reverse": lengths is not None, "noise": NOISE, **kernel_options(given)}
    y, final, saved = ops.forward(cell, params, x, state, save=True, **more)
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=part.shape) for part in flat(y, final)]
    dstate = tuple(weights[1:]) if cell == "lstm" else weights[1]
    dx, dinitial, grads = ops.backward(saved, weights[0], dstate)
    found = {"x": dx, "h0": flat(None, dinitial)[1], **({"c0": dinitial[1]} if cell == "lstm" else {}), **grads}
    inputs = {"x": x, "h0": flat(None, state)[1], **({"c0": state[1]} if cell == "lstm" else {}), **params}
    assert found.keys() == inputs.keys()

    def loss():
        y, final, _ = ops.forward(cell, params, x, state, save=True, **more)
        return sum((part * weight).sum() for part, weight in zip(flat(y, final), weights, strict=True))

    for tensor, value in inputs.items():
        numeric, step = np.zeros_like(value), 1e-5
        for at in np.ndindex(value.shape):
            kept = value[at]
            value[at] = kept + step
            up = loss()
            value[at] = kept - step
            numeric[at] = (up - loss()) / (2 * step)
            value[at] = kept
        assert abs(numeric).max() > 0, tensor
        error = abs(found[tensor] - numeric).max() / abs(numeric).max()
        assert error < 1e-6, f"{tensor}: {error}"


@options
def test_what_blocks_held_before_reaches_no_result(name):
    """Kept memory full of NaN, as after a batch that diverged, changes no bit."""
    rng = np.random.default_rng(0)

    def poisoned():
        blocks = [_memory.empty((1 << size,), np.float32) for size in range(10, 20) for _ in range(3)]
        for block in blocks:
            block[:] = np.where(rng.random(block.size) < 0.4, np.nan, 0)
        del blocks, block
        return option_digest(ops, name, np.float32, True, B=5, H=11)

    _memory.release_memory()
    clean = option_digest(ops, name, np.float32, True, B=5, H=11)
    assert {poisoned() for _ in range(3)} == {clean}


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "identity"])
def test_an_infinite_output_has_a_gradient(activation):
    """As in the plain cell; and an infinite new value stays one under zoneout."""
    weights = {"weight_ih": np.full((1, 1), 1e38, "f"), "weight_hh": np.zeros((1, 1), "f")}
    x = np.full((1, 1, 1), 1e3, "f")
    for more in ({}, {"zoneout": 1e-12}):
        y, _, saved = ops.forward("rnn", weights, x, save=True, activation=activation, **more)
        dx, _, _ = ops.backward(saved, np.full_like(y, 1e-30))
        assert y.item() == np.inf
        np.testing.assert_allclose(dx.item(), 1e8, rtol=1e-5)


def test_a_clip_beyond_the_numbers_of_the_dtype_clips_nothing():
    params, x, state = make("rnn", activation="softsign")
    params, x, state = {key: value.astype("f") for key, value in params.items()}, x.astype("f"), state.astype("f")
    found = []
    for clip in (1e30, 1e39):
        _, _, saved = ops.forward("rnn", params, x, state, save=True, activation="softsign", clip=clip)
        found.append(ops.backward(saved, np.ones_like(x[..., :1]).repeat(5, axis=2))[0])
    assert abs(found[0]).max() > 0
    np.testing.assert_array_equal(*found)
