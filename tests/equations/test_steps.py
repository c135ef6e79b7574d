"""The equations against the reference, and the loop over time: lengths, masks, zoneout."""

import checks
import numpy as np
import pytest
from checks import directions, variants
from equations_checks import make

from rnnfast import equations, reference

CELLS = ["rnn", "lstm", "gru", "indrnn", "mgu"]
cells = pytest.mark.parametrize("cell", CELLS)


def assert_close(got, wanted, tolerance=1e-12):
    for one, other in zip(checks.parts(got), checks.parts(wanted), strict=True):
        assert checks.max_error(one, other) < tolerance


@variants
@directions
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("T", "B", "I", "H"), [(1, 1, 1, 1), (7, 5, 4, 3)])
def test_plain_cells_equal_the_reference(cell, options, reverse, bias, T, B, I, H):  # noqa: E741
    case = checks.make_case(cell, T, B, I, H, bias=bias, **options)
    lengths = checks.ragged(B, T)
    how = {"lengths": lengths, "reverse": reverse, **options}
    wanted_y, wanted_state, _ = reference.forward(cell, case.params, case.x, case.state, **how)
    case.x[np.arange(T) >= lengths[:, None]] = np.nan
    y, state = equations.run(cell, case.params, case.x, case.state, **how)
    assert_close(y, wanted_y)
    assert_close(state, wanted_state)


@cells
def test_one_step_is_the_first_of_a_run(cell):
    params, x, state = make(cell)
    named = equations.step(cell, params, x[:, 0], state)
    y, _ = equations.run(cell, params, x, state)
    assert checks.same_bits(named["h"], y[:, 0])


@cells
@directions
def test_a_mask_with_holes_is_the_sequence_without_them(cell, reverse):
    params, x, state = make(cell)
    mask = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]], bool)
    y, final = equations.run(cell, params, x, state, mask=mask, reverse=reverse)
    for row, valid in enumerate(mask):
        short_state = checks.rows_of(state, slice(row, row + 1))
        short, short_final = equations.run(cell, params, x[row : row + 1, valid], short_state, reverse=reverse)
        assert_close(y[row, valid], short[0])
        assert not y[row, ~valid].any()
        assert_close(checks.rows_of(final, slice(row, row + 1)), short_final)


@cells
def test_state_defaults_to_zeros_and_no_steps_give_it_back(cell):
    params, x, state = make(cell)
    y, _ = equations.run(cell, params, x)
    assert checks.same_bits(y, equations.run(cell, params, x, checks.zeros_like(state))[0])
    y, same = equations.run(cell, params, x[:, :0], state)
    assert y.shape == (3, 0, 5)
    assert_close(same, state, 1e-300)
    y, none = equations.run(cell, params, x[:0])
    assert y.shape == (0, 6, 5)
    assert all(part.shape == (0, 5) for part in checks.parts(none))


@cells
def test_the_trace_names_every_quantity_of_every_step(cell):
    params, x, state = make(cell)
    lengths = [6, 0, 3]
    trace = equations.trace(cell, params, x, state, lengths=lengths)
    y, final = equations.run(cell, params, x, state, lengths=lengths)
    assert set(trace) == set(equations.step(cell, params, x[:, 0], state))
    assert all(values.shape == (3, 6, 5) for values in trace.values())
    assert checks.same_bits(trace["h"][0], y[0])
    assert_close(trace["h"][:, -1], checks.parts(final)[0], 1e-300)
    assert not any(trace[name][2, 3:].any() for name in trace if name not in ("h", "c"))


@cells
def test_zoneout_of_ones_holds_and_of_zeros_does_nothing(cell):
    params, x, state = make(cell)
    ones, zeros = np.ones((3, 6, 5)), np.zeros((3, 6, 5))
    names = ["zone_h", "zone_c"] if cell == "lstm" else ["zone_h"]
    _, final = equations.run(cell, params, x, state, **dict.fromkeys(names, ones))
    assert_close(final, state, 1e-300)
    plain = equations.run(cell, params, x, state)
    assert_close(equations.run(cell, params, x, state, **dict.fromkeys(names, zeros)), plain)
    assert_close(equations.run(cell, params, x, state, zoneout=0.0), plain)


