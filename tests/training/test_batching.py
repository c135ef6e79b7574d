from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.training import Buckets, TokenBudget

some_lengths = st.lists(st.integers(0, 40), max_size=60)
seeds = st.none() | st.integers(0, 2**32)
rising = st.lists(st.integers(0, 50), unique=True, min_size=1, max_size=5).map(sorted)
boundaries = st.none() | st.integers(1, 7) | rising


def generator(seed):
    return None if seed is None else np.random.default_rng(seed)


def members(batches):
    return sorted(row for batch in batches for row in batch.tolist())


@given(some_lengths, st.integers(1, 9), boundaries, seeds)
def test_buckets_hold_every_sequence_once(lengths, batch_size, boundaries, seed):
    sampler = Buckets(batch_size, boundaries)
    batches = sampler(lengths, generator(seed))
    assert members(batches) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    again = sampler(np.array(lengths, dtype=np.int32), generator(seed))
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in batches]


@given(some_lengths, st.integers(1, 9), boundaries, seeds)
def test_dropping_leaves_full_batches_and_less_than_one_a_bucket(lengths, batch_size, boundaries, seed):
    batches = Buckets(batch_size, boundaries, drop_last=True)(lengths, generator(seed))
    kept = members(batches)
    assert len(set(kept)) == len(kept)
    assert all(len(batch) == batch_size for batch in batches)
    number = 1 if boundaries is None else boundaries if isinstance(boundaries, int) else len(boundaries) + 1
    assert len(lengths) - len(kept) <= number * (batch_size - 1)
    if boundaries is None:
        assert len(kept) == len(lengths) // batch_size * batch_size


@given(some_lengths, st.integers(1, 90), st.none() | st.integers(1, 6), seeds)
def test_budget_is_kept_and_used(lengths, max_tokens, max_sequences, seed):
    lengths = [min(length, max_tokens) for length in lengths]
    batches = TokenBudget(max_tokens, max_sequences)(lengths, generator(seed))
    assert members(batches) == list(range(len(lengths)))

    def fits(size, longest):
        return size * max(longest, 1) <= max_tokens and size <= (max_sequences or size)

    spans = sorted(([lengths[row] for row in batch] for batch in batches), key=lambda found: (min(found), max(found)))
    for found in spans:
        assert fits(len(found), max(found))
        assert found == sorted(found)
    for found, following in pairwise(spans):
        assert max(found) <= min(following)
        assert not fits(len(found) + 1, min(following)) or min(found) == max(following)


def test_known_batches():
    lengths = [5, 1, 5, 3, 9, 1, 4]
    assert [batch.tolist() for batch in Buckets(3)(lengths, None)] == [[1, 5, 3], [6, 0, 2], [4]]
    assert [batch.tolist() for batch in Buckets(2, [1, 5])(lengths, None)] == [[1, 5], [0, 2], [3, 6], [4]]
    assert [batch.tolist() for batch in Buckets(4, 2)(lengths, None)] == [[1, 3, 5, 6], [0, 2, 4]]
    assert [batch.tolist() for batch in TokenBudget(10)(lengths, None)] == [[1, 5, 3], [6, 0], [2], [4]]
    assert [batch.tolist() for batch in TokenBudget(10, 2)(lengths, None)] == [[1, 5], [3, 6], [0, 2], [4]]


def test_sorting_pads_less_than_buckets_and_buckets_less_than_chance():
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 200, 997)

    def padded(batches):
        return sum(len(batch) * lengths[batch].max() for batch in batches)

    at_random = np.array_split(rng.permutation(997), np.arange(32, 997, 32))
    counted = [padded(batches) / lengths.sum() for batches in (Buckets(32)(lengths, rng), Buckets(32, 8)(lengths, rng))]
    assert 1.0 < counted[0] < 1.04
    assert counted[0] < counted[1] < 1.25
    assert padded(at_random) / lengths.sum() > 1.8


@pytest.mark.parametrize("sampler", [Buckets(4), Buckets(4, 3), Buckets(4, [6, 9]), TokenBudget(40)])
def test_batches_come_in_another_order_each_epoch(sampler):
    lengths = np.random.default_rng(0).integers(1, 12, 100)
    rng = np.random.default_rng(1)
    first, second = sampler(lengths, rng), sampler(lengths, rng)
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    longest = [lengths[batch].max() for batch in first]
    assert longest != sorted(longest)
    assert {tuple(sorted(batch.tolist())) for batch in first} != {tuple(sorted(batch.tolist())) for batch in second}


def test_what_is_dropped_differs_from_epoch_to_epoch_and_is_not_always_the_longest():
    lengths = np.arange(1, 12)
    rng = np.random.default_rng(0)
    dropped = {
        row for _ in range(60) for row in set(range(11)) - set(members(Buckets(5, drop_last=True)(lengths, rng)))
    }
    assert dropped == set(range(11))


@pytest.mark.parametrize("sampler", [Buckets(4), Buckets(4, 3), Buckets(4, [6, 9]), TokenBudget(40)])
def test_no_sequences(sampler):
    assert sampler([], None) == []
    assert sampler(np.zeros(0, dtype=int), np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Buckets(0), "batch_size must be at least 1, got 0"),
        (lambda: Buckets(2, 0), "boundaries must be at least 1, got 0"),
        (lambda: Buckets(2, [3, 3]), r"boundaries must be whole numbers that rise, got \[3, 3\]"),
        (lambda: Buckets(2, []), "whole numbers that rise"),
        (lambda: Buckets(2, [0.5]), "whole numbers that rise"),
        (lambda: Buckets(2, [-1, 2]), "whole numbers that rise"),
        (lambda: TokenBudget(0), "max_tokens must be at least 1, got 0"),
        (lambda: TokenBudget(5, 0), "max_sequences must be at least 1, got 0"),
        (lambda: TokenBudget(5)([1, 6, 7], None), "sequence 2 is 7 long, longer than max_tokens=5"),
        (lambda: Buckets(2)([1, -2], None), "must not be negative, got -2"),
        (lambda: Buckets(2)([[1, 2]], None), r"got shape \(1, 2\)"),
        (lambda: Buckets(2)([1.0], None), "dtype float64"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
