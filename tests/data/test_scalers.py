import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import MinMaxScaler, StandardScaler

KINDS = [StandardScaler, MinMaxScaler, lambda **options: MinMaxScaler((-1, 3), **options)]


def random_data(*shape, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, shape) * np.arange(1, shape[-1] + 1)


def test_standard():
    data = random_data(200, 3)
    scaled = StandardScaler().fit_transform(data)
    np.testing.assert_allclose(scaled, (data - data.mean(0)) / data.std(0), rtol=1e-12)
    scaler = StandardScaler().fit(data[:100])
    np.testing.assert_allclose(scaler.offset, data[:100].mean(0), rtol=1e-13)
    np.testing.assert_allclose(scaler.scale, data[:100].std(0), rtol=1e-13)
    np.testing.assert_allclose(scaler.transform(data[100:]).mean(0), 0, atol=0.5)
    assert (np.abs(scaler.transform(data[100:]).mean(0)) > 1e-3).all()


def test_min_max():
    data = random_data(50, 2)
    scaled = MinMaxScaler().fit_transform(data)
    assert scaled.min(0).tolist() == [0, 0]
    assert scaled.max(0).tolist() == [1, 1]
    np.testing.assert_allclose(scaled, (data - data.min(0)) / (data.max(0) - data.min(0)), rtol=1e-13)
    np.testing.assert_allclose(MinMaxScaler((-1, 3)).fit_transform(data), scaled * 4 - 1, rtol=1e-12, atol=1e-12)
    assert MinMaxScaler().fit([2.0, 4.0]).transform([8.0, 0.0]).tolist() == [3.0, -1.0]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("shape", [(30, 4), (5, 6, 4), (30,)])
