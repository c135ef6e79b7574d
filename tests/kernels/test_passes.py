"""Sums against plain NumPy, and every pass the same bits however it is run."""

import hashlib
import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from rnnfast.kernels import _losses, _passes, _runtime, _threads, _updates

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SIZES = [0, 1, 5, 17, 4096, 4097, 100_003]
OPTIMIZER = {"learning_rate": 0.1}


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-14, "atol": 1e-14}


@dtypes
@pytest.mark.parametrize("size", [*SIZES, 1_000_003])
def test_sum_of_squares(dtype, size):
    x = np.random.default_rng(size).normal(size=size).astype(dtype)
    want = math.fsum((x.astype(np.float64) ** 2).tolist())
    np.testing.assert_allclose(_passes.sum_of_squares(x), want, rtol=1e-14)
    np.testing.assert_allclose(_passes.sum_of_squares(x[::2]), math.fsum(x[::2].astype(float) ** 2), rtol=1e-14)


@dtypes
def test_sum_of_squares_of_huge_values_and_nan(dtype):
    x = np.full(33, 1e30, dtype)
    np.testing.assert_allclose(_passes.sum_of_squares(x), 33e60, rtol=1e-6)
    for position in range(33):
        spoilt = x.copy()
        spoilt[position] = np.nan
        assert math.isnan(_passes.sum_of_squares(spoilt))
    with pytest.raises(TypeError, match="flat must be float32 or float64"):
        _passes.sum_of_squares(np.arange(3))


@dtypes
@pytest.mark.parametrize("size", SIZES)
def test_accumulate(dtype, size):
    to, source = np.random.default_rng(size).normal(size=(2, size)).astype(dtype)
    want = to + source
    _passes.accumulate(to, source)
    np.testing.assert_array_equal(to, want, strict=True)


def test_accumulate_refuses_what_does_not_fit():
    x = np.zeros(8)
    for bad in (np.zeros(7), np.zeros((2, 4)), np.zeros(16)[::2], x[:8]):
        with pytest.raises(ValueError, match=r"source|share memory"):
            _passes.accumulate(x, bad)


def digest(dtype, exact_only=False):
    """A hash of what every pass gives. exact_only: without exp, which takes an FMA where there is one."""
    rng = np.random.default_rng(11)
    size = 150_001
    a, b, m, v = rng.normal(size=(4, size)).astype(dtype)
    numbers = [_passes.sum_of_squares(a), *_losses.mse(a, b)[::2], _losses.mse(a, b, rng.random(size) < 0.5)[0]]
    for rule, (_, states, count) in _updates._RULES.items():
        params, memory = a.copy(), [np.abs(m), v**2 + 1, v**2][:states]
        factors = np.linspace(0.3, 0.9, count)
        _updates.update(rule, params, b, memory, factors, scale=0.7, clip_value=1.5, decay=0.1, shrink=0.99)
        numbers += [params, *memory]
    _passes.accumulate(b, a)
    numbers += [a, b, m, v, _passes.dropout(a[:150_000].reshape(30, 50, 100), 0.3, 5, 6)]
    if not exact_only:
        numbers += [_passes.apply(name, a) for name in ("exp", "tanh", "sigmoid")]
        logits, targets, rows = a[:150_000].reshape(1500, 100), rng.integers(0, 100, 1500), rng.random(1500)
        numbers += _losses.cross_entropy(logits, targets)[::2]
        numbers += _losses.cross_entropy(logits, targets, rows < 0.5, rows, label_smoothing=0.1)[::2]
        numbers += _losses.binary_cross_entropy(logits, logits > 0)[::2]
        numbers += _losses.binary_cross_entropy(logits, logits > 0, logits < 1, positive_weights=rows[:100])[::2]
    return hashlib.sha256(b"".join(np.asarray(number).tobytes() for number in numbers)).hexdigest()


@dtypes
def test_threads_change_no_bit(dtype):
    before = _threads.get_num_threads()
    try:
        digests = []
        for threads in (1, 2, 3, 7):
            _threads.set_num_threads(threads)
            digests.append(digest(dtype))
    finally:
        _threads.set_num_threads(before)
    assert len(set(digests)) == 1


@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_instruction_sets_agree_to_the_last_bit(isa):
    program = f"""
        import runpy
        import numpy as np
        from rnnfast.kernels import _runtime
        digest = runpy.run_path({__file__!r})["digest"]
        for dtype in (np.float32, np.float64):
            print(_runtime.isa(), digest(dtype, True), digest(dtype))
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "RNNFAST_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    fused = {"avx512", "avx2", "neon"}
    for line, dtype in zip(run.stdout.splitlines(), (np.float32, np.float64), strict=True):
        name, exact, everything = line.split()
        assert name == isa
        assert exact == digest(dtype, exact_only=True)
        if {isa, _runtime.isa()} <= fused:
            assert everything == digest(dtype)


def test_subnormal_numbers_are_flushed_and_the_mode_comes_back():
    tiny = np.finfo(np.float32).tiny
    to, source = np.full(20, np.float32(1.5) * tiny), np.full(20, -tiny)
    assert np.all(to + source > 0)
    _passes.accumulate(to, source)
    np.testing.assert_array_equal(to, np.zeros(20, np.float32), strict=True)
    assert np.float32(0.5) * tiny > 0


@dtypes
@pytest.mark.parametrize(
    ("count", "size", "width"), [(0, 5, 3), (1, 5, 1), (300, 5, 19), (300, 1, 8), (400, 70_000, 3)]
)
def test_add_rows(dtype, count, size, width):
    rng = np.random.default_rng(count)
    rows, ids = rng.standard_normal((count, width)).astype(dtype), rng.integers(0, size, count)
    total = rng.standard_normal((size, width)).astype(dtype)
    wanted = total.copy()
    np.add.at(wanted, ids, rows)
    _passes.add_rows(total, ids, rows)
    np.testing.assert_array_equal(total, wanted, strict=True)


def test_add_rows_refuses_what_does_not_fit():
    total, ids, rows = np.zeros((4, 3)), np.array([0, 3]), np.ones((2, 3))
    for arguments, error, text in [
        ((total, np.array([0, 4]), rows), ValueError, "0 to 3, got 0 to 4"),
        ((total, np.array([-1, 0]), rows), ValueError, "0 to 3, got -1 to 0"),
        ((total, ids.astype(np.int32), rows), TypeError, "int64"),
        ((total, ids, rows[:1]), ValueError, "shapes"),
        ((total[0], ids, rows), ValueError, "shapes"),
        ((total, ids, rows.astype("f")), TypeError, "float64"),
        ((total, ids, np.ones((3, 2)).T), ValueError, "contiguous"),
        ((np.zeros((3, 4)).T, ids, rows), ValueError, "contiguous"),
        ((total, ids, total[:2]), ValueError, "share memory"),
    ]:
        with pytest.raises(error, match=text):
            _passes.add_rows(*arguments)
    assert not total.any()
