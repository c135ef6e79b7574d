import numpy as np
import pytest
from seq2seq_checks import Table

from rnnfast.decoding import Restricted, beam_search, greedy, sample


def repeats(tokens, n):
    runs = [tokens[i : i + n] for i in range(len(tokens) - n + 1)]
    return len(set(runs)) < len(runs)


@pytest.mark.parametrize(
    ("how", "allows"),
    [
        ({"banned": [2]}, lambda tokens: 2 not in tokens),
        ({"no_repeat": 1}, lambda tokens: not repeats(tokens, 1)),
        ({"no_repeat": 2}, lambda tokens: not repeats(tokens, 2)),
        ({"no_repeat": 3}, lambda tokens: not repeats(tokens, 3)),
        ({"prefixes": [[1, 1]] * 3}, lambda tokens: tokens[:2] == (1, 1)),
        ({"prefixes": [[2, 2]] * 3, "banned": [2]}, lambda tokens: tokens[:2] == (2, 2) and 2 not in tokens[2:]),
    ],
    ids=str,
)
def test_the_best_of_all_that_is_allowed(how, allows):
    model, longest = Table(3, 0, seed=2), 5
    rows = beam_search(Restricted(model, **how), [4, 5, 6], beam_size=3**5, n_best=3, max_length=longest)
    for kind, row in zip([4, 5, 6], rows, strict=True):
        every = [each for each in model.every_sequence(kind, 0, longest) if allows(each[1])]
        best = sorted(every, reverse=True)[:3]
        assert [tuple(each.tokens.tolist()) for each in row] == [tokens for _, tokens in best]
        assert np.allclose([each.score for each in row], [total for total, _ in best], rtol=0, atol=1e-12)


def test_rows_have_prefixes_of_their_own():
    prefixes = [[3], [], [1, 2, 3, 1]]
    for search in (greedy, sample):
        found = search(Restricted(Table(5, 0), prefixes=prefixes), [1, 2, 3], min_length=4, max_length=6)
        for prefix, each in zip(prefixes, found, strict=True):
            assert each.tokens.tolist()[: len(prefix)] == prefix
            assert len(each.tokens) >= 4


def test_without_restrictions_nothing_changes():
    model = Table(5, 0, spread=2.0)
    for plain, other in zip(beam_search(model, range(6)), beam_search(Restricted(model), range(6)), strict=True):
        assert plain[0].tokens.tolist() == other[0].tokens.tolist()
        assert plain[0].score == other[0].score


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"banned": [5]}, "banned must hold tokens from 0 to 4, got 5"),
        ({"banned": [-1]}, "banned must hold tokens, none below 0"),
        ({"prefixes": [[1], [7]]}, "prefixes must hold tokens from 0 to 4, got 7"),
        ({"prefixes": [[1]]}, "prefixes must be one for each row, 2, got 1"),
        ({"no_repeat": -1}, "no_repeat must be at least 1"),
    ],
)
def test_arguments_out_of_range(how, message):
    with pytest.raises(ValueError, match=message):
        greedy(Restricted(Table(5, 0), **how), [1, 2])