def test_inverse_and_shapes(make, shape):
    data = random_data(*shape)
    scaler = make().fit(data)
    scaled = scaler.transform(data)
    assert scaled.shape == shape
    np.testing.assert_allclose(scaler.inverse_transform(scaled), data, rtol=1e-12)
    if len(shape) > 1:
        np.testing.assert_allclose(scaler.inverse_transform(scaled[..., 2], feature=2), data[..., 2], rtol=1e-12)
        np.testing.assert_allclose(scaler.transform(data.reshape(-1, 4)).reshape(shape), scaled, rtol=1e-14)
    assert scaler.transform(data.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(scaler.transform(data.astype(np.float32)), scaled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", KINDS)
@given(cuts=st.lists(st.integers(0, 20), max_size=4), seed=st.integers(0, 99))
def test_fitting_in_parts_is_fitting_the_whole(make, cuts, seed):
    data = random_data(20, 3, seed=seed) + 1e4
    data[np.random.default_rng(seed).random(data.shape) < 0.2] = np.nan
    whole, parts = make().fit(data), make()
    for part in np.split(data, sorted(cuts)):
        if len(part):
            parts.partial_fit(part)
    np.testing.assert_allclose(parts.offset, whole.offset, rtol=1e-13)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-9)
    np.testing.assert_array_equal(make().fit(data[::-1]).fit(data).scale, whole.scale)


@pytest.mark.parametrize("make", KINDS)
def test_constant_and_unknown_features(make):
    data = np.c_[np.full(9, 0.1), np.arange(9.0), np.full(9, np.nan), np.full(9, 1e9 + 0.1)]
    scaler = make().fit(data)
    scaled = scaler.transform(data)
    low = {StandardScaler: 0.0}.get(type(scaler), getattr(scaler, "feature_range", (0.0,))[0])
    np.testing.assert_allclose(scaled[:, [0, 3]], low, atol=1e-6)
    assert np.isnan(scaled[:, 2]).all()
    assert np.ptp(scaled[:, 1]) > 0.9
    np.testing.assert_allclose(scaler.inverse_transform(scaled)[:, [0, 1, 3]], data[:, [0, 1, 3]], rtol=1e-12)
    assert np.isfinite(scaler.scale).all()
    assert np.isfinite(scaler.offset).all()


def test_nan_is_left_out_and_kept():
    scaled = MinMaxScaler().fit_transform([[1.0], [np.nan], [3.0]])
    np.testing.assert_array_equal(scaled, [[0.0], [np.nan], [1.0]])
    assert StandardScaler().fit([1.0, np.nan, 3.0]).offset.tolist() == [2.0]


@pytest.mark.parametrize("make", KINDS)
def test_each_series_by_itself(make):
    series = [random_data(steps, 2, seed=steps) * steps for steps in (5, 9, 14)]
    scaler = make(per_series=True).fit(series)
    scaled = scaler.transform(series)
    assert scaler.offset.shape == scaler.scale.shape == (3, 2)
    for each, found in zip(series, scaled, strict=True):
        np.testing.assert_allclose(found, make().fit_transform(each), rtol=1e-12)
    for each, found in zip(series, scaler.inverse_transform(scaled), strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-12)
    for each, found in zip(series, scaler.inverse_transform([s[:, 1] for s in scaled], feature=1), strict=True):
        np.testing.assert_allclose(found, each[:, 1], rtol=1e-12)
    block = random_data(4, 6, 2)
    np.testing.assert_allclose(
        make(per_series=True).fit_transform(block)[2], make().fit_transform(block[2]), rtol=1e-12
    )
    flat = make(per_series=True).fit_transform([np.arange(3.0), np.arange(5.0) * 2])
    np.testing.assert_allclose(flat[1], make().fit_transform(np.arange(5.0)), rtol=1e-12)


@pytest.mark.parametrize("make", KINDS)
def test_a_list_of_series_together(make):
    series = [random_data(steps, 2, seed=steps) for steps in (5, 9)]
    scaler = make().fit(series)
    np.testing.assert_allclose(scaler.scale, make().fit(np.concatenate(series)).scale, rtol=1e-12)
    first, second = scaler.transform(series)
    np.testing.assert_array_equal(first, scaler.transform(series[0]))
    assert second.shape == (9, 2)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("per_series", [False, True])
def test_json_round_trip(make, per_series):
    data = random_data(3, 7, 2) / 3
    data[:, :, 1] = np.nan
    scaler = make(per_series=per_series).fit(data)
    again = type(scaler).from_dict(json.loads(json.dumps(scaler.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.transform(data), scaler.transform(data))
    np.testing.assert_array_equal(again.partial_fit(data + 1).scale, scaler.partial_fit(data + 1).scale)
    fresh = type(scaler).from_dict(make().to_dict())
    with pytest.raises(ValueError, match="nothing was fitted yet"):
        fresh.transform(data)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: MinMaxScaler((1, 1)), r"feature_range must rise, got \(1, 1\)"),
        (ValueError, lambda: StandardScaler().transform([1.0]), "nothing was fitted yet"),
        (ValueError, lambda: StandardScaler().fit([]), "at least one number"),
        (ValueError, lambda: StandardScaler().fit(3.0), "at least one axis"),
        (ValueError, lambda: StandardScaler().fit([1.0, np.inf]), "must not hold infinity"),
        (TypeError, lambda: StandardScaler().fit(["a"]), "x must hold real numbers"),
        (ValueError, lambda: StandardScaler().fit(np.eye(3)).transform(np.eye(2)), r"shape \(..., 3\), got \(2, 2\)"),
        (ValueError, lambda: StandardScaler().fit(np.eye(3)).transform(np.ones(3)), r"shape \(..., 3\), got \(3,\)"),
        (ValueError, lambda: StandardScaler().fit(np.eye(3)).partial_fit(np.eye(2)), r"knows \(1, 3\) .* has \(1, 2\)"),
        (ValueError, lambda: StandardScaler().fit([np.eye(3), np.eye(2)]), r"equally many features, got \[3, 2\]"),
        (ValueError, lambda: StandardScaler().fit(np.eye(3)).inverse_transform([1.0], feature=3), r"0\.\.2, got 3"),
        (ValueError, lambda: StandardScaler(per_series=True).fit(np.eye(3)), "takes a list of series"),
        (
            ValueError,
            lambda: StandardScaler(per_series=True).fit(np.ones((2, 3, 1))).transform(np.ones((3, 3, 1))),
            "knows 2 series, got 3",
        ),
        (ValueError, lambda: StandardScaler.from_dict(MinMaxScaler().to_dict()), "not a saved StandardScaler"),
        (ValueError, lambda: MinMaxScaler.from_dict({"kind": "min_max"}), "damaged"),
        (
            ValueError,
            lambda: MinMaxScaler.from_dict({"kind": "min_max", "lowest": [[1]], "highest": [1]}),
            "damaged: its statistics have shapes",
        ),
    ],
)
def test_kind_errors(error, call, message):
    with pytest.raises(error, match=message):
        call()
