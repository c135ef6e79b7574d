from collections import Counter

import numpy as np
import pytest

from rnnfast.data import tasks


def may_follow(prefix, language):
    """Which symbols follow a prefix in any string of the language (0: the string may end)."""
    following = set()
    for string in language:
        if string[: len(prefix)] == prefix:
            following.add(string[len(prefix)] if len(string) > len(prefix) else 0)
    return following


@pytest.mark.parametrize(("task", "kinds"), [(tasks.a_n_b_n, 2), (tasks.a_n_b_n_c_n, 3)])
def test_equal_runs(task, kinds):
    x, y, lengths = task(60, 5, min_n=2, seed=0)
    assert x.shape == (60, 5 * kinds + 1)
    assert y.shape == (60, 5 * kinds + 1, kinds + 1)
    assert y.dtype == np.float32
    language = [[symbol for symbol in range(1, kinds + 1) for _ in range(n)] for n in range(1, 20)]
    assert set(lengths.tolist()) == {kinds * n + 1 for n in range(2, 6)}
    for row, answers, length in zip(x.tolist(), y, lengths, strict=True):
        assert row[1:length] in language
        assert row[0] == 0
        assert not any(row[length:])
        assert not answers[length:].any()
        for step in range(length):
            assert set(np.flatnonzero(answers[step]).tolist()) == may_follow(row[1 : step + 1], language)
    assert set(y.ravel().tolist()) == {0.0, 1.0}


def brackets(pairs, kinds, max_depth, depth=0):
    """All strings of so many pairs, as tuples."""
    if not pairs:
        return [()]
    strings = []
    for inner in range(pairs):
        for middle in brackets(inner, kinds, max_depth, depth + 1) if depth < max_depth else []:
            for rest in brackets(pairs - 1 - inner, kinds, max_depth, depth):
                strings += [(kind, *middle, kinds + kind, *rest) for kind in range(1, kinds + 1)]
    return strings


@pytest.mark.parametrize(("kinds", "max_depth"), [(1, None), (2, None), (2, 2), (3, 1), (1, 9)])
def test_dyck(kinds, max_depth):
    x, y, lengths = tasks.dyck(200, 4, kinds=kinds, max_depth=max_depth, min_pairs=0, seed=7)
    assert x.shape == (200, 9)
    assert y.shape == (200, 9, 2 * kinds + 1)
    assert set(lengths.tolist()) == {1, 3, 5, 7, 9}
    language = {string for pairs in range(5) for string in brackets(pairs, kinds, max_depth or 99)}
    for row, answers, length in zip(x.tolist(), y, lengths, strict=True):
        assert tuple(row[1:length]) in language
        assert not any(row[length:])
        assert not answers[length:].any()
        stack = []
        for step in range(length):
            symbol = row[step]
            if 0 < symbol <= kinds:
                stack.append(symbol)
            elif symbol:
                assert stack.pop() == symbol - kinds
            expected = {kinds + stack[-1]} if stack else {0}
            if max_depth is None or len(stack) < max_depth:
                expected |= set(range(1, kinds + 1))
            assert set(np.flatnonzero(answers[step]).tolist()) == expected


@pytest.mark.parametrize("max_depth", [None, 2])
def test_dyck_strings_are_equally_likely(max_depth):
    x, _, _ = tasks.dyck(6000, 4, max_depth=max_depth, min_pairs=4, seed=3)
    counts = Counter(map(tuple, x[:, 1:].tolist()))
    language = brackets(4, 1, max_depth or 99)
    assert len(language) == (8 if max_depth else 14)
    assert set(counts) == set(language)
    expected = 6000 / len(language)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 35


def test_long_dyck_strings_do_not_overflow():
    x, _, lengths = tasks.dyck(2, 1200, min_pairs=1200, seed=0)
    assert lengths.tolist() == [2401, 2401]
    depth = np.cumsum(np.where(x[:, 1:] == 1, 1, -1), axis=1)
    assert (depth[:, -1] == 0).all()
    assert depth.min() == 0
    assert depth.max() > 20


@pytest.mark.parametrize("task", [tasks.a_n_b_n, tasks.a_n_b_n_c_n, tasks.dyck])
def test_the_seed_decides(task):
    first, second, other = task(9, 12, seed=1), task(9, 12, seed=1), task(9, 12, seed=2)
    for one, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, same)
    assert (first[0] != other[0]).any()
    assert all(len(array) == 0 for array in task(0, 5, seed=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.a_n_b_n(1, 0), "max_n must be at least 1, got 0"),
        (lambda: tasks.a_n_b_n(1, 3, min_n=4), "max_n must be at least 4, got 3"),
        (lambda: tasks.a_n_b_n_c_n(1, 3, min_n=0), "min_n must be at least 1, got 0"),
        (lambda: tasks.dyck(1, 0), "max_pairs must be at least 1, got 0"),
        (lambda: tasks.dyck(1, kinds=0), "kinds must be at least 1, got 0"),
        (lambda: tasks.dyck(1, max_depth=0), "max_depth must be at least 1, got 0"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
