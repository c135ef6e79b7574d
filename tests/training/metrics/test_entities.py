import numpy as np
import pytest
from metric_checks import gather

from rnnfast.training.metrics import EntityF1

TAGS = [f"{prefix}-{kind}" for kind in ("LOC", "PER") for prefix in "BIES"]
TAGS.insert(3, "O")


def ids(*sentences):
    rows = [[TAGS.index(tag) for tag in sentence.split()] for sentence in sentences]
    return np.array([[*row, *[-1] * (max(map(len, rows)) - len(row))] for row in rows])


def counted(told, targets, **how):
    metric = EntityF1(TAGS)
    metric.update(told, targets, **how)
    return metric.counts.sum(axis=1).tolist()


# How many entities there are, and where they end and begin, as conlleval's rules have it.
@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("O O", 0),
        ("B-PER I-PER O B-PER", 2),
        ("B-PER B-PER I-PER", 2),
        ("I-PER I-PER O I-PER", 2),
        ("I-PER I-LOC I-LOC", 2),
        ("B-PER I-LOC", 2),
        ("O I-PER B-PER", 2),
        ("S-PER S-PER", 2),
        ("B-PER I-PER E-PER", 1),
        ("B-PER E-PER E-PER", 2),
        ("B-PER E-PER I-PER", 2),
        ("S-PER I-PER E-PER", 2),
        ("E-PER E-LOC", 2),
        ("B-PER S-PER E-PER", 3),
    ],
)
def test_where_entities_are(tags, entities):
    assert counted(ids(tags), ids(tags)) == [entities] * 3
    twice = ids(tags, tags)
    assert counted(twice, twice) == [2 * entities] * 3


@pytest.mark.parametrize(
    ("told", "wanted", "counts"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", [1, 1, 1]),
        ("B-PER O O", "B-PER I-PER O", [0, 1, 1]),
        ("B-PER I-PER I-PER", "B-PER I-PER O", [0, 1, 1]),
        ("O I-PER O", "B-PER I-PER O", [0, 1, 1]),
        ("B-LOC I-LOC O", "B-PER I-PER O", [0, 1, 1]),
        ("I-PER I-PER O", "B-PER I-PER O", [1, 1, 1]),
        ("B-PER I-PER E-PER", "I-PER I-PER I-PER", [1, 1, 1]),
        ("B-PER B-PER O", "B-PER I-PER O", [0, 2, 1]),
        ("B-PER I-LOC O", "B-PER I-PER O", [0, 2, 1]),
        ("S-PER O S-LOC", "B-PER O B-LOC", [2, 2, 2]),
        ("O O O", "B-PER O S-LOC", [0, 0, 2]),
    ],
)
def test_what_is_right(told, wanted, counts):
    assert counted(ids(told), ids(wanted)) == counts
    metric = EntityF1(TAGS)
    right, told_number, wanted_number = counts
    assert gather(metric, ids(told), ids(wanted)) == 2 * right / (told_number + wanted_number)


def by_definition(tags):
    """Entities of a sentence as (first, last, type), place by place."""
    found, begun = set(), None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        before, _, kind_before = (tags[i - 1] if i else "O").partition("-")
        ends = before in "ES" or (before in "BI" and (prefix in "BSO" or kind != kind_before))
        if begun is not None and ends:
            found.add((begun, i - 1, kind_before))
            begun = None
        if prefix in "BS" or (prefix in "IE" and (before in "OES" or kind != kind_before)):
            begun = i
    return found


def test_random_tags_with_holes():
    rng = np.random.default_rng(0)
    told, wanted = rng.integers(0, len(TAGS), (2, 60, 9))
    wanted = np.where(rng.random((60, 9)) < 0.6, told, wanted)
    mask, ignored = rng.random((60, 9)) < 0.8, rng.random((60, 9)) < 0.1
    counts = np.zeros(3, int)
    per = 0
    for t, w, m in zip(told, wanted, mask & ~ignored, strict=True):
        a, b = (by_definition([TAGS[i] for i in row[m]]) for row in (t, w))
        counts += len(a & b), len(a), len(b)
        per += sum(kind == "PER" for *_, kind in b)
    assert counts[0] > 50
    metric = EntityF1(TAGS)
    scores = np.where(mask[..., None], np.eye(len(TAGS))[told], np.nan)
    targets = np.where(mask, np.where(ignored, -100, wanted), 999)
    for cuts in ((), (1, 20, 20)):
        assert gather(metric, scores, targets, mask, cuts=cuts) == 2 * counts[0] / (counts[1] + counts[2])
    assert metric.counts.sum(axis=1).tolist() == counts.tolist()
    assert metric.by_type()["PER"]["entities"] == per
    assert gather(metric, told, wanted, rng.random(60) < 0.5) > 0


def test_by_type():
    metric = EntityF1(TAGS)
    metric.update(ids("B-PER O S-LOC S-LOC"), ids("B-PER O S-LOC O"))
    assert metric.by_type() == {
        "LOC": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "entities": 1},
        "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "entities": 1},
    }
    assert np.isnan(gather(metric, ids("O"), ids("O")))
    assert np.isnan(gather(metric, np.zeros((2, 0), int), np.zeros((2, 0), int)))


def test_other_schemes():
    old = EntityF1(["O", "I-NP", "B-NP", "L-NP", "U-NP"])
    assert gather(old, np.array([[1, 1, 2, 3, 4]]), np.array([[1, 1, 1, 1, 4]])) == 2 / 5
    assert gather(EntityF1(["B-a-b", "I-a-b"]), np.array([[0, 1]]), np.array([[0, 1]])) == 1.0


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["O", "X-PER"], "entity_f1: tags must be 'O' or like 'B-PER', got 'X-PER'"),
        (["O", "O-PER"], "got 'O-PER'"),
        ([], "tags must be a list"),
        ("O", "tags must be a list of 'O', .*, got 'O'"),
    ],
)
def test_tags_that_are_none(tags, message):
    with pytest.raises(ValueError, match=message):
        EntityF1(tags)


@pytest.mark.parametrize(
    ("told", "wanted", "message"),
    [
        ([[0, 9]], [[0, 0]], "predictions must be ids of the 9 tags, got 9"),
        ([[0, 0]], [[0, 9]], "targets must be ids of the 9 tags, got 9"),
        ([[0, 0]], [[0]], r"targets must be integers of shape \(1, 2\)"),
        ([[0, -1]], [[0, 0]], "predictions must be ids"),
    ],
)
def test_what_does_not_fit(told, wanted, message):
    with pytest.raises(ValueError, match=f"entity_f1: {message}"):
        EntityF1(TAGS).update(np.array(told), np.array(wanted))
