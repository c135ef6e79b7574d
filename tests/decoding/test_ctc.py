import itertools
import math

import numpy as np
import pytest
from checks import awkward, ragged

from rnnfast import ops
from rnnfast.decoding import ctc_beam_search, ctc_greedy


def draw(*shape, seed=0, scale=1.5):
    return np.random.default_rng([seed, *shape]).normal(size=shape) * scale


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def read(path, blank=0):
    return tuple(int(symbol) for symbol, _ in itertools.groupby(path) if symbol != blank)


def by_paths(logits, blank=0):
    """log p of all labels that can be read, by going through every path."""
    log_p = log_softmax(logits)
    T, C = log_p.shape
    found = {}
    for path in itertools.product(range(C), repeat=T):
        labels = read(path, blank)
        found[labels] = found.get(labels, 0.0) + math.exp(sum(log_p[t, k] for t, k in enumerate(path)))
    return {labels: math.log(p) for labels, p in found.items()}


def by_dictionaries(logits, beam_size, scorer):
    """Prefix beam search as it is written down, one sequence, with probabilities."""
    p = np.exp(log_softmax(logits))
    beam = {(): (1.0, 0.0)}

    def bonus(labels):
        return sum(scorer(np.array(labels[:i], int))[label] for i, label in enumerate(labels))

    for row in p:
        found = {}

        def add(labels, blank, label, found=found):
            before = found.get(labels, (0.0, 0.0))
            found[labels] = before[0] + blank, before[1] + label

        for labels, (in_blank, in_label) in beam.items():
            add(labels, (in_blank + in_label) * row[0], in_label * row[labels[-1]] if labels else 0.0)
            for k in range(1, len(row)):
                add((*labels, k), 0.0, (in_blank if labels and labels[-1] == k else in_blank + in_label) * row[k])
        beam = dict(sorted(found.items(), key=lambda item: -math.log(max(sum(item[1]), 1e-300)) - bonus(item[0])))
        beam = {labels: beam[labels] for labels in list(beam)[:beam_size] if sum(beam[labels]) > 0}
    return [(labels, math.log(sum(each)) + bonus(labels)) for labels, each in beam.items()]


@pytest.mark.parametrize(("T", "C", "blank"), [(1, 3, 0), (4, 3, 0), (4, 3, 2), (5, 2, 1), (3, 4, 1), (5, 1, 0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_all(T, C, blank, seed):
    x = draw(T, C, seed=seed)
    wanted = sorted(by_paths(x, blank).items(), key=lambda item: -item[1])
    found = ctc_beam_search(x, beam_size=200, n_best=150, blank=blank)
    assert [tuple(each.labels) for each in found] == [labels for labels, _ in wanted]
    assert np.allclose([each.score for each in found], [p for _, p in wanted], rtol=0, atol=1e-12)


@pytest.mark.parametrize("T", [1, 4, 6])
def test_greedy_is_the_best_path(T):
    x = draw(3, T, 3)
    for row, found in zip(x, ctc_greedy(x), strict=True):
        log_p = log_softmax(row)
        best = max(itertools.product(range(3), repeat=T), key=lambda path: sum(log_p[np.arange(T), path]))
        assert tuple(found.labels) == read(best)
        assert found.labels.dtype == np.int64
        assert abs(found.score - log_p.max(axis=1).sum()) < 1e-12


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("scored", [False, True])
def test_a_narrow_beam(beam_size, scored):
    """Beginnings leave the beam and come back, and so do those that go on from them."""
    table = draw(5, 5, seed=9)

    def scorer(labels):
        return table[labels[-1] if len(labels) else 0] + 0.1 * len(labels)

    x = draw(4, 30, 5, seed=beam_size)
    found = ctc_beam_search(x, beam_size=beam_size, n_best=beam_size, scorer=scorer if scored else None)
    for row, best in zip(x, found, strict=True):
        wanted = by_dictionaries(row, beam_size, scorer if scored else lambda labels: np.zeros(5))
        assert [tuple(each.labels) for each in best] == [labels for labels, _ in wanted]
        assert np.allclose([each.score for each in best], [p for _, p in wanted], rtol=0, atol=1e-9)


def test_a_scorer_with_all_beginnings():
    table = np.log([[9.0, 1.0, 2.0], [9.0, 3.0, 1.0], [np.nan, 1.0, 0.5]])
    asked = []

    def scorer(labels):
        asked.append(tuple(labels))
        return table[labels[-1] if len(labels) else 0]

    x = draw(4, 3)
    exact = {
        labels: p + sum(table[a, b] for a, b in itertools.pairwise((0, *labels))) for labels, p in by_paths(x).items()
    }
    wanted = sorted(exact.items(), key=lambda item: -item[1])
    found = ctc_beam_search(x, beam_size=50, n_best=40, scorer=scorer)
    assert [tuple(each.labels) for each in found] == [labels for labels, _ in wanted]
    assert np.allclose([each.score for each in found], [p for _, p in wanted], rtol=0, atol=1e-12)
    assert len(asked) == len(set(asked))
    forbidden = ctc_beam_search(x, beam_size=50, n_best=40, scorer=lambda labels: [0, 0, -np.inf])
    assert {tuple(each.labels) for each in forbidden} == {(), (1,), (1, 1)}


def test_the_score_is_the_losses():
    x = draw(3, 6, 4)
    found = ctc_beam_search(x, beam_size=1100)
    labels = [best[0].labels for best in found]
    losses, _ = ops.ctc(x, np.concatenate(labels), [len(each) for each in labels], [6] * 3, np.ones(3))
    assert np.allclose([best[0].score for best in found], -losses, rtol=0, atol=1e-10)


@pytest.mark.parametrize("function", [ctc_greedy, ctc_beam_search])
def test_lengths_and_layouts(function):
    x, lengths = draw(5, 7, 4), ragged(5, 7)

    def flat(found):
        found = [each if isinstance(each, list) else [each] for each in found]
        return [[(tuple(each.labels), each.score) for each in best] for best in found]

    alone = flat([function(row[:length]) for row, length in zip(x, lengths, strict=True)])
    assert alone[1] == [((), 0.0)]
    x[np.arange(7) >= lengths[:, None]] = np.nan
    for name, array in awkward(x):
        assert flat(function(array, lengths)) == alone, name
    assert flat([function(x[0], lengths[0])]) == alone[:1]
    assert function(np.zeros((0, 3, 4))) == []
    assert flat(function(np.zeros((2, 0, 4)))) == [[((), 0.0)], [((), 0.0)]]


def test_a_class_that_never_comes():
    x = draw(5, 3)
    x[:, 2] = -np.inf
    found = ctc_beam_search(x, beam_size=50, n_best=50)
    assert {tuple(each.labels) for each in found} == {(), (1,), (1, 1), (1, 1, 1)}
    assert 2 not in ctc_greedy(x).labels


@pytest.mark.parametrize("function", [ctc_greedy, ctc_beam_search])
def test_errors(function):
    for shape in ((4,), (1, 2, 3, 4), (2, 3, 0)):
        with pytest.raises(ValueError, match=r"logits must have shape \(B, T, C\) or \(T, C\), got"):
            function(np.zeros(shape))
    with pytest.raises(TypeError, match="logits must hold real numbers"):
        function(np.zeros((2, 3), complex))
    for blank in (3, -1, 1.0):
        with pytest.raises(ValueError, match=f"blank must be a class, 0 to 2, got {blank}"):
            function(np.zeros((2, 3)), blank=blank)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="logits must not be nan"):
            function([[0.0, bad]])
    with pytest.raises(ValueError, match="logits must not be nan"):
        function([[-np.inf, -np.inf]])
    with pytest.raises(ValueError, match="lengths must be from 0 to 3"):
        function(np.zeros((1, 3, 4)), [4])


def test_errors_of_the_beam():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="n_best must be at most beam_size, 2, got 3"):
        ctc_beam_search(x, beam_size=2, n_best=3)
    with pytest.raises(ValueError, match="beam_size must be at least 1"):
        ctc_beam_search(x, beam_size=0)
    for bad in (np.zeros(2), np.full(3, np.nan), np.full(3, np.inf), 0.0):
        with pytest.raises(ValueError, match="the scorer must return 3 numbers"):
            ctc_beam_search(x, scorer=lambda labels, bad=bad: bad)
