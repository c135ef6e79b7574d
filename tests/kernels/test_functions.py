"""exp, tanh and sigmoid of the kernels: error bounds over the whole range, limits, symmetry, every lane."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnfast.kernels import _passes, _runtime

ROOT = Path(__file__).parents[2]
NAMES = ["exp", "tanh", "sigmoid"]
FUSED = _runtime.isa() in ("avx512", "avx2", "neon")
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
names = pytest.mark.parametrize("name", NAMES)
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="no type wider than float64 to compare with"
)


def true_value(name, x):
    """The function in the precision of x."""
    with np.errstate(over="ignore", under="ignore"):
        if name == "sigmoid":
            return 1 / (1 + np.exp(-x))
        return np.exp(x) if name == "exp" else np.tanh(x)


def errors(name, x, wide):
    """Absolute errors and errors in ulp of the true value, with x and the true value, where the latter is normal."""
    want = true_value(name, x.astype(wide))
    limits = np.finfo(x.dtype)
    with np.errstate(over="ignore"):
        normal = (np.abs(want) >= limits.tiny) & (np.abs(want) <= limits.max)
        got = _passes.apply(name, x)
        absolute = np.abs(got[normal].astype(wide) - want[normal])
        return absolute, absolute / np.spacing(np.abs(want[normal]).astype(x.dtype)), x[normal], got


def every_float32():
    """Bit patterns from all over the range of float32, both signs: 4.3 million of them, without NaN."""
    x = np.arange(0, 2**32, 997, dtype=np.uint32).view(np.float32)
    return x[~np.isnan(x)]


def many_float64(name):
    """Numbers dense where the function bends, and of all magnitudes."""
    rng = np.random.default_rng(7)
    reach = {"exp": 745, "tanh": 22, "sigmoid": 740}[name]
    tiny = np.exp(rng.uniform(-700, 5, 200_000)) * rng.choice([-1, 1], 200_000)
    return np.concatenate([np.linspace(-reach, reach, 300_001), np.linspace(-2, 2, 300_001), tiny])


def relative_bound(name, x):
    """The bounds that functions.h states, in ulp."""
    if name == "exp":
        return np.full(x.shape, 1.7)
    if name == "tanh":
        return np.full(x.shape, 2.7 if FUSED else 3.1)
    if x.dtype == np.float32 and FUSED:
        return np.full(x.shape, 4.5)
    slope = {np.float32: 1.0, np.float64: 1 / 3 if FUSED else 1.4}[x.dtype.type]
    return 3 + slope * np.maximum(-x, 0)


@names
def test_errors_of_float32_are_within_the_stated_bounds(name):
    absolute, relative, x, got = errors(name, every_float32(), np.float64)
    assert x.size > 1_000_000
    excess = relative - relative_bound(name, x)
    assert excess.max() <= 0, (x[excess.argmax()], relative[excess.argmax()])
    if name == "sigmoid":
        assert absolute.max() < 9e-8
    assert got.dtype == np.float32


@needs_long_double
@names
def test_errors_of_float64_are_within_the_stated_bounds(name):
    absolute, relative, x, got = errors(name, many_float64(name), np.longdouble)
    assert x.size > 500_000
    excess = relative - relative_bound(name, x)
    assert excess.max() <= 0, (x[excess.argmax()], relative[excess.argmax()])
    if name == "sigmoid":
        assert absolute.max() < 1.8e-16
    assert got.dtype == np.float64


@dtypes
def test_results_stay_in_their_range_and_grow(dtype):
    x = every_float32().astype(dtype)
    assert np.abs(_passes.apply("tanh", x)).max() == 1
    assert _passes.apply("sigmoid", x).min() == 0
    assert _passes.apply("sigmoid", x).max() == 1
    assert _passes.apply("exp", x).min() == 0
    for name in NAMES:
        y = _passes.apply(name, np.linspace(-30, 30, 2001).astype(dtype))
        steps = np.diff(y)
        assert np.all(steps >= -6 * np.spacing(np.abs(y[1:])))
        assert np.count_nonzero(steps > 0) > 500


@dtypes
def test_below_the_normal_range_results_are_small(dtype):
    limits = np.finfo(dtype)
    x = np.linspace(-1.1, -0.99, 10_001).astype(dtype) * -np.log(limits.tiny)
    for name in ("exp", "sigmoid"):
        got = _passes.apply(name, x)
        assert np.all(got[x < np.log(limits.tiny)] <= limits.tiny * 1.01)
        assert np.all(got >= 0)


@dtypes
def test_tanh_is_odd_to_the_last_bit(dtype):
    x = every_float32().astype(dtype)
    np.testing.assert_array_equal(_passes.apply("tanh", -x), -_passes.apply("tanh", x), strict=True)


@dtypes
def test_limits_and_zeros_are_exact(dtype):
    x = np.array([np.inf, -np.inf, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(_passes.apply("exp", x), np.array([np.inf, 0, 1, 1], dtype), strict=True)
    np.testing.assert_array_equal(_passes.apply("sigmoid", x), np.array([1, 0, 0.5, 0.5], dtype), strict=True)
    got = _passes.apply("tanh", x)
    np.testing.assert_array_equal(got, np.array([1, -1, 0, 0], dtype), strict=True)
    np.testing.assert_array_equal(np.signbit(got), [False, True, False, True])
    large = np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    np.testing.assert_array_equal(_passes.apply("exp", large), [np.inf, 0])
    np.testing.assert_array_equal(_passes.apply("sigmoid", large), [1, 0])
    np.testing.assert_array_equal(_passes.apply("tanh", large), [1, -1])


@dtypes
def test_exp_is_finite_up_to_the_greatest_number(dtype):
    x = np.nextafter(np.log(np.finfo(dtype).max).astype(dtype), dtype(0))
    assert np.isfinite(_passes.apply("exp", x))
    assert _passes.apply("exp", x * dtype(1.001)) == np.inf


@dtypes
def test_subnormal_numbers_count_as_zero_or_as_they_are(dtype):
    x = np.array([1, -1, 12345, -(2**20)], np.int32).astype(dtype) * np.finfo(dtype).smallest_subnormal
    assert np.all(np.abs(_passes.apply("tanh", x) - x) <= np.abs(x))
    np.testing.assert_array_equal(_passes.apply("exp", x), np.ones(4, dtype))
    np.testing.assert_array_equal(_passes.apply("sigmoid", x), np.full(4, 0.5, dtype))


@names
@dtypes
def test_nan_stays_where_it_is(name, dtype):
    x = np.linspace(-3, 3, 37).astype(dtype)
    clean = _passes.apply(name, x)
    for position in range(37):
        for nan in (np.nan, -np.nan):
            spoilt = x.copy()
            spoilt[position] = nan
            got = _passes.apply(name, spoilt)
            assert np.isnan(got[position])
            got[position] = clean[position]
            np.testing.assert_array_equal(got, clean, strict=True)


@names
@dtypes
def test_every_size_and_place_gives_the_same_bits(name, dtype):
    x = np.random.default_rng(3).normal(0, 3, 100).astype(dtype)
    whole = _passes.apply(name, x)
    for size in range(70):
        np.testing.assert_array_equal(_passes.apply(name, x[:size]), whole[:size], strict=True)
        np.testing.assert_array_equal(_passes.apply(name, x[100 - size :]), whole[100 - size :], strict=True)


@dtypes
def test_any_layout_is_accepted(dtype):
    x = np.random.default_rng(4).normal(0, 3, (6, 5, 7)).astype(dtype)
    want = _passes.apply("tanh", x)
    np.testing.assert_allclose(want, np.tanh(x), rtol=1e-6)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    fixed = x.copy()
    fixed.flags.writeable = False
    for same in (np.asfortranarray(x), x[::-1][::-1], unaligned, fixed, x.astype(x.dtype.newbyteorder())):
        np.testing.assert_array_equal(_passes.apply("tanh", same), want, strict=True)
    np.testing.assert_array_equal(_passes.apply("tanh", x[::-2, :, 1::3]), want[::-2, :, 1::3], strict=True)
    assert _passes.apply("tanh", dtype(0.5)).shape == ()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="name must be"):
        _passes.apply("cosh", np.zeros(3))
    for wrong in (np.zeros(3, int), np.zeros(3, complex), np.zeros(3, object), np.zeros(3, np.float16), "text"):
        with pytest.raises(TypeError, match="array must be float32 or float64"):
            _passes.apply("exp", wrong)


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="the sources are not here")
def test_coefficients_are_those_that_the_script_finds(capsys):
    runpy.run_path(str(ROOT / "tools" / "fit_functions.py"), run_name="__main__")
    words = capsys.readouterr().out.split()
    source = (ROOT / "rnnfast" / "kernels" / "src" / "functions.h").read_text()
    found = [float.fromhex(word.rstrip("f")) for word in words if "0x" in word]
    assert len(found) == 9
    literals = {float.fromhex(word.rstrip("f,;)")) for word in source.replace("(", " ").split() if "0x" in word}
    assert {value for value in found if value != 1} <= literals


@pytest.mark.skipif("RNNFAST_ISA" in os.environ, reason="runs under one instruction set already")
@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_every_instruction_set(isa):
    """This file again, under each instruction set that the machine has."""
    if isa == _runtime.isa():
        return
    environment = {**os.environ, "RNNFAST_ISA": isa}
    program = "from rnnfast.kernels import _runtime; print(_runtime.isa())"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == isa
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout
