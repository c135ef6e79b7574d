import numpy as np
import pytest
from metric_checks import check_metric, gather

from rnnfast.training.metrics import (
    AUC,
    F1,
    Accuracy,
    BalancedAccuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
    accuracy,
)

rng = np.random.default_rng(0)
B, T, C = 7, 5, 4
SCORES, CLASSES = rng.standard_normal((B, T, C)), rng.integers(0, C, (B, T))
ONE, ZERO_ONE = np.round(rng.standard_normal((B, T, 1)), 1), rng.integers(0, 2, (B, T))
LABELS = rng.integers(0, 2, (B, T, C))


def test_accuracy_counts_largest_scores():
    scores = np.array([[1.0, 3, 2], [0, -1, -2], [5, 5.5, 6]])
    assert accuracy(scores, [1, 0, 0]) == (2, 3)
    assert accuracy(scores, [1, 0, 0], np.array([False, True, True])) == (1, 2)
    assert accuracy(scores, [1, 0, 0], None, np.array([0.5, 2.0, 4.0])) == (2.5, 6.5)
    assert accuracy(scores, [1, 0, 0], np.zeros(3, bool)) == (0, 0)
    assert accuracy(np.zeros((2, 0, 3)), np.zeros((2, 0), int)) == (0, 0)
    assert accuracy(scores, [1, -1, -100]) == (1, 1)


@pytest.mark.parametrize("targets", [[1.0, 0.0, 2.0], [1, 0], [[1], [0], [2]]])
def test_accuracy_refuses(targets):
    with pytest.raises(ValueError, match=r"targets must be integers of shape \(3,\)"):
        accuracy(np.zeros((3, 4)), targets)


def mean(values, weights):
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights) if sum(weights) else np.nan


@pytest.mark.parametrize("one_hot", [False, True])
def test_accuracy(one_hot):
    targets = np.eye(C)[CLASSES] if one_hot else CLASSES

    def wanted(scores, targets, weights):
        ids = targets.argmax(axis=-1) if one_hot else targets
        return mean([row.tolist().index(max(row)) == i for row, i in zip(scores, ids, strict=True)], weights)

    check_metric(Accuracy(), SCORES, targets, wanted)


@pytest.mark.parametrize("threshold", [0.0, 0.3])
@pytest.mark.parametrize("trailing", [False, True])
def test_accuracy_of_one_score(threshold, trailing):
    def wanted(scores, targets, weights):
        return mean([(s > threshold) == t for s, t in zip(scores.ravel(), targets.ravel(), strict=True)], weights)

    check_metric(Accuracy(threshold), ONE, ZERO_ONE[..., None] if trailing else ZERO_ONE, wanted)
    assert gather(Accuracy(threshold), ONE[:, 0, 0], ZERO_ONE[:, 0]) == wanted(ONE[:, 0], ZERO_ONE[:, 0], np.ones(B))


def test_accuracy_of_labels():
    def wanted(scores, targets, weights):
        return mean(((scores > 0.1) == targets).mean(axis=-1), weights)

    metric = Accuracy(0.1, multilabel=True)
    assert metric.name == "binary_accuracy"
    check_metric(metric, SCORES, LABELS, wanted)


@pytest.mark.parametrize("k", [1, 2, 9])
def test_top_k(k):
    def wanted(scores, targets, weights):
        return mean(
            [i in sorted(range(C), key=lambda c: -row[c])[:k] for row, i in zip(scores, targets, strict=True)], weights
        )

    check_metric(TopK(k), SCORES, CLASSES, wanted)


def test_top_k_ties_and_nan():
    metric = TopK(2)
    tied = np.array([[3.0, 1.0, 1.0, 0.0], [3.0, 2.0, 1.0, 1.0], [np.nan, 0.0, 1.0, 2.0], [np.nan, 0.0, 1.0, 2.0]])
    for i, (wanted, right) in enumerate([(2, 1), (3, 0), (0, 0), (3, 1)]):
        assert gather(metric, tied[i : i + 1], np.array([wanted])) == right
    with pytest.raises(ValueError, match="k must be at least 1"):
        TopK(0)


def of_each_class(told, targets, weights, classes):
    """(true positives, told, wanted) of each class, place by place."""
    found = {c: [0.0, 0.0, 0.0] for c in classes}
    for t, w, weight in zip(told, targets, weights, strict=True):
        for c in classes:
            found[c][0] += weight * (t == c == w)
            found[c][1] += weight * (t == c)
            found[c][2] += weight * (w == c)
    return found


RATIOS = {
    Precision: lambda right, told, wanted: right / told if told else 0.0,
    Recall: lambda right, told, wanted: right / wanted if wanted else 0.0,
    F1: lambda right, told, wanted: 2 * right / (told + wanted) if told + wanted else 0.0,
}


def averaged(ratio, counts, average):
    if average == "micro":
        return ratio(*map(sum, zip(*counts, strict=True)))
    found = [ratio(*each) for each in counts if each[1] or each[2]]
    return sum(found) / len(found) if found else 0.0


@pytest.mark.parametrize("metric", RATIOS)
@pytest.mark.parametrize("average", [None, "macro", "micro"])
def test_ratios_of_classes(metric, average):
    def wanted(scores, targets, weights):
        if not weights.sum():
            return np.nan
        counts = of_each_class(scores.argmax(axis=-1), targets, weights, range(C + 2))
        return averaged(RATIOS[metric], counts.values(), average)

    # Two classes that are never wanted, one of which is never told.
    scores = np.concatenate([SCORES, SCORES[..., :1] - 0.1, np.full((B, T, 1), -9.0)], axis=-1)
    scores[0, 0, C] = 9.0
    check_metric(metric(average), scores, CLASSES, wanted)


