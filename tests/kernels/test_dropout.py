"""Dropout and its random numbers: published vectors, a mask that depends on the counter alone, its rate."""

import math

import numpy as np
import pytest

from rnnfast.kernels import _passes

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def test_philox_gives_the_published_numbers():
    ones = 2**32 - 1
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    assert _passes._philox((0, 0, 0, 0), 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert _passes._philox((ones,) * 4, 2**64 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert _passes._philox(pi, 0x299F31D0A4093822) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@dtypes
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1 - 2**-20, 1.0])
def test_dropout_is_a_function_of_the_counter_alone(dtype, p):
    key, stream = 0x0123456789ABCDEF, 77
    x = np.random.default_rng(1).uniform(0.5, 1, (3, 4, 71)).astype(dtype)
    want = np.empty_like(x)
    for b, t, unit in np.ndindex(x.shape):
        word = _passes._philox((unit // 4, t, b, stream), key)[unit % 4]
        keep = p < 1 and word >= math.floor(p * 2**32)
        want[b, t, unit] = x[b, t, unit] * dtype(1 / (1 - p)) if keep else 0
    np.testing.assert_array_equal(_passes.dropout(x, p, key, stream), want, strict=True)
    np.testing.assert_array_equal(_passes.dropout(x[:, 0], p, key, stream), want[:, 0], strict=True)
    np.testing.assert_array_equal(_passes.dropout(x[:2, :3, :5], p, key, stream), want[:2, :3, :5], strict=True)


@dtypes
def test_dropout_takes_any_strides_and_writes_where_it_is_told(dtype):
    x = np.random.default_rng(2).uniform(0.5, 1, (5, 6, 19)).astype(dtype)
    want = _passes.dropout(x, 0.4, 9, 1)
    time_major = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
    wide = np.zeros((5, 6, 40), dtype)
    wide[:, :, 3:22] = x
    backwards = x[::-1, :, ::-1].copy()[::-1, :, ::-1]
    for same in (time_major, wide[:, :, 3:22], backwards, np.asfortranarray(x), x.astype(x.dtype.newbyteorder())):
        np.testing.assert_array_equal(_passes.dropout(same, 0.4, 9, 1), want, strict=True)
    target = np.full((6, 5, 40), 7, dtype)
    for out in (target[:, :, 5:24].transpose(1, 0, 2), np.empty((5, 6, 38), dtype)[:, :, ::2]):
        assert _passes.dropout(x, 0.4, 9, 1, out=out) is out
        np.testing.assert_array_equal(out, want)
    assert np.all(target[:, :, :5] == 7)
    assert np.all(target[:, :, 24:] == 7)
    zeros = _passes.dropout(np.zeros((5, 6, 19), dtype), 0.4, 9, 1)
    assert np.all(zeros == 0)


def test_dropout_in_place_and_into_overlapping_memory():
    x = np.random.default_rng(3).uniform(0.5, 1, (4, 5, 9))
    want = _passes.dropout(x, 0.5, 3, 2)
    inside = x.copy()
    assert _passes.dropout(inside, 0.5, 3, 2, out=inside) is inside
    np.testing.assert_array_equal(inside, want)
    for shift in (1, -1):
        buffer = np.empty((6, 5, 9))
        source, out = buffer[1:5], buffer[1 + shift : 5 + shift]
        source[...] = x
        _passes.dropout(source, 0.5, 3, 2, out=out)
        np.testing.assert_array_equal(out, want)


def test_dropout_drops_nan_and_keeps_it_elsewhere():
    mask = _passes.dropout(np.ones((2, 3, 50)), 0.5, 8, 0)
    got = _passes.dropout(np.full((2, 3, 50), np.nan), 0.5, 8, 0)
    np.testing.assert_array_equal(np.isnan(got), mask != 0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_rate_is_p_in_every_way_of_counting(p):
    kept = _passes.dropout(np.ones((40, 50, 60)), p, 12345, 6) != 0
    for axes in ((0, 1, 2), (1, 2), (0, 2), (0, 1)):
        number = math.prod(kept.shape[axis] for axis in axes)
        bound = 5 * math.sqrt(p * (1 - p) / number)
        assert np.all(np.abs(kept.mean(axes) - (1 - p)) < bound)
    for axis in range(3):
        pairs = np.moveaxis(kept, axis, 0)
        together = (pairs[1:] & pairs[:-1]).mean()
        assert abs(together - (1 - p) ** 2) < 5 * math.sqrt((1 - p) ** 2 / pairs[1:].size)


def test_dropout_masks_differ_by_key_and_stream():
    x = np.ones((4, 5, 64))
    masks = [_passes.dropout(x, 0.5, key, stream) for key in (0, 1, 2**32, 2**63) for stream in (0, 1, 2**32 - 1)]
    for i, first in enumerate(masks):
        for second in masks[:i]:
            assert 0.4 < np.mean(first != second) < 0.6


def test_dropout_of_nothing():
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 5), (5, 0)):
        assert _passes.dropout(np.ones(shape), 0.5, 0, 0).shape == shape


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.ones(3), 0.5, 0, 0), ValueError, r"x must have shape \(B, T, F\) or \(B, F\), got \(3,\)"),
        ((np.ones((2, 3), int), 0.5, 0, 0), TypeError, "x must be float32 or float64, got int64"),
        ((np.ones((2, 3)), 1.5, 0, 0), ValueError, "p, the probability to drop a unit, must be 0 to 1, got 1.5"),
        ((np.ones((2, 3)), math.nan, 0, 0), ValueError, "must be 0 to 1, got nan"),
        ((np.ones((2, 3)), 0.5, -1, 0), ValueError, r"key must be 0 to 2\*\*64 - 1, got -1"),
        ((np.ones((2, 3)), 0.5, 0, 2**32), ValueError, r"stream must be 0 to 2\*\*32 - 1"),
        ((np.ones((2, 3)), 0.5, 0.5, 0), TypeError, "integer"),
        ((np.ones((2, 3)), 0.5, 0, 0, np.ones((3, 2))), ValueError, r"out must have the shape of x, \(2, 3\)"),
        ((np.ones((2, 3)), 0.5, 0, 0, np.ones((2, 3), np.float32)), TypeError, "out must be an array of dtype float64"),
        ((np.ones((2, 3)), 0.5, 0, 0, [[0.0] * 3] * 2), TypeError, "got list"),
        ((np.ones((2, 3)), 0.5, 0, 0, np.broadcast_to(1.0, (2, 3))), ValueError, "out must be writable"),
    ],
)
def test_dropout_names_what_is_wrong(arguments, error, text):
    with pytest.raises(error, match=text):
        _passes.dropout(*arguments)
