"""Every instruction set of this machine: right, and of equal bits where there is a fused multiply-add."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from checks import (
    VARIANTS,
    assert_accurate,
    cast,
    check_gradients,
    digest,
    make_case,
    ragged,
    recurrent_digest,
    rounded_case,
    run,
)
from equations_checks import OPTIONS, option_digest

from rnnfast import ops
from rnnfast.kernels import _runtime

SETS = _runtime.available_isas()
WITH_FMA = ("avx512", "avx2", "neon")

pytestmark = pytest.mark.skipif("RNNFAST_ISA" in os.environ, reason="this process has one instruction set")


def python(code, isa):
    """Run code in an interpreter of that instruction set, which finds what this one finds."""
    environment = os.environ | {"RNNFAST_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


def train(*args, **how):
    return ops.forward(*args, save=True, **how)


def prove():
    """Hold every cell against the reference and against finite differences, and print a hash of what it gives.

    Run in a process of its own for each instruction set, whose name it prints first.
    """
    print(_runtime.isa())
    for (cell, options), dtype in itertools.product(VARIANTS, (np.float32, np.float64)):
        for T, B, I, H in ((7, 7, 5, 37), (3, 1, 3, 70), (1, 14, 19, 9)):  # noqa: E741
            case = rounded_case(cell, T, B, I, H, **options)
            for how in ({}, {"lengths": ragged(B, T), "reverse": True}):
                assert_accurate(run(train, ops.backward, cast(case, dtype), **how), case, **how)
        print(*(recurrent_digest(ops, cell, options, dtype, in_reverse) for in_reverse in (False, True)))
    for name, dtype in itertools.product(OPTIONS, (np.float32, np.float64)):
        print(*(option_digest(ops, name, dtype, in_reverse) for in_reverse in (False, True)))
    for cell, options in VARIANTS:
        if options.get("activation") != "relu":  # its kink would spoil differences
            check_gradients(train, ops.backward, make_case(cell, 3, 2, 2, 3, **options), lengths=[3, 2])
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x, weight, dy = (rng.normal(size=shape).astype(dtype) for shape in ((29, 11), (37, 11), (29, 37)))
        y, gradients = ops.linear(x, weight), ops.linear_backward(x, weight, dy)
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        for got, wanted in zip([y, *gradients], [x @ weight.T, dy @ weight, dy.T @ x, dy.sum(0)], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=10 * tolerance)
        print(digest([y, *gradients]))


@pytest.fixture(scope="module")
def proofs():
    """What `prove` printed under each instruction set, by name."""
    found = {}
    for name in SETS:
        result = python(f"import runpy; runpy.run_path({__file__!r}, run_name='proof')['prove']()", name)
        assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"
        found[name] = result.stdout.split()
    return found


@pytest.mark.parametrize("name", SETS)
def test_right(proofs, name):
    assert proofs[name][0] == name  # the set that was wanted is the one that ran
    assert len(set(proofs[name])) == 1 + 4 * len(VARIANTS) + 4 * len(OPTIONS) + 2


def test_sets_with_fma_have_equal_bits(proofs):
    hashes = {name: proofs[name][1:] for name in SETS if name in WITH_FMA}
    for name, found in hashes.items():
        assert found == next(iter(hashes.values())), name


def test_a_cap_above_the_machine_gives_its_best_set():
    result = python(
        "from rnnfast.kernels import _runtime; print(_runtime.isa())", "neon" if SETS[0] == "neon" else "avx512"
    )
    assert result.stdout.split() == SETS[:1]


def test_an_unknown_cap_is_refused():
    result = python("import rnnfast; rnnfast.LSTM", "avx3")
    assert result.returncode != 0
    assert "ImportError: RNNFAST_ISA='avx3'" in result.stderr
    assert all(name in result.stderr for name in ("avx512", "avx2", "sse2", "neon", "generic"))


def test_the_peak_of_multiply_adds():
    single, double = _runtime.fma_rate("float32", 0.001), _runtime.fma_rate("float64", 0.001)
    assert 1e6 < double < 1e13
    assert 1e6 < single < 1e13


def test_the_rate_of_reading():
    near, far = _runtime.read_rate(16 << 10, 0.01), _runtime.read_rate(256 << 20, 0.01)
    assert 1e7 < far < 2 * near < 1e13
    assert _runtime.read_rate(1024, 0.001) > 1e7
    for arguments, message in (((1000,), "from 1024 to"), ((4096, 0.0), "seconds must be above 0")):
        with pytest.raises(ValueError, match=message):
            _runtime.read_rate(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("float16",), "'float16'"), (("float32", 0.0), "0.0"), (("float64", 11.0), "at most 10")],
)
def test_bad_arguments_of_the_peak(arguments, message):
    with pytest.raises(ValueError, match=message):
        _runtime.fma_rate(*arguments)
