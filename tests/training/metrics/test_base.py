import json

import numpy as np
import pytest

from rnnfast.training.metrics import Mean
from rnnfast.training.metrics._places import mean_of, places, sum_over_places


def test_weights_go_to_functions_that_take_them():
    seen = []

    def plain(predictions, targets, mask):
        seen.append(mask)
        return 1.0, 2

    def weighted(predictions, targets, mask=None, weights=None):
        return float(weights.sum()), 1.0

    mask = np.array([True, False])
    for function, total in ((plain, 1.0), (weighted, 5.0)):
        metric = Mean(function, name="mine")
        metric.update(None, None, mask, weights=np.array([2.0, 3.0]))
        assert metric.state()["total"] == total
        assert metric.name == "mine"
    assert seen == [mask]


def test_state_is_exact():
    metric = Mean(lambda *what: (np.float32(0.1), np.int64(3)), name="tenth")
    metric.update(None, None)
    metric.update(None, None)
    again = Mean(name="tenth")
    again.load_state(json.loads(json.dumps(metric.state())))
    assert again.state() == metric.state() == {"total": 2 * float(np.float32(0.1)), "count": 6}
    with pytest.raises(ValueError, match="tenth: the state must hold total, count, got total"):
        again.load_state({"total": 1.0})
    with pytest.raises(ValueError, match="got list"):
        again.load_state([])


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 2)])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("extra", [(), (5,)])
def test_places_takes_what_counts(shape, axes, extra):
    rng = np.random.default_rng(0)
    array = rng.standard_normal(shape + extra)
    mask = rng.random(shape[:axes]) < 0.6
    weights = rng.random(shape[:1])
    take, found = places("name", shape, mask, weights)
    wanted = [(array[i], weights[i[0]]) for i in np.ndindex(*shape) if mask[i[:axes]]]
    np.testing.assert_array_equal(take(array), np.array([each for each, _ in wanted]))
    np.testing.assert_array_equal(found, [weight for _, weight in wanted])
    total = sum(weight * each.sum() for each, weight in wanted)
    assert mean_of(take(array), found) == pytest.approx((total, sum(w for _, w in wanted) * (extra or (1,))[0]))
    assert sum_over_places(take(array), found).sum() == pytest.approx(total)
    take, found = places("name", shape)
    assert found is None
    assert mean_of(take(array), None) == pytest.approx((array.sum(), array.size))


def test_what_has_no_weight_is_not_read():
    take, weights = places("name", (3,), np.array([True, True, False]), np.array([2.0, 0.0, np.nan]))
    assert mean_of(take(np.array([1.5, np.nan, np.inf])), weights) == (3.0, 2.0)


def test_nothing_counts():
    for shape in ((0,), (2, 0), (0, 3)):
        take, weights = places("name", shape, np.zeros(shape, bool), np.ones(shape))
        assert take(np.zeros((*shape, 4))).shape == (0, 4)
        assert mean_of(take(np.zeros((*shape, 4))), weights) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("mask", "weights", "error", "message"),
    [
        (np.ones((4,), bool), None, ValueError, r"name: mask must have the first axes of \(3, 4\), .* got \(4,\)"),
        (np.ones((3, 4)), None, TypeError, "name: mask must be boolean"),
        (None, np.ones((3, 5)), ValueError, r"name: weights must have the first axes of \(3, 4\), .* got \(3, 5\)"),
        (None, np.array([1.0, -1.0, 1.0]), ValueError, "name: weights must be numbers that are not negative"),
        (None, np.array([1.0, np.nan, 1.0]), ValueError, "name: weights must be"),
    ],
)
def test_masks_and_weights_that_do_not_fit(mask, weights, error, message):
    with pytest.raises(error, match=message):
        places("name", (3, 4), mask, weights)
