import math

import numpy as np
import pytest
from metric_checks import check_metric, gather

from rnnfast.decoding import viterbi
from rnnfast.training.metrics import Accuracy, ConfusionMatrix, EditDistance, EntityF1, Perplexity
from rnnfast.training.metrics._distance import edit_distances

rng = np.random.default_rng(0)


def test_perplexity():
    scores, targets = 3 * rng.standard_normal((7, 5, 4)), rng.integers(0, 4, (7, 5))

    def wanted(scores, targets, weights):
        logs = [math.log(sum(math.exp(s - row[i]) for s in row)) for row, i in zip(scores, targets, strict=True)]
        return math.exp(np.average(logs, weights=weights)) if weights.sum() else np.nan

    check_metric(Perplexity(), scores, targets, wanted)
    before = scores.copy()
    gather(Perplexity(), scores, targets)
    np.testing.assert_array_equal(scores, before)
    single = gather(Perplexity(), (scores + 300).astype(np.float32), targets)
    assert single == pytest.approx(wanted(scores.reshape(-1, 4), targets.ravel(), np.ones(35)), rel=1e-4)
    assert gather(Perplexity(), np.array([[0.0, 5000.0]]), np.array([0])) == math.inf
    assert gather(Perplexity(), np.zeros((3, 5)), np.array([1, -100, 2])) == pytest.approx(5.0, rel=1e-14)


def levenshtein(a, b):
    """By its definition, cell by cell."""
    table = [list(range(len(b) + 1))]
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            row.append(min(table[i][j + 1] + 1, row[j] + 1, table[i][j] + (x != y)))
        table.append(row)
    return table[-1][-1]


def test_edit_distances_are_levenshteins():
    pairs = [(rng.integers(0, 3, rng.integers(0, 9)), rng.integers(0, 3, rng.integers(0, 9))) for _ in range(200)]
    found = edit_distances(*zip(*pairs, strict=True))
    assert found.tolist() == [levenshtein(*pair) for pair in pairs]
    assert edit_distances([], []).shape == (0,)
    assert edit_distances([[], [1]], [[], []]).tolist() == [0, 1]


def ids(B, T, classes=4):
    return rng.integers(0, classes, (B, T))


def test_edit_distance_step_by_step():
    told, targets, mask = ids(9, 6), ids(9, 6), rng.random((9, 6)) < 0.7
    pairs = [(list(t[m]), list(w[m])) for t, w, m in zip(told, targets, mask, strict=True)]
    wanted = sum(levenshtein(t, w) for t, w in pairs) / mask.sum()
    wrong = np.where(mask, targets, 77)
    for cuts in ((), (2, 2, 5)):
        assert gather(EditDistance(), told, wrong, mask, cuts=cuts) == wanted
        assert gather(EditDistance(), np.eye(4)[told], wrong, mask, cuts=cuts) == wanted
    whole = sum(levenshtein(*pair) for pair in zip(told, targets, strict=True)) / targets.size
    assert gather(EditDistance(), told, targets) == whole


@pytest.mark.parametrize("as_list", [False, True])
def test_edit_distance_of_ctc(as_list):
    told, mask = ids(9, 6, 3), np.arange(6) < rng.integers(0, 7, 9)[:, None]
    targets = [rng.integers(1, 3, rng.integers(0, 5)) for _ in range(9)]
    padded = np.array([[*each, *[-1] * (6 - len(each))] for each in targets])

    def collapsed(path):
        return [each for i, each in enumerate(path) if each and (i == 0 or path[i - 1] != each)]

    edits = sum(levenshtein(collapsed(t[m].tolist()), w) for t, m, w in zip(told, mask, targets, strict=True))
    wanted = edits / sum(map(len, targets))
    given = targets if as_list else padded
    assert gather(EditDistance(blank=0), np.eye(3)[told], given, mask) == wanted
    assert gather(EditDistance(blank=0), told, given, mask, cuts=(4,)) == wanted


def test_edit_distance_ends():
    metric = EditDistance(end=9, padding=0)
    assert gather(metric, np.array([[1, 2, 9, 3], [1, 2, 3, 4]]), np.array([[1, 9, 0, 0], [1, 0, 2, 9]])) == 3 / 3
    assert metric.state() == {"edits": 3, "length": 3}


def test_edit_distance_of_words():
    metric = EditDistance(separator=0, name="wer")
    told = np.array([[1, 2, 0, 3, 0, 4, 4, 0], [0, 0, 1, 1, 0, 0, 2, 2]])
    targets = np.array([[1, 2, 0, 0, 3, 0, 4, -1], [1, 1, 0, 2, 2, 0, 3, -1]])
    assert gather(metric, told, targets) == 2 / 6
    assert metric.state() == {"edits": 2, "length": 6}


def test_edit_distance_of_nothing():
    assert math.isnan(gather(EditDistance(), np.zeros((2, 0), int), np.zeros((2, 0), int)))
    assert math.isnan(gather(EditDistance(), np.zeros((0, 3), int), np.zeros((0, 2), int)))
    assert gather(EditDistance(), np.array([[1, 2]]), [[]]) == math.inf
    assert gather(EditDistance(), np.array([[1, 2]]), np.array([[1, 2]]), np.array([True])) == 0.0


@pytest.mark.parametrize(
    ("predictions", "targets", "mask", "message"),
    [
        (
            np.zeros((2, 3)),
            ids(2, 3),
            None,
            r"predictions must be scores .* got float64",
        ),
        (ids(2, 3), ids(3, 3), None, "there are 2 predictions and 3 targets"),
        (ids(2, 3), ids(2, 3), np.ones((2, 4), bool), r"mask must have the first axes of \(2, 3\)"),
    ],
)
def test_what_does_not_fit(predictions, targets, mask, message):
    with pytest.raises(ValueError, match=f"edit_distance: {message}"):
        EditDistance().update(predictions, targets, mask)


def test_conditional_random_fields_are_read_by_their_best_path():
    rng = np.random.default_rng(0)
    potentials, lengths, tags = rng.standard_normal((7, 5, 4, 4)), rng.integers(0, 6, 7), rng.integers(0, 4, (7, 5))
    mask = np.arange(5) < lengths[:, None]
    paths = viterbi(potentials, lengths)[0]
    holed = np.where(mask[..., None, None], potentials, np.nan)
    assert not np.array_equal(paths[mask], potentials[:, :, 0].argmax(axis=-1)[mask])
    wanted = np.where(rng.random((7, 5)) < 0.5, paths, tags)
    assert gather(Accuracy(), holed, wanted, mask, cuts=(3,)) == (paths == wanted)[mask].mean()
    for metric in (EditDistance(), EntityF1(["O", "B-X", "I-X", "B-Y"]), ConfusionMatrix()):
        ids = np.where(mask, paths, 0)
        known = ids if not isinstance(metric, ConfusionMatrix) else np.eye(4)[ids]
        assert gather(metric, holed, wanted, mask, cuts=(3,)) == gather(metric, known, wanted, mask) > 0