@pytest.mark.parametrize("metric", RATIOS)
@pytest.mark.parametrize("average", [None, "binary", "macro", "micro"])
@pytest.mark.parametrize("scores", [1, 2])
def test_ratios_of_two_classes(metric, average, scores):
    def wanted(predictions, targets, weights):
        if not weights.sum():
            return np.nan
        told = predictions[:, 0] > 0 if scores == 1 else predictions[:, 1] > predictions[:, 0]
        of_class_1 = average == "binary" or (average is None and scores == 1)
        counts = of_each_class(told, targets, weights, [1] if of_class_1 else [0, 1])
        return averaged(RATIOS[metric], counts.values(), average)

    check_metric(metric(average), ONE if scores == 1 else SCORES[..., :2], ZERO_ONE, wanted)


@pytest.mark.parametrize("metric", RATIOS)
@pytest.mark.parametrize("average", [None, "micro"])
def test_ratios_of_labels(metric, average):
    def wanted(scores, targets, weights):
        if not weights.sum():
            return np.nan
        told = scores > 0
        counts = [of_each_class(told[:, c], targets[:, c], weights, [1])[1] for c in range(C)]
        return averaged(RATIOS[metric], counts, average)

    check_metric(metric(average, multilabel=True), SCORES, LABELS, wanted)


def test_balanced_accuracy():
    def wanted(scores, targets, weights):
        told = scores.argmax(axis=-1) if scores.shape[1] > 1 else scores[:, 0] > 0
        counts = of_each_class(told, targets, weights, range(C)).values()
        found = [right / wanted for right, _, wanted in counts if wanted]
        return sum(found) / len(found) if found else np.nan

    check_metric(BalancedAccuracy(), SCORES, CLASSES % 3, wanted)
    check_metric(BalancedAccuracy(), ONE, ZERO_ONE, wanted)


def test_no_positive_anywhere():
    for metric in RATIOS:
        assert gather(metric(), np.array([-1.0, -2.0]), np.array([0, 0])) == 0.0


def test_confusion_matrix():
    def wanted(scores, targets, weights):
        return mean(scores.argmax(axis=-1) == targets, weights)

    metric = ConfusionMatrix()
    check_metric(metric, SCORES, CLASSES, wanted)
    gather(metric, SCORES, CLASSES, cuts=(3,))
    counts = np.zeros((C, C), int)
    for told, want in zip(SCORES.argmax(axis=-1).ravel(), CLASSES.ravel(), strict=True):
        counts[want, told] += 1
    np.testing.assert_array_equal(metric.counts, counts)
    assert metric.counts.dtype == np.int64
    gather(metric, ONE, ZERO_ONE, weights=np.full((B, T), 0.5))
    assert metric.counts.shape == (2, 2)
    assert metric.counts[0, 1] == 0.5 * ((ONE[..., 0] > 0) & (ZERO_ONE == 0)).sum()


def pairs(scores, targets, weights):
    right = whole = 0.0
    for s, t, w in zip(scores, targets, weights, strict=True):
        for s0, t0, w0 in zip(scores, targets, weights, strict=True):
            if t == 1 and t0 == 0:
                whole += w * w0
                right += w * w0 * (1.0 if s > s0 else 0.5 if s == s0 else 0.0)
    return right / whole if whole else np.nan


def test_auc_counts_pairs():
    assert len(np.unique(ONE)) < ONE.size  # there are ties
    check_metric(AUC(), ONE, ZERO_ONE, lambda scores, *rest: pairs(scores[:, 0], *rest))
    check_metric(AUC(), SCORES[..., :2], ZERO_ONE, lambda scores, *rest: pairs(scores[:, 1] - scores[:, 0], *rest))


def test_auc_of_few():
    assert gather(AUC(), np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1])) == 0.875
    assert np.isnan(gather(AUC(), np.array([1.0, 2.0]), np.array([1, 1])))
    assert np.isnan(gather(AUC(), np.array([1.0, np.nan, 3.0]), np.array([0, 1, 1])))
    scores = np.array([1.0, 2.0])
    metric = AUC()
    metric.update(scores, np.array([0, 1]))
    scores[:] = 0.0
    assert metric.result() == 1.0


@pytest.mark.parametrize(
    ("metric", "predictions", "targets", "error", "message"),
    [
        (F1(), SCORES, CLASSES + 1, ValueError, "f1: targets must be less than the number of classes, 4, got 4"),
        (TopK(), SCORES, CLASSES[:2], ValueError, r"top_5_accuracy: targets must be integers of shape \(7, 5\)"),
        (F1(), ONE, ZERO_ONE + 1, ValueError, "f1: targets must be 0 or 1"),
        (F1(), ONE, ZERO_ONE[:, 1:], ValueError, r"f1: targets must have shape \(7, 5, 1\), got \(7, 4\)"),
        (F1("binary"), SCORES, CLASSES, ValueError, "f1: average='binary' is for 2 classes, there are 4"),
        (AUC(), SCORES, CLASSES, ValueError, "auc: it is for two classes, the predictions have 4 scores"),
        (Recall(), SCORES, CLASSES, TypeError, "recall: mask must be boolean"),
    ],
)
def test_what_does_not_fit(metric, predictions, targets, error, message):
    with pytest.raises(error, match=message):
        metric.update(predictions, targets, np.ones((B, T)) if error is TypeError else None)


def test_classes_do_not_change():
    metric = F1()
    metric.update(SCORES, CLASSES)
    with pytest.raises(ValueError, match="f1: there were 4 classes, now there are 3"):
        metric.update(SCORES[..., :3], CLASSES % 3)
    with pytest.raises(ValueError, match="average must be"):
        F1("weighted")