def test_zoneout_mixes_old_and_new_by_mask_and_by_probability():
    params, x, (h, c) = make("lstm")
    new = equations.step("lstm", params, x[:, 0], (h, c))
    rng = np.random.default_rng(0)
    zone_h, zone_c = rng.integers(0, 2, (2, 3, 5))
    got = equations.step("lstm", params, x[:, 0], (h, c), zone_h=zone_h, zone_c=zone_c)
    assert checks.same_bits(got["h"], np.where(zone_h, h, new["h"]))  # new h, made of the c that is not mixed
    assert checks.same_bits(got["c"], np.where(zone_c, c, new["c"]))
    got = equations.step("lstm", params, x[:, 0], (h, c), zoneout=(0.3, 0.1))
    assert_close(got["h"], 0.3 * h + 0.7 * new["h"])
    assert_close(got["c"], 0.1 * c + 0.9 * new["c"])


def test_zoneout_with_a_projection_masks_the_projected():
    params, x, (h, c) = make("lstm", proj_size=2)
    new = equations.step("lstm", params, x[:, 0], (h, c), proj_size=2)
    zone = np.array([[1, 0], [0, 1], [0, 0]])
    got = equations.step("lstm", params, x[:, 0], (h, c), zone_h=zone, proj_size=2)
    assert checks.same_bits(got["h"], np.where(zone, h, new["h"]))


def test_float32_stays_float32():
    for cell in CELLS:
        params, x, state = make(cell)
        y, final = equations.run(cell, checks.cast(params, np.float32), x, state, zoneout=0.1)
        assert y.dtype == np.float32
        assert all(part.dtype == np.float32 for part in checks.parts(final))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cell": "gnu"}, "cell must be one of"),
        ({"params": {"weight_ih": np.ones((20, 4))}}, "params lacks weight_hh"),
        ({"peephole": True}, "params lacks 'weight_ch', wanted of shape \\(15,\\)"),
        ({"proj_size": 2}, "params lacks 'weight_hr'"),
        ({"x": np.ones((3, 4))}, "x has shape \\(3, 4\\), wanted \\(B, T, I\\)"),
        ({"x": np.ones((3, 2, 7))}, "x has shape \\(3, 7\\), wanted \\(B, 4\\)"),
        ({"state": (np.ones((3, 5)), np.ones((2, 5)))}, "state c has shape \\(2, 5\\), wanted \\(3, 5\\)"),
        ({"state": (np.ones((3, 5)),)}, "a pair"),
        ({"lengths": [1, 2, 9]}, "lengths must be 3 numbers from 0 to 6"),
        ({"mask": np.ones((3, 5))}, "mask has shape"),
        ({"activation": "tan"}, "activation must be one of tanh"),
    ],
)
def test_errors_say_what_is_wrong(change, says):
    params, x, state = make("lstm")
    call = {"cell": "lstm", "params": params, "x": x, "state": state, **change}
    with pytest.raises(ValueError, match=says):
        equations.run(**call)


def test_parameters_of_another_shape_or_name_are_refused():
    params, x, state = make("gru")
    with pytest.raises(ValueError, match="bias_hn has shape"):
        equations.run("gru", {**params, "bias_hn": np.ones(4)}, x, state)
    with pytest.raises(ValueError, match="params has 'bias_hn', wanted only"):
        equations.run("gru", params, x, state, reset="before")
    del params["bias_hn"]
    norms = {"norm_ih": np.ones(15), "norm_hh": np.ones(15)}
    with pytest.raises(ValueError, match="needs reset='after'"):
        equations.run("gru", params | norms, x, state, reset="before", layer_norm=True)
    with pytest.raises(TypeError, match="peephole"):
        equations.step("rnn", *make("rnn")[:1], x[:, 0], peephole=0)
