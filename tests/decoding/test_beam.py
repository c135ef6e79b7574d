import numpy as np
import pytest
from seq2seq_checks import Table

from rnnfast.decoding import beam_search, greedy

PENALTIES = {"none": lambda n: 1, "average": lambda n: n, "wu": lambda n: ((5 + n) / 6) ** 0.6}


@pytest.mark.parametrize("stop", [0, 2, None])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_beam_as_wide_as_the_space_finds_the_best_of_all(stop, penalty):
    model, shortest, longest = Table(3, stop), 1, 4
    width = 3**4
    rows = beam_search(
        model, [7, 8, 9], beam_size=width, n_best=6, length_penalty=penalty, min_length=shortest, max_length=longest
    )
    for kind, row in zip([7, 8, 9], rows, strict=True):
        ended = stop is not None
        every = [
            (total / PENALTIES[penalty](len(tokens) + ended), total, tokens)
            for total, tokens in model.every_sequence(kind, shortest, longest)
        ]
        best = sorted(every, reverse=True)[:6]
        assert [tuple(each.tokens.tolist()) for each in row] == [tokens for _, _, tokens in best]
        assert np.allclose([each.score for each in row], [score for score, _, _ in best], rtol=0, atol=1e-12)
        assert np.allclose([each.log_probability for each in row], [total for _, total, _ in best], rtol=0, atol=1e-12)


def slow_search(model, kind, beam_size, n_best, longest, early):
    """One sentence, hypotheses as tuples."""
    alive, ended = [(0.0, ())], []
    for length in range(longest + 1):
        candidates = []
        for total, tokens in alive:
            log_probs = model.log_probs((kind, *tokens))
            allowed = range(model.tokens) if length < longest else [model.stop]
            candidates += [(total + float(log_probs[token]), (*tokens, token)) for token in allowed]
        candidates.sort(key=lambda each: -each[0])
        ended += [each for each in candidates[:beam_size] if each[1][-1] == model.stop]
        ended.sort(key=lambda each: -each[0])
        alive = [each for each in candidates if each[1][-1] != model.stop][:beam_size]
        over = not alive or (len(ended) >= beam_size if early else len(ended) >= n_best)
        if not early and alive and over:
            over = ended[n_best - 1][0] >= alive[0][0]
        if over:
            break
    return [(total, list(tokens[:-1])) for total, tokens in ended[:n_best]]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_narrow_beams_against_one_sentence_at_a_time(beam_size, early):
    model, kinds = Table(5, 1, seed=3, spread=2.0), [*range(12)]
    n_best = min(2, beam_size)
    how = {"beam_size": beam_size, "n_best": n_best, "max_length": 6, "early_stopping": early}
    for kind, row in zip(kinds, beam_search(model, kinds, **how), strict=True):
        wanted = slow_search(model, kind, beam_size, n_best, 6, early)
        assert [each.tokens.tolist() for each in row] == [tokens for _, tokens in wanted]
        assert np.allclose([each.score for each in row], [total for total, _ in wanted], rtol=0, atol=1e-12)


def test_a_beam_of_one_is_greedy():
    model, kinds = Table(6, 2, spread=2.0), [*range(20)]
    for row, one in zip(beam_search(model, kinds, beam_size=1), greedy(model, kinds), strict=True):
        assert row[0].tokens.tolist() == one.tokens.tolist()
        assert row[0].score == pytest.approx(one.score, abs=1e-12)


def test_lengths_are_kept():
    model, kinds = Table(4, 0), [*range(8)]
    for shortest, longest in ((0, 0), (2, 2), (3, 5)):
        how = {"beam_size": 3, "n_best": 3, "min_length": shortest, "max_length": longest}
        rows = beam_search(model, kinds, **how)
        assert {shortest <= len(each.tokens) <= longest for row in rows for each in row} == {True}
        assert all(0 not in each.tokens for row in rows for each in row)
    assert [len(row) for row in beam_search(model, kinds, beam_size=3, n_best=3, max_length=0)] == [1] * 8
    assert [row[0].tokens.tolist() for row in beam_search(Table(4, None), kinds, max_length=0)] == [[]] * 8
    assert beam_search(model, []) == []


def test_the_average_favours_longer_hypotheses():
    model, kinds = Table(4, 0, spread=0.5), [*range(10)]
    plain, average = (
        sum(len(row[0].tokens) for row in beam_search(model, kinds, length_penalty=penalty, max_length=8))
        for penalty in ("none", "average")
    )
    assert average > plain


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"beam_size": 0}, "beam_size must be a whole number of at least 1, got 0"),
        ({"beam_size": 2, "n_best": 3}, "n_best must be at most beam_size, 2, got 3"),
        ({"length_penalty": "long"}, "'none', 'average', 'wu', got 'long'"),
        ({"alpha": -1.0}, "alpha must be at least 0"),
        ({"max_length": -1}, "max_length must be a whole number of at least 0"),
        ({"min_length": 5, "max_length": 4}, "min_length must be at most max_length, 4, got 5"),
        ({"stop": 9}, "stop must be a token from 0 to 3, got 9"),
    ],
)
def test_arguments_out_of_range(how, message):
    with pytest.raises(ValueError, match=message):
        beam_search(Table(4, 0), [1], **how)


def test_a_model_that_gives_nan_is_told():
    model = Table(4, 0)
    model.log_probs = lambda history: np.full(4, np.nan)
    with pytest.raises(FloatingPointError, match="nan at step 0"):
        beam_search(model, [1])


class Looking(Table):
    """Looks at three places of a source, the third of them padding, by what was written."""

    class State(list):
        weights: np.ndarray

    def looks(self, history):
        weights = np.random.default_rng([9, *history]).dirichlet([0.5, 0.5])
        return np.array([*weights, 0.0])

    def step(self, tokens, state):
        log_probs, state = super().step(tokens, state)
        found = self.State(state)
        found.weights = np.array([self.looks(history) for history in state]).reshape(-1, 3)
        return log_probs, found


def test_coverage_is_weighed():
    model, beta = Looking(3, 0), 0.7
    rows = beam_search(
        model, [7, 8], beam_size=81, n_best=5, length_penalty="wu", alpha=0.9, coverage_penalty=beta, max_length=4
    )
    orders = []
    for kind, row in zip([7, 8], rows, strict=True):
        every = []
        for total, tokens in model.every_sequence(kind, 0, 4):
            steps = [model.looks((kind, *tokens[:i])) for i in range(len(tokens) + 1)]
            missing = np.log(np.minimum(np.sum(steps, axis=0)[:2], 1)).sum()
            every.append((total / ((6 + len(tokens)) / 6) ** 0.9 + beta * missing, tokens))
        best = sorted(every, reverse=True)[:5]
        orders.append([tokens for _, tokens in best])
        assert [tuple(each.tokens.tolist()) for each in row] == orders[-1]
        assert np.allclose([each.score for each in row], [score for score, _ in best], rtol=0, atol=1e-12)
    without = beam_search(model, [7, 8], beam_size=81, n_best=5, length_penalty="wu", alpha=0.9, max_length=4)
    assert [[tuple(each.tokens.tolist()) for each in row] for row in without] != orders
    with pytest.raises(ValueError, match="says where it looks"):
        beam_search(Table(3, 0), [7], coverage_penalty=1.0, max_length=2)
    with pytest.raises(ValueError, match="coverage_penalty must be a finite number"):
        beam_search(model, [7], coverage_penalty=-1.0)
