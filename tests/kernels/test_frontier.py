import heapq

import numpy as np
import pytest

from rnnfast.kernels._frontier import Frontier

START, STOP = 1, 2


class Plain:
    """The search of one row by Python's own heap."""

    def __init__(self, beam_size):
        self.beam_size, self.carried, self.waiting = beam_size, [], []
        self.seen, self.gone_on, self.best = {}, {}, None

    def add(self, parent, token, length, score, log_probs):
        order = sorted(range(len(log_probs)), key=lambda k: (-log_probs[k], k))
        likeliest = [k for k in order if log_probs[k] > -np.inf][: self.beam_size + 1]
        self.carried.append((parent, token, length, score, [(float(log_probs[k]), k) for k in likeliest]))
        self.wait(len(self.carried) - 1, 0)

    def wait(self, number, which):
        _, _, _, score, continuations = self.carried[number]
        if which < len(continuations):
            heapq.heappush(self.waiting, (-(score + continuations[which][0]), number, which))

    def next(self):
        while self.waiting:
            negative, number, which = heapq.heappop(self.waiting)
            self.wait(number, which + 1)
            length, token = self.carried[number][2] + 1, self.carried[number][4][which][1]
            rank = self.seen[length] = self.seen.get(length, -1) + 1
            if token == STOP:
                if rank < self.beam_size:
                    self.best = number, -negative
                    return None
            elif self.gone_on.get(length, 0) < self.beam_size:
                self.gone_on[length] = self.gone_on.get(length, 0) + 1
                return number, token, length, -negative
        return None

    def trace(self):
        number, score = self.best
        tokens, steps = [], []
        while self.carried[number][0] is not None:
            tokens.append(self.carried[number][1])
            number = self.carried[number][0]
            steps.append(number)
        return score, tokens[::-1], steps[::-1]


def limited(log_probs, length, shortest, longest):
    log_probs = log_probs.copy()
    if length < shortest:
        log_probs[STOP] = -np.inf
    if length >= longest:
        log_probs[np.arange(len(log_probs)) != STOP] = -np.inf
    return log_probs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [3, 7, 40])
@pytest.mark.parametrize(
    ("beam_size", "shortest", "longest"), [(1, 0, 9), (3, 0, 40), (5, 4, 6), (50, 2, 8), (4, 0, 0)]
)
def test_it_orders_as_a_heap_does(beam_size, shortest, longest, classes, dtype):
    rng, rows = np.random.default_rng(beam_size), 9
    frontier = Frontier(np.full(rows, START), beam_size, STOP, shortest, longest)
    plain = [Plain(beam_size) for _ in range(rows)]
    chosen = dict.fromkeys(range(rows), (None, START, 0, 0.0))
    # By row, the beginnings in the order in which they were carried on.
    numbers = [[] for _ in range(rows)]
    count = asked = 0
    while chosen:
        assert frontier.rows.tolist() == list(chosen)
        assert frontier.tokens.tolist() == [token for _, token, _, _ in chosen.values()]
        parents = [-1 if each[0] is None else numbers[row][each[0]] for row, each in chosen.items()]
        assert frontier.parents.tolist() == parents
        # Few values, so that many are equal; a stop is rare.
        log_probs = rng.choice([-0.25, -0.5, -1.5, -4.0, -np.inf], (len(chosen), classes)).astype(dtype)
        log_probs[:, STOP] -= 2
        assert frontier.advance(log_probs)
        following = {}
        for i, (row, each) in enumerate(chosen.items()):
            numbers[row].append(count + i)
            plain[row].add(*each, limited(log_probs[i], each[2], shortest, longest))
            if (found := plain[row].next()) is not None:
                following[row] = found
        count, asked, chosen = count + len(chosen), asked + 1, following
    assert len(frontier.rows) == 0
    assert asked > 20 * (longest == 40 and classes > 3)
    ended = 0
    for row in range(rows):
        if plain[row].best is None:
            assert frontier.best(row) is None
            continue
        score, tokens, steps = frontier.best(row)
        wanted = plain[row].trace()
        assert (score, tokens.tolist()) == wanted[:2]
        assert steps.tolist() == [numbers[row][step] for step in wanted[2]]
        ended += 1
    assert ended


def test_what_it_refuses():
    frontier = Frontier(np.array([1, 1]), 2, STOP, 0, 5)
    with pytest.raises(ValueError, match=r"shape \(2, V\), got \(1, 4\)"):
        frontier.advance(np.zeros((1, 4)))
    with pytest.raises(IndexError, match="row must be from 0 to 1, got 2"):
        frontier.best(2)
    assert frontier.best(0) is None
    log_probs = np.full((2, 4), -1.0)
    log_probs[1, 3] = np.nan
    assert not frontier.advance(log_probs)
    assert len(frontier.rows) == 0
    empty = Frontier(np.zeros(0, np.int64), 2, STOP, 0, 5)
    assert len(empty.rows) == 0
