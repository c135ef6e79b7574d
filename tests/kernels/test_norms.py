"""The passes of the normalisation layers against plain NumPy, and the same bits however they are run."""

import hashlib
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from checks import max_error, same_bits

from rnnfast.kernels import _norms, _runtime, _threads

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
sizes = pytest.mark.parametrize(("rows", "width"), [(0, 3), (1, 1), (3, 5), (64, 64), (65, 67), (131, 128), (300, 19)])
EPSILON = 1e-3


def case(rows, width, dtype, masked):
    """x, dy (N, F); weight, bias, mean, scale (F,); which rows count, with nothing but NaN in the others."""
    rng = np.random.default_rng([rows, width])
    x, dy = (rng.standard_normal((rows, width)).astype(dtype) for _ in range(2))
    vectors = [rng.uniform(0.5, 1.5, width).astype(dtype) for _ in range(4)]
    valid = None
    if masked:
        valid = rng.random(rows) < 0.6
        x[~valid], dy[~valid] = np.nan, np.nan
    return x, dy, *vectors, valid


def standardised(x, axis):
    x = x.astype(np.float64)
    mean, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON), 1 / np.sqrt(variance + EPSILON)


def gradient(g, z, scale, axis):
    return scale * (g - g.mean(axis=axis, keepdims=True) - z * (g * z).mean(axis=axis, keepdims=True))


def close(found, wanted, dtype):
    assert found.dtype == dtype
    assert max_error(found, wanted) < (2e-5 if dtype == np.float32 else 1e-12) * max(1, np.abs(wanted).max(initial=0))


@dtypes
@sizes
@pytest.mark.parametrize("masked", [False, True])
def test_layer_norm(dtype, rows, width, masked):
    x, dy, weight, bias, _, _, valid = case(rows, width, dtype, masked)
    chosen = slice(None) if valid is None else valid
    z, scale = standardised(x[chosen], 1)
    wanted = np.zeros((rows, width))
    wanted[chosen] = z * weight + bias
    y, statistics = _norms.layer_norm(x, weight, bias, EPSILON, valid, True)
    close(y, wanted, dtype)
    assert same_bits(y, _norms.layer_norm(x, weight, bias, EPSILON, valid)[0])
    dx, d_weight, d_bias = _norms.layer_norm_backward(dy, x, statistics, weight, valid)
    wanted[chosen] = gradient(dy[chosen].astype(np.float64) * weight, z, scale, 1)
    close(dx, wanted, dtype)
    close(d_weight, (dy[chosen] * z).sum(axis=0), dtype)
    close(d_bias, dy[chosen].sum(axis=0, dtype=np.float64), dtype)
    again = _norms.layer_norm_backward(dy, x, statistics, weight, valid, False)
    assert again[0] is None
    assert same_bits(again[1], d_weight)
    assert same_bits(again[2], d_bias)


@dtypes
@sizes
@pytest.mark.parametrize("masked", [False, True])
def test_batch_norm(dtype, rows, width, masked):
    x, dy, weight, bias, shift, factor, valid = case(rows, width, dtype, masked)
    chosen = slice(None) if valid is None else valid
    kept, d = x[chosen].astype(np.float64), dy[chosen].astype(np.float64)
    count, mean, variance = _norms.moments(x, valid)
    assert count == len(kept)
    wanted = np.zeros((rows, width))
    wanted[chosen] = (kept - shift) * factor + bias
    close(_norms.shifted(x, shift, factor, bias, valid), wanted, dtype)
    if not count:
        assert not mean.any()
        assert not variance.any()
        return
    assert max_error(mean, kept.mean(axis=0)) < (1e-6 if dtype == np.float32 else 1e-14)
    assert max_error(variance, kept.var(axis=0)) < (2e-6 if dtype == np.float32 else 1e-14)
    z, exact = standardised(x[chosen], 0)
    mean, scale = mean.astype(dtype), exact[0].astype(dtype)
    dx, d_weight, d_bias = _norms.batch_norm_backward(dy, x, mean, scale, weight, valid, count)
    wanted[chosen] = gradient(d * weight, z, exact, 0)
    close(dx, wanted, dtype)
    close(d_weight, (d * z).sum(axis=0), dtype)
    close(d_bias, d.sum(axis=0), dtype)
    wanted[chosen] = d * weight * exact
    close(_norms.batch_norm_backward(dy, x, mean, scale, weight, valid)[0], wanted, dtype)


def test_moments_far_from_zero():
    x = (np.random.default_rng(0).standard_normal((10_000, 3)) + 1000).astype(np.float32)
    _, mean, variance = _norms.moments(x)
    assert max_error(mean, x.mean(axis=0, dtype=np.float64)) < 1e-3
    assert max_error(variance, x.var(axis=0, dtype=np.float64)) < 1e-5


def digest(dtype):
    found = []
    for rows, width, masked in ((1000, 77, False), (1000, 128, True), (70, 1500, False)):
        x, dy, weight, bias, mean, scale, valid = case(rows, width, dtype, masked)
        y, statistics = _norms.layer_norm(x, weight, bias, EPSILON, valid, True)
        found += [y, *_norms.layer_norm_backward(dy, x, statistics, weight, valid)]
        count, *moments = _norms.moments(x, valid)
        found += [*moments, _norms.shifted(x, mean, scale, bias, valid)]
        found += _norms.batch_norm_backward(dy, x, mean, scale, weight, valid, count)
    return hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest()


@dtypes
def test_threads_change_no_bit(dtype):
    before, divided = _threads.get_num_threads(), _threads._divided_calls()
    try:
        digests = []
        for threads in (1, 2, 3, 7):
            _threads.set_num_threads(threads)
            digests.append(digest(dtype))
    finally:
        _threads.set_num_threads(before)
    assert len(set(digests)) == 1
    assert _threads._divided_calls() > divided


@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_instruction_sets_agree_to_the_last_bit(isa):
    program = f"""
        import runpy
        import numpy as np
        from rnnfast.kernels import _runtime
        digest = runpy.run_path({__file__!r})["digest"]
        print(_runtime.isa(), digest(np.float32), digest(np.float64))
        """
    environment = os.environ | {"RNNFAST_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == [isa, digest(np.float32), digest(np.float64)]


def test_what_does_not_fit_is_refused():
    x, w = np.zeros((4, 3)), np.ones(3)
    for call, text in [
        (lambda: _norms.layer_norm(x, w[:2], w, 0.1), "weight"),
        (lambda: _norms.layer_norm(x, w, w.astype("f"), 0.1), "bias"),
        (lambda: _norms.layer_norm(x.T, w, w, 0.1), "x must"),
        (lambda: _norms.layer_norm(x[0], w, w, 0.1), "x must"),
        (lambda: _norms.layer_norm(x, w, w, 0.1, np.ones(3, bool)), "valid"),
        (lambda: _norms.layer_norm(x, w, w, 0.1, np.ones(4)), "valid"),
        (lambda: _norms.layer_norm_backward(x, x, np.ones((4, 1)), w), "statistics"),
        (lambda: _norms.layer_norm_backward(x[:3], x, np.ones((4, 2)), w), "dy"),
        (lambda: _norms.shifted(x, w, w, w[:1]), "bias"),
        (lambda: _norms.batch_norm_backward(x, x, w, w[:1], w), "scale"),
        (lambda: _norms.batch_norm_backward(x, x, w, w, w[:1]), "weight"),
        (lambda: _norms.NormStep(w, w[:2], None, 0.1, 1), "bias"),
    ]:
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="float32 or float64"):
        _norms.moments(np.zeros((4, 3), int))
